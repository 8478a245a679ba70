/* SPDX-License-Identifier: MIT */
/* ocmctl against a scripted controller: what it asks, what it shows, how it
 * ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/base/files.h"
#include "common/base/mem.h"
#include "controller/cli/cli_internal.h"
#include "tests/unit/cli/fake_api.h"

#define V1 "/api/v1"
#define SV "{\"schemaVersion\":1,"

static const char *no_env(const char *name)
{
    (void)name;
    return NULL;
}

struct run {
    char *out, *err;
    size_t out_len, err_len;
    int code;
};

/* `input`: what a person types, NULL: nobody is there. */
static struct run run(const struct fake_api *f, const char *line,
                      const char *input, bool terminal)
{
    struct run r = {0};
    struct cli_io io = {
        .env = no_env,
        .width = 100,
        .utf8 = true,
        .tty_in = input != NULL,
        .tty_err = terminal,
        .tty_out = terminal,
    };
    char *copy = mem_strdup(line), *save = NULL, *argv[40];
    int argc = 0;

    argv[argc++] = (char *)"ocmctl";
    argv[argc++] = (char *)"--socket";
    argv[argc++] = (char *)f->path;
    for (char *w = strtok_r(copy, " ", &save); w;
         w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    io.in = input ? fmemopen((void *)input, strlen(input), "r") : stdin;
    io.out = open_memstream(&r.out, &r.out_len);
    io.err = open_memstream(&r.err, &r.err_len);
    r.code = cli_run(argc, argv, &io);
    fclose(io.out);
    fclose(io.err);
    if (input)
        fclose(io.in);
    free(copy);
    return r;
}

static void run_free(struct run *r)
{
    free(r->out);
    free(r->err);
}

static void has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' is not in:\n%s", part, text);
}

static void has_not(const char *text, const char *part)
{
    if (strstr(text, part))
        fail_msg("'%s' is in:\n%s", part, text);
}

/* One command against one answer. */
static void one(const char *line, const struct line *l, int code,
                const char *out, const char *err)
{
    struct fake_api f;
    struct run r;

    fake_api_start(&f, l, 1);
    r = run(&f, line, NULL, false);
    if (r.code != code)
        fail_msg("'%s': %d, not %d\nout: %s\nerr: %s", line, r.code, code,
                 r.out, r.err);
    if (out)
        has(r.out, out);
    if (err)
        has(r.err, err);
    run_free(&r);
    fake_api_stop(&f);
}

static void refusals_have_their_exit_codes(void **state)
{
    static const struct {
        int status;
        const char *code;
        int want;
    } cases[] = {
        {404, "notfound", 10}, {409, "locked", 11},  {503, "busy", 11},
        {403, "denied", 12},   {403, "auth", 12},    {503, "offline", 13},
        {500, "damaged", 14},  {400, "invalid", 2},  {500, "failed", 1},
        {500, "whatever", 1},  {504, "timeout", 13},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *body = mem_printf(SV "\"error\":{\"code\":\"%s\",\"text\":\"so "
                                   "it is\"}}",
                                cases[i].code);
        struct line l = {"GET " V1 "/nodes/web", cases[i].status, NULL, body,
                         0};

        one("node show web", &l, cases[i].want, "", "ocmctl: so it is");
        one("node show web --json", &l, cases[i].want, cases[i].code, NULL);
        free(body);
    }
    one("status", &(struct line){"GET " V1 "/status", 500, NULL, "oops", 0}, 1,
        "", "status 500");
    one("status",
        &(struct line){"GET " V1 "/status", 200, NULL, "{\"schemaVersion\":2}",
                       0},
        1, "", "another version");
}

static const char nodes[] =
    SV "\"nodes\":["
       "{\"id\":\"a\",\"name\":\"web-1\",\"connected\":true,\"revoked\":false,"
       "\"hostname\":\"h\",\"agent_version\":\"0.1.0\",\"openclaw_version\":"
       "\"2026.9.6\",\"last_backup\":{\"time\":\"2026-01-01T00:00:00Z\","
       "\"state\":\"partial\",\"snapshot\":\"ab\"},\"last_seen\":null},"
       "{\"id\":\"b\",\"name\":\"evil\\u001b[31m\\nname\",\"connected\":false,"
       "\"revoked\":false,\"openclaw_version\":\"\\u00e4\",\"last_backup\":"
       "null}]}";

