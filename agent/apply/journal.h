/* SPDX-License-Identifier: MIT */
/* The journal of one apply: <work_dir>/apply-<job>.journal, JSON lines, each
 * with a checksum: {"sum":"<16 hex>","e":{"k":"<kind>",...}}. Written before
 * what it speaks of; the last line may be torn, any other must be whole.
 *
 *   begin      job, time; state, config: where they are; stages {parent, dir,
 *              kept}
 *   place      path, label, stage
 *   staged     everything new is on the disk
 *   stop       running: was the gateway up? It is about to be stopped.
 *   guard      the start guard is about to be set
 *   mkdir      path: a parent to be made
 *   op         one entry to be replaced, made or removed
 *   attr       a folder that stays: mode, owner, time before and after
 *   swap       all of the above is on the disk: the swap may have begun
 *   rmdir      a folder to be taken away once it is empty
 *   split      i: this op became those that follow
 *   copy       i: this op is done by copying
 *   swapped    all ops are done and on the disk
 *   commit     start: the gateway is to run
 *   undone     all is as it was before and on the disk
 */
#ifndef AGENT_APPLY_JOURNAL_H
#define AGENT_APPLY_JOURNAL_H

#include <jansson.h>
#include <stdbool.h>

#include "common/base/error.h"

#define JOURNAL_MAX_BYTES (256u * 1024 * 1024)

struct journal;

/* A new journal; OCM_E_EXISTS when there is one of this job. */
int journal_create(const char *work_dir, const char *job, struct journal **out,
                   struct error *e);
/* Read an existing one: `on_line` per whole line, in order; then it is open
 * for more. A damaged line before the last is OCM_E_DAMAGED. */
int journal_open(const char *path,
                 int (*on_line)(void *arg, const json_t *line, struct error *e),
                 void *arg, struct journal **out, struct error *e);
/* Append a line (the reference is taken over). With `sync` it and all before
 * it are on the disk at return. */
int journal_add(struct journal *j, json_t *line, bool sync, struct error *e);
/* The work is over: remove the file, durably. */
int journal_remove(struct journal *j, struct error *e);
void journal_close(struct journal *j);

/* Paths are bytes, JSON is UTF-8: '%' and what is not plain ASCII as %XX. */
json_t *journal_path(const char *path);
char *journal_path_of(const json_t *text); /* NULL when damaged */

#endif
