/* SPDX-License-Identifier: MIT */
/* Which blob lies where, and which node owns it: a cache in SQLite, made from
 * index/ and thrown away whenever it does not fit. All functions may be called
 * from any thread; a transaction belongs to the thread that began it, others
 * wait. */
#ifndef CONTROLLER_REPO_BLOB_INDEX_H
#define CONTROLLER_REPO_BLOB_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/data/blob.h"
#include "controller/repo/pack.h"

struct blob_index;

struct blob_place {
    int64_t num; /* the blob's number in this index */
    struct id pack;
    uint32_t offset, length; /* sealed bytes of the pack */
    uint32_t raw;            /* length of the plaintext; 0: uncompressed */
};

/* Open the cache `path`, or one in memory when it is NULL. What is there but
 * belongs to another repository, or is damaged, is replaced by an empty one. */
int blob_index_open(const char *path, const char *repo_id,
                    struct blob_index **out, struct error *e);
void blob_index_close(struct blob_index *ix);

/* The marker of the repository that this cache belongs to; "" when none. */
void blob_index_marker(struct blob_index *ix, char *out, size_t cap);
int blob_index_set_marker(struct blob_index *ix, const char *marker,
                          struct error *e);

/* Transactions: everything between is there whole or not at all. Reads of
 * the same thread see it. */
int blob_index_begin(struct blob_index *ix, struct error *e);
int blob_index_commit(struct blob_index *ix, struct error *e);
void blob_index_rollback(struct blob_index *ix);

/* 1 found, 0 not there, negative on failure. */
int blob_index_find(struct blob_index *ix, const struct id *id,
                    enum blob_type type, struct blob_place *out,
                    struct error *e);
/* Add the blobs of a pack. One that is there already stays where it was. With
 * `node` above 0 that node owns them from now on. The pack is no longer among
 * the written ones. */
int blob_index_add_pack(struct blob_index *ix, const struct id *pack,
                        const struct pack_entry *entries, size_t count,
                        int64_t node, struct error *e);
int blob_index_add_file(struct blob_index *ix, const struct id *index_file,
                        struct error *e);
/* Packs that are in data/, or on their way there, and in no index file yet:
 * what a killed process leaves. `node` sent them. */
struct written_pack {
    struct id id;
    int64_t node;
};
int blob_index_pack_written(struct blob_index *ix, const struct id *pack,
                            int64_t node, struct error *e);
int blob_index_forget_written(struct blob_index *ix, const struct id *pack,
                              struct error *e);
int blob_index_written(struct blob_index *ix, struct written_pack **out,
                       size_t *count, struct error *e); /* caller frees */
/* Forget all but the identity of the repository and the numbers of nodes
 * (writers may know theirs). */
int blob_index_clear(struct blob_index *ix, struct error *e);

/* Changes whenever blobs are forgotten: numbers taken before mean nothing
 * after. Compare inside the transaction that uses the numbers. */
uint64_t blob_index_generation(struct blob_index *ix);

/* Index files taken in / packs known, sorted. Caller frees. */
int blob_index_files(struct blob_index *ix, struct id **ids, size_t *count,
                     struct error *e);
int blob_index_packs(struct blob_index *ix, struct id **ids, size_t *count,
                     struct error *e);
/* The blobs of one pack by offset. Caller frees. */
int blob_index_pack_entries(struct blob_index *ix, const struct id *pack,
                            struct pack_entry **out, size_t *count,
                            struct error *e);
uint64_t blob_index_count(struct blob_index *ix); /* blobs */

/* ---- what nodes own (owned_index.c) ---- */
/* The node's number, made when it is new. *ready: its set is complete. */
int owned_node(struct blob_index *ix, const char *name, int64_t *node,
               bool *ready, struct error *e);
int owned_set_ready(struct blob_index *ix, int64_t node, bool ready,
                    struct error *e);
int owned_add(struct blob_index *ix, int64_t node, int64_t blob,
              struct error *e);
int owned_clear(struct blob_index *ix, int64_t node, struct error *e);
bool owned_has(struct blob_index *ix, int64_t node, int64_t blob);
uint64_t owned_count(struct blob_index *ix, int64_t node);
/* Up to `max` ids of blobs above *after, which moves on. */
int owned_page(struct blob_index *ix, int64_t node, int64_t *after,
               struct id *out, size_t max, size_t *count, struct error *e);

/* Trees proven whole for a node, with their sums. */
struct tree_sums {
    uint64_t files, dirs, bytes; /* below the tree, each path counted */
    uint32_t height;             /* levels of folders below it */
};
/* 1 there, 0 not, negative on failure. */
int verified_find(struct blob_index *ix, int64_t node, int64_t tree,
                  struct tree_sums *out, struct error *e);
int verified_add(struct blob_index *ix, int64_t node, int64_t tree,
                 const struct tree_sums *sums, struct error *e);

#endif