static void tables_are_even_and_safe(void **state)
{
    struct line l = {"GET " V1 "/nodes", 200, NULL, nodes, 0};
    struct fake_api f;
    struct run r;
    size_t columns[2] = {0};
    char *line, *save = NULL;
    int row = 0;

    (void)state;
    fake_api_start(&f, &l, 1);
    r = run(&f, "node list", NULL, false);
    assert_int_equal(r.code, 0);
    has(r.out, "evil\\x1b[31m\\x0aname");
    has_not(r.out, "\x1b");
    has(r.out, "never");
    for (line = strtok_r(r.out, "\n", &save); line;
         line = strtok_r(NULL, "\n", &save)) {
        const char *at = strstr(line, row == 0   ? "LINK"
                                      : row == 1 ? "connected"
                                                 : "away");

        assert_non_null(at);
        if (row < 2)
            columns[row] = (size_t)(at - line);
        row++;
    }
    assert_int_equal(row, 3);
    assert_int_equal(columns[0], columns[1]);
    run_free(&r);
    fake_api_stop(&f);
}

static void colours_are_for_terminals(void **state)
{
    struct line l = {"GET " V1 "/nodes", 200, NULL, nodes, 0};
    struct fake_api f;
    struct run r;

    (void)state;
    fake_api_start(&f, &l, 1);
    r = run(&f, "node list", NULL, true);
    has(r.out, "\x1b[33mpartial\x1b[0m");
    has_not(r.out, "evil\x1b");
    run_free(&r);
    fake_api_stop(&f);
    fake_api_start(&f, &l, 1);
    r = run(&f, "node list --no-color", NULL, true);
    has_not(r.out, "\x1b");
    run_free(&r);
    fake_api_stop(&f);
}

static void json_is_one_document(void **state)
{
    struct line l = {"GET " V1 "/nodes", 200, NULL, nodes, 0};
    struct fake_api f;
    struct run r;
    json_t *v;

    (void)state;
    fake_api_start(&f, &l, 1);
    r = run(&f, "node list --json", NULL, false);
    v = json_loads(r.out, 0, NULL); /* nothing may follow it */
    assert_non_null(v);
    assert_int_equal(json_array_size(json_object_get(v, "nodes")), 2);
    assert_string_equal(r.err, "");
    json_decref(v);
    run_free(&r);
    fake_api_stop(&f);
}

static void assert_document(const char *text)
{
    json_t *v = json_loads(text, 0, NULL);

    if (!v)
        fail_msg("not one JSON document:\n%s", text);
    json_decref(v);
}

/* ---- jobs ---- */

#define JOB "j0000000000001"
#define EVENT(n, type, rest)                                                   \
    "id: " n "\nevent: " type "\ndata: {\"seq\":" n ",\"time\":"               \
    "\"2026-01-01T00:00:00Z\",\"type\":\"" type "\"," rest "}\n\n"
#define BEGUN                                                                  \
    EVENT("1", "state", "\"state\":\"running\"")                               \
    ": still there\n\n" EVENT("2", "step", "\"step\":\"capture\"")             \
        EVENT("3", "log", "\"level\":\"warn\",\"text\":\"odd\\u0007\"")
#define ENDED(n, state) EVENT(n, "state", "\"state\":\"" state "\"")
#define JOB_DOC(state, error, result)                                          \
    SV "\"job\":{\"id\":\"" JOB "\",\"kind\":\"backup\",\"node\":\"web\","     \
       "\"owner\":\"me\",\"state\":\"" state "\",\"error\":" error             \
       ",\"result\":" result "}}"
#define RESULT                                                                 \
    "{\"node\":\"web\",\"snapshot\":\"1a2b3c4d5e6f\",\"state\":\"partial\","   \
    "\"files\":1234,\"bytes\":5242880,\"bytes_read\":1,\"bytes_sent\":2,"      \
    "\"bytes_stored\":3,\"seconds\":4.2,\"problem_count\":2,\"problems\":["    \
    "{\"section\":\"state\",\"path\":\"config/x\",\"reason\":\"EACCES\"}]}"
