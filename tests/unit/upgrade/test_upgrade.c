/* SPDX-License-Identifier: MIT */
/* Taking a new agent in, up to the line that names it: each refusal leaves
 * the folder and the line as they were. The binaries are shell scripts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <cmocka.h>

#include "agent/upgrade/state.h"
#include "agent/upgrade/upgrade.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/base/text.h"

#define SCRIPT(version)                                                        \
    "#!/bin/sh\n[ \"$1\" = --version ] && echo ocm-agent " version "\n"

struct world {
    char dir[64];
    uint8_t secret[RELEASE_SECRET_LEN];
    struct manifest m;
    struct buf manifest;
    struct error e;
};

static int set_up(void **state)
{
    uint8_t seed[32], public[RELEASE_KEY_LEN];
    struct world *w = mem_zalloc(sizeof(*w));
    struct buf key = {0};
    struct utsname u;

    secret_init();
    snprintf(w->dir, sizeof(w->dir), "/tmp/ocm-upgrade-XXXXXX");
    if (!mkdtemp(w->dir) || file_read(TEST_KEY_FILE, 4096, &key, NULL) < 0 ||
        !hex_decode(strrchr(buf_str(&key), ' ') + 1, 64, seed, sizeof(seed)))
        return -1;
    crypto_sign_seed_keypair(public, w->secret, seed);
    uname(&u);
    w->m = (struct manifest){
        .version = "1.1.0", .protocol_min = 1, .protocol_max = 1};
    snprintf(w->m.arch, sizeof(w->m.arch), "%.31s", u.machine);
    buf_wipe(&key);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    tree_remove(w->dir, NULL);
    buf_free(&w->manifest);
    free(w);
    return 0;
}

static void sign(struct world *w, const char *binary)
{
    w->m.size = strlen(binary);
    w->m.sha256 = digest_of(binary, strlen(binary));
    buf_clear(&w->manifest);
    manifest_sign(&w->m, w->secret, &w->manifest);
}

static int offer(struct world *w, bool allow_downgrade, const char *bytes)
{
    struct upgrade_offer o = {.manifest = w->manifest.data,
                              .manifest_len = w->manifest.len,
                              .allow_downgrade = allow_downgrade,
                              .protocol = 1};
    struct upgrade_stage *s;
    bool current;
    int rc;

    w->e = (struct error){0};
    rc = upgrade_stage_open(w->dir, &o, &s, &current, &w->e);
    if (rc == 0)
        rc = upgrade_stage_write(s, bytes, strlen(bytes), &w->e);
    if (rc == 0)
        rc = upgrade_stage_finish(s, &w->e);
    upgrade_stage_free(s);
    return rc;
}

static bool nothing_came(struct world *w)
{
    struct upgrade_state s;
    char *bin = path_join(w->dir, "bin");
    bool none =
        upgrade_state_load(w->dir, &s, NULL) == 0 && !*s.current && !s.trial;

    upgrade_state_fini(&s);
    none = none && (!dir_exists(bin) || rmdir(bin) == 0);
    free(bin);
    return none;
}

static void a_good_one_is_taken(void **state)
{
    struct world *w = *state;
    struct upgrade_state s;
    char *path;

    sign(w, SCRIPT("1.1.0"));
    assert_int_equal(offer(w, false, SCRIPT("1.1.0")), 0);
    assert_int_equal(upgrade_state_load(w->dir, &s, NULL), 0);
    assert_true(s.trial);
    assert_string_equal(s.version, "1.1.0");
    assert_string_equal(s.previous, "");
    assert_string_equal(s.installed_version, "1.0.0");
    assert_true(text_has_prefix(s.current, "ocm-agent-1.1.0-"));
    path = mem_printf("%s/bin/%s", w->dir, s.current);
    assert_int_equal(access(path, X_OK), 0);
    free(path);
    upgrade_state_fini(&s);
    /* we are not that one */
    assert_false(upgrade_on_trial(w->dir));
}

static void an_altered_one_is_not(void **state)
{
    struct world *w = *state;

    sign(w, SCRIPT("1.1.0"));
    assert_int_equal(offer(w, false, SCRIPT("1.1.1")), OCM_E_DAMAGED);
    assert_true(nothing_came(w));
    assert_int_equal(offer(w, false, "short"), OCM_E_DAMAGED);
    assert_true(nothing_came(w));
    assert_int_equal(offer(w, false, SCRIPT("1.1.0") "# and more\n"),
                     OCM_E_DAMAGED);
    assert_true(nothing_came(w));
    w->manifest.data[40] ^= 1;
    assert_int_equal(offer(w, true, SCRIPT("1.1.0")), OCM_E_AUTH);
    assert_true(nothing_came(w));
}

