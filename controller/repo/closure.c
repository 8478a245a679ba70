/* SPDX-License-Identifier: MIT */
/* Is a tree whole? The tree comes from a node that may be hostile: what it
 * names counts only if the node owns it; a small tree may name itself (by
 * way of others) a million times, so each is walked once and its sums are
 * multiplied; and the sums have caps. */
#include "controller/repo/repo_internal.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "controller/repo/id_table.h"

#define CLOSURE_DEPTH_MAX 128
#define CLOSURE_BYTES_MAX (1ull << 50)
#define CLOSURE_MISSING_MAX 100000 /* remembered and counted */
#define CLOSURE_TRIES 2            /* again, when packs turn out to be gone */

struct proven {
    int64_t num; /* of the tree blob */
    struct tree_sums sums;
};

/* What the memo says of a tree or a blob. */
enum { SEEN_MISSING = 1, SEEN_BROKEN = 2, SEEN_WHOLE = 3 };

struct closure {
    struct repo *r;
    int64_t node;
    struct id_table memo; /* trees, and data blobs that are missing */
    struct id_table packs;
    struct proven *proven; /* in memo: value = SEEN_WHOLE + index */
    size_t proven_count, proven_cap;
    size_t waiting; /* subtrees gathered, not yet walked */
    uint64_t missing;
    struct id first;
};

static void note_missing(struct closure *c, const struct id *id,
                         enum blob_type type)
{
    struct id_entry *m;
    bool fresh;

    if (c->missing >= CLOSURE_MISSING_MAX)
        return; /* what a hostile tree names costs it nothing, us memory */
    m = id_table_add(&c->memo, id, type, &fresh);
    if (!fresh)
        return;
    m->value = SEEN_MISSING;
    if (c->missing++ == 0)
        c->first = *id;
}

/* 1 and its place: there, and the node's own. */
static int find_owned(struct closure *c, const struct id *id,
                      enum blob_type type, struct blob_place *place,
                      struct error *e)
{
    bool fresh;
    int rc = blob_index_find(c->r->index, id, type, place, e);

    if (rc != 1)
        return rc;
    if (!owned_has(c->r->index, c->node, place->num))
        return 0;
    id_table_add(&c->packs, &place->pack, BLOB_DATA, &fresh);
    return 1;
}

static int add_sums(struct tree_sums *to, const struct tree_sums *more,
                    struct error *e)
{
    to->files += more->files;
    to->dirs += more->dirs;
    to->bytes += more->bytes;
    if (to->files + to->dirs > TREE_MAX_TOTAL)
        return error_set(e, OCM_E_LIMIT, "the backup has more than %d entries",
                         TREE_MAX_TOTAL);
    if (to->bytes > CLOSURE_BYTES_MAX)
        return error_set(e, OCM_E_LIMIT, "the backup has more than 1 PiB");
    return 0;
}

static int walk_file(struct closure *c, const struct tree_node *n,
                     struct tree_sums *sums, bool *whole, struct error *e)
{
    struct tree_sums one = {.files = 1, .bytes = n->size};
    bool all = true;
    uint64_t len = 0;

    for (size_t i = 0; i < n->content_count; i++) {
        struct blob_place place;
        int rc = find_owned(c, &n->content[i], BLOB_DATA, &place, e);

        if (rc < 0)
            return rc;
        if (rc == 0) {
            note_missing(c, &n->content[i], BLOB_DATA);
            all = false;
            continue;
        }
        len += place.raw ? place.raw : place.length - SEAL_OVERHEAD;
    }
    if (all && len != n->size)
        return error_set(
            e, OCM_E_INVALID, "file '%s' says %llu bytes, its content has %llu",
            n->name, (unsigned long long)n->size, (unsigned long long)len);
    *whole = *whole && all;
    if (n->size > CLOSURE_BYTES_MAX)
        one.bytes = CLOSURE_BYTES_MAX + 1;
    return add_sums(sums, &one, e);
}

