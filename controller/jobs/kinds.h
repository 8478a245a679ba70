/* SPDX-License-Identifier: MIT */
/* The kinds of jobs. Their context is the struct controller. */
#ifndef CONTROLLER_JOBS_KINDS_H
#define CONTROLLER_JOBS_KINDS_H

#include "controller/controller.h"
#include "controller/handle_backup.h"
#include "controller/jobs/job.h"

/* {"node","sections":[],"no_data":bool,"reread":bool} */
extern const struct job_kind job_backup;
/* {"source","target","intention":"restore|clone|move","snapshot":"",
 *  "sections":[],"no_data","rules":[{"from","to"}],"channels_on",
 *  "skip_edits":[],"install_openclaw","upgrade_state"} */
extern const struct job_kind job_plan;
/* {"plan":id,"no_start","no_safety","health_wait_ms","source_gone"} */
extern const struct job_kind job_migrate, job_restore;
/* {"snapshot":"" | id, "read_data":bool} */
extern const struct job_kind job_verify;

/* {"node","verb":"status|start|stop|fence|unfence"} */
extern const struct job_kind job_gateway;
/* {"nodes":[],"packages":[id],"canary":N,"allow_downgrade":bool} */
extern const struct job_kind job_upgrade;
/* {"node"} */
extern const struct job_kind job_uninstall;

/* ---- shared by the kinds ---- */

/* A fresh backup of `node` inside job `j`. */
int kinds_backup(struct job *j, const struct node *node,
                 const struct backup_order *order, struct backup_outcome *out,
                 struct error *e);

/* A verb to the gateway of `node`; what it answers goes to `result` unless
 * that is NULL. A job that is cancelled meanwhile waits for the answer: what
 * was begun must be known, to be undone. */
int kinds_gateway(struct job *j, const struct node *node, const char *verb,
                  json_t *result, struct error *e);

/* The strings of a JSON array, borrowed; NULL when it is absent or empty.
 * Caller frees the array. */
const char **kinds_strings(const json_t *params, const char *key,
                           size_t *count);

#endif
