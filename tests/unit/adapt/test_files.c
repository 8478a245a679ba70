/* SPDX-License-Identifier: MIT */
/* agent/adapt: JSON, env files, units, crontabs, YAML and text. */
#include "tests/unit/adapt/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"

static void adapt_text_as(struct fixture *f, const char *at,
                          enum file_kind kind, const char *text)
{
    struct error e = {0};
    int rc = fixture_file(f, at, kind, text, &e);

    if (rc != 0)
        print_error("%s\n", e.text);
    assert_int_equal(rc, 0);
}

/* --- JSON --- */

static void cron_jobs_of_files_follow(void **state)
{
    static const char at[] = "config/cron/cron/jobs.json";
    struct fixture f;

    (void)state;
    fixture_init(&f, INTENT_MOVE);
    f.taken[0] = SRC_PORT;
    fixture_begin(&f);
    adapt_text_as(&f, at, KIND_JSON,
                  "{\n  \"jobs\": [ {\"payload\": {\"message\": \"Read "
                  "/home/jo/a, curl http://127.0.0.1:18789/healthz\"}, "
                  "\"n\": 18789} ]\n}\n");
    fixture_expect(&f, at,
                   "{\n  \"jobs\": [ {\"payload\": {\"message\": \"Read "
                   "@H/a, curl http://127.0.0.1:18909/healthz\"}, "
                   "\"n\": 18789} ]\n}\n");
    assert_non_null(fixture_edit(&f, "jobs[0].payload.message"));
    fixture_fini(&f);
}

static void session_files_follow_and_snapshots_stay(void **state)
{
    static const char at[] = "data/sessions/agents/main/sessions/sessions.json";
    static const char before[] =
        "{\"agent:main:main\":{\"sessionFile\":\"/home/jo/.openclaw/agents/"
        "main/sessions/1.jsonl\",\"skillsSnapshot\":{\"prompt\":\"in "
        "/home/jo/.openclaw/skills\"}}}";
    struct fixture f;

    (void)state;
    fixture_init(&f, INTENT_RESTORE);
    fixture_begin(&f);
    adapt_text_as(&f, at, KIND_JSON, before);
    fixture_expect(
        &f, at,
        "{\"agent:main:main\":{\"sessionFile\":\"@S/agents/"
        "main/sessions/1.jsonl\",\"skillsSnapshot\":{\"prompt\":\"in "
        "/home/jo/.openclaw/skills\"}}}");
    assert_int_equal(f.plan.edit_count, 1);
    adapt_text_as(
        &f, "data/sessions/agents/main/sessions/1.trajectory-path.json",
        KIND_JSON, "{\"runtimeFile\":\"/home/jo/.openclaw/t.jsonl\"}");
    fixture_expect(&f,
                   "data/sessions/agents/main/sessions/1.trajectory-path.json",
                   "{\"runtimeFile\":\"@S/t.jsonl\"}");
    fixture_fini(&f);
}

static void approvals_keep_the_targets_socket(void **state)
{
    static const char at[] = "config/state/exec-approvals.json";
    static const char before[] =
        "{\"socket\":{\"path\":\"/home/jo/.openclaw/e.sock\",\"token\":"
        "\"source-socket-token\"},\"agents\":{\"main\":{\"allowlist\":[{"
        "\"pattern\":\"/home/jo/.openclaw/workspace/r.sh\"},{\"pattern\":"
        "\"/usr/bin/git\"}]}}}";
    struct fixture f;
    char *text;

    (void)state;
    fixture_init(&f, INTENT_CLONE);
    fixture_begin(&f);
    adapt_text_as(&f, at, KIND_JSON, before);
    text = fixture_text(&f, at);
    assert_null(strstr(text, "source-socket-token"));
    assert_null(strstr(text, "/home/jo"));
    assert_true(fixture_edit(&f, "socket.token")->secret);
    free(text);
    fixture_fini(&f);

    fixture_init(&f, INTENT_MOVE);
    fixture_live(&f, "openclaw.json", "{}");
    fixture_live(&f, "exec-approvals.json",
                 "{\"socket\":{\"path\":\"/t/e.sock\",\"token\":\"target\"}}");
    fixture_begin(&f);
    adapt_text_as(&f, at, KIND_JSON, before);
    fixture_expect(&f, at,
                   "{\"socket\":{\"path\":\"/t/e.sock\",\"token\":"
                   "\"target\"},\"agents\":{\"main\":{\"allowlist\":[{"
                   "\"pattern\":\"@S/workspace/r.sh\"},{\"pattern\":"
                   "\"/usr/bin/git\"}]}}}");
    fixture_fini(&f);
}