static void another_key_or_machine_or_protocol(void **state)
{
    struct world *w = *state;
    uint8_t public[RELEASE_KEY_LEN], mine[RELEASE_SECRET_LEN];

    memcpy(mine, w->secret, sizeof(mine));
    crypto_sign_keypair(public, w->secret);
    sign(w, SCRIPT("1.1.0"));
    assert_int_equal(offer(w, true, SCRIPT("1.1.0")), OCM_E_AUTH);
    memcpy(w->secret, mine, sizeof(mine));
    w->m.protocol_min = w->m.protocol_max = 7;
    sign(w, SCRIPT("1.1.0"));
    assert_int_equal(offer(w, true, SCRIPT("1.1.0")), OCM_E_VERSION);
    w->m.protocol_min = 1;
    snprintf(w->m.arch, sizeof(w->m.arch), "z80");
    sign(w, SCRIPT("1.1.0"));
    assert_int_equal(offer(w, true, SCRIPT("1.1.0")), OCM_E_UNSUPPORTED);
    assert_true(nothing_came(w));
}

static void an_older_one_only_by_word(void **state)
{
    struct world *w = *state;

    snprintf(w->m.version, sizeof(w->m.version), "0.9");
    sign(w, SCRIPT("0.9"));
    assert_int_equal(offer(w, false, SCRIPT("0.9")), OCM_E_VERSION);
    assert_non_null(strstr(w->e.text, "--allow-downgrade"));
    assert_true(nothing_came(w));
    assert_int_equal(offer(w, true, SCRIPT("0.9")), 0);
    /* the same version of other bytes */
    snprintf(w->m.version, sizeof(w->m.version), "1.0.0");
    sign(w, SCRIPT("1.0.0"));
    assert_int_equal(offer(w, false, SCRIPT("1.0.0")), OCM_E_VERSION);
}

static void one_that_does_not_run_here(void **state)
{
    struct world *w = *state;

    sign(w, "\x7f"
            "ELF and nothing more");
    assert_true(offer(w, false,
                      "\x7f"
                      "ELF and nothing more") < 0);
    assert_true(nothing_came(w));
    sign(w, SCRIPT("2.2.2"));
    assert_int_equal(offer(w, false, SCRIPT("2.2.2")), OCM_E_UNSUPPORTED);
    assert_true(nothing_came(w));
}

static void going_back_is_told_once(void **state)
{
    struct world *w = *state;
    struct upgrade_state s;
    char *text;

    sign(w, SCRIPT("1.1.0"));
    assert_int_equal(offer(w, false, SCRIPT("1.1.0")), 0);
    assert_null(upgrade_undone(w->dir));
    assert_int_equal(upgrade_state_load(w->dir, &s, NULL), 0);
    assert_int_equal(upgrade_state_undo(w->dir, &s, "no word", NULL), 0);
    upgrade_state_fini(&s);
    text = upgrade_undone(w->dir);
    assert_string_equal(text, "1.1.0: no word");
    free(text);
    upgrade_told(w->dir);
    assert_null(upgrade_undone(w->dir));
    assert_int_equal(upgrade_state_load(w->dir, &s, NULL), 0);
    assert_string_equal(s.current, "");
    assert_false(s.trial);
    upgrade_state_fini(&s);
}

/* What cannot be executed is put back at once: this process goes on. */
static void a_damaged_copy_is_not_executed(void **state)
{
    struct world *w = *state;
    struct upgrade_place place = {.state_dir = w->dir, .wait_ms = 2000};
    char *argv[] = {(char *)"ocm-agent", NULL};
    struct upgrade_state s;
    char *path, *text;

    sign(w, SCRIPT("1.1.0"));
    assert_int_equal(offer(w, false, SCRIPT("1.1.0")), 0);
    assert_int_equal(upgrade_state_load(w->dir, &s, NULL), 0);
    path = mem_printf("%s/bin/%s", w->dir, s.current);
    upgrade_state_fini(&s);
    assert_int_equal(truncate(path, 5), 0);
    upgrade_launch(&place, argv);
    text = upgrade_undone(w->dir);
    assert_non_null(strstr(text, "damaged"));
    free(text);
    free(path);
}

static void an_unreadable_line_is_not_followed(void **state)
{
    struct world *w = *state;
    struct upgrade_place place = {.state_dir = w->dir, .wait_ms = 2000};
    char *argv[] = {(char *)"ocm-agent", NULL};
    char *path = path_join(w->dir, "upgrade.conf");

    assert_int_equal(file_write(path, "current = x\nno", 14, 0600, NULL), 0);
    upgrade_launch(&place, argv);
    assert_false(upgrade_on_trial(w->dir));
    free(path);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_good_one_is_taken),
        T(an_altered_one_is_not),
        T(another_key_or_machine_or_protocol),
        T(an_older_one_only_by_word),
        T(one_that_does_not_run_here),
        T(going_back_is_told_once),
        T(a_damaged_copy_is_not_executed),
        T(an_unreadable_line_is_not_followed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
