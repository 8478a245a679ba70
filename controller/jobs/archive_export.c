/* SPDX-License-Identifier: MIT */
/* Walk -> one header per entry, then its blobs -> pax -> zstd -> sink. */
#include "controller/jobs/archive_export.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "controller/jobs/walk.h"

#define NS_PER_S 1000000000

struct export
{
    struct repo *r;
    struct archive *a;
    struct archive_entry_linkresolver *links;
    archive_sink *sink;
    void *arg;
    struct buf blob;
    int sink_rc;
    struct error *e;
};

static la_ssize_t write_out(struct archive *a, void *arg, const void *p,
                            size_t len)
{
    struct export *x = arg;

    if (x->sink_rc == 0)
        x->sink_rc = x->sink(x->arg, p, len, x->e);
    if (x->sink_rc == 0)
        return (la_ssize_t)len;
    archive_set_error(a, EIO, "the reader is gone");
    return -1;
}

static int library_failed(struct export *x, const char *what)
{
    if (x->sink_rc < 0)
        return x->sink_rc;
    return error_set(x->e, OCM_E_FAILED, "%s: %s", what,
                     archive_error_string(x->a) ? archive_error_string(x->a)
                                                : "cannot be written");
}

static void describe(struct archive_entry *en, const char *path,
                     const struct tree_node *n)
{
    int64_t s = n->mtime_ns / NS_PER_S, ns = n->mtime_ns % NS_PER_S;

    if (ns < 0) {
        ns += NS_PER_S;
        s--;
    }
    archive_entry_set_pathname(en, path);
    archive_entry_set_perm(en, n->mode & 07777);
    archive_entry_set_mtime(en, (time_t)s, (long)ns);
    archive_entry_set_uid(en, n->uid);
    archive_entry_set_gid(en, n->gid);
    if (n->user[0])
        archive_entry_set_uname(en, n->user);
    if (n->group[0])
        archive_entry_set_gname(en, n->group);
    for (size_t i = 0; i < n->xattr_count; i++)
        archive_entry_xattr_add_entry(en, n->xattrs[i].name, n->xattrs[i].value,
                                      n->xattrs[i].value_len);
    archive_entry_set_nlink(en, 1); /* 0 would make links of all of them */
    if (n->type == TREE_DIR) {
        archive_entry_set_filetype(en, AE_IFDIR);
    } else if (n->type == TREE_SYMLINK) {
        archive_entry_set_filetype(en, AE_IFLNK);
        archive_entry_set_symlink(en, n->linktarget);
    } else {
        archive_entry_set_filetype(en, AE_IFREG);
        archive_entry_set_size(en, (la_int64_t)n->size);
        archive_entry_set_ino64(en, (la_int64_t)n->inode);
        archive_entry_set_dev(en, (dev_t)n->device_id);
        if (n->links > 1)
            archive_entry_set_nlink(en, (unsigned)n->links);
    }
}

static int write_content(struct export *x, const char *path,
                         const struct tree_node *n)
{
    uint64_t done = 0;

    for (size_t i = 0; i < n->content_count; i++) {
        int rc;

        buf_clear(&x->blob);
        rc = repo_read(x->r, &n->content[i], BLOB_DATA, &x->blob, x->e);
        if (rc < 0)
            return error_prefix(x->e, "%s", path);
        done += x->blob.len;
        if (done > n->size)
            break;
        if (archive_write_data(x->a, x->blob.data, x->blob.len) !=
            (la_ssize_t)x->blob.len)
            return library_failed(x, path);
    }
    if (done != n->size)
        return error_set(x->e, OCM_E_DAMAGED,
                         "%s: its content is not as long as its entry says",
                         path);
    return 0;
}

static int write_entry(void *arg, const char *path, const struct tree_node *n)
{
    struct export *x = arg;
    struct archive_entry *en, *unused = NULL;
    int rc = 0;

    if (n->type != TREE_FILE && n->type != TREE_DIR &&
        n->type != TREE_SYMLINK) {
        log_warn("export: %s is left out: no file, folder or link", path);
        return 0;
    }
    en = archive_entry_new();
    describe(en, path, n);
    /* A second name of a file becomes a link to the first. */
    archive_entry_linkify(x->links, &en, &unused);
    if (archive_write_header(x->a, en) < ARCHIVE_WARN)
        rc = library_failed(x, path);
    else if (n->type == TREE_FILE && !archive_entry_hardlink(en))
        rc = write_content(x, path, n);
    archive_entry_free(en);
    archive_entry_free(unused);
    return rc;
}

static int run(struct export *x, const struct id *root)
{
    uint64_t entries;
    int rc = walk_measure(x->r, root, &entries, x->e);

    if (rc < 0)
        return error_prefix(x->e, "export");
    if (archive_write_set_format_pax(x->a) != ARCHIVE_OK ||
        archive_write_add_filter_zstd(x->a) != ARCHIVE_OK ||
        archive_write_set_bytes_in_last_block(x->a, 1) != ARCHIVE_OK)
        return library_failed(x, "export");
    archive_entry_linkresolver_set_strategy(x->links, archive_format(x->a));
    if (archive_write_open2(x->a, x, NULL, write_out, NULL, NULL) != ARCHIVE_OK)
        return library_failed(x, "export");
    rc = walk_snapshot(x->r, root, "", true, write_entry, x, x->e);
    if (rc == 0 && archive_write_close(x->a) != ARCHIVE_OK)
        rc = library_failed(x, "export");
    return rc;
}

int archive_export(struct repo *r, const struct id *root, archive_sink *sink,
                   void *arg, struct error *e)
{
    /* The pax writer turns names into UTF-8 from the locale of its thread. */
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    locale_t before = utf8 ? uselocale(utf8) : (locale_t)0;
    struct export x = {
        .r = r,
        .a = archive_write_new(),
        .links = archive_entry_linkresolver_new(),
        .sink = sink,
        .arg = arg,
        .e = e,
    };
    int rc = run(&x, root);

    /* Nothing more goes out of an export that failed: not even its end. */
    if (rc < 0)
        x.sink_rc = rc;
    archive_write_free(x.a);
    archive_entry_linkresolver_free(x.links);
    buf_wipe(&x.blob);
    if (utf8) {
        uselocale(before);
        freelocale(utf8);
    }
    return rc;
}
