/* SPDX-License-Identifier: MIT */
/* What a node owns: every blob that its snapshots reach, and what it sent.
 * The set lives in the blob index and goes with it; then it is built again
 * from the snapshots that carry the node's tag. */
#include "controller/repo/repo_internal.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "controller/repo/id_table.h"

#define OWNED_PAGE 1024
#define OWNED_TRIES 3 /* when the index changes while a set is built */

struct builder {
    struct repo *r;
    int64_t node;
    struct id_table seen; /* trees */
    struct id *stack;     /* trees to look at */
    size_t count, cap;
};

static void push(struct builder *b, const struct id *tree)
{
    bool fresh;

    id_table_add(&b->seen, tree, BLOB_TREE, &fresh);
    if (!fresh)
        return;
    b->stack = mem_grow(b->stack, &b->cap, b->count + 1, sizeof(*b->stack));
    b->stack[b->count++] = *tree;
}

static int claim(struct builder *b, const struct id *id, enum blob_type type,
                 struct error *e)
{
    struct blob_place place;
    int rc = blob_index_find(b->r->index, id, type, &place, e);

    return rc == 1 ? owned_add(b->r->index, b->node, place.num, e) : rc;
}

static int claim_tree(struct builder *b, const struct id *id,
                      const struct tree *t, struct error *e)
{
    int rc = blob_index_begin(b->r->index, e);

    if (rc < 0)
        return rc;
    rc = claim(b, id, BLOB_TREE, e);
    for (size_t i = 0; rc == 0 && i < t->count; i++) {
        const struct tree_node *n = &t->nodes[i];

        for (size_t k = 0; rc == 0 && k < n->content_count; k++)
            rc = claim(b, &n->content[k], BLOB_DATA, e);
    }
    if (rc == 0)
        return blob_index_commit(b->r->index, e);
    blob_index_rollback(b->r->index);
    return rc;
}

/* What cannot be read is not owned: the node will be asked to send it. */
static int claim_all(struct builder *b, struct error *e)
{
    int rc = 0;

    while (rc == 0 && b->count > 0) {
        struct id id = b->stack[--b->count];
        struct error why = {0};
        struct tree t;

        if (read_tree(b->r, &id, &t, &why) < 0) {
            log_warn("repository: %s", why.text);
            continue;
        }
        rc = claim_tree(b, &id, &t, e);
        for (size_t i = 0; i < t.count; i++) {
            if (t.nodes[i].type == TREE_DIR)
                push(b, &t.nodes[i].subtree);
        }
        tree_free(&t);
    }
    return rc;
}

static int build(struct repo *r, const char *node_id, int64_t node,
                 struct error *e)
{
    struct builder b = {.r = r, .node = node};
    struct snapshot *list = NULL;
    struct error why = {0};
    size_t count = 0;
    int rc = repo_snapshots(r, &list, &count, &why);

    if (rc < 0 && rc != OCM_E_PARTIAL)
        return error_set(e, rc, "%s", why.text);
    rc = owned_clear(r->index, node, e);
    for (size_t i = 0; i < count; i++) {
        const char *tag = snapshot_tag(&list[i], "node");

        if (tag && strcmp(tag, node_id) == 0)
            push(&b, &list[i].tree);
    }
    snapshots_free(list, count);
    if (rc == 0)
        rc = claim_all(&b, e);
    id_table_free(&b.seen);
    free(b.stack);
    return rc;
}

/* 1 done, 0 the index changed meanwhile. */
static int mark_ready(struct repo *r, int64_t node, uint64_t generation,
                      struct error *e)
{
    int rc = blob_index_begin(r->index, e);

    if (rc < 0)
        return rc;
    if (blob_index_generation(r->index) != generation) {
        blob_index_rollback(r->index);
        return 0;
    }
    rc = owned_set_ready(r->index, node, true, e);
    if (rc == 0) {
        rc = blob_index_commit(r->index, e);
        return rc < 0 ? rc : 1;
    }
    blob_index_rollback(r->index);
    return rc;
}

int owned_ready(struct repo *r, const char *node_id, int64_t *node,
                struct error *e)
{
    bool ready = false;
    int rc;

    pthread_mutex_lock(&r->owned_mu);
    rc = owned_node(r->index, node_id, node, &ready, e);
    for (int i = 0; rc == 0 && !ready && i < OWNED_TRIES; i++) {
        uint64_t generation = blob_index_generation(r->index);

        rc = build(r, node_id, *node, e);
        if (rc == 0) {
            rc = mark_ready(r, *node, generation, e);
            ready = rc == 1;
            rc = rc < 0 ? rc : 0;
        }
    }
    if (rc == 0 && !ready)
        rc = error_set(e, OCM_E_BUSY,
                       "the repository keeps changing under us, try again");
    pthread_mutex_unlock(&r->owned_mu);
    return rc;
}

int repo_owned_each(struct repo *r, const char *node_id,
                    int (*fn)(void *arg, const struct id *id), void *arg,
                    struct error *e)
{
    struct id page[OWNED_PAGE];
    size_t count = OWNED_PAGE;
    int64_t node, after = 0;
    int rc = owned_ready(r, node_id, &node, e);

    while (rc == 0 && count == OWNED_PAGE) {
        rc = owned_page(r->index, node, &after, page, OWNED_PAGE, &count, e);
        for (size_t i = 0; rc == 0 && i < count; i++)
            rc = fn(arg, &page[i]);
    }
    return rc;
}

uint64_t repo_owned_count(struct repo *r, const char *node_id)
{
    int64_t node;

    return owned_ready(r, node_id, &node, NULL) == 0
               ? owned_count(r->index, node)
               : 0;
}
