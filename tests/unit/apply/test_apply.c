/* SPDX-License-Identifier: MIT */
/* agent/apply: a backup by the real capture is brought back onto its node,
 * whole and in parts, with a gateway made of marker files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sqlite3.h>
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

/* ---- restores ---- */

static void whole_restore_is_byte_for_byte(void **state)
{
    struct apply_options o = world_options(&w);
    struct apply_result r;
    struct error e = {0};

    (void)state;
    world_change(&w);
    assert_int_equal(run(&o, &r, &e), 0);
    assert_string_equal(r.state, "applied");
    assert_null(r.reason);
    check_same(world_hash(&w, true), origin);
    /* what no backup holds is untouched */
    check_is(w.state, "cache/ui/extra.js", "cached");
    check_is(w.state, "memory/main.sqlite-wal", NULL);
    check_is(w.state, "cron/new.json", NULL);
    check_is(w.state, "credentials/discord/token", NULL);
    check_is(w.ws, "new/folder/file", NULL);
    /* and what went is kept */
    assert_non_null(r.kept);
    check_is(r.kept, "state/memory/main.sqlite-wal", "old wal");
    check_is(r.kept, "state/cron/new.json", "{}");
    assert_true(world_is_clean(&w));
    assert_true(fake_has("running"));
    assert_false(fake_has("guard"));
    assert_int_equal(fake_count("calls", "start quiet"), 1);
    assert_int_equal(fake_count("calls", "start"), 1);
    assert_int_equal(fake_count("calls", "guard on"), 1);
    assert_int_equal(fake.expect.cron_jobs, 2);
    assert_int_equal(fake.expect.agents, 1);
    assert_string_equal(section_in(&r, "cron")->action, "replace");
    assert_string_equal(section_in(&r, "workspace")->target, w.ws);
    apply_result_fini(&r);
}

