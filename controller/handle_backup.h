/* SPDX-License-Identifier: MIT */
/* Backup, the controller's end of the conversation. Worker thread. */
#ifndef CONTROLLER_HANDLE_BACKUP_H
#define CONTROLLER_HANDLE_BACKUP_H

#include <jansson.h>

#include "common/net/stream.h"
#include "controller/catalog/catalog.h"
#include "controller/controller.h"
#include "controller/jobs/job.h"

struct backup_order {
    const char *job;             /* id, for the snapshot's tags */
    const char *const *sections; /* empty: all */
    size_t section_count;
    bool no_data, reread;
    const char *tag; /* a further tag ("safety"), or NULL */
};

struct backup_outcome {
    struct id snapshot, root;
    bool partial;
    json_t *report; /* the job's result object; owned by the caller */
};

/* Ask the agent at the other end of `s` to capture, verify and store all that
 * comes, and seal it as a snapshot. Needs a shared repository lock. `j` gets
 * progress and log lines, may be NULL. 0 also when partial. On failure no
 * snapshot exists; blobs that became durable are kept for the next try. */
int handle_backup(struct controller *c, struct stream *s,
                  const struct node *node, const struct backup_order *order,
                  struct job *j, struct backup_outcome *out, struct error *e);

#endif
