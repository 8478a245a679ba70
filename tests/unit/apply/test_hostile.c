/* SPDX-License-Identifier: MIT */
/* Snapshots made by somebody who means harm: each is refused, or costs only
 * its section, with a reason; nothing outside the stage is touched. */
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

#include "common/base/mem.h"
#include "common/base/text.h"
#include "world.h"

static struct world w;
static struct id before;

static int setup(void **state)
{
    (void)state;
    world_init(&w);
    world_fill(&w);
    fake_set("running", true);
    before = tree_hash(w.dir, false);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_fini(&w);
    return 0;
}

static struct id blob(const char *text)
{
    return store_put(&w.store, BLOB_DATA, text, strlen(text));
}

static struct tree_node file(const char *name, const struct id *content,
                             uint64_t size)
{
    return (struct tree_node){.name = name,
                              .name_len = strlen(name),
                              .type = TREE_FILE,
                              .mode = 0600,
                              .user = "",
                              .group = "",
                              .size = size,
                              .links = 1,
                              .content = content,
                              .content_count = content ? 1 : 0};
}

static struct tree_node dir(const char *name, struct id subtree)
{
    return (struct tree_node){.name = name,
                              .name_len = strlen(name),
                              .type = TREE_DIR,
                              .mode = 0700,
                              .user = "",
                              .group = "",
                              .subtree = subtree};
}

static struct tree_node symlink_to(const char *name, const char *target)
{
    return (struct tree_node){.name = name,
                              .name_len = strlen(name),
                              .type = TREE_SYMLINK,
                              .mode = 0777,
                              .user = "",
                              .group = "",
                              .linktarget = target};
}

static struct tree_node special(const char *name, enum tree_type type)
{
    return (struct tree_node){.name = name,
                              .name_len = strlen(name),
                              .type = type,
                              .mode = 0600,
                              .user = "",
                              .group = ""};
}

/* A snapshot whose section "media" is the given tree, with that meta.json. */
static void snapshot_with(struct id media, const char *meta)
{
    struct id text = blob(meta), data, top;
    struct tree_node nodes[2];

    nodes[0] = dir("media", media);
    data = store_tree(&w.store, nodes, 1);
    nodes[0] = dir("data", data);
    nodes[1] = file("meta.json", &text, strlen(meta));
    top = store_tree(&w.store, nodes, 2);
    w.root = top;
}

static char *meta_for(const char *at, const char *path)
{
    return mem_printf(
        "{\"format\":1,\"era\":\"files\",\"facts\":{\"state.dir\":\"%s\","
        "\"user.home\":\"%s\"},\"sections\":[{\"name\":\"media\",\"area\":"
        "\"data\",\"state\":\"complete\",\"roots\":[{\"at\":\"%s\",\"path\":"
        "\"%s\"}]}]}",
        w.state, w.home, at, path);
}

static void snapshot(struct id media)
{
    char *meta = meta_for("data/media", w.state);

    snapshot_with(media, meta);
    free(meta);
}

/* Plan it: the code; then, when a plan could be made, run it too. Whatever
 * comes of it, outside the node's own folders nothing may have changed. */
static int attempt(struct apply_result *r, struct error *e)
{
    struct apply_options o = world_options(&w);
    struct id agreed;
    int rc = apply_plan(&o, r, e);

    assert_true(world_is_clean(&w));
    if (rc < 0)
        return rc;
    agreed = r->digest;
    apply_result_fini(r);
    rc = apply_run(&o, &agreed, r, e);
    assert_true(world_is_clean(&w));
    return rc;
}

static bool warned(const struct apply_result *r, const char *code)
{
    for (size_t i = 0; i < r->plan.warning_count; i++)
        if (strcmp(r->plan.warnings[i].code, code) == 0)
            return true;
    return false;
}

