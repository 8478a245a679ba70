/* SPDX-License-Identifier: MIT */
/* agent/adapt: path rules on boundaries, and the plan. */
#include "tests/unit/adapt/fixture.h"

#include <stdlib.h>
#include <string.h>

#include "agent/adapt/rules.h"
#include "common/base/mem.h"

static void two_nodes(struct facts *s, struct facts *t)
{
    facts_set(s, "user.home", "/home/jo");
    facts_set(s, "state.dir", "/home/jo/.openclaw");
    facts_set(s, "openclaw.package", "/usr/lib/node_modules/openclaw");
    facts_set(s, "agent.main.workspace", "/home/jo/.openclaw/workspace");
    facts_set(s, "agent.ops.workspace", "/srv/ops");
    facts_set(t, "user.home", "/home/li");
    facts_set(t, "state.dir", "/data/oc");
    facts_set(t, "openclaw.package", "/opt/openclaw");
    facts_set(t, "agent.ops.workspace", "/data/ops ws");
}

static void check_rewrite(const struct rules *r, const char *text,
                          const char *want)
{
    struct buf b = {0};

    rules_rewrite(r, text, strlen(text), false, &b);
    assert_string_equal(buf_str(&b), want);
    buf_free(&b);
}

static void text_is_rewritten_on_boundaries(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"/home/jo/.openclaw", "/data/oc"},
        {"/home/jo/.openclaw/", "/data/oc/"},
        {"see /home/jo/.openclaw.", "see /data/oc."},
        {"see /home/jo/.openclaw...", "see /data/oc..."},
        {"/home/jo/.openclaw-work", "/home/li/.openclaw-work"},
        {"/home/jo/.openclaw.bak", "/home/li/.openclaw.bak"},
        {"/home/jo/.openclaw_2", "/home/li/.openclaw_2"},
        {"/home/joe", "/home/joe"},
        {"/home/jo", "/home/li"},
        {"/mnt/home/jo/.openclaw", "/mnt/home/jo/.openclaw"},
        {"https://example.com/home/jo/x", "https://example.com/home/jo/x"},
        {"http://h:80/home/jo/x", "http://h:80/home/jo/x"},
        {"file:///home/jo/x", "file:///home/li/x"},
        {"${BASE}/home/jo", "${BASE}/home/jo"},
        {"$(pwd)/home/jo", "$(pwd)/home/jo"},
        {"../home/jo", "../home/jo"},
        {"--root=/home/jo/x", "--root=/home/li/x"},
        {"-I/home/jo/include", "-I/home/li/include"},
        {"PATH=/home/jo/bin:/home/jo/.openclaw/bin:/usr/bin",
         "PATH=/home/li/bin:/data/oc/bin:/usr/bin"},
        {"'/home/jo' \"/home/jo\" (/home/jo) [/home/jo],/home/jo;",
         "'/home/li' \"/home/li\" (/home/li) [/home/li],/home/li;"},
        {"at /home/jo/.openclaw\r\nand /home/jo\r\n",
         "at /data/oc\r\nand /home/li\r\n"},
        {"在/home/jo/.openclaw下", "在/data/oc下"},
        {"文件：/home/jo/.openclaw。", "文件：/data/oc。"},
        {"「/home/jo/a」", "「/home/li/a」"},
        {"/数据/home/jo", "/数据/home/jo"},
        {"/home/jöran", "/home/jöran"},
        {"/home/jo\xc3\xa9", "/home/jo\xc3\xa9"},
        {"~/.openclaw/workspace", "/data/oc/workspace"},
        {"cd /home/jo\\ old", "cd /home/jo\\ old"},
        {"~/notes", "~/notes"},
        {"x~/.openclaw", "x~/.openclaw"},
        {"/srv/ops/a and /srv/ops2", "/data/ops ws/a and /srv/ops2"},
        {"/usr/lib/node_modules/openclaw/skills", "/opt/openclaw/skills"},
        {"", ""},
    };
    struct facts s = {0}, t = {0};
    struct plan plan = {0};
    struct adapt_options o = {
        .intention = INTENT_CLONE, .source = &s, .target = &t};
    struct rules r;

    (void)state;
    two_nodes(&s, &t);
    rules_init(&r, &o, &plan);
    assert_true(rules_active(&r));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check_rewrite(&r, cases[i].text, cases[i].want);
    rules_fini(&r);
    facts_fini(&s);
    facts_fini(&t);
    plan_fini(&plan);
}

static void check_map(const struct rules *r, const char *path, const char *want)
{
    char *mapped = rules_map_path(r, path, NULL);

    if (want)
        assert_string_equal(mapped, want);
    else
        assert_null(mapped);
    free(mapped);
}

