/* SPDX-License-Identifier: MIT */
/* An archive as a snapshot of a node: our own .tar.zst (archive_export), or
 * the .tar.gz that `openclaw backup create` makes (manifest schemaVersion 1).
 *
 * An archive comes from foreign hands: regular files, folders, symbolic links
 * (text, never followed) and hard links to files of the same archive only;
 * everything else, unsafe names, and what is above a limit is refused with
 * its name, and then nothing becomes a snapshot. setuid, setgid and sticky
 * bits are dropped and reported. */
#ifndef CONTROLLER_JOBS_ARCHIVE_IMPORT_H
#define CONTROLLER_JOBS_ARCHIVE_IMPORT_H

#include <jansson.h>
#include <stdatomic.h>

#include "controller/repo/repo.h"

#define IMPORT_MAX_ENTRIES 1000000
#define IMPORT_MAX_DEPTH 64
#define IMPORT_MAX_PATH 4096
#define IMPORT_MAX_BYTES (INT64_C(4) << 40)  /* of content */
#define IMPORT_MAX_RATIO 1000                /* content to archive bytes */
#define IMPORT_RATIO_FROM (64 * 1024 * 1024) /* below it the ratio is free */
#define IMPORT_MAX_SUMS (256u * 1024 * 1024) /* verify/SHA256SUMS */
#define IMPORT_MAX_META (4u * 1024 * 1024)   /* meta.json, manifest.json */

struct import_options {
    struct repo *repo;     /* locked by the caller */
    const char *path;      /* the archive */
    const char *node_name; /* whose snapshot it becomes */
    const char *node_id;
    const char *job; /* id, for the tags */
    const atomic_bool *cancelled;
    /* May be NULL. `bytes` of the archive of `total`. */
    void (*on_progress)(void *arg, uint64_t files, uint64_t bytes,
                        uint64_t total, const char *current);
    void *arg;
};

/* Worker thread. `result` (an object) gets "snapshot", "format" ("ocm" or
 * "openclaw"), "state", "files", "bytes", "sections", "warnings". 0,
 * OCM_E_UNSUPPORTED (no such archive), OCM_E_DENIED (an entry that is not
 * taken), OCM_E_LIMIT, OCM_E_DAMAGED (checksums), ... */
int archive_import(const struct import_options *o, json_t *result,
                   struct error *e);

/* Where uploads wait for their job: below the controller's state folder.
 * Caller frees. */
char *path_of_imports(const char *state_dir);

/* The kind "import": params node, node_id, file (removed at the end). The
 * context of jobs must be a struct controller. */
struct job_kind;
extern const struct job_kind job_import;

#endif