#define STARTED                                                                \
    {                                                                          \
        "POST " V1 "/backups", 202, NULL,                                      \
            SV "\"jobs\":[{\"node\":\"web\",\"job\":\"" JOB "\"}]}", 0         \
    }
#define EVENTS "GET " V1 "/jobs/" JOB "/events?after="
#define STREAM "text/event-stream"

static void a_backup_is_followed_to_its_end(void **state)
{
    static const struct line script[] = {
        STARTED,
        /* the stream breaks and is taken up behind event 3 */
        {EVENTS "0", 200, STREAM, BEGUN, LINE_CUT},
        {EVENTS "3", 200, STREAM, ENDED("4", "partial"), 0},
        {"GET " V1 "/jobs/" JOB, 200, NULL,
         JOB_DOC("partial",
                 "{\"code\":\"partial\",\"text\":\"2 files not read\"}",
                 RESULT),
         0},
    };
    struct fake_api f;
    struct run r;

    (void)state;
    fake_api_start(&f, script, ARRAY_LEN(script));
    r = run(&f, "backup web --only gateway --no-data", NULL, false);
    assert_int_equal(r.code, CLI_EXIT_PARTIAL);
    has(r.out, "web: partial, 1,234 files, 5.0 MiB");
    has(r.out, "snapshot 1a2b3c4d\n");
    has(r.out, "config/x: EACCES");
    has(r.out, "and 1 more");
    has(r.err, "web: warn: odd\\x07");
    has(r.err, "2 files not read");
    has(buf_str(&f.bodies), "\"sections\":[\"gateway\"]");
    has(buf_str(&f.bodies), "\"no_data\":true");
    run_free(&r);
    fake_api_stop(&f);
}

static void a_failed_job_fails_by_its_code(void **state)
{
    static const struct line script[] = {
        STARTED,
        {EVENTS "0", 200, STREAM, ENDED("1", "failed"), 0},
        {"GET " V1 "/jobs/" JOB, 200, NULL,
         JOB_DOC("failed", "{\"code\":\"offline\",\"text\":\"web is away\"}",
                 "null"),
         0},
    };
    struct fake_api f;
    struct run r;

    (void)state;
    fake_api_start(&f, script, ARRAY_LEN(script));
    r = run(&f, "backup web --json", NULL, false);
    assert_int_equal(r.code, CLI_EXIT_OFFLINE);
    has(r.err, "ocmctl: web is away"); /* named once */
    has(r.out, "\"jobs\": [");
    run_free(&r);
    fake_api_stop(&f);
}

/* The second of two jobs cannot be followed: one document all the same. */
static void a_broken_watch_is_one_document(void **state)
{
    static const struct line script[] = {
        {"POST " V1 "/backups", 202, NULL,
         SV "\"jobs\":[{\"node\":\"web\",\"job\":\"" JOB
            "\"},{\"node\":\"db\",\"job\":\"j0000000000002\"}]}",
         0},
        {EVENTS "0", 200, STREAM, ENDED("1", "done"), 0},
        {"GET " V1 "/jobs/" JOB, 200, NULL, JOB_DOC("done", "null", "null"), 0},
        {"GET " V1 "/jobs/j0000000000002/events?after=0", 404, NULL,
         SV "\"error\":{\"code\":\"notfound\",\"text\":\"no job\"}}", 0},
    };
    struct fake_api f;
    struct run r;

    (void)state;
    fake_api_start(&f, script, ARRAY_LEN(script));
    r = run(&f, "backup web db --json", NULL, false);
    assert_int_equal(r.code, CLI_EXIT_NOTFOUND);
    has(r.err, "no job");
    assert_document(r.out);
    run_free(&r);
    fake_api_stop(&f);
}

static void ctrl_c_leaves_the_job_running(void **state)
{
    static const struct line script[] = {
        STARTED,
        {EVENTS "0", 200, STREAM, BEGUN, LINE_HOLD_AND_INTERRUPT},
    };
    struct fake_api f;
    struct run r;

    (void)state;
    fake_api_start(&f, script, ARRAY_LEN(script));
    r = run(&f, "backup web", NULL, true);
    assert_int_equal(r.code, CLI_EXIT_INTERRUPTED);
    has(r.err, "ocmctl job watch " JOB);
    has(r.err, "ocmctl job cancel " JOB);
    run_free(&r);
    fake_api_stop(&f);
}

