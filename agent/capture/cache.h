/* SPDX-License-Identifier: MIT */
/* The entry list of the last committed backup, in walk order: what each
 * entry looked like and which ids it got. Read as a merge beside the walk, so
 * that memory stays flat; written beside it as well. It is only a shortcut: a
 * missing, foreign or damaged file costs time, never content.
 *
 * File, integers little endian, v = LEB128:
 *   "OCMCACH2"  key 32 bytes (SHA-256 of cache_key; zero until committed)
 *   fingerprint 32 bytes (format and chunk seed)  start i64 (ns)
 *   records
 *   turn: spent i64, size u64, path, its length u32
 *   SHA-256 of everything from `fingerprint` on.
 * Record: kind u8, shared v, more v, `more` bytes (the path shares its first
 * bytes with the record before), mode v, uid v, gid v, links v, size v,
 * mtime i64, ctime i64, inode v, device v, and by kind
 *   folder    children v, tree id
 *   file      content
 *   database  wal, content
 *   rows      wal, query 32 bytes, content
 * wal: present u8 [size v, mtime i64, ctime i64, inode v];
 * content: stored size v, sum 32 bytes, count v, ids (left out when count is
 * 1: then the id is the sum).
 *
 * Walk order: names by bytes, a folder's record behind those of its content.
 */
#ifndef AGENT_CAPTURE_CACHE_H
#define AGENT_CAPTURE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/capture/attr.h"
#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/data/digest.h"

#define CACHE_MAGIC "OCMCACH2"
#define CACHE_MAGIC_LEN 8
#define CACHE_KEY_OFFSET CACHE_MAGIC_LEN
#define CACHE_HEAD_LEN (CACHE_MAGIC_LEN + ID_LEN + ID_LEN + 8)
#define CACHE_TAIL_LEN (4 + ID_LEN) /* behind the path of the turn */
#define CACHE_PATH_MAX (256u * 1024)
#define CACHE_IDS_MAX (1u << 20) /* chunks of one file; more are not cached */

enum cache_kind {
    CACHE_FILE = 1,
    CACHE_DIR,
    CACHE_SYMLINK,
    CACHE_FIFO,
    CACHE_DATABASE,
    CACHE_ROWS,
};

struct cache_record {
    enum cache_kind kind;
    struct attr attr; /* of the live file; of the database for rows */
    bool has_wal;
    struct attr wal; /* only size, times and inode */
    uint64_t stored_size;
    struct id sum;   /* of the whole content; folder: the tree's id */
    struct id query; /* rows: SHA-256 of the SQL */
    uint64_t children;
    const struct id *ids; /* reading: borrowed until the next cache_find */
    size_t id_count;
};

/* -1, 0, 1: which of two snapshot paths the walk meets first. */
int cache_order(const char *a, size_t a_len, const char *b, size_t b_len);

/* How far the reading again of unchanged files has come (recheck.c). */
struct cache_turn {
    struct buf after; /* path of the last one; empty: at the beginning */
    int64_t spent;    /* bytes read above what that backup was allowed */
    uint64_t size;    /* of all files together, as recheck.c counts */
};

struct cache_reader;

/* The cache at `path`, when it is whole and was made under this key and
 * fingerprint; NULL otherwise. `start_ns`: when its capture began. */
struct cache_reader *cache_open(const char *path, const char *key,
                                const struct id *fingerprint,
                                int64_t *start_ns);
/* The record of `path`; calls must come in walk order. Borrowed until the
 * next call. NULL: not there. */
const struct cache_record *cache_find(struct cache_reader *r, const char *path,
                                      size_t len);
/* Borrowed until cache_close. */
const struct cache_turn *cache_turn(const struct cache_reader *r);
void cache_close(struct cache_reader *r); /* NULL is fine */

struct cache_writer;

/* Writes `path` anew, mode 0600. NULL and a log line when it cannot. */
struct cache_writer *
cache_create(const char *path, const struct id *fingerprint, int64_t start_ns);
/* Records in walk order. Failures are kept for cache_finish. */
void cache_add(struct cache_writer *w, const char *path, size_t len,
               const struct cache_record *rec);
/* What the next capture goes on from. */
void cache_set_turn(struct cache_writer *w, const struct cache_turn *t);
/* Ends and frees. With `keep` false, or after a failure to write, the file
 * is removed. NULL is fine. */
void cache_finish(struct cache_writer *w, bool keep);

#endif
