/* SPDX-License-Identifier: MIT */
/* See world.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "world.h"

#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <spawn.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"

extern char **environ;

int run_program(const char *const *argv)
{
    pid_t pid;
    int status;

    if (posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)(uintptr_t)argv,
                     environ) != 0 ||
        waitpid(pid, &status, 0) < 0)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void must_run(const char *a, const char *b, const char *c, const char *d)
{
    const char *argv[] = {a, b, c, d, NULL};

    assert_int_equal(run_program(argv), 0);
}

void world_init(struct world *w)
{
    *w = (struct world){0};
    /* in memory where there is such a place: syncfs is for real disks */
    snprintf(w->dir, sizeof(w->dir), "%s/ocm-apply-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->home, sizeof(w->home), "%s/home", w->dir);
    snprintf(w->state, sizeof(w->state), "%s/.openclaw", w->home);
    snprintf(w->ws, sizeof(w->ws), "%s/ws", w->home);
    snprintf(w->work, sizeof(w->work), "%s/work", w->dir);
    snprintf(w->temp, sizeof(w->temp), "%s/temp", w->dir);
    assert_int_equal(mkdir(w->home, 0755), 0);
    assert_int_equal(mkdir(w->work, 0700), 0);
    assert_int_equal(mkdir(w->temp, 0700), 0);
    w->conf = (struct openclaw_conf){
        .state_dir = w->state,
        .config_path = "",
        .home = w->home,
        .layout = "openclaw",
        .bin = "/nonexistent/openclaw",
        .extra = &w->none,
        .exclude = &w->none,
        .control = "manual",
        .unit = "",
        .exec_start = "",
        .exec_stop = "",
        .exec_status = "",
    };
    fake = (struct fake_gateway){.kind = GATEWAY_STOPPED};
    snprintf(fake.dir, sizeof(fake.dir), "%s/gateway", w->dir);
    snprintf(fake.state_dir, sizeof(fake.state_dir), "%s", w->state);
    assert_int_equal(mkdir(fake.dir, 0700), 0);
}

void world_fini(struct world *w)
{
    store_free(&w->store);
    assert_int_equal(tree_remove(w->dir, NULL), 0);
}

void put_file(const char *root, const char *rel, const char *text, mode_t mode)
{
    char *path = path_join(root, rel), *slash = strrchr(path, '/');
    int fd;

    *slash = 0;
    assert_int_equal(dir_make(path, 0700, NULL), 0);
    *slash = '/';
    unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
    free(path);
}

char *get_file(const char *root, const char *rel)
{
    static struct buf text;
    char *path = path_join(root, rel);
    int rc;

    buf_clear(&text);
    rc = file_read(path, 1 << 20, &text, NULL);
    free(path);
    return rc == 0 ? buf_str(&text) : NULL;
}

static void age(const char *root, const char *rel, int64_t s, int64_t ns)
{
    struct timespec t[2] = {{.tv_sec = s, .tv_nsec = ns},
                            {.tv_sec = s, .tv_nsec = ns}};
    char *path = path_join(root, rel);

    assert_int_equal(utimensat(AT_FDCWD, path, t, AT_SYMLINK_NOFOLLOW), 0);
    free(path);
}

static void make_database(const char *path, const char *word)
{
    char *sql = mem_printf("CREATE TABLE chunks(text); "
                           "INSERT INTO chunks VALUES('%s');",
                           word);
    sqlite3 *db = NULL;

    unlink(path);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    free(sql);
}

