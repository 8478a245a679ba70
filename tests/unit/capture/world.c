/* SPDX-License-Identifier: MIT */
/* The test world: see world.h. */
#include "world.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/capture/cache.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"

static const uint8_t seed[CHUNKER_SEED_LEN] = "the seed of all test captures";

/* --- the repository */

static struct stored *slot_of(struct world *w, const struct id *id,
                              enum blob_type type)
{
    size_t i = read_u32le(id->b) & (w->blob_cap - 1);

    while (w->blobs[i].data &&
           (!id_equal(&w->blobs[i].id, id) || w->blobs[i].type != type))
        i = (i + 1) & (w->blob_cap - 1);
    return &w->blobs[i];
}

static void grow(struct world *w)
{
    struct stored *old = w->blobs;
    size_t cap = w->blob_cap;

    w->blob_cap = cap ? cap * 2 : 1024;
    w->blobs = mem_array(w->blob_cap, sizeof(*w->blobs));
    for (size_t i = 0; i < cap; i++) {
        if (old[i].data)
            *slot_of(w, &old[i].id, old[i].type) = old[i];
    }
    free(old);
}

static int put(void *arg, const struct blob *b, struct error *e)
{
    struct world *w = arg;
    struct zstream *z = zstream_new(1);
    struct buf room = {0};
    const uint8_t *plain;
    struct stored *s;
    int rc;

    w->puts++;
    if (b->type == BLOB_DATA)
        w->data_puts++;
    if (w->on_put)
        w->on_put(w, w->puts);
    if (w->cancel_put == w->puts)
        atomic_store(&w->cancelled, true);
    rc = w->fail_put == w->puts ? error_set(e, OCM_E_CLOSED, "the link is gone")
                                : zstream_open(z, b, &room, &plain, e);
    if (rc == 0) {
        if (w->blob_count * 2 >= w->blob_cap)
            grow(w);
        s = slot_of(w, &b->id, b->type);
        if (s->data)
            rc = error_set(e, OCM_E_EXISTS, "a blob was sent twice");
        else
            w->blob_count++;
    }
    if (rc == 0)
        *s = (struct stored){.id = b->id,
                             .type = b->type,
                             .data = mem_dup(plain, b->raw_len),
                             .len = b->raw_len};
    buf_free(&room);
    zstream_free(z);
    return rc;
}

static int make_meta(void *arg, const struct capture_result *r, struct buf *out,
                     struct error *e)
{
    struct world *w = arg;

    (void)e;
    w->meta_calls++;
    buf_printf(out, "{\"files\":%llu}\n", (unsigned long long)r->files);
    return 0;
}

/* --- life */

