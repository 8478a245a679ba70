/* SPDX-License-Identifier: MIT */
/* Reading an archive: entry by entry, names and kinds judged first, contents
 * chunked into the repository as they come, so that memory holds the list of
 * entries and one chunk. Then: what is it (import_map) -> trees -> flush ->
 * snapshot. Nothing points to what was stored before a failure. */
#include "controller/jobs/archive_import.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <locale.h>
#include <search.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/data/chunker.h"
#include "controller/jobs/import_internal.h"

#define READ_BLOCK (128 * 1024)
#define MAX_WARNINGS 200
#define MAX_XATTRS 64
#define MAX_XATTR_BYTES (256 * 1024)
#define NS_PER_S 1000000000

struct reader {
    struct import *im;
    struct archive *a;
    struct chunker chunker;
    struct buf pending; /* content read and not cut yet */
    uint64_t archive_bytes;
    uint64_t last_link;
    void *names; /* tsearch tree of struct named: files, for hard links */
};

struct named {
    const char *path; /* of the entry */
    size_t index;
};

static int by_name(const void *a, const void *b)
{
    const struct named *x = a, *y = b;

    return strcmp(x->path, y->path);
}

static void remember_name(struct reader *r, size_t index)
{
    struct named *n = mem_alloc(sizeof(*n));
    struct named **have;

    n->path = r->im->entries[index].path;
    n->index = index;
    have = tsearch(n, &r->names, by_name);
    if (have && *have != n)
        free(n); /* a second entry of this name: refused when all is read */
}

void import_warn(struct import *im, const char *fmt, ...)
{
    char text[512];
    struct buf safe = {0};
    va_list ap;

    if (json_array_size(im->warnings) >= MAX_WARNINGS)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    text_escape(&safe, text, strlen(text));
    json_array_append_new(im->warnings,
                          json_stringn((const char *)safe.data, safe.len));
    buf_free(&safe);
}

void import_entry_fini(struct import_entry *en)
{
    for (size_t i = 0; i < en->xattr_count; i++) {
        free((char *)en->xattrs[i].name);
        free((uint8_t *)en->xattrs[i].value);
    }
    free(en->xattrs);
    free(en->path);
    free(en->user);
    free(en->group);
    free(en->target);
    free(en->content);
    memset(en, 0, sizeof(*en));
}

static struct import_entry *new_entry(struct import *im)
{
    struct import_entry *en;

    im->entries =
        mem_grow(im->entries, &im->cap, im->count + 1, sizeof(*im->entries));
    en = &im->entries[im->count++];
    memset(en, 0, sizeof(*en));
    return en;
}

static int broken(struct reader *r)
{
    const char *why = archive_error_string(r->a);

    return error_set(r->im->e, OCM_E_DAMAGED, "the archive is broken: %s",
                     why ? why : "unknown reason");
}

/* ---- names and kinds ---- */

/* "./a/b/" is "a/b"; NULL when it is not a plain relative path. */
static char *clean_name(const char *name)
{
    size_t len;

    while (strncmp(name, "./", 2) == 0)
        name += 2 + strspn(name + 2, "/");
    len = strlen(name);
    while (len > 0 && name[len - 1] == '/')
        len--;
    if (len == 1 && name[0] == '.')
        len = 0;
    if (len > IMPORT_MAX_PATH || (len > 0 && !path_is_safe(name, len)))
        return NULL;
    return mem_strndup(name, len);
}

static int depth_of(const char *path)
{
    int depth = 1;

    for (; *path; path++)
        depth += *path == '/';
    return depth;
}

static int denied(struct reader *r, const char *name, const char *why)
{
    struct buf safe = {0};

    text_escape(&safe, name, strnlen(name, 200));
    error_set(r->im->e, OCM_E_DENIED, "%s: %s", buf_str(&safe), why);
    buf_free(&safe);
    return OCM_E_DENIED;
}

static int judge(struct reader *r, struct archive_entry *ae, const char *name,
                 const char *path)
{
    if (!path)
        return denied(r, name, "no plain path inside the archive");
    if (depth_of(path) > IMPORT_MAX_DEPTH)
        return denied(r, name, "too many folders deep");
    if (r->im->count >= IMPORT_MAX_ENTRIES)
        return error_set(r->im->e, OCM_E_LIMIT, "more than %d entries",
                         IMPORT_MAX_ENTRIES);
    if (archive_entry_hardlink(ae))
        return 0;
    switch (archive_entry_filetype(ae)) {
    case AE_IFREG:
    case AE_IFDIR:
    case AE_IFLNK:
        return 0;
    default:
        return denied(r, name, "devices, pipes and sockets are not taken");
    }
}

