/* SPDX-License-Identifier: MIT */
/* What a host says of itself, and the plan that is made of it; agents are what
 * their sums say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/files.h"
#include "common/base/mem.h"
#include "controller/bootstrap/agents.h"
#include "controller/bootstrap/plan.h"

#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct remote *parse(const char *text, int want)
{
    struct remote *r = mem_zalloc(sizeof(*r));
    struct error e = {0};

    assert_int_equal(remote_parse(text, r, &e), want);
    return r;
}

static void a_host_is_read(void **state)
{
    struct remote *r = parse("Welcome to the machine!\n"
                             "host=Web_1.example\nuser=claw\nuid=1000\n"
                             "arch=x86_64\ninit=systemd\nsudo=password\n"
                             "unknown=x\nstate1.user=claw\n"
                             "state1.home=/home/claw\n"
                             "state1.dir=/home/claw/.openclaw\n"
                             "state2.user=jo\nstate2.dir=/srv/a b\n"
                             "instance1.name=claw\ninstance1.node_id=ab\n"
                             "end=1\n",
                             0);

    (void)state;
    assert_string_equal(r->host, "Web_1.example");
    assert_string_equal(r->sudo, "password");
    assert_int_equal(r->state_count, 2);
    assert_string_equal(r->states[1].dir, "/srv/a b");
    assert_int_equal(r->instance_count, 1);
    free(r);
}

static void a_hostile_host_is_harmless(void **state)
{
    char *text = mem_alloc(70000);
    struct remote *r;
    size_t n = 0;

    (void)state;
    n += (size_t)sprintf(text, "arch=x86_64\nhost=a\x1b[2J\nuser=\xff\xfe\n"
                               "state0.dir=/x\nstate99.dir=/x\nstate1.=\n"
                               "state.dir=/x\nstate1\n=x\n"
                               "state3.user=a\nstate3.dir=relative\n"
                               "state4.user=b\nstate4.dir=/ok\nos=");
    memset(text + n, 'x', 60000);
    strcpy(text + n + 60000, "\nend=1\n");
    r = parse(text, 0);
    assert_string_equal(r->host, "");
    assert_string_equal(r->user, "");
    assert_string_equal(r->os, "");
    assert_int_equal(r->state_count, 1);
    assert_string_equal(r->states[0].dir, "/ok");
    free(r);
    free(text);
    free(parse("arch=x86_64\nhost=a\n", OCM_E_FAILED)); /* broke off */
    free(parse("", OCM_E_FAILED));
}

/* ---- plans ---- */

#define HEAD "host=Web_1.example\narch=x86_64\ninit=systemd\nuser=claw\n"
#define ONE                                                                    \
    "state1.user=claw\nstate1.home=/home/claw\n"                               \
    "state1.dir=/home/claw/.openclaw\n"

static int plan(const char *text, const struct bootstrap_order *order,
                bool sudo, struct bootstrap_plan *out)
{
    struct bootstrap_order o = {.name = "", .user = "", .mode = ""};
    struct remote *r = parse(text, 0);
    struct error e = {0};
    int rc;

    memset(out, 0, sizeof(*out));
    out->sudo = sudo;
    rc = plan_make(order ? order : &o, r, SHA, out, &e);
    free(r);
    return rc;
}

static void one_openclaw_gives_one_node(void **state)
{
    struct bootstrap_plan *p = mem_zalloc(sizeof(*p));

    (void)state;
    assert_int_equal(plan(HEAD "sudo=root\n" ONE "end=1\n", NULL, false, p), 0);
    assert_int_equal(p->item_count, 1);
    assert_string_equal(p->items[0].node, "web-1");
    assert_string_equal(p->items[0].instance, "claw");
    assert_string_equal(p->mode, "system");
    assert_int_equal(p->items[0].action, BOOTSTRAP_INSTALL);
    assert_true(p->items[0].join);
    free(p);
}

static void several_are_told_apart(void **state)
{
    struct bootstrap_plan *p = mem_zalloc(sizeof(*p));
    static const char text[] =
        HEAD "sudo=root\n" ONE "state2.user=claw\nstate2.home=/home/claw\n"
             "state2.dir=/home/claw/.openclaw-work\nstate2.profile=work\n"
             "state3.user=J.Doe\nstate3.home=/home/j\nstate3.dir=/home/j/"
             ".openclaw\nend=1\n";

    (void)state;
    assert_int_equal(plan(text, NULL, false, p), 0);
    assert_int_equal(p->item_count, 3);
    assert_string_equal(p->items[0].node, "web-1-claw");
    assert_string_equal(p->items[1].node, "web-1-claw-work");
    assert_string_equal(p->items[2].instance, "j-doe");
    /* without root only the login's own */
    assert_int_equal(plan(HEAD "sudo=no\n" ONE
                               "state2.user=jo\nstate2.dir=/home/jo/.openclaw\n"
                               "end=1\n",
                          NULL, false, p),
                     0);
    assert_int_equal(p->item_count, 1);
    assert_string_equal(p->mode, "user");
    free(p);
}