static void refused(int code, const char *words)
{
    struct apply_result r;
    struct error e = {0};
    struct id now;
    int rc = attempt(&r, &e);

    if (rc != code)
        print_message("%d %s\n", rc, e.text);
    assert_int_equal(rc, code);
    if (!strstr(e.text, words))
        print_message("%s\n", e.text);
    assert_non_null(strstr(e.text, words));
    now = tree_hash(w.state, false);
    (void)now;
    assert_int_equal(fake_count("calls", "stop"), 0);
    apply_result_fini(&r);
}

/* A tree blob as text, since the encoder would not write such names. */
static struct id raw_tree(const char *name)
{
    char *text = mem_printf("{\"nodes\":[{\"name\":\"%s\",\"type\":\"file\","
                            "\"mode\":384,\"mtime\":\"2020-01-01T00:00:00Z\","
                            "\"size\":0,\"content\":[]}]}\n",
                            name);
    struct id id = store_put(&w.store, BLOB_TREE, text, strlen(text));

    free(text);
    return id;
}

static void names_that_climb(void **state)
{
    static const char *const names[] = {
        "..", ".", "", "a/b", "../../x", "/etc/passwd", "a\\u0000b"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snapshot(raw_tree(names[i]));
        refused(OCM_E_DAMAGED, "no section can be restored");
    }
}

static void special_files_are_left_out(void **state)
{
    struct id text = blob("x");
    struct tree_node nodes[] = {
        special("a-block", TREE_DEV),     special("b-char", TREE_CHARDEV),
        special("c-fifo", TREE_FIFO),     file("d", &text, 1),
        special("e-socket", TREE_SOCKET),
    };
    struct apply_result r;
    struct error e = {0};
    struct tree_node media;

    (void)state;
    media = dir("media", store_tree(&w.store, nodes, ARRAY_LEN(nodes)));
    snapshot(store_tree(&w.store, &media, 1));
    assert_int_equal(attempt(&r, &e), 0);
    assert_true(warned(&r, "special-file"));
    assert_string_equal(get_file(w.state, "media/d"), "x");
    assert_null(get_file(w.state, "media/a-block"));
    apply_result_fini(&r);
}

static void a_file_through_a_link(void **state)
{
    struct id text = blob("x"), sub;
    struct tree_node nodes[2];

    (void)state;
    /* "out" is a link to the home and a folder, in one tree */
    nodes[0] = file("evil", &text, 1);
    sub = store_tree(&w.store, nodes, 1);
    nodes[0] = symlink_to("out", "../..");
    nodes[1] = dir("out", sub);
    snapshot(store_tree(&w.store, nodes, 2));
    refused(OCM_E_DAMAGED, "no section can be restored");
    assert_null(get_file(w.home, "evil"));
}

static void a_section_through_the_link_of_another(void **state)
{
    struct id text = blob("x"), meta_id, sub, link, data;
    struct tree_node nodes[3];
    struct apply_result r;
    struct error e = {0};
    char *meta;

    (void)state;
    /* section "other" makes media a link, section "media" writes below it */
    nodes[0] = file("evil", &text, 1);
    sub = store_tree(&w.store, nodes, 1);
    nodes[0] = symlink_to("media", "../..");
    link = store_tree(&w.store, nodes, 1);
    nodes[0] = dir("media", sub);
    nodes[1] = dir("other", link);
    data = store_tree(&w.store, nodes, 2);
    meta = mem_printf(
        "{\"format\":1,\"era\":\"files\",\"facts\":{\"state.dir\":\"%s\"},"
        "\"sections\":[{\"name\":\"media\",\"area\":\"data\",\"state\":"
        "\"complete\",\"roots\":[{\"at\":\"data/media\",\"path\":\"%s/media\"}]"
        "},{\"name\":\"other\",\"area\":\"data\",\"state\":\"complete\","
        "\"roots\":[{\"at\":\"data/other\",\"path\":\"%s\"}]}]}",
        w.state, w.state, w.state);
    meta_id = blob(meta);
    nodes[0] = dir("data", data);
    nodes[1] = file("meta.json", &meta_id, strlen(meta));
    w.root = store_tree(&w.store, nodes, 2);
    assert_true(attempt(&r, &e) < 0);
    assert_null(get_file(w.home, "evil"));
    assert_null(get_file(w.dir, "evil"));
    assert_int_equal(fake_count("calls", "stop"), 0);
    free(meta);
    apply_result_fini(&r);
}