static void detached_backups_are_named(void **state)
{
    static const struct line l = STARTED;

    (void)state;
    one("backup web -d", &l, 0, JOB "  web\n", NULL);
}

static void damage_has_its_code(void **state)
{
    static const struct line script[] = {
        {"POST " V1 "/verify", 202, NULL, SV "\"job\":\"" JOB "\"}", 0},
        {EVENTS "0", 200, STREAM, ENDED("1", "done"), 0},
        {"GET " V1 "/jobs/" JOB, 200, NULL,
         JOB_DOC("done", "null",
                 "{\"packs\":3,\"blobs\":1000,\"snapshots\":2,\"bytes\":10,"
                 "\"errors\":1,\"findings\":[\"pack ab: damaged\"]}"),
         0},
    };
    struct fake_api f;
    struct run r;

    (void)state;
    fake_api_start(&f, script, ARRAY_LEN(script));
    r = run(&f, "verify --read-data", NULL, false);
    assert_int_equal(r.code, CLI_EXIT_DAMAGED);
    has(r.out, "3 packs, 1,000 blobs");
    has(r.out, "pack ab: damaged");
    has(buf_str(&f.bodies), "\"read_data\":true");
    run_free(&r);
    fake_api_stop(&f);
}

/* ---- plans ---- */

#define PLAN(blocking)                                                         \
    "{\"plan\":\"p1\",\"digest\":\"d\",\"source\":\"a\",\"target\":\"b\","     \
    "\"intention\":\"clone\",\"snapshot\":\"1a2b3c4d5e\",\"edits\":["          \
    "{\"id\":\"1\",\"section\":\"gateway\",\"file\":\"config/g.json\","        \
    "\"place\":\"gateway.port\",\"old\":\"18789\",\"new\":\"18790\","          \
    "\"rule\":\"node-owned\",\"secret\":false},"                               \
    "{\"id\":\"2\",\"section\":\"env\",\"file\":\"config/env\",\"place\":"     \
    "\"HOME\",\"old\":\"/home/a\",\"new\":\"\",\"rule\":\"path\"},"            \
    "{\"id\":\"3\",\"section\":\"gateway\",\"file\":\"config/g.json\","        \
    "\"place\":\"x\",\"old\":\"\",\"new\":\"v\",\"rule\":\"fresh\"}],"         \
    "\"warnings\":[{\"code\":\"missing-binary\",\"text\":\"no ffmpeg\","       \
    "\"blocking\":false},{\"code\":\"port-taken\",\"text\":\"port taken\","    \
    "\"file\":\"config/"                                                       \
    "g.json\",\"place\":\"gateway.port\",\"blocking\":" blocking               \
    "}],\"sections\":[{\"name\":\"gateway\",\"area\":\"config\","              \
    "\"action\":\"replace\",\"target\":\"/home/b\",\"files\":2,\"bytes\":9}]," \
    "\"edit_count\":3,\"warning_count\":2}"
#define PLANNED(blocking)                                                      \
    {"POST " V1 "/plans", 202, NULL, SV "\"job\":\"" JOB "\"}", 0},            \
        {EVENTS "0", 200, STREAM, ENDED("1", "done"), 0},                      \
    {                                                                          \
        "GET " V1 "/jobs/" JOB, 200, NULL,                                     \
            JOB_DOC("done", "null", PLAN(blocking)), 0                         \
    }
#define APPLIED(state, code)                                                   \
    {"POST " V1 "/migrations", 202, NULL, SV "\"job\":\"j0000000000002\"}",    \
     0},                                                                       \
        {"GET " V1 "/jobs/j0000000000002/events?after=0", 200, STREAM,         \
         ENDED("1", code), 0},                                                 \
    {                                                                          \
        "GET " V1 "/jobs/j0000000000002", 200, NULL,                           \
            JOB_DOC(code, "null",                                              \
                    "{\"state\":\"" state "\",\"checks\":[{\"name\":"          \
                    "\"health\",\"ok\":true,\"text\":\"200\"}],"               \
                    "\"gateway_down_ms\":4200,\"safety_snapshot\":"            \
                    "\"99887766aa\"}"),                                        \
            0                                                                  \
    }