int world_setup(void **state)
{
    struct world *w = mem_zalloc(sizeof(*w));

    log_init("test", LOG_ERROR);
    snprintf(w->dir, sizeof(w->dir), "/tmp/ocm-capture-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->src, sizeof(w->src), "%s/src", w->dir);
    snprintf(w->temp, sizeof(w->temp), "%s/temp", w->dir);
    snprintf(w->cache, sizeof(w->cache), "%s/cache", w->dir);
    assert_int_equal(mkdir(w->src, 0755), 0);
    w->roots[0] = (struct capture_root){.at = "data/home", .path = w->src};
    w->sections[0] = (struct capture_section){.name = "home",
                                              .area = "data",
                                              .roots = w->roots,
                                              .root_count = 1,
                                              .rows = w->rows};
    w->o = (struct capture_options){.sections = w->sections,
                                    .section_count = 1,
                                    .cache_path = w->cache,
                                    .cache_key = "key",
                                    .temp_dir = w->temp,
                                    .chunk_seed = seed,
                                    .known = &w->known,
                                    .zstd_level = 1,
                                    .database_ms = 20000,
                                    .make_meta = make_meta,
                                    .put = put,
                                    .arg = w,
                                    .cancelled = &w->cancelled};
    grow(w);
    *state = w;
    return 0;
}

int world_teardown(void **state)
{
    struct world *w = *state;
    DIR *d = opendir(w->temp);
    int left = 0;

    for (struct dirent *f; d && (f = readdir(d)) != NULL;)
        left += f->d_name[0] != '.';
    if (d)
        closedir(d);
    capture_result_fini(&w->r);
    for (size_t i = 0; i < w->blob_cap; i++)
        free(w->blobs[i].data);
    free(w->blobs);
    idset_free(&w->known);
    tree_remove(w->dir, NULL);
    free(w);
    assert_int_equal(left, 0);
    return 0;
}

char *world_path(struct world *w, const char *rel)
{
    return path_join(w->src, rel);
}

static void write_bytes(struct world *w, const char *rel, const void *p,
                        size_t len)
{
    char *path = world_path(w, rel);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(fd_write_all(fd, p, len), 0);
    close(fd);
    free(path);
}

void world_write(struct world *w, const char *rel, const char *text)
{
    write_bytes(w, rel, text, strlen(text));
}

void world_write_random(struct world *w, const char *rel, size_t len)
{
    uint64_t x = 0x9e3779b97f4a7c15 ^ len;
    uint8_t *p = mem_alloc(len);

    for (size_t i = 0; i < len; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        p[i] = (uint8_t)(x >> 24);
    }
    write_bytes(w, rel, p, len);
    free(p);
}

void world_mkdir(struct world *w, const char *rel)
{
    char *path = world_path(w, rel);

    assert_int_equal(mkdir(path, 0750), 0);
    free(path);
}

/* --- runs */

int world_run(struct world *w)
{
    capture_result_fini(&w->r);
    w->e = (struct error){0};
    w->puts = w->data_puts = w->meta_calls = 0;
    return capture_run(&w->o, &w->r, &w->e);
}

void world_write_cache(struct world *w, const void *p, size_t len)
{
    int fd = open(w->cache, O_WRONLY | O_TRUNC);

    assert_int_equal(fd_write_all(fd, p, len), 0);
    close(fd);
}

void world_age_cache(struct world *w)
{
    const int64_t hour_ns = INT64_C(3600) * 1000000000;
    size_t start_at = CACHE_HEAD_LEN - 8;
    struct buf b = {0};
    struct id sum;
    int64_t start;

    assert_int_equal(file_read(w->cache, 1 << 28, &b, NULL), 0);
    start = (int64_t)read_u64le(b.data + start_at) + hour_ns;
    write_u32le(b.data + start_at, (uint32_t)start);
    write_u32le(b.data + start_at + 4, (uint32_t)(start >> 32));
    sum = digest_of(b.data + CACHE_KEY_OFFSET + ID_LEN,
                    b.len - CACHE_KEY_OFFSET - 2 * ID_LEN);
    memcpy(b.data + b.len - ID_LEN, sum.b, ID_LEN);
    world_write_cache(w, b.data, b.len);
    buf_free(&b);
}

void world_backup(struct world *w)
{
    int rc = world_run(w);

    if (rc < 0)
        fail_msg("capture: %s", w->e.text);
    if (w->o.cache_path) {
        assert_int_equal(capture_cache_commit(w->cache, "key", &w->e), 0);
        world_age_cache(w);
    }
}

/* --- the snapshot */

static const struct stored *blob_of(struct world *w, const struct id *id,
                                    enum blob_type type)
{
    const struct stored *s = slot_of(w, id, type);

    assert_non_null(s->data);
    return s;
}

static void parse(struct world *w, const struct id *id, struct tree *out)
{
    const struct stored *s = blob_of(w, id, BLOB_TREE);
    struct error e = {0};

    if (tree_parse(s->data, s->len, out, &e) < 0)
        fail_msg("tree: %s", e.text);
}

/* Walk down `path`; `t` holds the tree of the last part. */
static const struct tree_node *descend(struct world *w, const char *path,
                                       struct tree *t)
{
    const struct tree_node *n = NULL;
    struct id id = w->r.root;

    for (;;) {
        size_t len = strcspn(path, "/");

        parse(w, &id, t);
        n = tree_find(t, path, len);
        if (!n || path[len] == 0)
            return n;
        id = n->subtree;
        path += len + 1;
        tree_free(t);
    }
}

bool world_node(struct world *w, const char *path, struct tree_node *out)
{
    struct tree t = {0};
    const struct tree_node *n = descend(w, path, &t);
    bool found = n != NULL;

    if (found)
        *out = *n;
    tree_free(&t);
    return found;
}

void world_tree(struct world *w, const char *path, struct tree *out)
{
    struct tree_node n = {.subtree = w->r.root};

    if (*path)
        assert_true(world_node(w, path, &n));
    parse(w, &n.subtree, out);
}

static uint8_t *content_of(struct world *w, const struct tree_node *n)
{
    uint8_t *out = mem_alloc(n->size + 1);
    size_t at = 0;

    for (size_t i = 0; i < n->content_count; i++) {
        const struct stored *s = blob_of(w, &n->content[i], BLOB_DATA);

        assert_true(at + s->len <= n->size);
        memcpy(out + at, s->data, s->len);
        at += s->len;
    }
    assert_int_equal(at, n->size);
    out[at] = 0;
    return out;
}

uint8_t *world_content(struct world *w, const char *path, size_t *len)
{
    struct tree t = {0};
    const struct tree_node *n = descend(w, path, &t);
    uint8_t *out = n ? content_of(w, n) : NULL;

    if (n && len)
        *len = n->size;
    tree_free(&t);
    return out;
}

void world_assert_text(struct world *w, const char *path, const char *text)
{
    char *got = (char *)world_content(w, path, NULL);

    assert_non_null(got);
    assert_string_equal(got, text);
    free(got);
}

bool world_has_problem(struct world *w, const char *path, const char *reason)
{
    for (size_t i = 0; i < w->r.problem_count; i++) {
        if (strcmp(w->r.problems[i].path, path) == 0 &&
            strstr(w->r.problems[i].reason, reason))
            return true;
    }
    return false;
}

static int64_t ns(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static enum tree_type type_of(mode_t mode)
{
    return S_ISDIR(mode)    ? TREE_DIR
           : S_ISLNK(mode)  ? TREE_SYMLINK
           : S_ISFIFO(mode) ? TREE_FIFO
                            : TREE_FILE;
}

static void assert_file(struct world *w, const struct tree_node *n,
                        const char *path)
{
    struct buf b = {0};
    uint8_t *got = content_of(w, n);

    assert_int_equal(file_read(path, 1 << 28, &b, NULL), 0);
    assert_int_equal(n->size, b.len);
    assert_true(b.len == 0 || memcmp(got, b.data, b.len) == 0);
    buf_free(&b);
    free(got);
}

static void assert_node(struct world *w, const struct tree_node *n, int fd,
                        const char *name)
{
    char path[64 + NAME_MAX], target[PATH_MAX];
    struct stat st;
    ssize_t len;

    assert_int_equal(fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", fd, name);
    assert_int_equal(n->type, type_of(st.st_mode));
    assert_int_equal(n->mode, st.st_mode & 07777);
    assert_int_equal(n->uid, st.st_uid);
    assert_int_equal(n->gid, st.st_gid);
    assert_true(n->mtime_ns == ns(st.st_mtim));
    assert_true(n->ctime_ns == ns(st.st_ctim));
    assert_true(n->inode == st.st_ino);
    assert_true(n->device_id == st.st_dev);
    switch (n->type) {
    case TREE_FILE:
        assert_int_equal(n->links, st.st_nlink);
        assert_file(w, n, path);
        break;
    case TREE_SYMLINK:
        len = readlink(path, target, sizeof(target) - 1);
        assert_true(len >= 0);
        target[len] = 0;
        assert_string_equal(n->linktarget, target);
        break;
    default:
        assert_int_equal(n->size, 0);
        break;
    }
}

static void same_below(struct world *w, const struct id *tree, int fd)
{
    struct tree t;
    DIR *d = fdopendir(dup(fd));
    size_t live = 0;

    assert_non_null(d);
    parse(w, tree, &t);
    for (size_t i = 0; i < t.count; i++) {
        const struct tree_node *n = &t.nodes[i];
        int sub;

        assert_node(w, n, fd, n->name);
        if (i > 0)
            assert_true(strcmp(t.nodes[i - 1].name, n->name) < 0);
        if (n->type != TREE_DIR)
            continue;
        sub = openat(fd, n->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        assert_true(sub >= 0);
        same_below(w, &n->subtree, sub);
        close(sub);
    }
    for (struct dirent *f; (f = readdir(d)) != NULL;)
        live += f->d_type != DT_SOCK && strcmp(f->d_name, ".") != 0 &&
                strcmp(f->d_name, "..") != 0;
    assert_int_equal(live, t.count);
    closedir(d);
    tree_free(&t);
}

void world_assert_same(struct world *w, const char *at, const char *live)
{
    int fd = open(live, O_RDONLY | O_DIRECTORY);
    struct tree_node n;

    assert_true(fd >= 0);
    assert_true(world_node(w, at, &n));
    assert_int_equal(n.type, TREE_DIR);
    same_below(w, &n.subtree, fd);
    close(fd);
}

/* --- sums */

struct sums {
    char *text;
    size_t files;
};

static void escape(struct buf *out, const char *path)
{
    for (; *path; path++) {
        if (*path == '\\' || *path == '\n' || *path == '\r') {
            buf_add_byte(out, '\\');
            buf_add_byte(out, *path == '\\' ? '\\' : *path == '\n' ? 'n' : 'r');
        } else {
            buf_add_byte(out, (uint8_t)*path);
        }
    }
}

static void sums_below(struct world *w, const struct id *tree, const char *path,
                       struct sums *s)
{
    struct tree t;

    parse(w, tree, &t);
    for (size_t i = 0; i < t.count; i++) {
        const struct tree_node *n = &t.nodes[i];
        char *sub = path_join(path, n->name), hex[ID_HEX_LEN + 1];
        struct buf line = {0};
        struct id sum;
        uint8_t *data;

        if (n->type == TREE_DIR)
            sums_below(w, &n->subtree, sub, s);
        if (n->type == TREE_FILE && strcmp(sub, "verify/SHA256SUMS") != 0) {
            data = content_of(w, n);
            sum = digest_of(data, n->size);
            id_hex(&sum, hex);
            if (strpbrk(sub, "\\\n\r"))
                buf_add_byte(&line, '\\');
            buf_printf(&line, "%s  ", hex);
            escape(&line, sub);
            buf_add_byte(&line, '\n');
            assert_non_null(strstr(s->text, buf_str(&line)));
            s->files++;
            free(data);
        }
        buf_free(&line);
        free(sub);
    }
    tree_free(&t);
}

void world_assert_sums(struct world *w)
{
    struct sums s = {.text =
                         (char *)world_content(w, "verify/SHA256SUMS", NULL)};
    size_t lines = 0;

    assert_non_null(s.text);
    sums_below(w, &w->r.root, "", &s);
    for (const char *p = s.text; *p; p++)
        lines += *p == '\n';
    assert_int_equal(lines, s.files);
    free(s.text);
}
