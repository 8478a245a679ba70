/* SPDX-License-Identifier: MIT */
/* A restic repository, format version 2, in a folder (version 1 is read). One
 * struct per open repository; all functions may be called from any worker
 * thread, a writer from one at a time.
 *
 * Order of every write: pack -> fsync -> rename -> fsync(folder) -> index ->
 * snapshot. The blob index (SQLite under `cache_dir`) is a cache: it is
 * rebuilt from index/ whenever it does not fit. */
#ifndef CONTROLLER_REPO_REPO_H
#define CONTROLLER_REPO_REPO_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/data/blob.h"
#include "common/data/tree.h"

struct repo;

struct repo_options {
    const char *dir;       /* the repository */
    const char *cache_dir; /* ours: blob index, owned sets; may be deleted */
    const char *password;  /* borrowed during the call, wiped by the caller */
    int64_t free_floor;    /* bytes that must stay free; writes refuse below */
};

/* Make a new repository: keys (scrypt), config, chunk seed, marker. The folder
 * must be empty or absent. */
int repo_init(const struct repo_options *o, struct error *e);
/* OCM_E_AUTH wrong password (the store is untouched), OCM_E_NOTFOUND no
 * repository there, OCM_E_DAMAGED (also when config, marker or a folder is
 * gone: never taken for an empty repository), OCM_E_VERSION, OCM_E_LOCKED
 * when another process uses the cache folder. A repository that restic made
 * gets our seed and marker. The index is followed as by repo_refresh. */
int repo_open(const struct repo_options *o, struct repo **out, struct error *e);
void repo_close(struct repo *r);

void repo_id(const struct repo *r, char out[ID_HEX_LEN + 1]);
const uint8_t *repo_chunk_seed(const struct repo *r); /* 32 bytes */

/* ---- locks (restic's) ---- */
/* Take a lock for a job; refreshed by the repository while held, stale ones
 * of dead processes are removed as restic does. OCM_E_LOCKED names the other
 * holder (host, pid, since when), or says that ours was lost while jobs hold
 * it: then they must end first. Shared locks are counted: one unlock per lock.
 * restic asks whether a lock's owner lives by sending it SIGHUP: a program
 * that takes locks must not die of that. */
int repo_lock(struct repo *r, bool exclusive, struct error *e);
void repo_unlock(struct repo *r);

/* List index/ and data/ again: take in new index files; when some are gone (a
 * prune by restic), or packs are, make the blob index anew, and with it the
 * owned sets and the memo of whole trees. Under the lock, before each job. A
 * broken index file is logged and left out (its blobs are sent again);
 * repo_check reports it. The first call under the lock gives an index to the
 * whole packs that a killed process left. */
int repo_refresh(struct repo *r, struct error *e);

/* ---- reading ---- */
bool repo_has(struct repo *r, const struct id *id, enum blob_type type);
/* The plaintext, decrypted, decompressed and verified; *plain is replaced.
 * OCM_E_MISSING: in no index, or its pack is gone. OCM_E_DAMAGED names the
 * pack. */
int repo_read(struct repo *r, const struct id *id, enum blob_type type,
              struct buf *plain, struct error *e);
/* As it is stored (still compressed), decrypted and authenticated: for the
 * wire. `out->stored` is borrowed from `room`. */
int repo_read_stored(struct repo *r, const struct id *id, enum blob_type type,
                     struct buf *room, struct blob *out, struct error *e);

/* ---- writing: one writer per running backup ---- */
struct repo_writer;
struct repo_writer *repo_writer_new(struct repo *r, const char *node_id);
/* Queue a blob that the caller has verified (decompressed and hashed); known
 * ones are dropped, and owned by the node all the same. The stored bytes are
 * kept as they are, encrypted. May write a full pack and wait for the disk.
 * OCM_E_SPACE: the disk is full, or below the free floor. The first failure
 * sticks: every later call gives it again. */
int repo_writer_put(struct repo_writer *w, const struct blob *b,
                    struct error *e);
/* Like put, for plaintext made by the controller itself. */
int repo_writer_add(struct repo_writer *w, enum blob_type type, const void *p,
                    size_t len, struct id *out, struct error *e);
