/* SPDX-License-Identifier: MIT */
/* Events of a job as server-sent events: those kept in the catalog after the
 * last one the client has, then live ones as they are kept; the stream ends
 * behind the final state. Every EVENTS_BEAT_MS a comment goes out. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "controller/api/api_internal.h"

#define EVENTS_FILL_BYTES (256 * 1024)
#define EVENTS_LAST_WAIT_NS (INT64_C(5) * 1000000000)
#define EVENTS_FULL 1 /* stops the catalog's walk: more in the next turn */

/* On the thread that made the event. */
static void on_job_event(void *arg)
{
    struct events *ev = arg;

    atomic_store(&ev->nudged, true);
    uv_async_send(&ev->rq->api->wake);
}

int request_events(struct request *rq, const char *job, int64_t after)
{
    struct events *ev = mem_zalloc(sizeof(*ev));

    ev->rq = rq;
    ev->after = after;
    snprintf(ev->job, sizeof(ev->job), "%s", job);
    atomic_init(&ev->nudged, true);
    ev->watch = jobs_watch(rq->api->c->jobs, job, on_job_event, ev);
    rq->events = ev;
    rq->kind = ANSWER_EVENTS;
    rq->status = 200;
    rq->type = "text/event-stream";
    return 0;
}

void events_free(struct events *ev)
{
    if (!ev)
        return;
    jobs_unwatch(ev->watch);
    buf_free(&ev->out);
    free(ev);
}

static bool is_final(const char *state)
{
    return strcmp(state, "queued") != 0 && strcmp(state, "running") != 0;
}

static bool is_final_event(const char *type, const char *text)
{
    json_t *v;
    const char *state;
    bool final;

    if (strcmp(type, "state") != 0)
        return false;
    v = json_loads(text, 0, NULL);
    state = json_string_value(json_object_get(v, "state"));
    final = state && is_final(state);
    json_decref(v);
    return final;
}

static int add_event(void *arg, int64_t seq, const char *type, const char *json)
{
    struct events *ev = arg;

    buf_printf(&ev->out, "id: %" PRId64 "\nevent: %s\ndata: ", seq, type);
    buf_add_str(&ev->out, json);
    buf_add_str(&ev->out, "\n\n");
    ev->after = seq;
    if (is_final_event(type, json))
        ev->ended = true;
    return ev->out.len >= EVENTS_FILL_BYTES ? EVENTS_FULL : 0;
}

static int look_at_event(void *arg, int64_t seq, const char *type,
                         const char *json)
{
    bool *final = arg;

    (void)seq;
    *final = is_final_event(type, json);
    return EVENTS_FULL;
}

/* Has the client seen the end already? The row is final a moment before the
 * last event is kept: within that moment the event is waited for. */
static bool nothing_follows(struct events *ev)
{
    struct catalog *c = ev->rq->api->c->catalog;
    struct job_row row;
    bool over, seen = false;

    if (catalog_job_get(c, ev->job, &row, NULL) < 0)
        return true;
    over = row.ended_ns != 0 &&
           clock_now_ns() - row.ended_ns > EVENTS_LAST_WAIT_NS;
    job_row_fini(&row);
    if (!over && ev->after > 0)
        catalog_events(c, ev->job, ev->after - 1, look_at_event, &seen, NULL);
    return over || seen;
}

static void fill(struct events *ev)
{
    struct catalog *c = ev->rq->api->c->catalog;
    struct error e = {0};
    int rc;

    if (ev->ended || !atomic_exchange(&ev->nudged, false))
        return;
    rc = catalog_events(c, ev->job, ev->after, add_event, ev, &e);
    if (rc == EVENTS_FULL) {
        atomic_store(&ev->nudged, true);
    } else if (rc < 0) {
        log_error("job=%s events: %s", ev->job, e.text);
        ev->ended = true;
    } else if (ev->out.len == 0 && nothing_follows(ev)) {
        ev->ended = true;
    }
}

ssize_t events_read(void *cls, uint64_t pos, char *out, size_t max)
{
    struct events *ev = cls;
    size_t n;

    (void)pos;
    if (ev->out.len == 0)
        fill(ev);
    if (ev->out.len == 0 && ev->beat && !ev->ended)
        buf_add_str(&ev->out, ": still there\n\n");
    ev->beat = false;
    if (ev->out.len == 0 && (ev->ended || ev->rq->api->stopping))
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (ev->out.len == 0) {
        api_suspend(ev->rq);
        return 0;
    }
    n = ev->out.len < max ? ev->out.len : max;
    memcpy(out, ev->out.data, n);
    buf_consume(&ev->out, n);
    return (ssize_t)n;
}