static void a_plan_is_shown_by_file(void **state)
{
    static const struct line script[] = {PLANNED("true")};
    struct fake_api f;
    struct run r;
    const char *stop, *warning, *first, *third, *second;

    (void)state;
    fake_api_start(&f, script, ARRAY_LEN(script));
    r = run(&f, "migrate a b --clone --plan --rule /x=/y", NULL, false);
    assert_int_equal(r.code, 0);
    has(buf_str(&f.bodies), "\"rules\":[{\"from\":\"/x\",\"to\":\"/y\"}]");
    has(buf_str(&f.bodies), "\"intention\":\"clone\"");
    stop = strstr(r.out, "STOP  port taken  (config/g.json: gateway.port)");
    warning = strstr(r.out, "warning  no ffmpeg");
    assert_non_null(stop);
    assert_non_null(warning);
    assert_true(stop < warning); /* what stops comes first */
    first = strstr(r.out, "18789 \xe2\x86\x92 18790  [node-owned]");
    third = strstr(r.out, "(nothing) \xe2\x86\x92 v");
    second = strstr(r.out, "/home/a \xe2\x86\x92 (removed)");
    assert_non_null(first);
    assert_non_null(second);
    assert_non_null(third);
    assert_true(first < third && third < second); /* by file */
    has(r.out, "3 values will be changed");
    run_free(&r);
    fake_api_stop(&f);
}

static void a_stopped_plan_is_not_applied(void **state)
{
    static const struct line script[] = {PLANNED("true")};
    struct fake_api f;
    struct run r;

    (void)state;
    fake_api_start(&f, script, ARRAY_LEN(script));
    r = run(&f, "migrate a b --clone --yes", NULL, false);
    assert_int_equal(r.code, CLI_EXIT_FAILED);
    has(r.err, "1 warnings stop this plan");
    run_free(&r);
    fake_api_stop(&f);
}

static void the_name_has_to_be_typed(void **state)
{
    static const struct line wrong[] = {PLANNED("false")};
    static const struct line right[] = {PLANNED("false"),
                                        APPLIED("applied", "done")};
    struct fake_api f;
    struct run r;

    (void)state;
    fake_api_start(&f, wrong, ARRAY_LEN(wrong));
    r = run(&f, "migrate a b --clone", "yes\n", false);
    assert_int_equal(r.code, CLI_EXIT_FAILED);
    has(r.err, "type the name of the target (b)");
    has(r.err, "nothing was done");
    run_free(&r);
    fake_api_stop(&f);

    fake_api_start(&f, right, ARRAY_LEN(right));
    r = run(&f, "migrate a b", "clone\nb\n", false);
    assert_int_equal(r.code, 0);
    has(r.err, "clone (a goes on");
    has(r.out, "applied");
    has(r.out, "ok   health: 200");
    has(r.out, "down for 4.2 s");
    has(r.out, "before it: snapshot 99887766");
    has(buf_str(&f.bodies), "{\"plan\":\"p1\",\"confirm\":\"b\"}");
    run_free(&r);
    fake_api_stop(&f);

    fake_api_start(&f, wrong, ARRAY_LEN(wrong));
    r = run(&f, "migrate a b --clone", NULL, false);
    assert_int_equal(r.code, CLI_EXIT_USAGE);
    has(r.err, "nobody to ask");
    run_free(&r);
    fake_api_stop(&f);
}

static void a_plan_can_be_applied_later(void **state)
{
    static const struct line script[] = {APPLIED("rolled-back", "partial")};
    struct fake_api f;
    struct run r;

    (void)state;
    fake_api_start(&f, script, ARRAY_LEN(script));
    r = run(&f, "migrate a b --apply p7 --yes --source-gone", NULL, false);
    assert_int_equal(r.code, CLI_EXIT_PARTIAL);
    has(r.out, "rolled-back");
    has(buf_str(&f.bodies),
        "{\"plan\":\"p7\",\"confirm\":\"b\",\"source_gone\":true}");
    run_free(&r);
    fake_api_stop(&f);
}

/* ---- files ---- */