/* Everything put so far is durable and indexed, and owned by the node. */
int repo_writer_flush(struct repo_writer *w, struct error *e);
uint64_t repo_writer_bytes(const struct repo_writer *w); /* stored, new */
/* Drop it; blobs not flushed are lost, whole packs stay as leftovers. */
void repo_writer_free(struct repo_writer *w);

/* ---- what a node owns: blobs its snapshots reach or it sent itself ---- */
int repo_owned_each(struct repo *r, const char *node_id,
                    int (*fn)(void *arg, const struct id *id), void *arg,
                    struct error *e);
uint64_t repo_owned_count(struct repo *r, const char *node_id);
/* Is the tree under `root` whole: every blob in the index and owned by the
 * node, every pack there, every file as long as its content? Trees verified
 * before are not walked again. Limits: 4 million paths, 128 levels, 1 PiB
 * (OCM_E_LIMIT). OCM_E_MISSING with *missing (distinct blobs, counted up to
 * 100,000) and *first set;
 * what is below a missing tree is not counted. Sums of the tree in `stats`:
 * `files` is everything that is no folder, each path counted. */
struct repo_stats {
    uint64_t files, dirs, bytes;
};
int repo_closure(struct repo *r, const char *node_id, const struct id *root,
                 struct repo_stats *stats, uint64_t *missing, struct id *first,
                 struct error *e);

/* ---- snapshots ---- */
struct snapshot {
    struct id id; /* set by load and save */
    struct id tree;
    int64_t time_ns;
    char *hostname; /* node name */
    char *username;
    char **paths;
    size_t path_count;
    char **tags; /* "node=<id>", "job=<id>", "safety", "partial", ... */
    size_t tag_count;
    char *program_version;
};
/* Sets s->id, and s->time_ns when it is 0. OCM_E_LOCKED when our lock was lost
 * meanwhile (a host that slept, a person who removed it): a prune may have
 * taken what the snapshot names. */
int repo_snapshot_save(struct repo *r, struct snapshot *s, struct error *e);
/* All snapshots, oldest first. OCM_E_PARTIAL: some files cannot be read, `e`
 * says how many and names the first; *out has the others all the same. */
int repo_snapshots(struct repo *r, struct snapshot **out, size_t *count,
                   struct error *e);
/* By full id, unique prefix, or "latest" (of `node_id` when not NULL). */
int repo_snapshot_find(struct repo *r, const char *node_id, const char *ref,
                       struct snapshot *out, struct error *e);
/* The value of the tag "key=value", "" for a tag "key", NULL without. */
const char *snapshot_tag(const struct snapshot *s, const char *key);
void snapshot_fini(struct snapshot *s);
void snapshots_free(struct snapshot *s, size_t count);

/* ---- walking a snapshot ---- */
/* Node at `path` ("config/gateway/openclaw.json"; "" is the root). The tree
 * that holds it is kept in *holder: free with tree_free. */
int repo_lookup(struct repo *r, const struct id *root, const char *path,
                struct tree *holder, const struct tree_node **out,
                struct error *e);
/* The whole content of a small file; OCM_E_LIMIT above `max`. */
int repo_read_file(struct repo *r, const struct tree_node *n, size_t max,
                   struct buf *out, struct error *e);

/* ---- check ---- */
struct repo_check_progress {
    uint64_t packs_done, packs_total, bytes_done, bytes_total;
};
struct repo_check_report {
    uint64_t packs, blobs, snapshots, bytes;
    uint64_t errors;
    struct buf text; /* one line per finding */
};
/* Structure always; every byte of every pack with `read_data`. Returns 0 also
 * when damage was found: see report->errors, and report->text, which names
 * the files that the damage costs. The report is zeroed by the caller, who
 * frees its text. `progress` (may be NULL) false: OCM_E_CANCELLED. */
int repo_check(struct repo *r, bool read_data,
               bool (*progress)(void *arg, const struct repo_check_progress *),
               void *arg, struct repo_check_report *report, struct error *e);
/* One snapshot only: every blob it reaches is read and verified. */
int repo_verify_snapshot(struct repo *r, const struct id *root,
                         bool (*progress)(void *arg,
                                          const struct repo_check_progress *),
                         void *arg, struct repo_check_report *report,
                         struct error *e);

#endif