void world_fill(const struct world *w)
{
    char *config = mem_printf("{\n  // kept\n  gateway: {port: 28801},\n"
                              "  agents: {list: [{id: \"main\", workspace: "
                              "\"%s\"}]},\n}\n",
                              w->ws);
    char path[400], other[400];

    assert_int_equal(dir_make(w->state, 0700, NULL), 0);
    put_file(w->state, "openclaw.json", config, 0600);
    put_file(w->state, ".env", "A=1\n", 0600);
    put_file(w->state, "cron/jobs.json",
             "{\"version\":1,\"jobs\":[{\"id\":\"a\"},{\"id\":\"b\"}]}", 0600);
    put_file(w->state, "credentials/telegram/token", "secret one", 0600);
    put_file(w->state, "agents/main/agent/auth-profiles.json", "{}", 0600);
    put_file(w->state, "agents/main/sessions/sessions.json", "{}", 0600);
    put_file(w->state, "agents/main/sessions/1.jsonl", "{\"a\":1}\n", 0600);
    put_file(w->state, "media/inbound/a.bin", "picture", 0644);
    put_file(w->state, "cache/ui/index.html", "rebuilt", 0644);
    put_file(w->state, "tmp/openclaw-0/gateway.lock", "1", 0600);
    put_file(w->state, "notes/mine.txt", "a file of a person", 0440);
    snprintf(path, sizeof(path), "%s/memory", w->state);
    assert_int_equal(dir_make(path, 0700, NULL), 0);
    snprintf(path, sizeof(path), "%s/memory/main.sqlite", w->state);
    make_database(path, "first");
    put_file(w->ws, "AGENTS.md", "# agents\n", 0644);
    put_file(w->ws, "deep/er/file.txt", "deep", 0600);
    put_file(w->ws, "deep/run.sh", "#!/bin/sh\n", 0755);
    snprintf(path, sizeof(path), "%s/empty", w->ws);
    assert_int_equal(dir_make(path, 0750, NULL), 0);
    snprintf(path, sizeof(path), "%s/link", w->ws);
    assert_int_equal(symlink("deep/run.sh", path), 0);
    snprintf(path, sizeof(path), "%s/deep/run.sh", w->ws);
    snprintf(other, sizeof(other), "%s/hard.sh", w->ws);
    assert_int_equal(link(path, other), 0);
    setxattr(path, "user.ocm", "mark", 4, 0);
    age(w->ws, "deep/run.sh", 1600000000, 123456789);
    age(w->ws, "link", 1500000000, 5);
    put_file(w->state, "frozen/file", "its folder cannot be written", 0400);
    snprintf(path, sizeof(path), "%s/frozen", w->state);
    assert_int_equal(chmod(path, 0555), 0);
    age(w->ws, "deep", 1400000000, 999999999);
    age(w->ws, "", 1400000001, 1);
    age(w->state, "openclaw.json", 1700000000, 42);
    free(config);
}

void world_change(const struct world *w)
{
    char path[400];

    put_file(w->state, ".env", "A=2\nB=3\n", 0600);
    put_file(w->state, "cron/jobs.json", "{\"version\":1,\"jobs\":[]}", 0600);
    put_file(w->state, "cron/new.json", "{}", 0600);
    put_file(w->state, "credentials/discord/token", "secret two", 0600);
    put_file(w->state, "agents/main/sessions/2.jsonl", "{\"b\":2}\n", 0600);
    put_file(w->state, "media/inbound/b.bin", "another", 0644);
    put_file(w->state, "cache/ui/extra.js", "cached", 0644);
    put_file(w->state, "notes/later/x.txt", "later", 0600);
    snprintf(path, sizeof(path), "%s/memory/main.sqlite", w->state);
    make_database(path, "second");
    put_file(w->state, "memory/main.sqlite-wal", "old wal", 0600);
    put_file(w->ws, "deep/er/file.txt", "deep and changed", 0600);
    put_file(w->ws, "new/folder/file", "new", 0600);
    snprintf(path, sizeof(path), "%s/AGENTS.md", w->ws);
    unlink(path);
    snprintf(path, sizeof(path), "%s/hard.sh", w->ws);
    unlink(path);
    age(w->ws, "deep", 1650000000, 3);
    age(w->ws, "", 1650000001, 4);
}

/* ---- backup ---- */

struct backup {
    struct world *w;
    struct openclaw o;
    struct zstream *z;
    struct buf room;
};

static int put_blob(void *arg, const struct blob *b, struct error *e)
{
    struct backup *k = arg;
    const uint8_t *plain;
    int rc = zstream_open(k->z, b, &k->room, &plain, e);

    if (rc == 0)
        store_put(&k->w->store, b->type, plain, b->raw_len);
    return rc;
}

static json_t *section_json(const struct capture_section *s,
                            const struct capture_section_result *r)
{
    static const char *const states[] = {
        [CAPTURE_COMPLETE] = "complete",
        [CAPTURE_PARTIAL] = "partial",
        [CAPTURE_ABSENT] = "absent",
        [CAPTURE_SKIPPED] = "skipped",
    };
    json_t *roots = json_array();

    for (size_t i = 0; i < s->root_count; i++)
        json_array_append_new(roots,
                              json_pack("{s:s,s:s}", "at", s->roots[i].at,
                                        "path", s->roots[i].path));
    return json_pack("{s:s,s:s,s:s,s:o}", "name", s->name, "area", s->area,
                     "state", states[r->state], "roots", roots);
}

static int make_meta(void *arg, const struct capture_result *so_far,
                     struct buf *out, struct error *e)
{
    static const char *const eras[] = {"none", "files", "mixed", "sqlite",
                                       "yaml"};
    const struct backup *k = arg;
    static const uint8_t key[32] = "test";
    json_t *sections = json_array(), *root;
    struct buf facts = {0};
    char *text;

