/* SPDX-License-Identifier: MIT */
/* What OCM writes, restic reads; what restic writes, OCM reads. */
#include "tests/unit/repo/judge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"

static void an_empty_repository_is_restics(void **state)
{
    struct bench *b = *state;
    struct buf out = {0};
    struct repo *r = bench_open(b);
    char id[ID_HEX_LEN + 1];

    restic_ok(b, "check --read-data");
    assert_int_equal(restic(b, &out, "cat config"), 0);
    repo_id(r, id);
    assert_non_null(strstr(buf_str(&out), id));
    assert_non_null(strstr(buf_str(&out), "\"version\": 2"));
    buf_free(&out);
    repo_close(r);
}

static void a_backup_restores_with_restic(void **state)
{
    struct bench *b = *state;
    struct repo *r = bench_open(b);
    uint8_t want[100000];
    struct buf out = {0};
    char hex[ID_HEX_LEN + 1], *path = bench_path(b, "restored/file");
    struct id id = backup_sample(r, "n1", 7, sizeof(want));

    restic_ok(b, "check --read-data");
    id_hex(&id, hex);
    restic_ok(b, "restore %s --target %s/restored", hex, b->dir);
    OK(file_read(path, 1 << 20, &out, e));
    sample_bytes(7, want, sizeof(want));
    assert_int_equal(out.len, sizeof(want));
    assert_memory_equal(out.data, want, sizeof(want));
    assert_int_equal(restic(b, &out, "snapshots --json"), 0);
    assert_non_null(strstr(buf_str(&out), "\"hostname\":\"n1\""));
    assert_non_null(strstr(buf_str(&out), "\"node=n1\""));
    assert_int_equal(restic(b, &out, "ls %s", hex), 0);
    assert_non_null(strstr(buf_str(&out), "/file"));
    buf_free(&out);
    free(path);
    repo_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_empty_repository_is_restics,
                                        bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(a_backup_restores_with_restic,
                                        bench_setup, bench_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