static bool is_staged(struct fixture *f, const char *at)
{
    char *path = fixture_staged(f, at);
    bool there = file_exists(path);

    free(path);
    return there;
}

static void identity_files_by_intention(void **state)
{
    static const char at[] = "config/state/identity/device.json";
    struct fixture f;

    (void)state;
    /* the same node: it is itself */
    fixture_init(&f, INTENT_RESTORE);
    fixture_begin(&f);
    adapt_text_as(&f, at, KIND_JSON, "{\"id\":\"source\"}");
    fixture_expect(&f, at, "{\"id\":\"source\"}");
    fixture_fini(&f);
    /* a clone is somebody else */
    fixture_init(&f, INTENT_CLONE);
    fixture_begin(&f);
    adapt_text_as(&f, at, KIND_JSON, "{\"id\":\"source\"}");
    assert_false(is_staged(&f, at));
    assert_string_equal(f.plan.edits[0].rule, "identity");
    fixture_fini(&f);
    /* a move to an empty node takes it along */
    fixture_init(&f, INTENT_MOVE);
    fixture_begin(&f);
    adapt_text_as(&f, at, KIND_JSON, "{\"id\":\"source\"}");
    fixture_expect(&f, at, "{\"id\":\"source\"}");
    fixture_fini(&f);
    /* a node that lives stays who it is */
    for (int i = INTENT_CLONE; i <= INTENT_MOVE; i++) {
        fixture_init(&f, (enum intention)i);
        fixture_live(&f, "identity/device.json", "{\"id\":\"target\"}");
        f.o.target_era = ERA_FILES;
        fixture_begin(&f);
        adapt_text_as(&f, at, KIND_JSON, "{\"id\":\"source\"}");
        fixture_expect(&f, at, "{\"id\":\"target\"}");
        fixture_fini(&f);
    }
}

static void models_json_is_made_anew_elsewhere(void **state)
{
    static const char at[] = "config/agents/agents/main/agent/models.json";
    struct fixture f;

    (void)state;
    fixture_init(&f, INTENT_CLONE);
    fixture_begin(&f);
    adapt_text_as(&f, at, KIND_JSON, "{\"apiKey\":\"sk-secret\"}");
    assert_false(is_staged(&f, at));
    fixture_fini(&f);
    fixture_init(&f, INTENT_RESTORE);
    fixture_begin(&f);
    adapt_text_as(&f, at, KIND_JSON, "{\"apiKey\":\"sk-secret\"}");
    assert_true(is_staged(&f, at));
    fixture_fini(&f);
}

static void broken_json_stays_and_is_told(void **state)
{
    static const char at[] = "config/cron/cron/jobs.json";
    struct fixture f;

    (void)state;
    fixture_init(&f, INTENT_MOVE);
    fixture_begin(&f);
    adapt_text_as(&f, at, KIND_JSON, "{\"a\": \"/home/jo/x\"");
    fixture_expect(&f, at, "{\"a\": \"/home/jo/x\"");
    assert_non_null(fixture_warning(&f, "not-edited"));
    assert_non_null(fixture_warning(&f, "foreign-path"));
    fixture_fini(&f);
}

static void large_indexes_are_rewritten_by_bytes(void **state)
{
    static const char at[] = "data/sessions/agents/main/sessions/sessions.json";
    struct fixture f;
    struct buf b = {0};
    char *text;

    (void)state;
    fixture_init(&f, INTENT_MOVE);
    fixture_begin(&f);
    buf_add_str(&b, "{\"a\":{\"sessionFile\":\"/home/jo/.openclaw/1.jsonl\"},"
                    "\"z\":\"");
    while (b.len < (size_t)9 * 1024 * 1024)
        buf_add_str(&b, "0123456789abcdef");
    buf_add_str(&b, "\"}");
    adapt_text_as(&f, at, KIND_JSON, buf_str(&b));
    text = fixture_text(&f, at);
    assert_null(strstr(text, "/home/jo"));
    assert_int_equal(f.plan.edit_count, 1);
    free(text);
    buf_free(&b);
    fixture_fini(&f);
}

