/* SPDX-License-Identifier: MIT */
/* Starting and ending of jobs.
 *
 * Happy path: jobs_start (any thread) writes the row and queues -> wake -> the
 * loop starts a worker -> the kind runs -> result, row, last state event -> the
 * claims are given back -> the worker's end is told on the loop -> freed, the
 * next one starts. A job cancelled before it began ends where it stands. */
#include "controller/jobs/job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/base/worker.h"
#include "controller/jobs/jobs_internal.h"

#define JOBS_MAX_QUEUED 2000
#define JOB_ID_DIGITS 13
#define JOBS_TIDY_EVERY 100 /* ended jobs; then old ones are forgotten */

static void on_wake(uv_async_t *h);
static void job_main(void *arg);
static void on_job_done(void *arg);

struct jobs *jobs_new(uv_loop_t *loop, struct catalog *c,
                      const struct job_kind *const *kinds, size_t count,
                      void *context)
{
    struct jobs *js = mem_zalloc(sizeof(*js));
    struct error e = {0};
    size_t cut_off = 0;

    js->loop = loop;
    js->catalog = c;
    js->kinds = kinds;
    js->kind_count = count;
    js->context = context;
    pthread_mutex_init(&js->lock, NULL);
    pthread_cond_init(&js->changed, NULL);
    pthread_mutex_init(&js->watch_lock, NULL);
    uv_async_init(loop, &js->wake, on_wake);
    if (catalog_jobs_interrupted(c, &cut_off, &e) < 0)
        log_error("jobs of the last run: %s", e.text);
    else if (cut_off > 0)
        log_warn("jobs=%zu were cut off by the end of the last run", cut_off);
    return js;
}

static void on_wake_closed(uv_handle_t *h)
{
    struct jobs *js = CONTAINER_OF((uv_async_t *)h, struct jobs, wake);

    pthread_mutex_destroy(&js->lock);
    pthread_cond_destroy(&js->changed);
    pthread_mutex_destroy(&js->watch_lock);
    free(js);
}

void jobs_free(struct jobs *js)
{
    if (js)
        uv_close((uv_handle_t *)&js->wake, on_wake_closed);
}

static const struct job_kind *find_kind(struct jobs *js, const char *name)
{
    for (size_t i = 0; i < js->kind_count; i++) {
        if (strcmp(js->kinds[i]->name, name) == 0)
            return js->kinds[i];
    }
    return NULL;
}

/* 48 bits of milliseconds, 15 random ones; never the same or lower twice.
 * The digits sort like the numbers. With js->lock held. */
static void make_id(struct jobs *js, char id[24])
{
    static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
    uint64_t v = (uint64_t)(clock_now_ns() / 1000000) << 15;
    uint16_t random;

    secret_random(&random, sizeof(random));
    v |= random & 0x7fff;
    if (v <= js->last_id)
        v = js->last_id + 1;
    js->last_id = v;
    id[0] = 'j';
    for (int i = JOB_ID_DIGITS; i > 0; i--, v >>= 5)
        id[i] = digits[v & 31];
    id[JOB_ID_DIGITS + 1] = '\0';
}

static void job_free(struct job *j)
{
    job_row_fini(&j->row);
    json_decref(j->params);
    json_decref(j->progress);
    pthread_mutex_destroy(&j->cancel_lock);
    pthread_mutex_destroy(&j->event_lock);
    free(j);
}

/* With js->lock held. */
static void unlink_job(struct jobs *js, struct job *j)
{
    struct job **at = &js->active;

    while (*at != j)
        at = &(*at)->next;
    *at = j->next;
}

static void put_row(struct job *j)
{
    struct error e = {0};

    if (catalog_job_put(j->js->catalog, &j->row, &e) < 0)
        log_error("job=%s not kept: %s", j->row.id, e.text);
}

/* May one more begin? Then it gets its id. */
static int enter(struct jobs *js, struct job *j, struct error *e)
{
    int rc = 0;

    pthread_mutex_lock(&js->lock);
    if (js->stopping)
        rc = error_set(e, OCM_E_CLOSED, "the controller is stopping");
    else if (js->queued + js->entering >= JOBS_MAX_QUEUED)
        rc = error_set(e, OCM_E_BUSY, "%d jobs are waiting already",
                       JOBS_MAX_QUEUED);
    if (rc == 0) {
        make_id(js, j->row.id);
        js->entering++;
    }
    pthread_mutex_unlock(&js->lock);
    return rc;
}