static char *text_or_empty(const char *s)
{
    return mem_strdup(s && utf8_is_valid(s, strlen(s)) ? s : "");
}

static void take_xattrs(struct import_entry *en, struct archive_entry *ae)
{
    size_t total = 0, len;
    const char *name;
    const void *value;
    int count = archive_entry_xattr_reset(ae);

    if (count <= 0 || count > MAX_XATTRS)
        return;
    en->xattrs = mem_array((size_t)count, sizeof(*en->xattrs));
    while (archive_entry_xattr_next(ae, &name, &value, &len) == ARCHIVE_OK) {
        struct tree_xattr *x = &en->xattrs[en->xattr_count];

        total += len;
        if (!name || !text_has_prefix(name, "user.") || total > MAX_XATTR_BYTES)
            continue;
        x->name = mem_strdup(name);
        x->value = len ? mem_dup(value, len) : NULL;
        x->value_len = len;
        en->xattr_count++;
    }
}

static void take_attributes(struct import *im, struct import_entry *en,
                            struct archive_entry *ae)
{
    mode_t mode = archive_entry_perm(ae);
    int64_t s = archive_entry_mtime(ae);

    if (mode & 07000)
        import_warn(im, "%s: setuid, setgid or sticky bit dropped", en->path);
    en->mode = mode & 0777;
    if (s > INT64_MAX / NS_PER_S - 1 || s < INT64_MIN / NS_PER_S + 1)
        s = 0;
    en->mtime_ns = s * NS_PER_S + archive_entry_mtime_nsec(ae);
    en->uid = (uint32_t)archive_entry_uid(ae);
    en->gid = (uint32_t)archive_entry_gid(ae);
    en->user = text_or_empty(archive_entry_uname(ae));
    en->group = text_or_empty(archive_entry_gname(ae));
    take_xattrs(en, ae);
}

/* ---- contents ---- */

static int store_chunk(struct reader *r, struct import_entry *en, size_t *cap,
                       size_t len)
{
    struct import *im = r->im;
    struct id id;
    int rc =
        repo_writer_add(im->w, BLOB_DATA, r->pending.data, len, &id, im->e);

    if (rc < 0)
        return rc;
    en->content =
        mem_grow(en->content, cap, en->content_count + 1, sizeof(*en->content));
    en->content[en->content_count++] = id;
    buf_consume(&r->pending, len);
    return 0;
}

/* Small files that say what the archive is are kept beside. */
static struct buf *kept_copy(struct import *im, const char *path, size_t *max)
{
    const char *slash = strchr(path, '/');

    *max = IMPORT_MAX_META;
    if (strcmp(path, "meta.json") == 0)
        return &im->meta;
    if (strcmp(path, "verify/SHA256SUMS") == 0) {
        *max = IMPORT_MAX_SUMS;
        return &im->sums;
    }
    if (slash && strcmp(slash, "/manifest.json") == 0)
        return &im->manifest;
    return NULL;
}

static int check_sizes(struct reader *r)
{
    struct import *im = r->im;
    uint64_t packed = (uint64_t)archive_filter_bytes(r->a, -1);

    if (im->o->cancelled && atomic_load(im->o->cancelled))
        return error_set(im->e, OCM_E_CANCELLED, "cancelled");
    if (im->bytes > IMPORT_MAX_BYTES)
        return error_set(im->e, OCM_E_LIMIT, "more than %lld bytes of content",
                         (long long)IMPORT_MAX_BYTES);
    if (im->bytes > IMPORT_RATIO_FROM && im->bytes / IMPORT_MAX_RATIO > packed)
        return error_set(im->e, OCM_E_LIMIT,
                         "it unpacks to more than %d times its size: refused",
                         IMPORT_MAX_RATIO);
    return 0;
}