static void histories_are_counted_and_left(void **state)
{
    static const char line[] = "{\"cwd\":\"/home/jo/.openclaw\"}\n";
    struct fixture f;

    (void)state;
    fixture_init(&f, INTENT_MOVE);
    fixture_begin(&f);
    adapt_text_as(&f, "data/sessions/agents/main/sessions/1.jsonl", KIND_JSONL,
                  line);
    adapt_text_as(&f, "data/sessions/agents/main/sessions/2.jsonl", KIND_JSONL,
                  "{}\n");
    fixture_finish(&f);
    fixture_expect(&f, "data/sessions/agents/main/sessions/1.jsonl", line);
    assert_int_equal(fixture_warnings(&f, "history"), 1);
    assert_false(fixture_warning(&f, "history")->blocking);
    assert_int_equal(f.plan.edit_count, 0);
    fixture_fini(&f);
}

/* --- env --- */

static void env_values_follow(void **state)
{
    static const char at[] = "config/env/.env";
    struct fixture f;

    (void)state;
    fixture_init(&f, INTENT_MOVE);
    f.taken[0] = SRC_PORT;
    fixture_begin(&f);
    adapt_text_as(&f, at, KIND_ENV,
                  "# of /home/jo\nA=/home/jo/data\nB='x /home/jo' # c\n"
                  "PATH=/home/jo/bin:/usr/bin\nC=plain\n"
                  "OPENCLAW_GATEWAY_PORT=18789\nD=18789\n"
                  "TELEGRAM_BOT_TOKEN=1:abc\n");
    fixture_finish(&f);
    fixture_expect(&f, at,
                   "# of /home/jo\nA=@H/data\nB='x @H' # c\n"
                   "PATH=@H/bin:/usr/bin\nC=plain\n"
                   "OPENCLAW_GATEWAY_PORT=18909\nD=18789\n"
                   "TELEGRAM_BOT_TOKEN=1:abc\n");
    assert_int_equal(f.plan.edit_count, 4);
    fixture_fini(&f);
}

static void a_clones_env_is_silent_and_its_own(void **state)
{
    static const char at[] = "config/env/.env";
    struct fixture f;
    char *text;

    (void)state;
    fixture_init(&f, INTENT_CLONE);
    fixture_begin(&f);
    adapt_text_as(&f, at, KIND_ENV,
                  "TELEGRAM_BOT_TOKEN=1:abc\nDISCORD_BOT_TOKEN=d\n"
                  "OPENCLAW_GATEWAY_TOKEN=source-token-0123\n");
    /* discord is named by the config, so that its switch rules */
    adapt_text_as(&f, "config/gateway/openclaw.json", KIND_CONFIG,
                  "{channels:{discord:{}}}");
    fixture_finish(&f);
    text = fixture_text(&f, at);
    assert_non_null(strstr(text, "OCM_OFF_TELEGRAM_BOT_TOKEN=1:abc\n"));
    assert_non_null(strstr(text, "\nDISCORD_BOT_TOKEN=d\n"));
    assert_null(strstr(text, "source-token"));
    assert_true(fixture_edit(&f, "OPENCLAW_GATEWAY_TOKEN")->secret);
    free(text);
    fixture_fini(&f);
}

static void a_living_targets_env_stays(void **state)
{
    static const char at[] = "config/env/.env";
    struct fixture f;

    (void)state;
    fixture_init(&f, INTENT_MOVE);
    fixture_live(&f, "openclaw.json", "{gateway:{auth:{token:'${GW_TOKEN}'}}}");
    fixture_live(&f, ".env", "GW_TOKEN=target\nOPENCLAW_GATEWAY_PORT=19001\n");
    fixture_begin(&f);
    adapt_text_as(&f, at, KIND_ENV,
                  "OPENCLAW_GATEWAY_PORT=18789\nOPENCLAW_GATEWAY_TOKEN=src\n"
                  "REGION=lab-a\n");
    fixture_finish(&f);
    fixture_expect(&f, at,
                   "OPENCLAW_GATEWAY_PORT=19001\nREGION=lab-a\n"
                   "GW_TOKEN=target\n");
    fixture_fini(&f);
}

/* --- units and crontabs --- */

