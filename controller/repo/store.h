/* SPDX-License-Identifier: MIT */
/* Where the repository's files lie: the one door to them. Names are relative
 * ("config", "index/<id>", "data/ab/<id>") and made by this program, never by
 * a peer. Today a folder (store_dir.c); an object store can stand behind the
 * same calls. All functions may be called from any thread.
 *
 * A file is there whole or not at all: what is written lies under a temporary
 * name below ocm/tmp (restic does not look there) until it is durable.
 *
 * Errors: OCM_E_NOTFOUND is only ever "that name does not exist"; a listing
 * that fails is an error, never an empty list. OCM_E_SPACE: the disk is full,
 * or the write would go below the free floor. */
#ifndef CONTROLLER_REPO_STORE_H
#define CONTROLLER_REPO_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"

struct store;

/* The folder must exist. `free_floor` bytes stay free on its file system. */
int store_open(const char *dir, int64_t free_floor, struct store **out,
               struct error *e);
void store_close(struct store *s);
const char *store_place(const struct store *s); /* for messages */

/* Make ocm/tmp, and sweep what killed processes left there: temporary files
 * that no living process holds (flock) and that are older than a minute. */
int store_prepare(struct store *s, struct error *e);

/* Durable when it returns 0; replaces. Locks may go below the free floor: a
 * restore needs one too. */
int store_put(struct store *s, const char *name, const void *p, size_t len,
              struct error *e);
/* Append the whole file to `out`; above `max` bytes OCM_E_DAMAGED. */
int store_get(struct store *s, const char *name, size_t max, struct buf *out,
              struct error *e);
bool store_exists(struct store *s, const char *name);
int store_size(struct store *s, const char *name, uint64_t *size,
               struct error *e);
/* Seconds since the file was last changed; negative when that is unknown. */
int64_t store_age_s(struct store *s, const char *name);
int store_delete(struct store *s, const char *name, struct error *e);

/* The plain files of a folder, in no order, one level deeper with `deep`
 * (for data/). Only file names are given, and only those of 64 hex digits.
 * `fn` returning nonzero ends the listing with that value. */
typedef int store_list_cb(void *arg, const char *name);
int store_list(struct store *s, const char *folder, bool deep,
               store_list_cb *fn, void *arg, struct error *e);

/* A file written piece by piece, whose name is known only at its end. */
struct store_file;
int store_begin(struct store *s, struct store_file **out, struct error *e);
int store_append(struct store_file *f, const void *p, size_t len,
                 struct error *e);
/* fsync -> rename -> fsync(folder). Frees `f`, on failure too (then nothing
 * stays). */
int store_commit_take(struct store_file *f, const char *name, struct error *e);
void store_abort(struct store_file *f); /* NULL is fine */

/* Reading ranges of an open file. */
struct store_handle;
int store_handle_open(struct store *s, const char *name,
                      struct store_handle **out, struct error *e);
int store_handle_read(struct store_handle *h, void *p, size_t len, uint64_t off,
                      struct error *e);
uint64_t store_handle_size(const struct store_handle *h);
void store_handle_close(struct store_handle *h);

#endif