static int read_content(struct reader *r, struct import_entry *en)
{
    struct import *im = r->im;
    size_t keep_max, cap = 0;
    struct buf *keep = kept_copy(im, en->path, &keep_max);
    struct digest sum;
    int rc = 0;

    digest_init(&sum);
    buf_clear(&r->pending);
    if (keep)
        buf_clear(keep);
    for (;;) {
        uint8_t *at = buf_reserve(&r->pending, READ_BLOCK);
        la_ssize_t n = archive_read_data(r->a, at, READ_BLOCK);

        if (n < 0)
            return broken(r);
        if (n == 0)
            break;
        digest_add(&sum, at, (size_t)n);
        r->pending.len += (size_t)n;
        en->size += (uint64_t)n;
        im->bytes += (uint64_t)n;
        if (keep && en->size > keep_max)
            return denied(r, en->path, "too large for what it is");
        if (keep)
            buf_add(keep, at, (size_t)n);
        rc = check_sizes(r);
        while (rc == 0 && r->pending.len >= CHUNK_MAX + CHUNK_WHOLE)
            rc = store_chunk(
                r, en, &cap,
                chunker_cut(&r->chunker, r->pending.data, r->pending.len));
        if (rc < 0)
            return rc;
    }
    while (rc == 0 && r->pending.len > 0) {
        size_t len =
            en->size < CHUNK_WHOLE
                ? r->pending.len
                : chunker_cut(&r->chunker, r->pending.data, r->pending.len);

        rc = store_chunk(r, en, &cap, len);
    }
    en->sum = digest_end(&sum);
    return rc;
}

/* A hard link to a file that came before: the same content, one inode. */
static int take_link(struct reader *r, struct import_entry *en,
                     const char *target)
{
    struct import *im = r->im;
    char *path = clean_name(target);
    struct named key = {path, 0}, **found;
    struct import_entry *first;

    found = path ? tfind(&key, &r->names, by_name) : NULL;
    free(path);
    if (!found)
        return denied(r, en->path, "a hard link to no file of the archive");
    first = &im->entries[(*found)->index];
    if (!first->link) {
        first->link = ++r->last_link;
        first->links = 1;
    }
    en->links = ++first->links;
    en->link = first->link;
    /* one inode, one set of attributes */
    en->mode = first->mode;
    en->mtime_ns = first->mtime_ns;
    en->uid = first->uid;
    en->gid = first->gid;
    en->size = first->size;
    en->sum = first->sum;
    en->content_count = first->content_count;
    en->content =
        mem_dup(first->content, first->content_count * sizeof(*en->content));
    im->bytes += en->size;
    return 0;
}

static int take_entry(struct reader *r, struct archive_entry *ae)
{
    struct import *im = r->im;
    const char *name = archive_entry_pathname(ae);
    const char *link = archive_entry_hardlink(ae);
    char *path = name ? clean_name(name) : NULL;
    struct import_entry *en;
    int rc = judge(r, ae, name ? name : "(no name)", path);

    if (rc < 0 || !*path) { /* the root itself says nothing */
        free(path);
        return rc;
    }
    en = new_entry(im);
    en->path = path;
    take_attributes(im, en, ae);
    if (link) {
        en->type = TREE_FILE;
        rc = take_link(r, en, link);
    } else if (archive_entry_filetype(ae) == AE_IFLNK) {
        en->type = TREE_SYMLINK;
        en->target = mem_strdup(archive_entry_symlink(ae));
        if (!en->target || !*en->target || strlen(en->target) > IMPORT_MAX_PATH)
            rc = denied(r, path, "a symbolic link to nothing");
    } else if (archive_entry_filetype(ae) == AE_IFDIR) {
        en->type = TREE_DIR;
    } else {
        en->type = TREE_FILE;
        rc = read_content(r, en);
    }
    if (en->type == TREE_FILE) {
        im->files++;
        remember_name(r, im->count - 1);
    }
    return rc;
}

int import_add_file(struct import *im, const char *path, const void *p,
                    size_t len)
{
    struct import_entry *en = new_entry(im);
    struct id id;
    int rc;

    en->path = mem_strdup(path);
    en->type = TREE_FILE;
    en->mode = 0600;
    en->mtime_ns = clock_now_ns();
    en->user = mem_strdup("");
    en->group = mem_strdup("");
    en->size = len;
    en->sum = digest_of(p, len);
    while (len > 0) {
        size_t n = len < CHUNK_MAX ? len : CHUNK_MAX;

        rc = repo_writer_add(im->w, BLOB_DATA, p, n, &id, im->e);
        if (rc < 0)
            return rc;
        en->content = mem_realloc(en->content, (en->content_count + 1) *
                                                   sizeof(*en->content));
        en->content[en->content_count++] = id;
        p = (const uint8_t *)p + n;
        len -= n;
    }
    return 0;
}

/* ---- the whole ---- */