static void units_follow_when_asked_for(void **state)
{
    static const char at[] = "config/service/openclaw-gateway.service";
    static const char before[] =
        "[Service]\n"
        "ExecStart=/usr/bin/node /usr/lib/node_modules/openclaw/dist/index.js "
        "gateway --port 18789\n"
        "Environment=HOME=/home/jo\n"
        "Environment=OPENCLAW_GATEWAY_PORT=18789 X=18789\n";
    struct fixture f;

    (void)state;
    fixture_init(&f, INTENT_MOVE);
    f.taken[0] = SRC_PORT;
    fixture_begin(&f);
    adapt_text_as(&f, at, KIND_UNIT, before);
    fixture_expect(&f, at,
                   "[Service]\n"
                   "ExecStart=/usr/bin/node /opt/openclaw/dist/index.js "
                   "gateway --port 18909\n"
                   "Environment=HOME=@H\n"
                   "Environment=OPENCLAW_GATEWAY_PORT=18909 X=18789\n");
    /* kept: not looked at */
    plan_fini(&f.plan);
    {
        char *path = fixture_staged(&f, at);

        fixture_write(path, before, strlen(before));
        free(path);
    }
    assert_int_equal(fixture_adapt(&f, at, KIND_UNIT, ACTION_KEEP, NULL), 0);
    fixture_expect(&f, at, before);
    assert_int_equal(f.plan.edit_count, 0);
    fixture_fini(&f);
}

static void crontabs_follow(void **state)
{
    static const char at[] = "config/cron/crontab";
    struct fixture f;

    (void)state;
    fixture_init(&f, INTENT_MOVE);
    fixture_begin(&f);
    adapt_text_as(&f, at, KIND_CRONTAB,
                  "HOME=/home/jo\n# nightly\n"
                  "0 3 * * * cd /home/jo/.openclaw && ./run 2>>/home/jo/l\n"
                  "@daily /home/joe/x\n");
    fixture_expect(&f, at,
                   "HOME=@H\n# nightly\n"
                   "0 3 * * * cd @S && ./run 2>>@H/l\n"
                   "@daily /home/joe/x\n");
    fixture_fini(&f);
}

/* --- YAML --- */

static void yaml_layouts_follow(void **state)
{
    static const char at[] = "config/gateway/gateway.yaml";
    static const char before[] = "# 网关\n"
                                 "gateway:\n"
                                 "  port: 18789   # main\n"
                                 "  token: \"source-token\"\n"
                                 "  state_dir: /home/jo/.openclaw\n"
                                 "  url: 'http://localhost:18789/x'\n"
                                 "channels:\n"
                                 "  telegram:\n"
                                 "    enabled: true\n";
    struct fixture f;
    char *text;

    (void)state;
    fixture_init(&f, INTENT_CLONE);
    f.o.source_era = ERA_YAML;
    f.taken[0] = SRC_PORT;
    fixture_begin(&f);
    adapt_text_as(&f, at, KIND_YAML, before);
    fixture_finish(&f);
    text = fixture_text(&f, at);
    assert_non_null(strstr(text, "# 网关\n"));
    assert_non_null(strstr(text, "  port: 18909   # main\n"));
    assert_null(strstr(text, "source-token"));
    assert_null(strstr(text, "/home/jo/"));
    assert_non_null(strstr(text, "  url: 'http://localhost:18909/x'\n"));
    assert_non_null(strstr(text, "    enabled: false\n"));
    assert_true(fixture_edit(&f, "gateway.token")->secret);
    free(text);
    fixture_fini(&f);

    fixture_init(&f, INTENT_RESTORE);
    facts_fini(&f.target);
    f.o.source_era = ERA_YAML;
    fixture_begin(&f);
    adapt_text_as(&f, at, KIND_YAML, before);
    fixture_finish(&f);
    fixture_expect(&f, at, before);
    assert_int_equal(f.plan.edit_count + f.plan.warning_count, 0);
    fixture_fini(&f);
}

static void a_living_yaml_node_keeps_its_values(void **state)
{
    static const char at[] = "config/gateway/gateway.yaml";
    struct fixture f;

    (void)state;
    fixture_init(&f, INTENT_MOVE);
    fixture_live(&f, "gateway.yaml",
                 "port: 9001\ntoken: target\nhost: node-b\n");
    f.o.source_era = f.o.target_era = ERA_YAML;
    fixture_begin(&f);
    adapt_text_as(&f, at, KIND_YAML,
                  "port: 18789\nhost: node-a\ntoken: source\n"
                  "data_dir: /home/jo/d\n");
    fixture_expect(&f, at,
                   "port: 9001\nhost: node-b\ntoken: target\n"
                   "data_dir: @H/d\n");
    fixture_fini(&f);
}

/* --- people's text --- */