static void whole_paths_take_the_longest_prefix(void **state)
{
    struct adapt_rule mine[] = {{"/home/jo/big/", "/mnt/big"}};
    struct facts s = {0}, t = {0};
    struct plan plan = {0};
    struct adapt_options o = {.intention = INTENT_CLONE,
                              .source = &s,
                              .target = &t,
                              .rules = mine,
                              .rule_count = 1};
    struct rules r;

    (void)state;
    two_nodes(&s, &t);
    facts_set(&s, "agent.deep.workspace", "/home/jo/.openclaw/workspace/deep");
    facts_set(&t, "agent.deep.workspace", "/data/deep");
    rules_init(&r, &o, &plan);
    check_map(&r, "/home/jo/.openclaw/workspace/a", "/data/oc/workspace/a");
    check_map(&r, "/home/jo/.openclaw/workspace/deep/a", "/data/deep/a");
    check_map(&r, "/home/jo/.openclaw/workspace/deeper",
              "/data/oc/workspace/deeper");
    check_map(&r, "/home/jo/big/x y", "/mnt/big/x y");
    check_map(&r, "/home/jo/bigger", "/home/li/bigger");
    check_map(&r, "/home/jo//.openclaw//x", "/data/oc/x");
    check_map(&r, "/etc/hosts", NULL);
    check_map(&r, "relative/x", NULL);
    check_map(&r, "~/x", NULL);
    check_map(&r, "~/.openclaw/x", "/data/oc/x");
    check_map(&r, "~jo/x", NULL);
    rules_fini(&r);
    facts_fini(&s);
    facts_fini(&t);
    plan_fini(&plan);
}

static void rules_do_not_chain_and_user_rules_win(void **state)
{
    struct adapt_rule mine[] = {
        {"/home/jo", "/home/li"}, {"/home/li", "/home/zz"}, {"gw-1", "gw-9"}};
    struct facts s = {0}, t = {0};
    struct plan plan = {0};
    struct adapt_options o = {.intention = INTENT_CLONE,
                              .source = &s,
                              .target = &t,
                              .rules = mine,
                              .rule_count = 3};
    struct rules r;

    (void)state;
    two_nodes(&s, &t);
    rules_init(&r, &o, &plan);
    check_rewrite(&r, "/home/jo/.openclaw", "/home/li/.openclaw");
    check_rewrite(&r, "/home/li/a", "/home/zz/a");
    check_rewrite(&r, "http://gw-1:80/ gw-1.example gw-10 jo@gw-1",
                  "http://gw-9:80/ gw-1.example gw-10 jo@gw-9");
    rules_fini(&r);
    facts_fini(&s);
    facts_fini(&t);
    plan_fini(&plan);
}

static void two_places_never_become_one(void **state)
{
    struct facts s = {0}, t = {0};
    struct plan plan = {0};
    struct adapt_options o = {
        .intention = INTENT_MOVE, .source = &s, .target = &t};
    struct rules r;

    (void)state;
    two_nodes(&s, &t);
    facts_set(&s, "agent.two.workspace", "/srv/two");
    facts_set(&t, "agent.two.workspace", "/data/ops ws");
    rules_init(&r, &o, &plan);
    check_map(&r, "/srv/ops/x", "/data/ops ws/x");
    check_map(&r, "/srv/two/x", NULL);
    assert_int_equal(plan.warning_count, 1);
    assert_string_equal(plan.warnings[0].code, "collision");
    rules_fini(&r);
    facts_fini(&s);
    facts_fini(&t);
    plan_fini(&plan);
}

static void a_restore_keeps_workspaces(void **state)
{
    struct facts s = {0}, t = {0};
    struct plan plan = {0};
    struct adapt_options o = {
        .intention = INTENT_RESTORE, .source = &s, .target = &t};
    struct rules r;

    (void)state;
    two_nodes(&s, &t);
    rules_init(&r, &o, &plan);
    check_map(&r, "/srv/ops/x", NULL);
    check_map(&r, "/home/jo/.openclaw/x", "/data/oc/x");
    rules_fini(&r);
    facts_fini(&s);
    facts_fini(&t);
    plan_fini(&plan);
}

static void equal_facts_are_no_rules(void **state)
{
    struct facts s = {0}, t = {0}, unused = {0};
    struct plan plan = {0};
    struct adapt_options o = {
        .intention = INTENT_RESTORE, .source = &s, .target = &t};
    struct rules r;

    (void)state;
    two_nodes(&s, &unused);
    facts_fini(&unused);
    two_nodes(&t, &unused);
    rules_init(&r, &o, &plan);
    assert_false(rules_active(&r));
    check_rewrite(&r, "/home/jo/.openclaw ~/.openclaw",
                  "/home/jo/.openclaw ~/.openclaw");
    rules_fini(&r);
    facts_fini(&s);
    facts_fini(&t);
    facts_fini(&unused);
    plan_fini(&plan);
}