    (void)e;
    facts_to_json(&k->o.facts, key, &facts);
    for (size_t i = 0; i < k->o.section_count; i++)
        json_array_append_new(
            sections, section_json(&k->o.sections[i], &so_far->sections[i]));
    root = json_pack("{s:i,s:s,s:o,s:o}", "format", 1, "era", eras[k->o.era],
                     "sections", sections, "facts",
                     json_loads(buf_str(&facts), 0, NULL));
    text = json_dumps(root, JSON_COMPACT);
    buf_add_str(out, text);
    free(text);
    json_decref(root);
    buf_free(&facts);
    return 0;
}

void world_backup(struct world *w)
{
    static const uint8_t seed[CHUNKER_SEED_LEN] = "seed";
    struct backup k = {.w = w, .z = zstream_new(1)};
    struct capture_result result = {0};
    struct idset known = {0};
    struct buf notes = {0};
    struct error e = {0};
    char cache[320];
    int rc;

    assert_int_equal(openclaw_detect(&w->conf, &k.o, &notes, &e), 0);
    snprintf(cache, sizeof(cache), "%s/cache", w->temp);
    struct capture_options o = {
        .sections = k.o.sections,
        .section_count = k.o.section_count,
        .cache_path = cache,
        .cache_key = "k",
        .temp_dir = w->temp,
        .chunk_seed = seed,
        .known = &known,
        .zstd_level = 1,
        .database_ms = 10000,
        .wal_growth = 1 << 20,
        .make_meta = make_meta,
        .put = put_blob,
        .arg = &k,
    };
    rc = capture_run(&o, &result, &e);
    if (rc < 0)
        print_message("%s\n", e.text);
    for (size_t i = 0; i < result.problem_count; i++)
        print_message("%s: %s\n", result.problems[i].path,
                      result.problems[i].reason);
    assert_int_equal(rc, 0);
    assert_int_equal(result.problem_count, 0);
    w->root = result.root;
    capture_result_fini(&result);
    openclaw_fini(&k.o);
    idset_free(&known);
    zstream_free(k.z);
    buf_free(&k.room);
    buf_free(&notes);
}

struct apply_options world_options(struct world *w)
{
    static const uint8_t seed[16] = "fresh values", key[32] = "test";

    return (struct apply_options){
        .conf = &w->conf,
        .intention = INTENT_RESTORE,
        .root = w->root,
        .seed = seed,
        .node_key = key,
        .work_dir = w->work,
        .job = "job1",
        .health_wait_ms = 1000,
        .stop_bound_ms = 1000,
        .source = store_source(&w->store),
    };
}

struct id world_agree(struct world *w, const struct apply_options *o)
{
    struct apply_result r;
    struct error e = {0};
    struct id digest;
    int rc = apply_plan(o, &r, &e);

    (void)w;
    if (rc < 0)
        print_message("plan: %s\n", e.text);
    assert_int_equal(rc, 0);
    assert_string_equal(r.state, "planned");
    digest = r.digest;
    apply_result_fini(&r);
    return digest;
}

/* ---- comparing ---- */

struct hasher {
    struct digest d;
    bool loose;
    bool dump;
    ino_t seen[4096]; /* of files with more names, in order */
    size_t seen_count;
};

__attribute__((format(printf, 2, 3))) static void
hash_text(struct hasher *h, const char *fmt, ...)
{
    char line[2048];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    digest_add(&h->d, line, strlen(line));
    if (h->dump)
        print_message("%s", line);
}

/* A captured database is a copy page by page: its rows count, not its bytes. */
static struct id rows_of(const char *path)
{
    char *uri = mem_printf("file:%s?immutable=1", path);
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    struct id id = {{0}};