static int read_archive(struct reader *r, int fd)
{
    struct import *im = r->im;
    struct archive_entry *ae;
    int got, rc = 0;

    /* Only the formats we mean; libarchive knows many more. */
    archive_read_support_filter_gzip(r->a);
    archive_read_support_filter_zstd(r->a);
    archive_read_support_format_tar(r->a);
    if (archive_read_open_fd(r->a, fd, READ_BLOCK) != ARCHIVE_OK)
        return error_set(im->e, OCM_E_UNSUPPORTED,
                         "this is no .tar.zst of ours and no .tar.gz of "
                         "openclaw backup create");
    while ((got = archive_read_next_header(r->a, &ae)) != ARCHIVE_EOF) {
        if (got == ARCHIVE_FATAL && im->count == 0)
            return error_set(im->e, OCM_E_UNSUPPORTED,
                             "this is no .tar.zst of ours and no .tar.gz of "
                             "openclaw backup create");
        if (got < ARCHIVE_WARN)
            return broken(r);
        rc = take_entry(r, ae);
        if (rc == 0)
            rc = check_sizes(r);
        if (rc < 0)
            return rc;
        if (im->o->on_progress)
            im->o->on_progress(
                im->o->arg, im->files, (uint64_t)archive_filter_bytes(r->a, -1),
                r->archive_bytes,
                im->entries ? im->entries[im->count - 1].path : "");
    }
    return 0;
}

static int read_file(struct import *im)
{
    struct reader r = {.im = im, .a = archive_read_new()};
    int fd = open(im->o->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    int rc;

    chunker_init(&r.chunker, repo_chunk_seed(im->o->repo));
    if (fd < 0) {
        rc = error_errno(im->e, "%s", im->o->path);
    } else {
        if (fstat(fd, &st) == 0)
            r.archive_bytes = (uint64_t)st.st_size;
        rc = read_archive(&r, fd);
        close(fd);
    }
    archive_read_free(r.a);
    tdestroy(r.names, free);
    buf_wipe(&r.pending);
    return rc;
}

static int seal(struct import *im, const struct id *root, struct id *out)
{
    char *tags[4];
    char *paths[] = {(char *)"/"};
    struct snapshot s = {
        .tree = *root,
        .time_ns = clock_now_ns(),
        .hostname = (char *)im->o->node_name,
        .username = (char *)"ocm",
        .paths = paths,
        .path_count = 1,
        .tags = tags,
        .program_version = (char *)"ocm " OCM_VERSION,
    };
    int rc;

    tags[s.tag_count++] = mem_printf("node=%s", im->o->node_id);
    tags[s.tag_count++] = mem_printf("job=%s", im->o->job);
    tags[s.tag_count++] = mem_strdup("import");
    if (im->partial)
        tags[s.tag_count++] = mem_strdup("partial");
    rc = repo_writer_flush(im->w, im->e);
    if (rc == 0)
        rc = repo_snapshot_save(im->o->repo, &s, im->e);
    *out = s.id;
    for (size_t i = 0; i < s.tag_count; i++)
        free(tags[i]);
    return rc;
}

static int import_all(struct import *im, struct id *snapshot)
{
    struct id root;
    int rc = read_file(im);

    if (rc == 0)
        rc = import_map(im);
    if (rc == 0)
        rc = import_write_trees(im, &root);
    if (rc == 0)
        rc = seal(im, &root, snapshot);
    return rc;
}

int archive_import(const struct import_options *o, json_t *result,
                   struct error *e)
{
    /* Names in pax headers are UTF-8; libarchive asks the thread's locale. */
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    locale_t before = utf8 ? uselocale(utf8) : (locale_t)0;
    struct import im = {
        .o = o,
        .w = repo_writer_new(o->repo, o->node_id),
        .warnings = json_array(),
        .sections = json_array(),
        .e = e,
    };
    char hex[ID_HEX_LEN + 1];
    struct id snapshot;
    int rc = import_all(&im, &snapshot);

    if (rc == 0) {
        id_hex(&snapshot, hex);
        json_object_set_new(result, "snapshot", json_string(hex));
        json_object_set_new(result, "format", json_string(im.format));
        json_object_set_new(result, "state",
                            json_string(im.partial ? "partial" : "complete"));
        json_object_set_new(result, "files",
                            json_integer((json_int_t)im.files));
        json_object_set_new(result, "bytes",
                            json_integer((json_int_t)im.bytes));
        json_object_set(result, "sections", im.sections);
        json_object_set(result, "warnings", im.warnings);
    }
    for (size_t i = 0; i < im.count; i++)
        import_entry_fini(&im.entries[i]);
    free(im.entries);
    buf_wipe(&im.meta);
    buf_free(&im.sums);
    buf_free(&im.manifest);
    json_decref(im.warnings);
    json_decref(im.sections);
    repo_writer_free(im.w);
    if (utf8) {
        uselocale(before);
        freelocale(utf8);
    }
    return rc;
}