static int walk_tree(struct closure *c, const struct id *id, unsigned depth,
                     struct tree_sums *sums, bool *whole, struct error *e);

/* The subtrees of a folder, gathered so that its own tree is freed before
 * they are walked: 128 nested trees of 64 MiB must not be in memory at once. */
static int gather_dirs(struct closure *c, const struct tree *t,
                       struct id **dirs, size_t *count, struct error *e)
{
    size_t cap = 0;

    for (size_t i = 0; i < t->count; i++) {
        if (t->nodes[i].type != TREE_DIR)
            continue;
        if (++c->waiting > TREE_MAX_TOTAL)
            return error_set(e, OCM_E_LIMIT,
                             "the backup has more than %d "
                             "entries",
                             TREE_MAX_TOTAL);
        *dirs = mem_grow(*dirs, &cap, *count + 1, sizeof(**dirs));
        (*dirs)[(*count)++] = t->nodes[i].subtree;
    }
    return 0;
}

static int walk_dirs(struct closure *c, const struct id *dirs, size_t count,
                     unsigned depth, struct tree_sums *sums, bool *whole,
                     struct error *e)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct tree_sums below = {0};
        bool all = true;

        rc = walk_tree(c, &dirs[i], depth + 1, &below, &all, e);
        if (rc < 0)
            break;
        *whole = *whole && all;
        if (below.height + 1 > sums->height)
            sums->height = below.height + 1;
        below.dirs++;
        rc = add_sums(sums, &below, e);
    }
    return rc;
}

static int walk_files(struct closure *c, const struct tree *t,
                      struct tree_sums *sums, bool *whole, struct error *e)
{
    struct tree_sums other = {.files = 1};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < t->count; i++) {
        const struct tree_node *n = &t->nodes[i];

        if (i > 0 && strcmp(t->nodes[i - 1].name, n->name) >= 0)
            rc = error_set(e, OCM_E_INVALID,
                           "entry '%s' is not in the order of names", n->name);
        else if (n->type == TREE_FILE)
            rc = walk_file(c, n, sums, whole, e);
        else if (n->type == TREE_OTHER)
            rc = error_set(e, OCM_E_UNSUPPORTED,
                           "entry '%s' is of a kind that nobody here knows",
                           n->name);
        else if (n->type != TREE_DIR)
            rc = add_sums(sums, &other, e);
    }
    return rc;
}

static int walk_below(struct closure *c, const struct id *id, unsigned depth,
                      struct tree_sums *sums, bool *whole, struct error *e)
{
    struct id *dirs = NULL;
    size_t count = 0;
    struct tree t;
    int rc = read_tree(c->r, id, &t, e);

    if (rc < 0)
        return rc;
    rc = walk_files(c, &t, sums, whole, e);
    if (rc == 0)
        rc = gather_dirs(c, &t, &dirs, &count, e);
    tree_free(&t);
    if (rc == 0)
        rc = walk_dirs(c, dirs, count, depth, sums, whole, e);
    c->waiting -= count;
    free(dirs);
    return rc;
}

static void remember(struct closure *c, const struct id *id, int64_t num,
                     const struct tree_sums *sums, bool whole)
{
    bool fresh;
    struct id_entry *m = id_table_add(&c->memo, id, BLOB_TREE, &fresh);

    m->value = SEEN_BROKEN;
    if (!whole)
        return;
    m->value = SEEN_WHOLE + c->proven_count;
    c->proven = mem_grow(c->proven, &c->proven_cap, c->proven_count + 1,
                         sizeof(*c->proven));
    c->proven[c->proven_count++] = (struct proven){num, *sums};
}

/* Adds nothing to *sums that is not below the tree; clears *whole when
 * something is missing. Depth is bounded, so recursion is. */
