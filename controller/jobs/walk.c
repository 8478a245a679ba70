/* SPDX-License-Identifier: MIT */
#include "controller/jobs/walk.h"

#include <stdlib.h>

#include "common/base/buf.h"

struct walk {
    struct repo *r;
    bool recursive;
    walk_fn *fn;
    void *arg;
    struct buf path;
    struct error *e;
};

int walk_read_tree(struct repo *r, const struct id *id, struct tree *out,
                   struct error *e)
{
    struct buf b = {0};
    int rc = repo_read(r, id, BLOB_TREE, &b, e);

    if (rc == 0)
        rc = tree_parse(b.data, b.len, out, e);
    buf_free(&b);
    return rc;
}

static int walk_tree(struct walk *w, const struct id *id, int depth)
{
    size_t base = w->path.len;
    struct tree t;
    int rc;

    if (depth > WALK_MAX_DEPTH)
        return error_set(w->e, OCM_E_LIMIT, "%s: deeper than %d folders",
                         buf_str(&w->path), WALK_MAX_DEPTH);
    rc = walk_read_tree(w->r, id, &t, w->e);
    if (rc < 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < t.count; i++) {
        const struct tree_node *n = &t.nodes[i];

        w->path.len = base;
        if (base > 0)
            buf_add_byte(&w->path, '/');
        buf_add(&w->path, n->name, n->name_len);
        rc = w->fn(w->arg, buf_str(&w->path), n);
        if (rc == 0 && w->recursive && n->type == TREE_DIR)
            rc = walk_tree(w, &n->subtree, depth + 1);
    }
    w->path.len = base;
    tree_free(&t);
    return rc;
}

int walk_snapshot(struct repo *r, const struct id *root, const char *path,
                  bool recursive, walk_fn *fn, void *arg, struct error *e)
{
    struct walk w = {
        .r = r, .recursive = recursive, .fn = fn, .arg = arg, .e = e};
    struct tree holder = {0};
    const struct tree_node *n;
    int rc;

    if (!*path) {
        rc = walk_tree(&w, root, 0);
    } else {
        rc = repo_lookup(r, root, path, &holder, &n, e);
        if (rc < 0)
            return rc;
        buf_add_str(&w.path, path);
        rc = n->type == TREE_DIR ? walk_tree(&w, &n->subtree, 0)
                                 : fn(arg, path, n);
        tree_free(&holder);
    }
    buf_free(&w.path);
    return rc == WALK_STOP ? 0 : rc;
}