/* Its row is written (`rc` 0): the loop may start it. The writing is done
 * without the lock, for which the loop would have to wait. */
static int enqueue(struct jobs *js, struct job *j, int rc, struct error *e)
{
    pthread_mutex_lock(&js->lock);
    js->entering--;
    if (rc == 0 && js->stopping)
        rc = error_set(e, OCM_E_CLOSED, "the controller is stopping");
    if (rc == 0) {
        j->next = js->active;
        js->active = j;
        js->queued++;
        /* Still under the lock: once it is open the job may run, end, and be
         * the last one that jobs_stop waited for. */
        uv_async_send(&js->wake);
    }
    pthread_mutex_unlock(&js->lock);
    return rc;
}

int jobs_start(struct jobs *js, const char *kind, const char *node,
               const char *owner, json_t *params, char id[24], struct error *e)
{
    const struct job_kind *k = find_kind(js, kind);
    struct job *j;
    int rc;

    if (!k) {
        json_decref(params);
        return error_set(e, OCM_E_INVALID, "no such kind of job: '%s'", kind);
    }
    j = mem_zalloc(sizeof(*j));
    j->js = js;
    j->kind = k;
    j->params = params ? params : json_object();
    pthread_mutex_init(&j->cancel_lock, NULL);
    pthread_mutex_init(&j->event_lock, NULL);
    snprintf(j->row.kind, sizeof(j->row.kind), "%s", kind);
    snprintf(j->row.node, sizeof(j->row.node), "%s", node ? node : "");
    snprintf(j->row.owner, sizeof(j->row.owner), "%s", owner);
    snprintf(j->row.state, sizeof(j->row.state), "queued");
    j->row.created_ns = clock_now_ns();
    j->row.params = json_dumps(j->params, JSON_COMPACT);

    rc = enter(js, j, e);
    if (rc == 0) {
        rc = catalog_job_put(js->catalog, &j->row, e);
        if (rc == 0) {
            snprintf(id, 24, "%s", j->row.id);
            job_state_event(j, "queued", NULL, NULL);
        }
        rc = enqueue(js, j, rc, e);
    }
    if (rc < 0)
        job_free(j);
    return rc;
}

/* The oldest job that waits; with js->lock held. */
static struct job *next_queued(struct jobs *js)
{
    struct job *found = NULL;

    for (struct job *j = js->active; j; j = j->next) {
        if (!j->running)
            found = j;
    }
    return found;
}

static void end_job(struct job *j, int rc, const struct error *e,
                    json_t *result);

static void on_wake(uv_async_t *h)
{
    struct jobs *js = CONTAINER_OF(h, struct jobs, wake);
    bool idle;

    pthread_mutex_lock(&js->lock);
    while (js->running < JOBS_MAX_RUNNING && js->queued > 0) {
        struct job *j = next_queued(js);
        int rc;

        j->running = true;
        js->queued--;
        js->running++;
        rc = worker_start(js->loop, job_main, on_job_done, j);
        if (rc < 0) {
            struct error e = {0};

            /* No thread: this job fails, the daemon lives. */
            unlink_job(js, j);
            js->running--;
            error_set(&e, rc, "no thread for the job: %s", uv_strerror(rc));
            end_job(j, rc, &e, NULL);
            job_free(j);
        }
    }
    idle = js->stopping && js->running == 0 && !js->idle_told;
    if (idle)
        js->idle_told = true;
    pthread_mutex_unlock(&js->lock);
    if (idle && js->on_idle)
        js->on_idle(js->on_idle_arg);
}

/* Row, result, last progress, last state: in this order, so that who sees the
 * last event finds the final row. */
