/* SPDX-License-Identifier: MIT */
/* A node in a temp folder, a repository in memory, and one capture after the
 * other between them. */
#ifndef TESTS_UNIT_CAPTURE_WORLD_H
#define TESTS_UNIT_CAPTURE_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "agent/capture/capture.h"
#include "common/data/tree.h"

#define WORLD_ROOTS 8

struct stored {
    struct id id;
    enum blob_type type;
    uint8_t *data;
    uint32_t len;
};

struct world {
    char dir[64]; /* all of it: src, temp, cache */
    char src[80], cache[80], temp[80];
    struct capture_root roots[WORLD_ROOTS];
    struct capture_rows rows[2];
    struct capture_section sections[2]; /* roots of the first; the second is
                                           given by the test */
    struct capture_options o;
    struct idset known;
    atomic_bool cancelled;

    struct stored *blobs; /* open addressing */
    size_t blob_count, blob_cap;
    uint64_t puts, data_puts;
    uint64_t fail_put;   /* fail the n-th put; 0: none */
    uint64_t cancel_put; /* cancel at the n-th put */
    void (*on_put)(struct world *w, uint64_t n); /* before it is stored */
    void *hook;                                  /* for on_put and choose */
    uint64_t meta_calls;

    struct capture_result r; /* of the last run */
    struct error e;
};

int world_setup(void **state);    /* cmocka: *state is a struct world * */
int world_teardown(void **state); /* asserts that temp is empty */

/* Files below src; `rel` may hold folders that exist. */
void world_write(struct world *w, const char *rel, const char *text);
void world_write_random(struct world *w, const char *rel, size_t len);
void world_mkdir(struct world *w, const char *rel);
char *world_path(struct world *w, const char *rel); /* caller frees */

/* capture_run with fresh counters; the code. */
int world_run(struct world *w);
/* The same, asserted to succeed; then the cache is committed and aged, as if
 * the capture had been an hour later: no entry is too fresh to be trusted. */
void world_backup(struct world *w);
void world_age_cache(struct world *w);
void world_write_cache(struct world *w, const void *p, size_t len);

/* The parsed tree of `path` in the last snapshot ("" is the root); the caller
 * calls tree_free. Asserts that it is there. */
void world_tree(struct world *w, const char *path, struct tree *out);
/* A copy of the node at `path`; name and pointers are not valid. */
bool world_node(struct world *w, const char *path, struct tree_node *out);
/* Content of a file of the snapshot; caller frees. NULL: not there. */
uint8_t *world_content(struct world *w, const char *path, size_t *len);
void world_assert_text(struct world *w, const char *path, const char *text);
bool world_has_problem(struct world *w, const char *path, const char *reason);

/* Everything below `live` but sockets is at `at` in the snapshot, and nothing
 * else. */
void world_assert_same(struct world *w, const char *at, const char *live);
/* The lines of verify/SHA256SUMS name exactly the files of the snapshot and
 * have their sums. */
void world_assert_sums(struct world *w);

#endif
