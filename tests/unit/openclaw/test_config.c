/* SPDX-License-Identifier: MIT */
/* openclaw.json: JSON5, includes with their limits, variables, agents. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "agent/openclaw/agents.h"
#include "agent/openclaw/config.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "node.h"

static struct node node;
static struct config config;
static struct buf notes;
static struct error error;

static int setup(void **state)
{
    (void)state;
    node_init(&node);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    config_fini(&config);
    buf_free(&notes);
    node_fini(&node);
    return 0;
}

static int load(void)
{
    char *path = path_join(node.state, "openclaw.json");
    int rc;

    config_fini(&config);
    buf_clear(&notes);
    rc = config_load(path, false, &config, &notes, &error);
    free(path);
    return rc;
}

static void assert_text(const char *path, const char *want)
{
    char *got = config_string(&config, path);

    assert_non_null(got);
    assert_string_equal(got, want);
    free(got);
}

static void json5_is_read(void **state)
{
    int64_t n;

    (void)state;
    node_write(&node, ".openclaw/openclaw.json",
               "// mine\n{gateway: {port: 0x4965, bind: 'loopback', "
               "auth: {token: '${TOK}-x$${A}'}},\n"
               " 'a.b': [1, {c: \"d\"}], n: -5, f: .5, \"port\": \"77\",}\n");
    assert_int_equal(load(), 0);
    assert_true(config_number(&config, "gateway.port", &n));
    assert_int_equal(n, 18789);
    assert_true(config_number(&config, "port", &n));
    assert_int_equal(n, 77);
    assert_text("gateway.auth.token", "${TOK}-x${A}");
    env_add(&config.env, "TOK", "value");
    assert_text("gateway.auth.token", "value-x${A}");
    assert_null(config_string(&config, "gateway.port"));
    assert_null(config_get(&config, "gateway.nothing.here"));
    assert_int_equal(json_array_size(json_object_get(config.root, "a.b")), 2);
}

static void a_broken_config_says_where(void **state)
{
    (void)state;
    node_write(&node, ".openclaw/openclaw.json", "{gateway: {port: }}");
    assert_int_equal(load(), OCM_E_INVALID);
    assert_non_null(strstr(error.text, "openclaw.json"));
    assert_non_null(strstr(error.text, "line 1"));
    assert_null(config.root);
}

static void includes_are_merged(void **state)
{
    (void)state;
    node_write(&node, ".openclaw/openclaw.json",
               "{$include: ['./a.json', 'parts/b.json'], x: 'own',"
               " agents: {$include: 'parts/agents.json5'}}");
    node_write(&node, ".openclaw/a.json",
               "{x: 'a', y: 'a', list: [1], deep: {p: 'a'}}");
    node_write(&node, ".openclaw/parts/b.json",
               "{y: 'b', list: [2], deep: {q: 'b'}, $include: 'c.json'}");
    node_write(&node, ".openclaw/parts/c.json", "{z: 'c', y: 'c'}");
    node_write(&node, ".openclaw/parts/agents.json5",
               "{defaults: {workspace: '~/ws'}}");
    assert_int_equal(load(), 0);
    assert_int_equal(notes.len, 0);
    assert_text("x", "own");
    assert_text("y", "b");
    assert_text("z", "c");
    assert_text("deep.p", "a");
    assert_text("deep.q", "b");
    assert_text("agents.defaults.workspace", "~/ws");
    assert_int_equal(json_array_size(config_get(&config, "list")), 2);
    assert_int_equal(config.include_count, 4);
}

static void bad_includes_are_left_out(void **state)
{
    char secret[256];
    char *link = path_join(node.state, "link.json");

    (void)state;
    snprintf(secret, sizeof(secret),
             "{$include: ['/etc/shadow', '../outside.json', 'missing.json',"
             " 'link.json', 'broken.json', 'loop.json', 7], keep: 'yes'}");
    node_write(&node, ".openclaw/openclaw.json", secret);
    node_write(&node, "outside.json", "{stolen: 'a'}");
    node_write(&node, ".openclaw/broken.json", "{");
    node_write(&node, ".openclaw/loop.json", "{$include: 'loop2.json'}");
    node_write(&node, ".openclaw/loop2.json",
               "{$include: 'loop.json', l: 'l'}");
    assert_int_equal(symlink("/etc/passwd", link), 0);
    free(link);
    assert_int_equal(load(), 0);
    assert_text("keep", "yes");
    assert_text("l", "l");
    assert_null(config_get(&config, "stolen"));
    assert_non_null(strstr(buf_str(&notes), "/etc/shadow: outside"));
    assert_non_null(strstr(buf_str(&notes), "outside.json: outside"));
    assert_int_equal(config.stray_count, 2); /* both are there */
    assert_string_equal(config.strays[0], "/etc/shadow");
    assert_non_null(strstr(buf_str(&notes), "missing.json: No such file"));
    assert_non_null(strstr(buf_str(&notes), "link.json: it is behind"));
    assert_non_null(strstr(buf_str(&notes), "broken.json: line 1"));
    assert_non_null(strstr(buf_str(&notes), "includes itself"));
    assert_non_null(strstr(buf_str(&notes), "is no text"));
}