static void links_are_text(void **state)
{
    struct tree_node nodes[] = {
        symlink_to("abs", "/etc/passwd"),
        symlink_to("fine", "inside/x"),
        symlink_to("up", "../../../../etc/passwd"),
    };
    struct apply_result r;
    struct error e = {0};
    struct tree_node media;
    char path[400], target[64] = "";

    (void)state;
    media = dir("media", store_tree(&w.store, nodes, ARRAY_LEN(nodes)));
    snapshot(store_tree(&w.store, &media, 1));
    assert_int_equal(attempt(&r, &e), 0);
    assert_true(warned(&r, "link-outside"));
    snprintf(path, sizeof(path), "%s/media/up", w.state);
    assert_true(readlink(path, target, sizeof(target) - 1) > 0);
    assert_string_equal(target, "../../../../etc/passwd");
    apply_result_fini(&r);
}

static void sizes_that_lie(void **state)
{
    struct id text = blob("four");
    struct tree_node n = file("x", &text, 5);

    (void)state;
    snapshot(store_tree(&w.store, &n, 1));
    refused(OCM_E_DAMAGED, "size");
    n = file("x", &text, 3);
    snapshot(store_tree(&w.store, &n, 1));
    refused(OCM_E_DAMAGED, "size");
    n = file("x", NULL, 7);
    snapshot(store_tree(&w.store, &n, 1));
    refused(OCM_E_DAMAGED, "size");
}

static void sizes_beyond_the_disk(void **state)
{
    struct id text = blob("four");
    struct tree_node n = file("x", &text, UINT64_C(1) << 62);

    (void)state;
    snapshot(store_tree(&w.store, &n, 1));
    refused(OCM_E_SPACE, "are needed");
}

static void folders_without_end(void **state)
{
    struct id id = store_tree(&w.store, NULL, 0);

    (void)state;
    for (int i = 0; i < 300; i++) {
        struct tree_node n = dir("d", id);

        id = store_tree(&w.store, &n, 1);
    }
    snapshot(id);
    refused(OCM_E_DAMAGED, "deeper");
}

static void a_small_tree_of_a_million_names(void **state)
{
    struct id id = store_tree(&w.store, NULL, 0);
    char names[64][16];
    struct tree_node nodes[64];

    (void)state;
    for (int level = 0; level < 5; level++) {
        for (int i = 0; i < 64; i++) {
            snprintf(names[i], sizeof(names[i]), "%02d", i);
            nodes[i] = dir(names[i], id);
        }
        id = store_tree(&w.store, nodes, 64);
    }
    snapshot(id);
    refused(OCM_E_LIMIT, "entries");
}

static void setuid_is_dropped_elsewhere(void **state)
{
    struct id text = blob("x");
    struct tree_node n = file("tool", &text, 1), media;
    struct apply_options o;
    struct apply_result r;
    struct error e = {0};
    struct stat st;
    struct id agreed;
    char path[400];

    (void)state;
    n.mode = 04755;
    media = dir("media", store_tree(&w.store, &n, 1));
    snapshot(store_tree(&w.store, &media, 1));
    o = world_options(&w);
    o.intention = INTENT_CLONE;
    agreed = world_agree(&w, &o);
    assert_int_equal(apply_run(&o, &agreed, &r, &e), 0);
    assert_true(warned(&r, "setuid"));
    snprintf(path, sizeof(path), "%s/media/tool", w.state);
    assert_int_equal(lstat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    apply_result_fini(&r);
}

static void roots_that_climb(void **state)
{
    static const char *const ats[] = {
        "data/../config/x", "/data/media", "config/media",
        "data/other",       "data",        "data/media/../../x",
    };
    struct id empty = store_tree(&w.store, NULL, 0);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ats); i++) {
        char *meta = meta_for(ats[i], w.state);

        snapshot_with(empty, meta);
        refused(OCM_E_DAMAGED, "root");
        free(meta);
    }
}

