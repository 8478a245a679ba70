/* SPDX-License-Identifier: MIT */
/* The part of the blob index that speaks of nodes: what they own, and which
 * trees were proven whole for them. */
#include "controller/repo/blob_index_internal.h"

#include <string.h>

int owned_node(struct blob_index *ix, const char *name, int64_t *node,
               bool *ready, struct error *e)
{
    sqlite3_stmt *st = index_take(ix, ST_NODE_GET);
    int step, rc;

    sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
    step = sqlite3_step(st);
    if (step == SQLITE_ROW) {
        *node = sqlite3_column_int64(st, 0);
        *ready = sqlite3_column_int(st, 1) != 0;
    }
    rc = index_done(ix, st, step, e);
    if (rc < 0 || step == SQLITE_ROW)
        return rc;
    *ready = false;
    st = index_take(ix, ST_NODE_ADD);
    sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
    step = sqlite3_step(st);
    *node = sqlite3_last_insert_rowid(ix->db);
    return index_done(ix, st, step, e);
}

int owned_set_ready(struct blob_index *ix, int64_t node, bool ready,
                    struct error *e)
{
    return index_run(ix, ST_NODE_READY, 2, (int64_t[]){node, ready}, e);
}

int owned_add(struct blob_index *ix, int64_t node, int64_t blob,
              struct error *e)
{
    return index_run(ix, ST_OWNED_ADD, 2, (int64_t[]){node, blob}, e);
}

int owned_clear(struct blob_index *ix, int64_t node, struct error *e)
{
    return index_run(ix, ST_OWNED_CLEAR, 1, &node, e);
}

bool owned_has(struct blob_index *ix, int64_t node, int64_t blob)
{
    sqlite3_stmt *st = index_take(ix, ST_OWNED_HAS);
    int step;

    sqlite3_bind_int64(st, 1, node);
    sqlite3_bind_int64(st, 2, blob);
    step = sqlite3_step(st);
    index_done(ix, st, step, NULL);
    return step == SQLITE_ROW;
}

uint64_t owned_count(struct blob_index *ix, int64_t node)
{
    sqlite3_stmt *st = index_take(ix, ST_OWNED_COUNT);
    uint64_t n = 0;
    int step;

    sqlite3_bind_int64(st, 1, node);
    step = sqlite3_step(st);
    if (step == SQLITE_ROW)
        n = (uint64_t)sqlite3_column_int64(st, 0);
    index_done(ix, st, step, NULL);
    return n;
}

int owned_page(struct blob_index *ix, int64_t node, int64_t *after,
               struct id *out, size_t max, size_t *count, struct error *e)
{
    sqlite3_stmt *st = index_take(ix, ST_OWNED_PAGE);
    int step = SQLITE_DONE;

    *count = 0;
    sqlite3_bind_int64(st, 1, node);
    sqlite3_bind_int64(st, 2, *after);
    sqlite3_bind_int64(st, 3, (int64_t)max);
    while (*count < max && (step = sqlite3_step(st)) == SQLITE_ROW) {
        const void *id = sqlite3_column_blob(st, 1);

        *after = sqlite3_column_int64(st, 0);
        if (id && sqlite3_column_bytes(st, 1) == ID_LEN)
            memcpy(out[(*count)++].b, id, ID_LEN);
    }
    return index_done(ix, st, step, e);
}

int verified_find(struct blob_index *ix, int64_t node, int64_t tree,
                  struct tree_sums *out, struct error *e)
{
    sqlite3_stmt *st = index_take(ix, ST_VERIFIED_GET);
    int step, rc;

    sqlite3_bind_int64(st, 1, node);
    sqlite3_bind_int64(st, 2, tree);
    step = sqlite3_step(st);
    if (step == SQLITE_ROW) {
        out->files = (uint64_t)sqlite3_column_int64(st, 0);
        out->dirs = (uint64_t)sqlite3_column_int64(st, 1);
        out->bytes = (uint64_t)sqlite3_column_int64(st, 2);
        out->height = (uint32_t)sqlite3_column_int64(st, 3);
    }
    rc = index_done(ix, st, step, e);
    return rc < 0 ? rc : step == SQLITE_ROW;
}

int verified_add(struct blob_index *ix, int64_t node, int64_t tree,
                 const struct tree_sums *sums, struct error *e)
{
    return index_run(ix, ST_VERIFIED_ADD, 6,
                     (int64_t[]){node, tree, (int64_t)sums->files,
                                 (int64_t)sums->dirs, (int64_t)sums->bytes,
                                 sums->height},
                     e);
}