static void end_job(struct job *j, int rc, const struct error *e,
                    json_t *result)
{
    const char *state = rc == 0                      ? "done"
                        : rc == OCM_E_PARTIAL        ? "partial"
                        : atomic_load(&j->cancelled) ? "cancelled"
                                                     : "failed";

    snprintf(j->row.state, sizeof(j->row.state), "%s", state);
    j->row.ended_ns = clock_now_ns();
    if (result && json_object_size(result) > 0)
        j->row.result = json_dumps(result, JSON_COMPACT);
    if (rc != 0) {
        j->row.error = mem_strdup(e->text[0] ? e->text : error_text(rc));
        snprintf(j->row.error_code, sizeof(j->row.error_code), "%s",
                 error_name(rc));
    }
    job_flush_progress(j);
    put_row(j);
    if (j->row.result) {
        json_t *body = json_object();

        json_object_set(body, "result", result);
        job_event(j, "result", body);
    }
    job_state_event(j, state, j->row.error, j->row.error_code);
    if (rc == 0)
        log_info("job=%s kind=%s node=%s done", j->row.id, j->row.kind,
                 j->row.node);
    else
        log_warn("job=%s kind=%s node=%s %s: %s", j->row.id, j->row.kind,
                 j->row.node, state, j->row.error);
}

void job_release_nodes(struct job *j)
{
    pthread_mutex_lock(&j->js->lock);
    for (size_t i = 0; i < j->claim_count; i++)
        free(j->claims[i]);
    free(j->claims);
    j->claims = NULL;
    j->claim_count = 0;
    pthread_cond_broadcast(&j->js->changed);
    pthread_mutex_unlock(&j->js->lock);
}

static void set_running(struct job *j)
{
    snprintf(j->row.state, sizeof(j->row.state), "running");
    put_row(j);
    job_state_event(j, "running", NULL, NULL);
}

/* A controller may run for years. */
static void tidy(struct jobs *js)
{
    struct error e = {0};

    if (atomic_fetch_add(&js->ended, 1) % JOBS_TIDY_EVERY !=
        JOBS_TIDY_EVERY - 1)
        return;
    if (catalog_forget_old(js->catalog, &e) < 0)
        log_warn("old jobs are not forgotten: %s", e.text);
}

static void job_main(void *arg)
{
    struct job *j = arg;
    json_t *result = json_object();
    struct error e = {0};
    int rc;

    if (atomic_load(&j->cancelled)) {
        rc = error_set(&e, OCM_E_CANCELLED, "cancelled before it began");
    } else {
        j->row.started_ns = clock_now_ns();
        set_running(j);
        rc = j->kind->run(j, j->params, result, &e);
    }
    job_on_cancel(j, NULL, NULL);
    job_release_nodes(j);
    end_job(j, rc, &e, result);
    json_decref(result);
    tidy(j->js);
}

static void on_job_done(void *arg)
{
    struct job *j = arg;
    struct jobs *js = j->js;

    pthread_mutex_lock(&js->lock);
    unlink_job(js, j);
    js->running--;
    pthread_mutex_unlock(&js->lock);
    job_free(j);
    on_wake(&js->wake);
}

/* With js->lock held, for a job that runs. */
static void cancel_running(struct jobs *js, struct job *j)
{
    pthread_mutex_lock(&j->cancel_lock);
    if (!atomic_exchange(&j->cancelled, true) && j->on_cancel)
        j->on_cancel(j->on_cancel_arg);
    pthread_mutex_unlock(&j->cancel_lock);
    pthread_cond_broadcast(&js->changed);
}

/* With js->lock held, for a job that waits: it ends here. */
static void cancel_queued(struct jobs *js, struct job *j)
{
    struct error e = {0};

    unlink_job(js, j);
    js->queued--;
    atomic_store(&j->cancelled, true);
    error_set(&e, OCM_E_CANCELLED, "cancelled before it began");
    end_job(j, OCM_E_CANCELLED, &e, NULL);
    job_free(j);
}

int jobs_cancel(struct jobs *js, const char *id, struct error *e)
{
    struct job_row row;
    struct job *j;
    int rc;

    pthread_mutex_lock(&js->lock);
    for (j = js->active; j && strcmp(j->row.id, id) != 0; j = j->next)
        ;
    if (j && j->running)
        cancel_running(js, j);
    else if (j)
        cancel_queued(js, j);
    pthread_mutex_unlock(&js->lock);
    if (j)
        return 0;
    rc = catalog_job_get(js->catalog, id, &row, e);
    if (rc == 0) {
        rc = error_set(e, OCM_E_INVALID, "job %s has ended: %s", row.id,
                       row.state);
        job_row_fini(&row);
    }
    return rc;
}

