/* SPDX-License-Identifier: MIT */
/* How answers travel: bytes at once, downloads made by a worker while they
 * are sent, events.
 *
 * Download: answer_queue starts the producer and queues the response -> the
 * library reads from the flow; nothing there: the connection is suspended ->
 * the producer's bytes wake the loop -> resumed. The client goes away: the
 * library drops the response -> flow aborted -> the producer ends. */
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/worker.h"
#include "controller/api/api_internal.h"

#define DOWNLOAD_BLOCK 65536
#define EVENTS_BLOCK 4096

static void on_flow_moved(void *arg)
{
    struct api_server *a = arg;

    uv_async_send(&a->wake);
}

int request_stream(struct request *rq, const char *type, const char *name,
                   int64_t size, request_produce *produce, void *arg,
                   void (*drop)(void *arg))
{
    struct download *d = mem_zalloc(sizeof(*d));

    d->api = rq->api;
    d->rq = rq;
    d->produce = produce;
    d->arg = arg;
    d->drop = drop;
    rq->download = d;
    rq->kind = ANSWER_STREAM;
    rq->status = 200;
    rq->type = type;
    rq->file_name = mem_strdup(name);
    rq->size = size;
    return 0;
}

/* A download that was never begun. */
void download_free(struct download *d)
{
    if (!d)
        return;
    d->drop(d->arg);
    free(d);
}

/* ---- the producer ---- */

struct producer {
    struct download d; /* a copy: the response has its own end */
    struct flow *flow;
};

static void producer_run(void *arg)
{
    struct producer *p = arg;
    struct error e = {0};
    int rc = p->d.produce(p->d.arg, p->flow, &e);

    if (rc < 0 && rc != OCM_E_CANCELLED)
        log_error("download: %s", e.text);
    flow_end(p->flow, rc);
}

static void on_producer_done(void *arg)
{
    struct producer *p = arg;
    struct api_server *a = p->d.api;

    p->d.drop(p->d.arg);
    flow_unref(p->flow);
    free(p);
    api_worker_ended(a);
}

static ssize_t read_download(void *cls, uint64_t pos, char *out, size_t max)
{
    struct download *d = cls;
    ssize_t n = flow_take_now(d->flow, out, max);

    (void)pos;
    if (n == FLOW_END)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (n == FLOW_FAILED || (n == FLOW_WAIT && d->api->stopping))
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (n == FLOW_WAIT)
        api_suspend(d->rq);
    return n;
}

static void drop_download(void *cls)
{
    struct download *d = cls;

    flow_abort(d->flow);
    flow_unref(d->flow);
    free(d);
}

static struct MHD_Response *start_download(struct request *rq)
{
    struct producer *p = mem_zalloc(sizeof(*p));
    struct download *d = rq->download;
    struct MHD_Response *r;

    d->flow = flow_new(on_flow_moved, rq->api);
    p->d = *d;
    p->flow = flow_ref(d->flow);
    if (worker_start(rq->api->c->loop, producer_run, on_producer_done, p) < 0) {
        flow_unref(p->flow);
        flow_unref(d->flow);
        d->flow = NULL;
        free(p);
        return NULL;
    }
    rq->api->workers++;
    rq->download = NULL;
    rq->sent = flow_ref(d->flow);
    r = MHD_create_response_from_callback(
        rq->size < 0 ? MHD_SIZE_UNKNOWN : (uint64_t)rq->size, DOWNLOAD_BLOCK,
        read_download, d, drop_download);
    if (!r)
        drop_download(d);
    return r;
}

/* ---- queueing ---- */

static void add_name(struct MHD_Response *r, const char *name)
{
    char *value = mem_printf("attachment; filename=\"%s\"", name);

    /* Only what is harmless in a quoted string and on every system. */
    for (char *p = value + strlen("attachment; filename=\""); *p && p[1]; p++) {
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                    "0123456789._-",
                    *p))
            *p = '_';
    }
    MHD_add_response_header(r, "Content-Disposition", value);
    free(value);
}

static struct MHD_Response *make_response(struct request *rq)
{
    struct MHD_Response *r;

    switch (rq->kind) {
    case ANSWER_STREAM:
        r = start_download(rq);
        if (r)
            add_name(r, rq->file_name);
        return r;
    case ANSWER_EVENTS:
        return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, EVENTS_BLOCK,
                                                 events_read, rq->events, NULL);
    case ANSWER_BYTES:
        break;
    }
    return MHD_create_response_from_buffer(rq->out.len, rq->out.data,
                                           MHD_RESPMEM_MUST_COPY);
}

enum MHD_Result answer_queue(struct request *rq)
{
    struct MHD_Response *r = make_response(rq);
    const char *method;
    enum MHD_Result ok;

    if (!r) {
        request_fail(rq, 500, "failed", "no thread for the download");
        r = make_response(rq);
        if (!r)
            return MHD_NO;
    }
    MHD_add_response_header(r, "Content-Type", rq->type);
    MHD_add_response_header(r, "Cache-Control", "no-store");
    MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(r, "Content-Security-Policy",
                            "default-src 'none'; frame-ancestors 'none'");
    /* What may hide behind a body or a refused request is never looked at. */
    method = rq->route ? rq->route->method : "";
    if (rq->status >= 400 || strcmp(method, "GET") != 0)
        MHD_add_response_header(r, "Connection", "close");
    ok = MHD_queue_response(rq->conn, (unsigned)rq->status, r);
    MHD_destroy_response(r);
    return ok;
}
