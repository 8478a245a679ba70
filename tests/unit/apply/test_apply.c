/* SPDX-License-Identifier: MIT */
/* agent/apply: a backup by the real capture is brought back onto its node,
 * whole and in parts, with a gateway made of marker files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "world.h"

/* Plan and run; the result is the caller's to release. */
static int run(struct world *w, const struct apply_options *o,
               struct apply_result *r)
{
    struct id agreed = world_agree(w, o);
    struct error e = {0};
    int rc = apply_run(o, &agreed, r, &e);

    if (rc < 0)
        print_message("run: %s\n", e.text);
    return rc;
}

static void begin(struct world *w)
{
    world_init(w);
    world_fill(w);
    world_backup(w);
    fake_set("running", true);
}

static void whole_restore_is_byte_for_byte(void **state)
{
    struct apply_result r;
    struct world w;
    struct apply_options o;
    struct id before, after;
    char path[400];

    (void)state;
    begin(&w);
    before = world_hash(&w, true);
    world_change(&w);
    o = world_options(&w);
    assert_int_equal(run(&w, &o, &r), 0);
    assert_string_equal(r.state, "applied");
    assert_null(r.reason);
    /* what no backup holds is untouched, so it is not compared */
    assert_string_equal(get_file(w.state, "cache/ui/extra.js"), "cached");
    after = world_hash(&w, true);
    if (!id_equal(&before, &after)) {
        tree_dump(w.state);
        tree_dump(w.ws);
    }
    assert_true(id_equal(&before, &after));
    assert_null(get_file(w.state, "memory/main.sqlite-wal"));
    assert_null(get_file(w.state, "cron/new.json"));
    assert_null(get_file(w.state, "credentials/discord/token"));
    assert_null(get_file(w.ws, "new/folder/file"));
    assert_non_null(r.kept);
    snprintf(path, sizeof(path), "%s/state/credentials/discord/token", r.kept);
    assert_true(file_exists(path) || dir_exists(r.kept));
    assert_true(world_is_clean(&w));
    assert_true(fake_has("running"));
    assert_false(fake_has("guard"));
    assert_int_equal(fake_count("calls", "start quiet"), 1);
    assert_int_equal(fake_count("calls", "start"), 1);
    assert_int_equal(fake.expect.cron_jobs, 2);
    assert_int_equal(fake.expect.agents, 1);
    apply_result_fini(&r);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_restore_is_byte_for_byte),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
