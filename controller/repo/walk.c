/* SPDX-License-Identifier: MIT */
/* Finding one entry of a snapshot, and reading a small file whole. */
#include "controller/repo/repo_internal.h"

#include <string.h>

#include "common/base/mem.h"

#define WALK_DEPTH_MAX 256

/* A tree that holds only the root itself, as a folder without name. */
static const struct tree_node *root_node(const struct id *root,
                                         struct tree *holder)
{
    holder->nodes = mem_array(1, sizeof(*holder->nodes));
    holder->count = 1;
    holder->nodes[0] = (struct tree_node){.name = "",
                                          .type = TREE_DIR,
                                          .mode = 0700,
                                          .user = "",
                                          .group = "",
                                          .subtree = *root};
    return holder->nodes;
}

int repo_lookup(struct repo *r, const struct id *root, const char *path,
                struct tree *holder, const struct tree_node **out,
                struct error *e)
{
    const char *at = path;
    struct id id = *root;

    *holder = (struct tree){0};
    *out = NULL;
    if (!*at) {
        *out = root_node(root, holder);
        return 0;
    }
    for (int depth = 0; depth < WALK_DEPTH_MAX; depth++) {
        const char *end = strchrnul(at, '/');
        const struct tree_node *n;
        int rc = read_tree(r, &id, holder, e);

        if (rc < 0)
            return rc;
        n = tree_find(holder, at, (size_t)(end - at));
        if (n && !*end) {
            *out = n;
            return 0;
        }
        if (n && n->type == TREE_DIR)
            id = n->subtree;
        else
            depth = WALK_DEPTH_MAX;
        tree_free(holder);
        at = end + 1;
    }
    return error_set(e, OCM_E_NOTFOUND, "the backup has no '%s'", path);
}

int repo_read_file(struct repo *r, const struct tree_node *n, size_t max,
                   struct buf *out, struct error *e)
{
    struct buf part = {0};
    size_t len = 0;
    int rc = 0;

    if (n->type != TREE_FILE)
        return error_set(e, OCM_E_INVALID, "'%s' is not a file", n->name);
    if (n->size > max)
        return error_set(e, OCM_E_LIMIT, "'%s' has %llu bytes, %zu are allowed",
                         n->name, (unsigned long long)n->size, max);
    for (size_t i = 0; rc == 0 && i < n->content_count; i++) {
        rc = repo_read(r, &n->content[i], BLOB_DATA, &part, e);
        if (rc == 0 && part.len > n->size - len)
            rc = error_set(e, OCM_E_DAMAGED,
                           "'%s' has more content than its size says", n->name);
        if (rc == 0) {
            buf_add(out, part.data, part.len);
            len += part.len;
        }
    }
    if (rc == 0 && len != n->size)
        rc = error_set(e, OCM_E_DAMAGED,
                       "'%s' has less content than its size says", n->name);
    buf_free(&part);
    return rc;
}