static void a_file_goes_to_standard_output(void **state)
{
    static const struct line l = {"GET " V1 "/snapshots/1a/file?path=a%2Fb",
                                  200, "application/octet-stream",
                                  "x\x1b[2Jy\n", 0};
    struct fake_api f;
    struct run r;

    (void)state;
    one("cat 1a a/b", &l, 0, "x\x1b[2Jy\n", NULL);
    fake_api_start(&f, &l, 1);
    r = run(&f, "cat 1a a/b", NULL, true); /* a terminal is not painted on */
    assert_string_equal(r.out, "x\\x1b[2Jy\n");
    run_free(&r);
    fake_api_stop(&f);
}

static void an_export_is_whole_or_not_there(void **state)
{
    static const struct line whole = {"GET " V1 "/snapshots/1a/export", 200,
                                      "application/zstd", "archive", 0};
    static const struct line cut = {"GET " V1 "/snapshots/1a/export", 200,
                                    "application/zstd", "arch", LINE_CUT};
    static const struct line no = {
        "GET " V1 "/snapshots/1a/export", 404, NULL,
        SV "\"error\":{\"code\":\"notfound\",\"text\":\"no snapshot\"}}", 0};
    const struct line *const lines[] = {&cut, &no, &whole};
    const int codes[] = {CLI_EXIT_DAMAGED, CLI_EXIT_NOTFOUND, 0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct fake_api f;
        char *path, *part, *line;
        struct run r;

        fake_api_start(&f, lines[i], 1);
        path = mem_printf("%s/x.tar.zst", f.dir);
        part = mem_printf("%s.part", path);
        line = mem_printf("export 1a %s --json", path);
        r = run(&f, line, NULL, false);
        assert_int_equal(r.code, codes[i]);
        assert_int_equal(file_exists(path), codes[i] == 0);
        assert_document(r.out);
        assert_false(file_exists(part));
        run_free(&r);
        if (codes[i] == 0) { /* and never over what is there */
            r = run(&f, line, NULL, false);
            assert_int_equal(r.code, CLI_EXIT_FAILED);
            has(r.err, "exists already");
            run_free(&r);
        }
        free(path);
        free(part);
        free(line);
        fake_api_stop(&f);
    }
}

static void differences_are_shown(void **state)
{
    static const struct line l = {
        "GET " V1 "/snapshots/1a/diff/2b?path=", 200, NULL,
        SV "\"entries\":[{\"path\":\"config/g.json\",\"change\":\"changed\","
           "\"keys\":[{\"key\":\"gateway.port\",\"change\":\"changed\","
           "\"old\":\"1\",\"new\":\"2\"},{\"key\":\"gateway.auth.token\","
           "\"change\":\"changed\",\"secret\":true}]},"
           "{\"path\":\"data/n.md\",\"change\":\"added\",\"lines\":["
           "{\"op\":\"+\",\"text\":\"new line\"}]}],"
           "\"counts\":{\"added\":1,\"removed\":0,\"changed\":1,"
           "\"attributes\":0},\"truncated\":false}",
        0};

    (void)state;
    one("diff 1a 2b", &l, 0, "gateway.port: 1 -> 2", NULL);
    one("diff 1a 2b", &l, 0, "gateway.auth.token: changed (secret)", NULL);
    one("diff 1a 2b", &l, 0, "A  data/n.md\n    +new line\n", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals_have_their_exit_codes),
        cmocka_unit_test(tables_are_even_and_safe),
        cmocka_unit_test(colours_are_for_terminals),
        cmocka_unit_test(json_is_one_document),
        cmocka_unit_test(a_backup_is_followed_to_its_end),
        cmocka_unit_test(a_failed_job_fails_by_its_code),
        cmocka_unit_test(a_broken_watch_is_one_document),
        cmocka_unit_test(ctrl_c_leaves_the_job_running),
        cmocka_unit_test(detached_backups_are_named),
        cmocka_unit_test(damage_has_its_code),
        cmocka_unit_test(a_plan_is_shown_by_file),
        cmocka_unit_test(a_stopped_plan_is_not_applied),
        cmocka_unit_test(the_name_has_to_be_typed),
        cmocka_unit_test(a_plan_can_be_applied_later),
        cmocka_unit_test(a_file_goes_to_standard_output),
        cmocka_unit_test(an_export_is_whole_or_not_there),
        cmocka_unit_test(differences_are_shown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
