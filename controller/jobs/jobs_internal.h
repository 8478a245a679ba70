/* SPDX-License-Identifier: MIT */
/* What the two files of the framework share: jobs.c starts and ends jobs,
 * jobs_events.c tells of them. */
#ifndef CONTROLLER_JOBS_JOBS_INTERNAL_H
#define CONTROLLER_JOBS_JOBS_INTERNAL_H

#include <pthread.h>

#include "controller/jobs/job.h"

struct job {
    struct jobs *js;
    struct job *next; /* in js->active, newest first */
    const struct job_kind *kind;
    json_t *params;
    struct job_row row;    /* written by the job's own thread once it runs */
    bool running;          /* js->lock */
    atomic_bool cancelled; /* set once */

    pthread_mutex_t cancel_lock; /* held while on_cancel runs */
    void (*on_cancel)(void *arg);
    void *on_cancel_arg;

    char **claims; /* js->lock: ids of nodes, held until the end */
    size_t claim_count;

    pthread_mutex_t event_lock; /* order of events is order of numbers */
    int64_t seq;
    size_t lines;     /* steps and lines of the log so far */
    json_t *progress; /* the latest, or NULL */
    bool progress_unkept;
    int64_t progress_kept_ms; /* when one last went to the catalog */
};

struct job_watch {
    struct jobs *js;
    struct job_watch *next, **link;
    char id[24];
    void (*fn)(void *arg);
    void *arg;
};

struct jobs {
    uv_loop_t *loop;
    uv_async_t wake; /* something to start, or idle at last */
    struct catalog *catalog;
    const struct job_kind *const *kinds;
    size_t kind_count;
    void *context;

    pthread_mutex_t lock;
    pthread_cond_t changed; /* a claim was given back, a job was cancelled */
    struct job *active;     /* queued and running */
    size_t queued, running;
    size_t entering;   /* their rows are being written */
    atomic_uint ended; /* since the start */
    uint64_t last_id;
    bool stopping, idle_told;
    void (*on_idle)(void *arg);
    void *on_idle_arg;

    pthread_mutex_t watch_lock; /* held while watchers are called */
    struct job_watch *watches;
};

/* Keep an event of `j` and tell its watchers; takes `body`, an object that
 * gets seq, time and type. */
void job_event(struct job *j, const char *type, json_t *body);
/* The last progress goes to the catalog, too: the bar ends where it ended. */
void job_flush_progress(struct job *j);
/* State of the row with its time; text and code may be NULL. */
void job_state_event(struct job *j, const char *state, const char *text,
                     const char *code);

#endif