static int walk_tree(struct closure *c, const struct id *id, unsigned depth,
                     struct tree_sums *sums, bool *whole, struct error *e)
{
    struct id_entry *seen = id_table_find(&c->memo, id, BLOB_TREE);
    struct blob_place place = {0};
    int rc = 0;

    *sums = (struct tree_sums){0};
    if (seen && seen->value < SEEN_WHOLE) {
        *whole = false;
        return 0;
    }
    if (seen) {
        *sums = c->proven[seen->value - SEEN_WHOLE].sums;
    } else {
        rc = find_owned(c, id, BLOB_TREE, &place, e);
        if (rc < 0)
            return rc;
        if (rc == 0) {
            note_missing(c, id, BLOB_TREE);
            *whole = false;
            return 0;
        }
        rc = verified_find(c->r->index, c->node, place.num, sums, e);
        if (rc < 0)
            return rc;
    }
    if (depth + sums->height > CLOSURE_DEPTH_MAX)
        return error_set(e, OCM_E_LIMIT, "folders are nested deeper than %d",
                         CLOSURE_DEPTH_MAX);
    if (seen || rc == 1)
        return 0;
    rc = walk_below(c, id, depth, sums, whole, e);
    if (rc == 0)
        remember(c, id, place.num, sums, *whole);
    return rc;
}

/* The index is a cache; that the packs are there is asked of the store. */
static bool lost_packs(struct closure *c)
{
    for (size_t i = 0; i < c->packs.cap; i++) {
        const struct id_entry *p = &c->packs.slots[i];

        if (p->type == BLOB_DATA && !pack_exists(c->r, &p->id))
            return true;
    }
    return false;
}

static int save_proven(struct closure *c, uint64_t generation, struct error *e)
{
    int rc = blob_index_begin(c->r->index, e);

    if (rc < 0)
        return rc;
    if (blob_index_generation(c->r->index) == generation) {
        for (size_t i = 0; rc == 0 && i < c->proven_count; i++)
            rc = verified_add(c->r->index, c->node, c->proven[i].num,
                              &c->proven[i].sums, e);
    }
    if (rc == 0)
        return blob_index_commit(c->r->index, e);
    blob_index_rollback(c->r->index);
    return rc;
}

static void closure_reset(struct closure *c)
{
    id_table_free(&c->memo);
    id_table_free(&c->packs);
    free(c->proven);
    *c = (struct closure){.r = c->r, .node = c->node};
}

int repo_closure(struct repo *r, const char *node_id, const struct id *root,
                 struct repo_stats *stats, uint64_t *missing, struct id *first,
                 struct error *e)
{
    struct closure c = {.r = r};
    struct tree_sums sums = {0};
    int rc = 0;

    *missing = 0;
    *stats = (struct repo_stats){0};
    for (int i = 0; i < CLOSURE_TRIES; i++) {
        bool whole = true, lost;
        uint64_t generation;

        rc = owned_ready(r, node_id, &c.node, e);
        if (rc < 0)
            break;
        closure_reset(&c);
        generation = blob_index_generation(r->index);
        rc = walk_tree(&c, root, 0, &sums, &whole, e);
        lost = i + 1 < CLOSURE_TRIES && (rc == 0 || rc == OCM_E_MISSING) &&
               lost_packs(&c);
        if (!lost) {
            rc = rc < 0 ? rc : save_proven(&c, generation, e);
            break;
        }
        rc = repo_refresh(r, e); /* the index forgets them; look again */
        if (rc < 0)
            break;
    }
    *missing = c.missing;
    *first = c.first;
    *stats = (struct repo_stats){sums.files, sums.dirs, sums.bytes};
    closure_reset(&c);
    if (rc == 0 && *missing) {
        char hex[ID_HEX_LEN + 1];

        id_hex(first, hex);
        return error_set(e, OCM_E_MISSING,
                         "%llu blobs are missing, the first is %.12s",
                         (unsigned long long)*missing, hex);
    }
    return rc;
}