void jobs_stop(struct jobs *js, void (*on_idle)(void *arg), void *arg)
{
    struct job *j, *next;

    pthread_mutex_lock(&js->lock);
    js->stopping = true;
    js->on_idle = on_idle;
    js->on_idle_arg = arg;
    for (j = js->active; j; j = next) {
        next = j->next;
        if (j->running) {
            cancel_running(js, j);
            continue;
        }
        /* Its row ends at the next start, with all others in one go. */
        unlink_job(js, j);
        js->queued--;
        job_free(j);
    }
    uv_async_send(&js->wake);
    pthread_mutex_unlock(&js->lock);
}

void *job_context(struct job *j)
{
    return j->js->context;
}

const char *job_id(const struct job *j)
{
    return j->row.id;
}

const char *job_owner(const struct job *j)
{
    return j->row.owner;
}

const atomic_bool *job_cancelled(struct job *j)
{
    return &j->cancelled;
}

void job_on_cancel(struct job *j, void (*fn)(void *arg), void *arg)
{
    pthread_mutex_lock(&j->cancel_lock);
    j->on_cancel = fn;
    j->on_cancel_arg = arg;
    if (fn && atomic_load(&j->cancelled))
        fn(arg);
    pthread_mutex_unlock(&j->cancel_lock);
}

static bool job_holds(const struct job *j, const char *node)
{
    for (size_t i = 0; i < j->claim_count; i++) {
        if (strcmp(j->claims[i], node) == 0)
            return true;
    }
    return false;
}

bool jobs_works_on(struct jobs *js, const char *id, const char *node_id)
{
    bool works = false;

    pthread_mutex_lock(&js->lock);
    for (struct job *j = js->active; j && !works; j = j->next)
        works = strcmp(j->row.id, id) == 0 && job_holds(j, node_id);
    pthread_mutex_unlock(&js->lock);
    return works;
}

/* Another job that holds one of the nodes; with js->lock held. */
static struct job *holder_of(struct job *me, const char *const *nodes,
                             size_t count, const char **which)
{
    for (struct job *j = me->js->active; j; j = j->next) {
        for (size_t i = 0; j != me && i < count; i++) {
            if (job_holds(j, nodes[i])) {
                *which = nodes[i];
                return j;
            }
        }
    }
    return NULL;
}

/* A node's name as it is now; its id when there is none. */
static const char *name_of(struct jobs *js, const char *id, struct node *room)
{
    return catalog_node_get(js->catalog, id, room, NULL) == 0 ? room->name : id;
}

/* All of the nodes or none, in one go: no two jobs can each hold what the
 * other waits for. */
int job_claim_nodes(struct job *j, const char *const *node_ids, size_t count,
                    struct error *e)
{
    struct jobs *js = j->js;
    bool waited = false;
    const char *which;
    struct job *other;
    struct node room;

    pthread_mutex_lock(&js->lock);
    while ((other = holder_of(j, node_ids, count, &which)) != NULL &&
           !atomic_load(&j->cancelled)) {
        if (j->claim_count > 0) {
            /* Holding one node and waiting for another could wait for ever. */
            pthread_mutex_unlock(&js->lock);
            return error_set(e, OCM_E_BUSY, "job %s works on node %s",
                             other->row.id, name_of(js, which, &room));
        }
        if (!waited) {
            char text[128];

            waited = true;
            snprintf(text, sizeof(text), "waits for job %s on node %s",
                     other->row.id, name_of(js, which, &room));
            snprintf(j->row.state, sizeof(j->row.state), "queued");
            put_row(j);
            job_state_event(j, "queued", text, NULL);
        }
        pthread_cond_wait(&js->changed, &js->lock);
    }
    if (atomic_load(&j->cancelled)) {
        pthread_mutex_unlock(&js->lock);
        return error_set(e, OCM_E_CANCELLED, "cancelled");
    }
    for (size_t i = 0; i < count; i++) {
        if (job_holds(j, node_ids[i]))
            continue;
        j->claims =
            mem_realloc(j->claims, (j->claim_count + 1) * sizeof(*j->claims));
        j->claims[j->claim_count++] = mem_strdup(node_ids[i]);
    }
    pthread_mutex_unlock(&js->lock);
    if (waited)
        set_running(j);
    return 0;
}
