/* SPDX-License-Identifier: MIT */
/* What the files of controller/repo share. Nobody outside includes this.
 *
 * Locks, in the order they may be taken: lock_mu | owned_mu -> files_mu ->
 * the blob index's own. None is held while a caller's callback runs. */
#ifndef CONTROLLER_REPO_REPO_INTERNAL_H
#define CONTROLLER_REPO_REPO_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "controller/repo/blob_index.h"
#include "controller/repo/repo.h"
#include "controller/repo/seal.h"
#include "controller/repo/store.h"

#define REPO_SEED_LEN 32
#define REPO_NAME_MAX (16 + ID_HEX_LEN)      /* "snapshots/<id>" and the like */
#define REPO_OBJECT_MAX (256u * 1024 * 1024) /* plaintext of an index */
#define REPO_SMALL_MAX (4u * 1024 * 1024)    /* of a key, config, lock */
#define REPO_HANDLES 32                      /* packs kept open for reading */
#define REPO_ZSTREAMS 4                      /* idle decompressors kept */

/* A pack kept open. */
struct pack_handle {
    struct id id;
    struct store_handle *h; /* NULL: free slot */
    unsigned refs;          /* readers inside */
    uint64_t used;          /* of the LRU clock */
};

/* Our restic lock, shared by all jobs of this process. */
struct repo_lock_state {
    pthread_t thread; /* refresher, runs while count > 0 */
    pthread_cond_t cond;
    unsigned count; /* holders */
    bool exclusive;
    bool stop;           /* refresher: end */
    bool ending;         /* the last holder is on its way out */
    bool lost;           /* there was a time without it; stays so */
    struct id file;      /* name of the current lock file */
    int64_t refreshed_s; /* CLOCK_BOOTTIME: a suspended host counts */
};

struct repo {
    struct store *store;
    struct seal seal; /* the master key, made ready */
    char id[ID_HEX_LEN + 1];
    unsigned version; /* of the format: 1 or 2 */
    uint8_t seed[REPO_SEED_LEN];
    char marker[64]; /* uuid of ocm/marker */
    struct blob_index *index;
    int cache_fd; /* holds the flock on the cache folder */

    pthread_mutex_t lock_mu; /* guards `lock` */
    struct repo_lock_state lock;
    pthread_mutex_t owned_mu;  /* one owned set is built at a time */
    pthread_mutex_t files_mu;  /* index/ and the blob index change together;
                                 guards `left`, too */
    struct written_pack *left; /* packs of an earlier process, in no index */
    size_t left_count;

    pthread_mutex_t read_mu; /* guards the following */
    struct pack_handle handles[REPO_HANDLES];
    uint64_t handle_clock;
    struct zstream *zstreams[REPO_ZSTREAMS];
};

/* ---- keys (key.c) ---- */
/* Make the master key and its first key file. */
int key_create(struct store *s, const char *password,
               struct seal_secret *master, struct error *e);
/* Find the key file that the password opens. */
int key_open(struct store *s, const char *password, struct seal_secret *master,
             struct error *e);

/* ---- config and our own facts (config.c) ---- */
int config_create(struct repo *r, struct error *e);
int config_load(struct repo *r, struct error *e);
/* An irreducible polynomial of degree 53 over GF(2), for restic's chunker. */
uint64_t polynomial_random(void);
bool polynomial_is_irreducible(uint64_t p);
/* ocm/seed and ocm/marker. `known` is the marker the cache remembers ("" for
 * none): another one, or none, means that a wrong disk is mounted. */
int facts_create(struct repo *r, struct error *e);
int facts_load(struct repo *r, const char *known, struct error *e);
/* Is the marker still there? A disk that went away is not an empty one. */
int facts_check(struct repo *r, struct error *e);

/* ---- sealed files named by their SHA-256 (object.c) ---- */
void object_name(const char *folder, const struct id *id,
                 char out[REPO_NAME_MAX + 1]);
/* Compress (format 2), seal, store under `folder`. */
int object_save(struct repo *r, const char *folder, const void *p, size_t len,
                struct id *id, struct error *e);
/* Load, compare with its name, open, decompress. Errors name the file. */
int object_load(struct repo *r, const char *folder, const struct id *id,
                size_t max, struct buf *plain, struct error *e);
/* Ids of the folder's files, sorted. Caller frees. */
int object_list(struct repo *r, const char *folder, struct id **ids,
                size_t *count, struct error *e);

/* ---- index (refresh.c) ---- */
/* Take the index file `id` into `ix`. Packs that it names but that are not
 * there go to `on_lost` (may be NULL) instead: another pack may hold the same
 * blobs; and the file counts as not taken in, so that the next repo_refresh
 * looks for them again. */
typedef void index_lost_cb(void *arg, const struct id *pack);
int index_take_in(struct repo *r, struct blob_index *ix, const struct id *id,
                  index_lost_cb *on_lost, void *arg, struct error *e);

/* ---- what an earlier process left (recover.c) ---- */
/* Before the first writer: remember its packs. */
int recover_open(struct repo *r, struct error *e);
/* Under the lock and files_mu: give them an index file, and their blobs to the
 * nodes that sent them. */
int recover_packs(struct repo *r, struct error *e);
/* Open the header of a pack of `pack_len` bytes whose last `len` are at `p`
 * (changed in place). Entries: caller frees. OCM_E_DAMAGED says how. */
int pack_header_open(const struct repo *r, uint8_t *p, size_t len,
                     uint64_t pack_len, struct pack_entry **out, size_t *count,
                     struct error *e);

/* ---- reading (read.c) ---- */
/* Read the blob at `place`; as repo_read_stored. */
int read_place(struct repo *r, const struct id *id, enum blob_type type,
               const struct blob_place *place, struct buf *room,
               struct blob *out, struct error *e);
/* False only when the store says that there is no such pack. */
bool pack_exists(struct repo *r, const struct id *pack);
struct zstream *zstream_take(struct repo *r);
void zstream_give(struct repo *r, struct zstream *z);
/* Close the packs that nobody reads just now: files are replaced (a repair,
 * a copy put back), and an open one would still be the old one. */
void read_forget(struct repo *r);
void read_fini(struct repo *r);
/* Read and parse a tree. */
int read_tree(struct repo *r, const struct id *id, struct tree *out,
              struct error *e);

/* ---- owned sets (owned.c) ---- */
/* The number of the node, its owned set complete: built from its snapshots
 * when the index was rebuilt meanwhile. */
int owned_ready(struct repo *r, const char *node_id, int64_t *node,
                struct error *e);

/* ---- lock (lock.c) ---- */
/* Is our lock, when we hold one, still worth anything? A host that slept, or
 * a person who removed it, may have let a prune in: OCM_E_LOCKED. */
int lock_still_held(struct repo *r, struct error *e);
void lock_fini(struct repo *r);
#define LOCK_HOST_MAX 256
#define LOCK_USER_MAX 64
void host_name(char out[LOCK_HOST_MAX]);
void user_name(char out[LOCK_USER_MAX]);

/* ---- snapshots (snapshot.c) ---- */
int snapshot_load(struct repo *r, const struct id *id, struct snapshot *out,
                  struct error *e);

#endif