    if (sqlite3_open_v2(uri, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI,
                        NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(db, "SELECT text FROM chunks", -1, &st, NULL) ==
            SQLITE_OK &&
        sqlite3_step(st) == SQLITE_ROW)
        id = digest_of(sqlite3_column_text(st, 0),
                       (size_t)sqlite3_column_bytes(st, 0));
    sqlite3_finalize(st);
    sqlite3_close(db);
    free(uri);
    return id;
}

/* 0 for the first name of a file, else which earlier one it is the same as. */
static size_t link_number(struct hasher *h, const struct stat *st)
{
    if (st->st_nlink < 2 || S_ISDIR(st->st_mode))
        return 0;
    for (size_t i = 0; i < h->seen_count; i++)
        if (h->seen[i] == st->st_ino)
            return i + 1;
    assert_true(h->seen_count < ARRAY_LEN(h->seen));
    h->seen[h->seen_count++] = st->st_ino;
    return 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static bool counts(const struct hasher *h, const char *name)
{
    if (text_has_prefix(name, ".ocm-"))
        return false;
    return !h->loose ||
           (strcmp(name, "tmp") != 0 && strcmp(name, "cache") != 0 &&
            !text_has_suffix(name, ".sqlite-wal"));
}

static void hash_entry(struct hasher *h, const char *path, const char *name)
{
    struct dirent **list = NULL;
    char value[256], target[512];
    struct buf text = {0};
    struct stat st;
    int n = 0;

    if (lstat(path, &st) < 0) {
        hash_text(h, "%s missing\n", name);
        return;
    }
    hash_text(h, "%s %o %u:%u %lld.%09ld link %zu", name, st.st_mode, st.st_uid,
              st.st_gid, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
              link_number(h, &st));
    if (lgetxattr(path, "user.ocm", value, sizeof(value)) == 4)
        hash_text(h, " xattr %.4s", value);
    if (S_ISLNK(st.st_mode)) {
        ssize_t len = readlink(path, target, sizeof(target) - 1);

        hash_text(h, " -> %.*s", (int)len, target);
    } else if (S_ISREG(st.st_mode)) {
        char hex[65];
        struct id id;

        assert_int_equal(file_read(path, 64u << 20, &text, NULL), 0);
        id = h->loose && text_has_suffix(path, ".sqlite")
                 ? rows_of(path)
                 : digest_of(text.data, text.len);
        id_hex(&id, hex);
        hash_text(h, " %zu %s", text.len, hex);
        buf_free(&text);
    }
    hash_text(h, "\n");
    if (!S_ISDIR(st.st_mode))
        return;
    n = scandir(path, &list, NULL, by_name);
    for (int i = 0; i < n; i++) {
        const char *child = list[i]->d_name;

        if (strcmp(child, ".") != 0 && strcmp(child, "..") != 0 &&
            counts(h, child)) {
            char *sub = path_join(path, child), *rel = path_join(name, child);

            hash_entry(h, sub, rel);
            free(sub);
            free(rel);
        }
        free(list[i]);
    }
    free(list);
}

struct id tree_hash(const char *path, bool loose)
{
    struct hasher h = {.loose = loose};

    digest_init(&h.d);
    hash_entry(&h, path, "");
    return digest_end(&h.d);
}

void tree_dump(const char *path)
{
    struct hasher h = {.dump = true};

    digest_init(&h.d);
    hash_entry(&h, path, "");
}

struct id world_hash(const struct world *w, bool loose)
{
    struct hasher h = {.loose = loose};

    digest_init(&h.d);
    hash_entry(&h, w->state, "state");
    hash_entry(&h, w->ws, "ws");
    return digest_end(&h.d);
}

/* A copy of <dir>/<from> as <dir>/<to>, times, owners and links included. */
static void copy_tree(const struct world *w, const char *from, const char *to)
{
    char *a = path_join(w->dir, from), *b = path_join(w->dir, to);

    assert_int_equal(tree_remove(b, NULL), 0);
    must_run("cp", "-a", a, b);
    free(a);
    free(b);
}

static void make_empty(const char *dir)
{
    assert_int_equal(tree_remove(dir, NULL), 0);
    assert_int_equal(mkdir(dir, 0700), 0);
}

void world_save(const struct world *w)
{
    copy_tree(w, "home", "saved");
}

void world_reset(const struct world *w)
{
    copy_tree(w, "saved", "home");
    make_empty(w->work);
    make_empty(fake.dir);
    fake.health_calls = 0;
}

void world_keep_crashed(const struct world *w)
{
    copy_tree(w, "home", "crashed-home");
    copy_tree(w, "work", "crashed-work");
    copy_tree(w, "gateway", "crashed-gateway");
}

void world_back_to_crashed(const struct world *w)
{
    copy_tree(w, "crashed-home", "home");
    copy_tree(w, "crashed-work", "work");
    copy_tree(w, "crashed-gateway", "gateway");
}

static bool has_name(const char *dir, const char *prefix, const char *suffix)
{
    DIR *d = opendir(dir);
    const struct dirent *entry;
    bool found = false;

    while (d && (entry = readdir(d)) != NULL)
        found |= text_has_prefix(entry->d_name, prefix) &&
                 text_has_suffix(entry->d_name, suffix);
    if (d)
        closedir(d);
    return found;
}

bool world_is_clean(const struct world *w)
{
    return !has_name(w->home, ".ocm-stage-", "") &&
           !has_name(w->state, ".ocm-stage-", "") &&
           !has_name(w->ws, ".ocm-stage-", "") &&
           !has_name(w->work, "apply-", ".journal");
}