static void an_empty_node_gets_everything(void **state)
{
    struct apply_options o = world_options(&w);
    struct apply_result r;
    struct error e = {0};
    struct stat st;

    (void)state;
    assert_int_equal(tree_remove(w.state, NULL), 0);
    assert_int_equal(tree_remove(w.ws, NULL), 0);
    fake.kind = GATEWAY_ABSENT;
    assert_int_equal(run(&o, &r, &e), 0);
    assert_string_equal(r.state, "applied");
    assert_null(r.kept);
    check_same(world_hash(&w, true), origin);
    assert_int_equal(lstat(w.state, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    /* no OpenClaw here: nothing is started, files are checked */
    assert_int_equal(fake_count("calls", "start"), 0);
    assert_int_equal(fake_count("calls", "health offline"), 1);
    assert_string_equal(section_in(&r, "cron")->action, "create");
    apply_result_fini(&r);
}

static void one_section_leaves_the_others(void **state)
{
    const char *names[] = {"cron"};
    struct apply_options o = world_options(&w);
    struct apply_result r;
    struct error e = {0};

    (void)state;
    world_change(&w);
    o.sections = names;
    o.section_count = 1;
    assert_int_equal(run(&o, &r, &e), 0);
    assert_string_equal(r.state, "applied");
    assert_int_equal(r.section_count, 1);
    check_is(w.state, "cron/new.json", NULL); /* in the section: gone */
    assert_non_null(strstr(get_file(w.state, "cron/jobs.json"), "\"b\""));
    check_is(w.state, ".env", "A=2\nB=3\n");
    check_is(w.state, "credentials/discord/token", "secret two");
    check_is(w.state, "agents/main/sessions/2.jsonl", "{\"b\":2}\n");
    check_is(w.state, "memory/main.sqlite-wal", "old wal");
    check_is(w.ws, "deep/er/file.txt", "deep and changed");
    apply_result_fini(&r);
}

static void sections_share_folders(void **state)
{
    const char *names[] = {"credentials"};
    struct apply_options o = world_options(&w);
    struct apply_result r;
    struct error e = {0};

    (void)state;
    world_change(&w);
    put_file(w.state, "agents/main/agent/auth-profiles.json", "{\"x\":1}",
             0600);
    put_file(w.state, "agents/main/agent/settings.json", "{}", 0600);
    o.sections = names;
    o.section_count = 1;
    assert_int_equal(run(&o, &r, &e), 0);
    check_is(w.state, "agents/main/agent/auth-profiles.json", "{}");
    check_is(w.state, "agents/main/agent/settings.json", "{}");
    check_is(w.state, "agents/main/sessions/2.jsonl", "{\"b\":2}\n");
    check_is(w.state, "credentials/discord/token", NULL);
    apply_result_fini(&r);
}

static void an_unknown_section_is_named(void **state)
{
    const char *names[] = {"crom"};
    struct apply_options o = world_options(&w);
    struct apply_result r;
    struct error e = {0};

    (void)state;
    o.sections = names;
    o.section_count = 1;
    assert_int_equal(apply_plan(&o, &r, &e), OCM_E_NOTFOUND);
    assert_non_null(strstr(e.text, "cron"));
    apply_result_fini(&r);
    assert_true(world_is_clean(&w));
}

static void no_data_leaves_the_data(void **state)
{
    struct apply_options o = world_options(&w);
    struct apply_result r;
    struct error e = {0};

    (void)state;
    world_change(&w);
    o.no_data = true;
    assert_int_equal(run(&o, &r, &e), 0);
    check_is(w.state, ".env", "A=1\n");
    check_is(w.ws, "deep/er/file.txt", "deep and changed");
    check_is(w.state, "media/inbound/b.bin", "another");
    assert_null(section_in(&r, "media"));
    apply_result_fini(&r);
}

/* State and workspace are links to another disk: what they point to is
 * replaced, they stay. */
static void links_to_the_roots_stay(void **state)
{
    struct apply_options o = world_options(&w);
    struct apply_result r;
    struct error e = {0};
    char *disk = path_join(w.dir, "disk"), *ws = path_join(w.dir, "disk/ws");
    char *st = path_join(w.dir, "disk/state"), target[400] = "";

    (void)state;
    assert_int_equal(mkdir(disk, 0700), 0);
    assert_int_equal(rename(w.state, st), 0);
    assert_int_equal(rename(w.ws, ws), 0);
    assert_int_equal(symlink(st, w.state), 0);
    assert_int_equal(symlink(ws, w.ws), 0);
    world_backup(&w);
    o.root = w.root;
    origin = tree_hash(ws, true);
    world_change(&w);
    assert_int_equal(run(&o, &r, &e), 0);
    assert_true(readlink(w.state, target, sizeof(target) - 1) > 0);
    assert_string_equal(target, st);
    assert_true(readlink(w.ws, target, sizeof(target) - 1) > 0);
    check_same(tree_hash(ws, true), origin);
    check_is(st, "cron/new.json", NULL);
    check_is(st, "memory/main.sqlite-wal", NULL);
    check_is(st, "cache/ui/extra.js", "cached");
    assert_true(text_has_prefix(r.kept, disk));
    apply_result_fini(&r);
    free(disk);
    free(ws);
    free(st);
}

/* A root of the snapshot may not leave through a link of the node. */
static void a_link_is_no_way_out(void **state)
{
    const char *names[] = {"media"};
    struct apply_options o = world_options(&w);
    char *out = path_join(w.dir, "out"), *media = path_join(w.state, "media");
    char *moved = path_join(w.dir, "media-saved");
    struct apply_result r;
    struct error e = {0};

    (void)state;
    assert_int_equal(mkdir(out, 0700), 0);
    assert_int_equal(rename(media, moved), 0);
    assert_int_equal(symlink(out, media), 0);
    o.sections = names;
    o.section_count = 1;
    assert_int_equal(run(&o, &r, &e), 0);
    check_is(out, "inbound/a.bin", NULL);
    check_is(w.state, "media/inbound/a.bin", "picture");
    apply_result_fini(&r);
    free(out);
    free(media);
    free(moved);
}

/* An agent's folder elsewhere stands below its section in the snapshot. */
static void a_root_within_a_root(void **state)
{
    struct apply_options o = world_options(&w);
    struct apply_result r;
    struct error e = {0};
    char *config = mem_printf("{agents:{list:[{id:\"main\",workspace:\"%s\","
                              "agentDir:\"%s/agentdir\"}]}}",
                              w.ws, w.home);
    char *dirs = path_join(w.state, "dirs");
    char *agent = path_join(w.home, "agentdir");

    (void)state;
    put_file(w.state, "openclaw.json", config, 0600);
    put_file(agent, "settings.json", "{\"mine\":1}", 0600);
    world_backup(&w);
    o.root = w.root;
    put_file(agent, "settings.json", "{}", 0600);
    put_file(agent, "more.json", "{}", 0600);
    assert_int_equal(run(&o, &r, &e), 0);
    check_is(agent, "settings.json", "{\"mine\":1}");
    check_is(agent, "more.json", NULL);
    assert_false(file_exists(dirs));
    apply_result_fini(&r);
    free(config);
    free(dirs);
    free(agent);
}

/* ---- plan and deed ---- */

static void a_plan_changes_nothing_and_fetches_little(void **state)
{
    struct apply_options o = world_options(&w);
    struct apply_result r;
    struct error e = {0};
    struct id before;
    uint64_t whole;

    (void)state;
    world_change(&w);
    before = world_hash(&w, false);
    whole = w.store.bytes;
    assert_int_equal(apply_plan(&o, &r, &e), 0);
    assert_string_equal(r.state, "planned");
    check_same(world_hash(&w, false), before);
    assert_true(world_is_clean(&w));
    assert_int_equal(section_in(&r, "media")->files, 1);
    assert_int_equal(section_in(&r, "media")->bytes, 7);
    assert_int_equal(fake_count("calls", "stop"), 0);
    assert_true(w.store.bytes - whole < 64 * 1024);
    apply_result_fini(&r);
}

static void a_changed_node_is_noticed(void **state)
{
    struct apply_options o = world_options(&w);
    struct apply_result r;
    struct error e = {0};
    struct id agreed, before;

    (void)state;
    agreed = world_agree(&w, &o);
    /* the node's own port is a fact */
    put_file(w.state, "openclaw.json", "{gateway:{port:31000}}", 0600);
    before = world_hash(&w, false);
    assert_int_equal(apply_run(&o, &agreed, &r, &e), OCM_E_CHANGED);
    assert_string_equal(r.state, "unchanged");
    check_same(world_hash(&w, false), before);
    assert_int_equal(fake_count("calls", "stop"), 0);
    assert_true(world_is_clean(&w));
    apply_result_fini(&r);
}

static int safety_edits_config(void *arg, struct id *snapshot, struct error *e)
{
    (void)arg;
    (void)e;
    memset(snapshot->b, 7, ID_LEN);
    put_file(w.state, "openclaw.json", "{gateway:{port:31000}}", 0600);
    return 0;
}

static void a_change_before_the_stop_is_noticed(void **state)
{
    struct apply_options o = world_options(&w);
    struct apply_result r;
    struct error e = {0};

    (void)state;
    o.safety = safety_edits_config;
    assert_int_equal(run(&o, &r, &e), OCM_E_CHANGED);
    assert_string_equal(r.state, "unchanged");
    assert_int_equal(r.safety_snapshot.b[0], 7);
    assert_true(fake_has("running")); /* started again */
    assert_false(fake_has("guard"));
    check_is(w.state, "openclaw.json", "{gateway:{port:31000}}");
    assert_true(world_is_clean(&w));
    apply_result_fini(&r);
}

static int safety_fails(void *arg, struct id *snapshot, struct error *e)
{
    (void)arg;
    (void)snapshot;
    return error_set(e, OCM_E_CLOSED, "the connection closed");
}

static void without_a_safety_backup_nothing_happens(void **state)
{
    struct apply_options o = world_options(&w);
    struct apply_result r;
    struct error e = {0};
    struct id before;

    (void)state;
    world_change(&w);
    before = world_hash(&w, false);
    o.safety = safety_fails;
    assert_int_equal(run(&o, &r, &e), OCM_E_CLOSED);
    assert_string_equal(r.state, "unchanged");
    assert_non_null(strstr(r.reason, "safety"));
    check_same(world_hash(&w, false), before);
    assert_int_equal(fake_count("calls", "stop"), 0);
    assert_true(world_is_clean(&w));
    apply_result_fini(&r);
}

/* ---- ways back ---- */

static void unhealthy(int at)
{
    struct apply_options o = world_options(&w);
    struct apply_result r;
    struct error e = {0};
    struct id before;

    world_change(&w);
    before = world_hash(&w, false);
    fake.unhealthy_at = at;
    fake.pollutes = true;
    assert_int_equal(run(&o, &r, &e), OCM_E_UNHEALTHY);
    assert_string_equal(r.state, "rolled-back");
    assert_string_equal(r.reason, "not ready");
    assert_int_equal(r.check_count, 1);
    assert_false(r.checks[0].ok);
    assert_true(fake_has("running"));
    assert_false(fake_has("guard"));
    assert_true(world_is_clean(&w));
    assert_null(r.kept);
    /* the old gateway was started again and wrote its lock and log */
    put_file(w.state, "tmp/openclaw-0/gateway.lock", "1", 0600);
    check_is(w.state, "memory/main.sqlite-wal", "new wal");
    (void)before;
    apply_result_fini(&r);
}

static void an_unhealthy_node_goes_back(void **state)
{
    struct id loose;

    (void)state;
    world_change(&w);
    loose = world_hash(&w, true);
    world_save(&w);
    unhealthy(1);
    world_reset(&w);
    check_same(world_hash(&w, true), loose);
}

static void an_unhealthy_second_start_goes_back(void **state)
{
    (void)state;
    unhealthy(2);
    assert_int_equal(fake_count("calls", "health"), 2);
    check_is(w.state, "cron/new.json", "{}");
    check_is(w.state, "credentials/discord/token", "secret two");
    check_is(w.ws, "new/folder/file", "new");
}

static void rolled_back_is_exactly_before(void **state)
{
    struct apply_options o = world_options(&w);
    struct apply_result r;
    struct error e = {0};
    struct id before;

    (void)state;
    world_change(&w);
    before = world_hash(&w, false);
    fake_set("running", false);
    fake.unhealthy_at = 1;
    assert_int_equal(run(&o, &r, &e), OCM_E_UNHEALTHY);
    assert_string_equal(r.state, "rolled-back");
    check_same(world_hash(&w, false), before);
    assert_false(fake_has("running"));
    apply_result_fini(&r);
}

static void a_gateway_that_does_not_stop_is_left_alone(void **state)
{
    struct apply_options o = world_options(&w);
    struct apply_result r;
    struct error e = {0};
    struct id before;

    (void)state;
    world_change(&w);
    before = world_hash(&w, false);
    fake.stop_fails = true;
    assert_int_equal(run(&o, &r, &e), OCM_E_TIMEOUT);
    assert_string_equal(r.state, "unchanged");
    check_same(world_hash(&w, false), before);
    assert_false(fake_has("guard"));
    assert_true(world_is_clean(&w));
    apply_result_fini(&r);
}

static void what_could_not_start_is_not_stopped(void **state)
{
    struct apply_options o = world_options(&w);
    struct apply_result r;
    struct error e = {0};
    struct id before;

    (void)state;
    world_change(&w);
    before = world_hash(&w, false);
    fake.cannot_start = true;
    assert_int_equal(run(&o, &r, &e), OCM_E_NOTFOUND);
    assert_string_equal(r.state, "unchanged");
    assert_true(fake_has("running"));
    assert_int_equal(fake_count("calls", "stop"), 0);
    check_same(world_hash(&w, false), before);
    assert_true(world_is_clean(&w));
    apply_result_fini(&r);
}

static atomic_bool cancel;
static uint64_t cancel_at;

static void cancel_on_read(void *arg, uint64_t reads)
{
    (void)arg;
    if (reads == cancel_at)
        atomic_store(&cancel, true);
}

static void cancelled_at_every_read(void **state)
{
    struct apply_options o = world_options(&w);
    struct id before, agreed;
    uint64_t total;

    (void)state;
    world_change(&w);
    before = world_hash(&w, false);
    agreed = world_agree(&w, &o);
    total = w.store.reads;
    o.cancelled = &cancel;
    w.store.on_read = cancel_on_read;
    for (uint64_t n = 1; n <= total; n++) {
        struct apply_result r;
        struct error e = {0};

        w.store.reads = 0;
        w.store.first = w.store.queued = 0;
        cancel_at = n;
        atomic_store(&cancel, false);
        assert_int_equal(apply_run(&o, &agreed, &r, &e), OCM_E_CANCELLED);
        assert_string_equal(r.state, "unchanged");
        assert_true(world_is_clean(&w));
        apply_result_fini(&r);
    }
    check_same(world_hash(&w, false), before);
    assert_int_equal(fake_count("calls", "stop"), 0);
}

/* ---- starting ---- */

static void no_start_means_offline_checks(void **state)
{
    struct apply_options o = world_options(&w);
    struct apply_result r;
    struct error e = {0};

    (void)state;
    world_change(&w);
    o.no_start = true;
    assert_int_equal(run(&o, &r, &e), 0);
    assert_string_equal(r.state, "applied");
    assert_false(fake_has("running"));
    assert_false(fake_has("guard"));
    assert_false(fake.expect.running);
    check_same(world_hash(&w, true), origin);
    apply_result_fini(&r);
}

static void a_fenced_gateway_stays_down(void **state)
{
    struct apply_options o = world_options(&w);
    struct apply_result r;
    struct error e = {0};

    (void)state;
    fake_set("running", false);
    fake_set("fenced", true);
    assert_int_equal(run(&o, &r, &e), 0);
    assert_int_equal(fake_count("calls", "start"), 0);
    assert_int_equal(fake_count("calls", "start quiet"), 0);
    apply_result_fini(&r);
}

/* ---- content ---- */

static void unchanged_files_come_from_the_node(void **state)
{
    struct apply_options o = world_options(&w);
    struct apply_result r;
    struct error e = {0};
    struct id agreed;
    uint64_t before;

    (void)state;
    agreed = world_agree(&w, &o);
    before = w.store.bytes;
    world_agree(&w, &o);
    before = w.store.bytes - before; /* the trees and meta.json of a walk */
    w.store.bytes = 0;
    assert_int_equal(apply_run(&o, &agreed, &r, &e), 0);
    /* the database's bytes differ from its copy; nothing else was fetched */
    assert_true(w.store.bytes <= before + 8192);
    check_same(world_hash(&w, true), origin);
    apply_result_fini(&r);
}

static void a_damaged_blob_costs_its_section(void **state)
{
    struct apply_options o = world_options(&w);
    struct apply_result r;
    struct error e = {0};
    char *path;

    (void)state;
    world_change(&w);
    path = mem_printf("%s/media/inbound/a.bin", w.state);
    unlink(path);
    free(path);
    w.store.damaged = digest_of("picture", 7);
    assert_int_equal(run(&o, &r, &e), 0);
    assert_string_equal(r.state, "applied");
    assert_non_null(strstr(r.reason, "media"));
    /* the section is as it was, the others are as in the backup */
    check_is(w.state, "media/inbound/b.bin", "another");
    check_is(w.state, "media/inbound/a.bin", NULL);
    check_is(w.state, ".env", "A=1\n");
    check_is(w.state, "cron/new.json", NULL);
    apply_result_fini(&r);
}

static void sparse_and_large_files(void **state)
{
    struct apply_options o = world_options(&w);
    struct apply_result r;
    struct error e = {0};
    char *big = mem_zalloc(3 << 20), *path;
    struct stat st;
    int fd;

    (void)state;
    put_file(w.ws, "big.bin", "", 0600);
    path = mem_printf("%s/big.bin", w.ws);
    for (int i = 0; i < 1 << 20; i++)
        big[i] = (char)((unsigned)i * 7919u >> 3);
    memcpy(big + (2 << 20) + 5, "in the middle", 13);
    fd = open(path, O_WRONLY);
    assert_int_equal(fd_write_all(fd, big, 3 << 20), 0);
    close(fd);
    world_backup(&w);
    o.root = w.root;
    origin = world_hash(&w, true);
    unlink(path);
    assert_int_equal(run(&o, &r, &e), 0);
    check_same(world_hash(&w, true), origin);
    assert_int_equal(lstat(path, &st), 0);
    assert_int_equal(st.st_size, 3 << 20);
    assert_true(st.st_blocks * 512 < 2 << 20); /* holes are holes */
    free(path);
    free(big);
    apply_result_fini(&r);
}

/* ---- leftovers ---- */

static void old_kept_folders_go(void **state)
{
    struct apply_options o = world_options(&w);
    struct timespec old[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    struct apply_result r;
    struct error e = {0};
    char path[400];

    (void)state;
    put_file(w.home, ".ocm-old-ancient/state/x", "x", 0600);
    put_file(w.home, ".ocm-old-young/state/x", "x", 0600);
    snprintf(path, sizeof(path), "%s/.ocm-old-ancient", w.home);
    utimensat(AT_FDCWD, path, old, 0);
    assert_int_equal(run(&o, &r, &e), 0);
    assert_false(file_exists(path));
    check_is(w.home, ".ocm-old-young/state/x", "x");
    assert_true(dir_exists(r.kept));
    apply_result_fini(&r);
}

static void an_unfinished_run_must_be_recovered_first(void **state)
{
    struct apply_options o = world_options(&w);
    struct apply_result r;
    struct error e = {0};
    struct buf text = {0};

    (void)state;
    put_file(w.work, "apply-old.journal", "", 0600);
    assert_int_equal(apply_plan(&o, &r, &e), OCM_E_LOCKED);
    apply_result_fini(&r);
    assert_int_equal(apply_recover(&w.conf, w.work, &text, &e), 0);
    assert_int_equal(apply_plan(&o, &r, &e), 0);
    apply_result_fini(&r);
    buf_free(&text);
}

static void a_damaged_journal_is_not_guessed_at(void **state)
{
    struct buf text = {0};
    struct error e = {0};

    (void)state;
    put_file(w.work, "apply-x.journal", "{\"sum\":\"0\"}\n{}\n", 0600);
    assert_int_equal(apply_recover(&w.conf, w.work, &text, &e), OCM_E_DAMAGED);
    assert_true(dir_exists(w.state));
    buf_free(&text);
}

static void job_ids_are_no_paths(void **state)
{
    static const char *const bad[] = {"", "..", "../x", "a/b", "a b"};
    struct apply_options o = world_options(&w);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct apply_result r;
        struct error e = {0};

        o.job = bad[i];
        assert_int_equal(apply_plan(&o, &r, &e), OCM_E_INVALID);
        apply_result_fini(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(whole_restore_is_byte_for_byte),
        TEST(an_empty_node_gets_everything),
        TEST(one_section_leaves_the_others),
        TEST(sections_share_folders),
        TEST(an_unknown_section_is_named),
        TEST(no_data_leaves_the_data),
        TEST(links_to_the_roots_stay),
        TEST(a_link_is_no_way_out),
        TEST(a_root_within_a_root),
        TEST(a_plan_changes_nothing_and_fetches_little),
        TEST(a_changed_node_is_noticed),
        TEST(a_change_before_the_stop_is_noticed),
        TEST(without_a_safety_backup_nothing_happens),
        TEST(an_unhealthy_node_goes_back),
        TEST(an_unhealthy_second_start_goes_back),
        TEST(rolled_back_is_exactly_before),
        TEST(a_gateway_that_does_not_stop_is_left_alone),
        TEST(cancelled_at_every_read),
        TEST(what_could_not_start_is_not_stopped),
        TEST(no_start_means_offline_checks),
        TEST(a_fenced_gateway_stays_down),
        TEST(unchanged_files_come_from_the_node),
        TEST(a_damaged_blob_costs_its_section),
        TEST(sparse_and_large_files),
        TEST(old_kept_folders_go),
        TEST(an_unfinished_run_must_be_recovered_first),
        TEST(a_damaged_journal_is_not_guessed_at),
        TEST(job_ids_are_no_paths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
