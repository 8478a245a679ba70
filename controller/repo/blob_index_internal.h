/* SPDX-License-Identifier: MIT */
/* Between blob_index.c and owned_index.c, which share one database. */
#ifndef CONTROLLER_REPO_BLOB_INDEX_INTERNAL_H
#define CONTROLLER_REPO_BLOB_INDEX_INTERNAL_H

#include <pthread.h>
#include <sqlite3.h>

#include "controller/repo/blob_index.h"

/* Every statement, prepared once: X(name, SQL). */
#define INDEX_STATEMENTS(X)                                                    \
    X(ST_META_GET, "SELECT value FROM meta WHERE key = ?1")                    \
    X(ST_META_SET, "INSERT OR REPLACE INTO meta VALUES (?1, ?2)")              \
    X(ST_FIND, "SELECT b.num, b.offset, b.length, b.raw, p.id FROM blob b "    \
               "JOIN pack p ON p.num = b.pack WHERE b.id = ?1 AND "            \
               "b.type = ?2")                                                  \
    X(ST_PACK_ADD, "INSERT OR IGNORE INTO pack (id) VALUES (?1)")              \
    X(ST_PACK_NUM, "SELECT num FROM pack WHERE id = ?1")                       \
    X(ST_PACK_LIST, "SELECT id FROM pack ORDER BY id")                         \
    X(ST_PACK_BLOBS, "SELECT id, type, offset, length, raw FROM blob "         \
                     "WHERE pack = ?1 ORDER BY offset")                        \
    X(ST_BLOB_ADD, "INSERT OR IGNORE INTO blob (id, type, pack, offset, "      \
                   "length, raw) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")             \
    X(ST_BLOB_NUM, "SELECT num FROM blob WHERE id = ?1 AND type = ?2")         \
    X(ST_BLOB_COUNT, "SELECT count(*) FROM blob")                              \
    X(ST_FILE_ADD, "INSERT OR IGNORE INTO index_file VALUES (?1)")             \
    X(ST_FILE_LIST, "SELECT id FROM index_file ORDER BY id")                   \
    X(ST_WRITTEN_ADD, "INSERT OR REPLACE INTO written VALUES (?1, ?2)")        \
    X(ST_WRITTEN_DROP, "DELETE FROM written WHERE pack = ?1")                  \
    X(ST_WRITTEN_LIST, "SELECT pack, node FROM written")                       \
    X(ST_NODE_GET, "SELECT num, ready FROM node WHERE name = ?1")              \
    X(ST_NODE_ADD, "INSERT INTO node (name, ready) VALUES (?1, 0)")            \
    X(ST_NODE_READY, "UPDATE node SET ready = ?2 WHERE num = ?1")              \
    X(ST_OWNED_ADD, "INSERT OR IGNORE INTO owned VALUES (?1, ?2)")             \
    X(ST_OWNED_HAS, "SELECT 1 FROM owned WHERE node = ?1 AND blob = ?2")       \
    X(ST_OWNED_CLEAR, "DELETE FROM owned WHERE node = ?1")                     \
    X(ST_OWNED_COUNT, "SELECT count(*) FROM owned WHERE node = ?1")            \
    X(ST_OWNED_PAGE, "SELECT o.blob, b.id FROM owned o JOIN blob b "           \
                     "ON b.num = o.blob WHERE o.node = ?1 AND o.blob > ?2 "    \
                     "ORDER BY o.blob LIMIT ?3")                               \
    X(ST_VERIFIED_GET, "SELECT files, dirs, bytes, height FROM verified "      \
                       "WHERE node = ?1 AND tree = ?2")                        \
    X(ST_VERIFIED_ADD, "INSERT OR REPLACE INTO verified VALUES "               \
                       "(?1, ?2, ?3, ?4, ?5, ?6)")

enum index_statement {
#define X(name, sql) name,
    INDEX_STATEMENTS(X)
#undef X
        ST_COUNT,
};

struct blob_index {
    sqlite3 *db;
    pthread_mutex_t mu; /* recursive: a transaction keeps it */
    sqlite3_stmt *st[ST_COUNT];
    uint64_t generation;
    char *path; /* for messages */
};

/* A statement with the lock held: bind, step, then index_done. */
sqlite3_stmt *index_take(struct blob_index *ix, enum index_statement which);
/* Reset and unlock; 0, or the failure of `step` when it is neither ROW nor
 * DONE. */
int index_done(struct blob_index *ix, sqlite3_stmt *st, int step,
               struct error *e);
/* take, bind up to six numbers, step, done: for statements without rows. */
int index_run(struct blob_index *ix, enum index_statement which, int count,
              const int64_t *numbers, struct error *e);

#endif