static void roots_outside_the_node(void **state)
{
    struct id text = blob("x");
    struct tree_node n = file("cron.d", &text, 1);
    struct id media = store_tree(&w.store, &n, 1);
    char *meta = meta_for("data/media", "/etc");

    (void)state;
    snapshot_with(media, meta);
    free(meta);
    refused(OCM_E_INVALID, "nothing is left");
}

/* What could not be read at the backup is not missing here. */
static void a_partial_section_takes_nothing_away(void **state)
{
    struct id text = blob("x");
    struct tree_node n = file("b.bin", &text, 1), media;
    struct apply_result r;
    struct error e = {0};
    char *meta = meta_for("data/media", w.state), *word;

    (void)state;
    word = strstr(meta, "complete");
    memcpy(word, "partial\",", 9);
    memmove(word + 9, word + 10, strlen(word + 10) + 1);
    media = dir("media", store_tree(&w.store, &n, 1));
    snapshot_with(store_tree(&w.store, &media, 1), meta);
    assert_int_equal(attempt(&r, &e), 0);
    assert_string_equal(get_file(w.state, "media/b.bin"), "x");
    assert_string_equal(get_file(w.state, "media/inbound/a.bin"), "picture");
    free(meta);
    apply_result_fini(&r);
}

static void broken_meta(void **state)
{
    static const struct {
        const char *text;
        int code;
    } cases[] = {
        {"", OCM_E_DAMAGED},
        {"{", OCM_E_DAMAGED},
        {"[]", OCM_E_DAMAGED},
        {"{\"format\":\"1\"}", OCM_E_DAMAGED},
        {"{\"format\":2}", OCM_E_VERSION},
        {"{\"format\":1,\"format\":1,\"sections\":[]}", OCM_E_DAMAGED},
        {"{\"format\":1,\"sections\":[{}]}", OCM_E_DAMAGED},
        {"{\"format\":1,\"sections\":[{\"name\":\"../x\"}]}", OCM_E_DAMAGED},
        {"{\"format\":1,\"sections\":[]}", OCM_E_DAMAGED},
    };
    struct id empty = store_tree(&w.store, NULL, 0);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct apply_options o;
        struct apply_result r;
        struct error e = {0};

        snapshot_with(empty, cases[i].text);
        o = world_options(&w);
        if (i == 0) /* an empty file has no blob */
            continue;
        assert_int_equal(apply_plan(&o, &r, &e), cases[i].code);
        apply_result_fini(&r);
    }
}

/* Every blob of a small snapshot missing in turn. */
static void missing_blobs(void **state)
{
    struct id all[16];
    size_t count = 0;

    (void)state;
    world_backup(&w);
    for (size_t i = 0; i < w.store.cap && count < ARRAY_LEN(all); i++)
        if (w.store.slots[i].data)
            all[count++] = w.store.slots[i].id;
    assert_true(count > 8);
    for (size_t i = 0; i < count; i++) {
        struct apply_options o = world_options(&w);
        struct apply_result r;
        struct error e = {0};

        w.store.damaged = all[i];
        w.store.first = w.store.queued = 0;
        assert_true(apply_plan(&o, &r, &e) == 0 || e.code == OCM_E_DAMAGED);
        assert_true(world_is_clean(&w));
        apply_result_fini(&r);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(names_that_climb),
        TEST(special_files_are_left_out),
        TEST(a_file_through_a_link),
        TEST(a_section_through_the_link_of_another),
        TEST(links_are_text),
        TEST(sizes_that_lie),
        TEST(sizes_beyond_the_disk),
        TEST(folders_without_end),
        TEST(a_small_tree_of_a_million_names),
        TEST(setuid_is_dropped_elsewhere),
        TEST(roots_that_climb),
        TEST(roots_outside_the_node),
        TEST(a_partial_section_takes_nothing_away),
        TEST(broken_meta),
        TEST(missing_blobs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