static size_t foreign(const struct rules *r, const char *text)
{
    size_t at = 0, start, n = 0;

    while (rules_find_foreign(r, text, strlen(text), &at, &start))
        n++;
    return n;
}

static void what_is_left_is_found(void **state)
{
    struct facts s = {0}, t = {0};
    struct plan plan = {0};
    struct adapt_options o = {
        .intention = INTENT_CLONE, .source = &s, .target = &t};
    struct rules r;

    (void)state;
    facts_set(&s, "user.home", "/home/jo");
    facts_set(&s, "state.dir", "/home/jo/.openclaw");
    /* the target's paths begin with the source's */
    facts_set(&t, "user.home", "/home/jo/nodes/b");
    facts_set(&t, "state.dir", "/home/jo/nodes/b/.openclaw");
    rules_init(&r, &o, &plan);
    assert_int_equal(foreign(&r, "x /home/jo/a"), 1);
    assert_int_equal(foreign(&r, "/home/jo/.openclaw, /home/jo"), 2);
    assert_int_equal(foreign(&r, "/home/jo/nodes/b/.openclaw/x"), 0);
    assert_int_equal(foreign(&r, "/home/jo/nodes/b /home/jo/nodes/c"), 1);
    assert_int_equal(foreign(&r, "/home/joe https://x/home/jo"), 0);
    rules_fini(&r);
    facts_fini(&s);
    facts_fini(&t);
    plan_fini(&plan);
}

static void odd_facts_make_no_rules(void **state)
{
    struct facts s = {0}, t = {0};
    struct plan plan = {0};
    struct adapt_options o = {
        .intention = INTENT_CLONE, .source = &s, .target = &t};
    struct rules r;

    (void)state;
    facts_set(&s, "user.home", "/");
    facts_set(&t, "user.home", "/root");
    facts_set(&s, "state.dir", "relative");
    facts_set(&t, "state.dir", "/x");
    facts_set(&s, "openclaw.package", "");
    facts_set(&t, "openclaw.package", "/y");
    rules_init(&r, &o, &plan);
    assert_false(rules_active(&r));
    rules_fini(&r);
    facts_fini(&s);
    facts_fini(&t);
    plan_fini(&plan);
}

static void secrets_are_masked(void **state)
{
    static const struct {
        const char *secret, *want;
    } cases[] = {
        {"sk-abcdefghijklmnopqrstu", "sk-a\xe2\x80\xa6(24 characters)"},
        {"short", "\xe2\x80\xa6(5 characters)"},
        {"", "\xe2\x80\xa6(0 characters)"},
        {"密密密密密密密密密密密密密密密密密", "\xe2\x80\xa6(17 characters)"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *masked = plan_mask(cases[i].secret);

        assert_string_equal(masked, cases[i].want);
        free(masked);
    }
}

static void the_digest_covers_secrets_and_order(void **state)
{
    struct plan a = {0}, b = {0};
    struct id x, y;

    (void)state;
    plan_add_edit(&a, "s", "f", "p", "old", "new", "path", false);
    plan_add_edit(&b, "s", "f", "p", "old", "new", "path", false);
    x = plan_digest(&a);
    y = plan_digest(&b);
    assert_true(id_equal(&x, &y));
    assert_string_equal(a.edits[0].id, b.edits[0].id);
    assert_int_equal(strlen(a.edits[0].id), 16);
    plan_add_edit(&a, "s", "f", "t", "s1", "s2", "fresh", true);
    plan_add_edit(&b, "s", "f", "t", "s1", "s3", "fresh", true);
    x = plan_digest(&a);
    y = plan_digest(&b);
    assert_false(id_equal(&x, &y));
    /* a warning counts only when it blocks */
    y = plan_digest(&a);
    plan_warn(&a, "w", false, "s", "f", NULL, "%d", 1);
    x = plan_digest(&a);
    assert_true(id_equal(&x, &y));
    plan_warn(&a, "w", true, "s", "f", NULL, "%d", 1);
    x = plan_digest(&a);
    assert_false(id_equal(&x, &y));
    plan_fini(&a);
    plan_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_rewritten_on_boundaries),
        cmocka_unit_test(whole_paths_take_the_longest_prefix),
        cmocka_unit_test(rules_do_not_chain_and_user_rules_win),
        cmocka_unit_test(two_places_never_become_one),
        cmocka_unit_test(a_restore_keeps_workspaces),
        cmocka_unit_test(equal_facts_are_no_rules),
        cmocka_unit_test(what_is_left_is_found),
        cmocka_unit_test(odd_facts_make_no_rules),
        cmocka_unit_test(secrets_are_masked),
        cmocka_unit_test(the_digest_covers_secrets_and_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