static void what_is_there_is_kept(void **state)
{
    struct bootstrap_plan *p = mem_zalloc(sizeof(*p));
    static const char there[] =
        HEAD "sudo=root\nagent_sha256=%s\n" ONE
             "instance1.name=mine\ninstance1.home=/home/claw\n"
             "instance1.node_id=abc\nend=1\n";
    char text[1000];

    (void)state;
    snprintf(text, sizeof(text), there, SHA);
    assert_int_equal(plan(text, NULL, false, p), 0);
    assert_string_equal(p->items[0].instance, "mine");
    assert_int_equal(p->items[0].action, BOOTSTRAP_REPAIR);
    assert_false(p->items[0].join);
    snprintf(text, sizeof(text), there, "other");
    assert_int_equal(plan(text, NULL, false, p), 0);
    assert_int_equal(p->items[0].action, BOOTSTRAP_UPGRADE);
    free(p);
}

static void without_openclaw_a_user_must_be_named(void **state)
{
    struct bootstrap_plan *p = mem_zalloc(sizeof(*p));
    struct bootstrap_order o = {.name = "new", .user = "claw", .mode = ""};

    (void)state;
    assert_int_equal(plan(HEAD "sudo=root\nend=1\n", NULL, false, p),
                     OCM_E_NOTFOUND);
    assert_int_equal(plan(HEAD "sudo=root\nend=1\n", &o, false, p), 0);
    assert_int_equal(p->item_count, 1);
    assert_string_equal(p->items[0].state.dir, "");
    assert_string_equal(p->items[0].node, "new");
    free(p);
}

static void root_is_asked_for_where_it_may_be_given(void **state)
{
    static const struct {
        const char *sudo, *mode;
        bool wants;
    } cases[] = {
        {"root", "", false},     {"nopasswd", "", true},
        {"password", "", true},  {"password", "user", false},
        {"maybe", "", false},    {"maybe", "system", true},
        {"no", "system", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bootstrap_order o = {.mode = cases[i].mode};
        struct remote *r = mem_zalloc(sizeof(*r));

        strcpy(r->sudo, cases[i].sudo);
        assert_int_equal(plan_wants_sudo(&o, r), cases[i].wants);
        free(r);
    }
}

/* ---- agents ---- */

static void an_agent_is_what_its_sums_say(void **state)
{
    char dir[] = "/tmp/ocm-agents-XXXXXX", sha[ID_HEX_LEN + 1], *path, *sums;
    struct buf out = {0}, line = {0};
    struct error e = {0};
    struct id sum = digest_of("agent", 5);

    (void)state;
    assert_non_null(mkdtemp(dir));
    path = mem_printf("%s/ocm-agent-x86_64", dir);
    sums = mem_printf("%s/SHA256SUMS", dir);
    assert_int_equal(agents_read(dir, "x86_64", &out, sha, &e), OCM_E_NOTFOUND);
    assert_int_equal(agents_read(dir, "../x", &out, sha, &e), OCM_E_NOTFOUND);
    assert_int_equal(file_write(path, "agent", 5, 0755, &e), 0);
    assert_true(agents_read(dir, "x86_64", &out, sha, &e) < 0);
    buf_clear(&out);
    id_hex(&sum, sha);
    buf_printf(&line, "%s  ocm-agent-aarch64\n%s  ocm-agent-x86_64\n", SHA,
               sha);
    assert_int_equal(file_write(sums, line.data, line.len, 0644, &e), 0);
    assert_int_equal(agents_read(dir, "x86_64", &out, sha, &e), 0);
    assert_int_equal(out.len, 5);
    assert_int_equal(file_write(path, "agenT", 5, 0755, &e), 0);
    buf_clear(&out);
    assert_int_equal(agents_read(dir, "x86_64", &out, sha, &e), OCM_E_DAMAGED);
    buf_free(&out);
    buf_free(&line);
    tree_remove(dir, NULL);
    free(path);
    free(sums);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_is_read),
        cmocka_unit_test(a_hostile_host_is_harmless),
        cmocka_unit_test(one_openclaw_gives_one_node),
        cmocka_unit_test(several_are_told_apart),
        cmocka_unit_test(what_is_there_is_kept),
        cmocka_unit_test(without_openclaw_a_user_must_be_named),
        cmocka_unit_test(root_is_asked_for_where_it_may_be_given),
        cmocka_unit_test(an_agent_is_what_its_sums_say),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
