/* SPDX-License-Identifier: MIT */
/* Trees from a sorted list: each folder is a run of entries, written when it
 * ends. Folders that the archive did not name get plain attributes. */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "controller/jobs/import_internal.h"

/* Order of a walk: parts are compared one by one, so that what is below "a"
 * stands together, before "a-b". '/' therefore sorts before all. */
static int compare_paths(const char *a, const char *b)
{
    for (;; a++, b++) {
        unsigned char x = (unsigned char)*a, y = (unsigned char)*b;

        if (x == y) {
            if (x == '\0')
                return 0;
            continue;
        }
        if (x == '\0' || y == '\0')
            return x == '\0' ? -1 : 1;
        if (x == '/' || y == '/')
            return x == '/' ? -1 : 1;
        return x < y ? -1 : 1;
    }
}

static int by_path(const void *a, const void *b)
{
    const struct import_entry *x = a, *y = b;

    return compare_paths(x->path, y->path);
}

struct writer {
    struct import *im;
    size_t next; /* entry not written yet */
};

static void fill_node(const struct import_entry *en, const char *name,
                      size_t len, struct tree_node *n)
{
    memset(n, 0, sizeof(*n));
    n->name = name;
    n->name_len = len;
    n->type = en->type;
    n->mode = en->mode;
    n->mtime_ns = n->atime_ns = n->ctime_ns = en->mtime_ns;
    n->uid = en->uid;
    n->gid = en->gid;
    n->user = en->user;
    n->group = en->group;
    n->size = en->type == TREE_FILE ? en->size : 0;
    n->inode = en->link;
    n->links = en->type == TREE_FILE ? (en->links ? en->links : 1) : 0;
    n->linktarget = en->target;
    n->content = en->content;
    n->content_count = en->content_count;
    n->xattrs = en->xattrs;
    n->xattr_count = en->xattr_count;
}

static const struct import_entry plain_folder = {
    .type = TREE_DIR,
    .mode = 0700,
    .user = (char *)"",
    .group = (char *)"",
};

static bool is_below(const char *path, const char *dir, size_t len)
{
    return len == 0 || (strncmp(path, dir, len) == 0 && path[len] == '/');
}

/* The folder `dir` (len bytes, "" the root): all entries below it. Depth is
 * bounded by IMPORT_MAX_DEPTH, checked when the entries were read. */
static int write_folder(struct writer *w, const char *dir, size_t len,
                        struct id *out)
{
    struct import *im = w->im;
    struct buf b = {0};
    size_t from = len ? len + 1 : 0;
    int rc = 0;

    tree_begin(&b);
    while (rc == 0 && w->next < im->count &&
           is_below(im->entries[w->next].path, dir, len)) {
        const struct import_entry *en = &im->entries[w->next];
        const char *name = en->path + from;
        size_t name_len = strcspn(name, "/");
        struct tree_node n;

        if (name[name_len] == '\0') {
            fill_node(en, name, name_len, &n);
            w->next++;
        } else {
            fill_node(&plain_folder, name, name_len, &n);
        }
        if (n.type == TREE_DIR)
            rc = write_folder(w, en->path, from + name_len, &n.subtree);
        if (rc == 0)
            tree_add(&b, &n);
    }
    tree_end(&b);
    if (rc == 0 && b.len > BLOB_TREE_MAX)
        rc = error_set(im->e, OCM_E_LIMIT, "%.*s: too many entries", (int)len,
                       dir);
    if (rc == 0)
        rc = repo_writer_add(im->w, BLOB_TREE, b.data, b.len, out, im->e);
    buf_free(&b);
    return rc;
}

/* A name may stand once, and what is below something must be below a folder. */
static int check_list(const struct import *im)
{
    for (size_t i = 1; i < im->count; i++) {
        const struct import_entry *a = &im->entries[i - 1];
        const struct import_entry *b = &im->entries[i];

        if (strcmp(a->path, b->path) == 0)
            return error_set(im->e, OCM_E_DENIED, "%s stands twice in it",
                             b->path);
        if (a->type != TREE_DIR && is_below(b->path, a->path, strlen(a->path)))
            return error_set(im->e, OCM_E_DENIED, "%s is below no folder",
                             b->path);
    }
    return 0;
}

int import_write_trees(struct import *im, struct id *root)
{
    struct writer w = {im, 0};
    size_t kept = 0;
    int rc;

    for (size_t i = 0; i < im->count; i++) {
        if (im->entries[i].path)
            im->entries[kept++] = im->entries[i];
        else
            import_entry_fini(&im->entries[i]);
    }
    im->count = kept;
    if (kept > 0)
        qsort(im->entries, kept, sizeof(*im->entries), by_path);
    rc = check_list(im);
    return rc < 0 ? rc : write_folder(&w, "", 0, root);
}
