/* SPDX-License-Identifier: MIT */
/* agent/adapt: a helper for databases that crashes, hangs or lies costs one
 * line, and it is given no keys. */
#include "tests/unit/adapt/fixture.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/adapt/database_job.h"
#include "common/base/files.h"
#include "common/base/mem.h"

#define AT "data/sessions/agents/main/agent/openclaw-agent.sqlite"
#define TOKEN "the-token-of-the-target"

static char script[64];

/* Adapt a database with the shell script `text` in the helper's place. */
static int with_helper(struct fixture *f, const char *text, struct error *e)
{
    char dir[] = "/tmp/ocm-helper-XXXXXX", *whole;
    int rc;

    assert_non_null(mkdtemp(dir));
    snprintf(script, sizeof(script), "%s/helper", dir);
    whole = mem_printf("#!/bin/sh\ncd %s || exit 9\n%s\n", dir, text);
    fixture_write(script, whole, strlen(whole));
    assert_int_equal(chmod(script, 0700), 0);
    free(whole);
    fixture_helper = script;
    fixture_init(f, INTENT_CLONE);
    facts_set_secret(&f->target, "gateway.token", TOKEN);
    fixture_begin(f);
    rc = fixture_file(f, AT, KIND_AGENT_DB, "not empty", e);
    *strrchr(script, '/') = 0;
    return rc;
}

static void end(struct fixture *f)
{
    fixture_fini(f);
    tree_remove(script, NULL);
}

static void a_crash_is_one_line(void **state)
{
    struct error e = {0};
    struct fixture f;

    (void)state;
    assert_int_equal(with_helper(&f, "kill -SEGV $$", &e), OCM_E_DAMAGED);
    assert_string_equal(e.text,
                        AT ": the process that reads it crashed (signal 11)");
    end(&f);
}

static void no_end_is_one_line(void **state)
{
    struct error e = {0};
    struct fixture f;
    int64_t usual = database_helper_ms;

    (void)state;
    database_helper_ms = 200;
    assert_int_equal(with_helper(&f, "exec sleep 600", &e), OCM_E_DAMAGED);
    database_helper_ms = usual;
    assert_non_null(strstr(e.text, "more time"));
    end(&f);
}

static void nonsense_is_one_line(void **state)
{
    static const char *const answers[] = {
        "", "echo yes", "printf '\\0\\0\\0\\0'",
        /* done, no words, an edit by a rule that no database has */
        "printf '\\0\\0\\0\\0\\0\\0\\0\\1\\0\\0\\0\\0\\1\\0\\0\\0\\2p\\0"
        "\\0\\0\\0\\2a\\0\\0\\0\\0\\2b\\0\\0\\0\\0\\5evil\\0\\0\\0\\0\\0"
        "\\0\\0\\0\\0\\0\\0\\0\\0'"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        struct error e = {0};
        struct fixture f;

        assert_int_equal(with_helper(&f, answers[i], &e), OCM_E_DAMAGED);
        assert_non_null(strstr(e.text, "no sensible answer"));
        assert_int_equal(f.plan.edit_count, 0);
        end(&f);
    }
}

static void what_is_not_there_is_one_line(void **state)
{
    struct error e = {0};
    struct fixture f;

    (void)state;
    fixture_helper = "/nonexistent/agent";
    fixture_init(&f, INTENT_CLONE);
    fixture_begin(&f);
    assert_true(fixture_file(&f, AT, KIND_AGENT_DB, "not empty", &e) < 0);
    assert_non_null(strstr(e.text, "/nonexistent/agent cannot be run"));
    fixture_fini(&f);
}

static bool holds(const struct buf *b, const void *p, size_t len)
{
    return memmem(b->data, b->len, p, len) != NULL;
}

static void no_key_and_no_secret_is_given(void **state)
{
    struct buf request = {0}, env = {0};
    struct error e = {0};
    struct fixture f;
    char *path;

    (void)state;
    setenv("OCM_TEST_SECRET", TOKEN, 1);
    assert_true(with_helper(&f, "cat >request; export -p >env; exit 1", &e) <
                0);
    path = mem_printf("%s/request", script);
    assert_int_equal(file_read(path, 1 << 20, &request, NULL), 0);
    free(path);
    path = mem_printf("%s/env", script);
    assert_int_equal(file_read(path, 1 << 20, &env, NULL), 0);
    free(path);
    assert_true(holds(&request, AT, strlen(AT)));
    assert_true(holds(&request, f.state, strlen(f.state)));
    assert_false(holds(&request, f.key, sizeof(f.key)));
    assert_false(holds(&request, TOKEN, strlen(TOKEN)));
    assert_false(holds(&env, TOKEN, strlen(TOKEN)));
    buf_free(&request);
    buf_free(&env);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crash_is_one_line),
        cmocka_unit_test(no_end_is_one_line),
        cmocka_unit_test(nonsense_is_one_line),
        cmocka_unit_test(what_is_not_there_is_one_line),
        cmocka_unit_test(no_key_and_no_secret_is_given),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