static void text_is_told_and_left(void **state)
{
    static const char at[] = "data/workspace/main/AGENTS.md";
    static const char text[] = "# a\nuse /home/jo/.openclaw/x\r\n\n"
                               "读取/home/jo下\nnot /home/joe\n";
    struct fixture f;

    (void)state;
    fixture_init(&f, INTENT_CLONE);
    fixture_begin(&f);
    adapt_text_as(&f, at, KIND_TEXT, text);
    fixture_expect(&f, at, text);
    assert_int_equal(fixture_warnings(&f, "foreign-path"), 2);
    assert_string_equal(f.plan.warnings[0].place, "line 2");
    assert_string_equal(f.plan.warnings[1].place, "line 4");
    assert_int_equal(f.plan.edit_count, 0);
    fixture_fini(&f);
}

static void text_is_rewritten_by_a_persons_own_rules(void **state)
{
    static const char at[] = "config/skills/skills/x/SKILL.md";
    struct adapt_rule mine[] = {{"/srv/media", "/mnt/media"}};
    struct fixture f;

    (void)state;
    fixture_init(&f, INTENT_CLONE);
    f.o.rules = mine;
    f.o.rule_count = 1;
    fixture_begin(&f);
    adapt_text_as(&f, at, KIND_TEXT, "a\nin /srv/media/x\r\nand /home/jo\n");
    fixture_expect(&f, at, "a\nin /mnt/media/x\r\nand /home/jo\n");
    assert_string_equal(f.plan.edits[0].place, "line 2");
    assert_string_equal(f.plan.edits[0].rule, "user");
    assert_int_equal(fixture_warnings(&f, "foreign-path"), 1);
    fixture_fini(&f);
}

static void many_lines_are_told_in_short(void **state)
{
    struct fixture f;
    struct buf b = {0};

    (void)state;
    for (int i = 0; i < 500; i++)
        buf_add_str(&b, "/home/jo/x\n");
    fixture_init(&f, INTENT_CLONE);
    fixture_begin(&f);
    adapt_text_as(&f, "config/skills/a.md", KIND_TEXT, buf_str(&b));
    assert_int_equal(fixture_warnings(&f, "foreign-path"), 9);
    for (int i = 0; i < 40; i++) {
        char at[64];

        snprintf(at, sizeof(at), "data/workspace/main/%d.md", i);
        adapt_text_as(&f, at, KIND_TEXT, buf_str(&b));
    }
    fixture_finish(&f);
    assert_true(f.plan.warning_count < 200);
    buf_free(&b);
    fixture_fini(&f);
}

static void binary_text_and_missing_files_do_no_harm(void **state)
{
    static const char bytes[] = "/home/jo\0/home/jo";
    struct error e = {0};
    struct fixture f;
    char *path;

    (void)state;
    fixture_init(&f, INTENT_CLONE);
    fixture_begin(&f);
    path = fixture_staged(&f, "data/workspace/main/a.md");
    fixture_write(path, bytes, sizeof(bytes));
    assert_int_equal(fixture_adapt(&f, "data/workspace/main/a.md", KIND_TEXT,
                                   ACTION_ADAPT, &e),
                     0);
    assert_int_equal(f.plan.warning_count, 0);
    assert_int_not_equal(fixture_adapt(&f, "config/cron/cron/none.json",
                                       KIND_JSON, ACTION_ADAPT, &e),
                         0);
    assert_non_null(strstr(e.text, "config/cron/cron/none.json"));
    free(path);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cron_jobs_of_files_follow),
        cmocka_unit_test(session_files_follow_and_snapshots_stay),
        cmocka_unit_test(approvals_keep_the_targets_socket),
        cmocka_unit_test(identity_files_by_intention),
        cmocka_unit_test(models_json_is_made_anew_elsewhere),
        cmocka_unit_test(broken_json_stays_and_is_told),
        cmocka_unit_test(large_indexes_are_rewritten_by_bytes),
        cmocka_unit_test(histories_are_counted_and_left),
        cmocka_unit_test(env_values_follow),
        cmocka_unit_test(a_clones_env_is_silent_and_its_own),
        cmocka_unit_test(a_living_targets_env_stays),
        cmocka_unit_test(units_follow_when_asked_for),
        cmocka_unit_test(crontabs_follow),
        cmocka_unit_test(yaml_layouts_follow),
        cmocka_unit_test(a_living_yaml_node_keeps_its_values),
        cmocka_unit_test(text_is_told_and_left),
        cmocka_unit_test(text_is_rewritten_by_a_persons_own_rules),
        cmocka_unit_test(many_lines_are_told_in_short),
        cmocka_unit_test(binary_text_and_missing_files_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