/* Ten levels are fine, the eleventh is not; and a file that names itself many
 * times over many levels does not take for ever. */
static void includes_are_bounded(void **state)
{
    char name[64], text[128];

    (void)state;
    node_write(&node, ".openclaw/openclaw.json", "{$include: 'i1.json'}");
    for (int i = 1; i <= 12; i++) {
        snprintf(name, sizeof(name), ".openclaw/i%d.json", i);
        snprintf(text, sizeof(text), "{$include: 'i%d.json', k%d: 'x'}", i + 1,
                 i);
        node_write(&node, name, text);
    }
    assert_int_equal(load(), 0);
    assert_text("k10", "x");
    assert_null(config_get(&config, "k11"));
    assert_non_null(strstr(buf_str(&notes), "more than 10 levels"));

    for (int i = 1; i <= 9; i++) {
        snprintf(name, sizeof(name), ".openclaw/i%d.json", i);
        snprintf(text, sizeof(text),
                 "{a: {$include: 'i%d.json'}, b: {$include: 'i%d.json'},"
                 " c: {$include: 'i%d.json'}, d: {$include: 'i%d.json'}}",
                 i + 1, i + 1, i + 1, i + 1);
        node_write(&node, name, text);
    }
    assert_int_equal(load(), 0); /* 4^9 files if nothing stopped it */
    assert_non_null(strstr(buf_str(&notes), "too many includes"));
}

static void assert_agent(const struct agents *a, size_t i, const char *id,
                         const char *below_home)
{
    char *want = path_join(node.home, below_home);

    assert_true(i < a->count);
    assert_string_equal(a->items[i].id, id);
    assert_string_equal(a->items[i].workspace, want);
    free(want);
}

static void agents_of_both_spellings(void **state)
{
    struct agents a;
    char *want;

    (void)state;
    node_write(&node, ".openclaw/openclaw.json", "{}");
    assert_int_equal(load(), 0);
    agents_list(&config, node.state, node.home, &a);
    assert_int_equal(a.count, 1);
    assert_agent(&a, 0, "main", ".openclaw/workspace");
    agents_fini(&a);

    node_write(
        &node, ".openclaw/openclaw.json",
        "{agents: {list: [{id: 'Ops Team'}, {id: 'main',"
        " default: true}, {id: 'main'}, {id: 'w', workspace: '~/w/'}]}}");
    assert_int_equal(load(), 0);
    agents_list(&config, node.state, node.home, &a);
    assert_int_equal(a.count, 3);
    assert_agent(&a, 0, "ops-team", ".openclaw/workspace-ops-team");
    assert_agent(&a, 1, "main", ".openclaw/workspace");
    assert_agent(&a, 2, "w", "w");
    want = path_join(node.state, "agents/ops-team/agent");
    assert_string_equal(a.items[0].dir, want);
    free(want);
    agents_fini(&a);

    node_write(&node, "team/ops/AGENTS.md", "");
    node_write(&node, ".openclaw/openclaw.json",
               "{agents: {defaults: {workspace: '${HOME}/team'}, entries:"
               " {main: {}, ops: {}, lab: {agentDir: '/srv/lab'}}}}");
    assert_int_equal(load(), 0);
    env_add(&config.env, "HOME", node.home);
    agents_list(&config, node.state, node.home, &a);
    assert_int_equal(a.count, 3);
    assert_agent(&a, 0, "main", "team");
    assert_agent(&a, 1, "ops", "team/ops"); /* it exists: new releases */
    assert_agent(&a, 2, "lab", ".openclaw/workspace-lab");
    assert_string_equal(a.items[2].dir, "/srv/lab");
    agents_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(json5_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(a_broken_config_says_where, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(includes_are_merged, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_includes_are_left_out, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(includes_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(agents_of_both_spellings, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
