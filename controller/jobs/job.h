/* SPDX-License-Identifier: MIT */
/* Jobs: everything that takes time. A job has an id, an owner, a state, steps,
 * progress, a log and a result; it runs on a worker thread of its own, its
 * events are kept in the catalog and told to watchers. After a restart of the
 * controller running jobs end as failed ("the controller was restarted"). */
#ifndef CONTROLLER_JOBS_JOB_H
#define CONTROLLER_JOBS_JOB_H

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <uv.h>

#include "controller/catalog/catalog.h"

#define JOBS_MAX_RUNNING 16
#define JOB_LINES_MAX 5000 /* steps and lines of the log that are kept */

struct jobs;
struct job;

/* What a kind of job does. `run` is on a worker thread; it returns 0,
 * OCM_E_PARTIAL or a failure with its text in `e`. `params` is borrowed. */
struct job_kind {
    const char *name;
    int (*run)(struct job *j, const json_t *params, json_t *result,
               struct error *e);
};

/* `context` is handed to the kinds through job_context. */
struct jobs *jobs_new(uv_loop_t *loop, struct catalog *c,
                      const struct job_kind *const *kinds, size_t count,
                      void *context);
/* Loop thread. No new jobs, running ones are cancelled; those that wait end
 * as failed at the next start. `on_idle` (from the loop, never within this
 * call) when none is left. */
void jobs_stop(struct jobs *js, void (*on_idle)(void *arg), void *arg);
/* Loop thread, when idle. The memory goes with the next turns of the loop. */
void jobs_free(struct jobs *js);

/* Any thread. Takes `params` (stolen, also on failure). The id of the new job
 * goes to `id`. Two jobs that change one node never run at once: the second
 * waits in state "queued". OCM_E_INVALID unknown kind. */
int jobs_start(struct jobs *js, const char *kind, const char *node,
               const char *owner, json_t *params, char id[24], struct error *e);
int jobs_cancel(struct jobs *js, const char *id, struct error *e);
/* Any thread: does job `id` run, and hold the node with that id? */
bool jobs_works_on(struct jobs *js, const char *id, const char *node_id);

/* ---- from inside a running job ---- */
void *job_context(struct job *j);
const char *job_id(const struct job *j);
const char *job_owner(const struct job *j);
const atomic_bool *job_cancelled(struct job *j);
/* Called on any thread when the job is cancelled (to cancel a stream, say);
 * NULL takes it away. */
void job_on_cancel(struct job *j, void (*fn)(void *arg), void *arg);
/* Wait for the nodes this job changes, by their ids (a name may change
 * meanwhile): it gets all of them or waits in state
 * "queued". Released at the job's end. Claim all in one call: a second call
 * does not wait, it fails with OCM_E_BUSY when a node is taken.
 * OCM_E_CANCELLED when the job is cancelled meanwhile. */
int job_claim_nodes(struct job *j, const char *const *node_ids, size_t count,
                    struct error *e);
/* Give them all back before the end; then the job may claim again. */
void job_release_nodes(struct job *j);
void job_step(struct job *j, const char *step); /* "backup", "fetch", "swap" */
void job_progress(struct job *j, uint64_t files_done, uint64_t files_total,
                  uint64_t bytes_done, uint64_t bytes_total,
                  const char *current);
void job_log(struct job *j, const char *level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- watching ---- */
/* An event as JSON text: {"seq":1,"time":"...","type":"state|step|progress|
 * log|result", ...}. Kept events are replayed from the catalog by the
 * caller; this tells that there are new ones. Any thread; `fn` runs on the
 * thread that made the event and must neither block nor call anything of
 * jobs. After jobs_unwatch has returned it is not running any more.
 * The last event of a job is a "state" that is done, partial, failed or
 * cancelled; the row in the catalog is final before it comes. */
struct job_watch;
struct job_watch *jobs_watch(struct jobs *js, const char *id,
                             void (*fn)(void *arg), void *arg);
void jobs_unwatch(struct job_watch *w);
/* Latest progress event as JSON (not every one is kept in the catalog);
 * caller frees; NULL when there is none. */
char *jobs_progress(struct jobs *js, const char *id);

#endif
