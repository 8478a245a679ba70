/* SPDX-License-Identifier: MIT */
/* agent/apply: OpenClaw installed with a restore, and its own upgrade of the
 * state; both are undone with the rest. */
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
#include "case.h"
#include "world.h"

#define VERSION "2026.5.28"

static const struct plan_edit *edit_by(const struct apply_result *r,
                                       const char *rule)
{
    for (size_t i = 0; i < r->plan.edit_count; i++)
        if (strcmp(r->plan.edits[i].rule, rule) == 0)
            return &r->plan.edits[i];
    return NULL;
}

/* The backup of a node whose config VERSION wrote, and what happened since;
 * the node has Node and npm. */
static struct apply_options backed_up(void)
{
    static char command[400];
    struct apply_options o = world_options(&w);

    snprintf(command, sizeof(command), "%s/.npm-global/bin/openclaw", w.home);
    w.conf.bin = command;
    put_file(w.home, ".local/bin/node", "#!/bin/sh\n", 0755);
    put_file(w.home, ".local/bin/npm", "#!/bin/sh\n", 0755);
    put_file(w.state, "openclaw.json",
             "{meta:{lastTouchedVersion:\"" VERSION "\"}}", 0600);
    world_backup(&w);
    world_change(&w);
    o.root = w.root;
    return o;
}

/* OpenClaw of that version below `prefix`, as npm would have put it. */
static void put_openclaw(const char *prefix, const char *version)
{
    char *text =
        mem_printf("{\"name\":\"openclaw\",\"version\":\"%s\"}", version);

    put_file(prefix, "lib/node_modules/openclaw/package.json", text, 0644);
    put_file(prefix, "lib/node_modules/openclaw/openclaw.mjs", "#!/bin/sh\n",
             0755);
    put_file(prefix, "bin/placeholder", "", 0644);
    free(text);
    text = path_join(prefix, "bin/openclaw");
    assert_int_equal(symlink("../lib/node_modules/openclaw/openclaw.mjs", text),
                     0);
    free(text);
}

static void what_is_missing_is_installed(void **state)
{
    struct apply_options o = backed_up();
    struct apply_result r;
    struct error e = {0};

    (void)state;
    o.install_openclaw = true;
    assert_int_equal(run(&o, &r, &e), 0);
    assert_string_equal(r.state, "applied");
    assert_null(warning_in(&r, "no-openclaw"));
    assert_string_equal(edit_by(&r, "install")->old_value, "(none)");
    assert_non_null(strstr(edit_by(&r, "install")->new_value, VERSION));
    check_is(w.home, ".npm-global/lib/node_modules/openclaw/package.json",
             "version " VERSION);
    check_is(w.home, ".npm-global/bin/openclaw", "#!/bin/sh\n");
    assert_true(world_is_clean(&w));
    apply_result_fini(&r);
}

static void what_was_installed_goes_with_the_rest(void **state)
{
    struct apply_options o = backed_up();
    struct apply_result r;
    struct error e = {0};
    struct id before = world_hash(&w, true);

    (void)state;
    o.install_openclaw = true;
    fake.unhealthy_at = 1;
    assert_int_equal(run(&o, &r, &e), OCM_E_UNHEALTHY);
    assert_string_equal(r.state, "rolled-back");
    check_same(world_hash(&w, true), before);
    check_is(w.home, ".npm-global/bin/openclaw", NULL);
    check_is(w.home, ".npm-global/lib/node_modules/openclaw/package.json",
             NULL);
    assert_true(world_is_clean(&w));
    apply_result_fini(&r);
}

/* The config is newer than OpenClaw here: refused, unless it is replaced. */
static void another_version_is_replaced_and_put_back(void **state)
{
    struct apply_options o = backed_up();
    char *prefix = path_join(w.home, ".npm-global"), *own;
    struct apply_result r;
    struct error e = {0};

    (void)state;
    put_openclaw(prefix, "2026.2.12");
    own =
        mem_strdup(get_file(prefix, "lib/node_modules/openclaw/package.json"));
    assert_int_equal(apply_plan(&o, &r, &e), 0);
    assert_true(warning_in(&r, "version")->blocking);
    assert_non_null(
        strstr(warning_in(&r, "version")->text, "--install-openclaw"));
    apply_result_fini(&r);
    o.install_openclaw = true;
    fake.unhealthy_at = 2;
    assert_int_equal(run(&o, &r, &e), OCM_E_UNHEALTHY);
    assert_string_equal(r.state, "rolled-back");
    assert_string_equal(edit_by(&r, "install")->old_value, "2026.2.12");
    check_is(prefix, "lib/node_modules/openclaw/package.json", own);
    apply_result_fini(&r);
    fake.unhealthy_at = 0;
    assert_int_equal(run(&o, &r, &e), 0);
    check_is(prefix, "lib/node_modules/openclaw/package.json",
             "version " VERSION);
    check_is(prefix, "lib/node_modules/openclaw/openclaw.mjs", NULL);
    apply_result_fini(&r);
    free(own);
    free(prefix);
}

static void an_older_state_is_upgraded(void **state)
{
    struct apply_options o = backed_up();
    char *prefix = path_join(w.home, ".npm-global");
    struct apply_result r;
    struct error e = {0};

    (void)state;
    put_openclaw(prefix, "2026.9.6");
    assert_int_equal(apply_plan(&o, &r, &e), 0);
    assert_non_null(strstr(warning_in(&r, "version")->text, "--upgrade-state"));
    apply_result_fini(&r);
    o.upgrade_state = true;
    assert_int_equal(run(&o, &r, &e), 0);
    assert_null(warning_in(&r, "version"));
    assert_string_equal(edit_by(&r, "upgrade")->old_value, VERSION);
    assert_int_equal(fake_count("calls", "upgrade"), 1);
    assert_int_equal(fake_count("calls", "install"), 0);
    assert_false(fake_has("violation"));
    check_is(w.state, "openclaw.json", "{upgraded:1}");
    assert_true(world_is_clean(&w));
    apply_result_fini(&r);
    free(prefix);
}

/* Failed in the middle, or healthy no more afterwards: byte for byte. */
static void an_upgrade_is_undone(void **state)
{
    struct apply_options o = backed_up();
    char *prefix = path_join(w.home, ".npm-global");
    struct id before;

    (void)state;
    put_openclaw(prefix, "2026.9.6");
    o.upgrade_state = true;
    before = world_hash(&w, true);
    for (int i = 0; i < 2; i++) {
        struct apply_result r;
        struct error e = {0};

        fake.upgrade_fails = i == 0;
        fake.unhealthy_at = i == 0 ? 0 : fake.health_calls + 1;
        assert_true(run(&o, &r, &e) < 0);
        assert_string_equal(r.state, "rolled-back");
        check_same(world_hash(&w, true), before);
        check_is(w.state, "state/made-by-the-upgrade", NULL);
        assert_false(fake_has("violation"));
        assert_true(world_is_clean(&w));
        apply_result_fini(&r);
    }
    free(prefix);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_missing_is_installed),
        TEST(what_was_installed_goes_with_the_rest),
        TEST(another_version_is_replaced_and_put_back),
        TEST(an_older_state_is_upgraded),
        TEST(an_upgrade_is_undone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
