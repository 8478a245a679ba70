/* SPDX-License-Identifier: MIT */
#include "controller/jobs/walk.h"

#include <stdlib.h>

#include "common/base/buf.h"
#include "controller/repo/id_table.h"

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

    if (rc == 0) {
        rc = tree_parse(b.data, b.len, out, e);
        if (rc < 0) {
            char hex[ID_HEX_LEN + 1];

            id_hex(id, hex);
            error_prefix(e, "%.12s", hex);
        }
    }
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
        return error_prefix(w->e, "folder /%s", buf_str(&w->path));
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

/* ---- counting ---- */

static int measure(struct repo *r, struct id_table *memo, const struct id *id,
                   int depth, uint64_t *entries, struct error *e)
{
    const struct id_entry *seen = id_table_find(memo, id, BLOB_TREE);
    struct tree t;
    bool fresh;
    int rc;

    *entries = seen ? seen->value : 0;
    if (seen)
        return 0;
    if (depth > WALK_MAX_DEPTH)
        return error_set(e, OCM_E_LIMIT, "deeper than %d folders",
                         WALK_MAX_DEPTH);
    rc = walk_read_tree(r, id, &t, e);
    if (rc < 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < t.count; i++) {
        uint64_t below = 0;

        if (t.nodes[i].type == TREE_DIR)
            rc = measure(r, memo, &t.nodes[i].subtree, depth + 1, &below, e);
        *entries += below + 1;
        if (rc == 0 && *entries > WALK_MAX_ENTRIES)
            rc = error_set(e, OCM_E_LIMIT, "more than %d entries",
                           WALK_MAX_ENTRIES);
    }
    tree_free(&t);
    if (rc == 0)
        id_table_add(memo, id, BLOB_TREE, &fresh)->value = *entries;
    return rc;
}

int walk_measure(struct repo *r, const struct id *root, uint64_t *entries,
                 struct error *e)
{
    struct id_table memo = {0};
    int rc = measure(r, &memo, root, 0, entries, e);

    id_table_free(&memo);
    return rc;
}
