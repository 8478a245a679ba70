/* SPDX-License-Identifier: MIT */
/* What server.c (connections), request.c (what a request says and answers),
 * answer.c (how answers travel) and events.c share. */
#ifndef CONTROLLER_API_API_INTERNAL_H
#define CONTROLLER_API_API_INTERNAL_H

#include <microhttpd.h>
#include <stdatomic.h>
#include <uv.h>

#include "controller/api/api.h"
#include "controller/api/guard.h"
#include "controller/api/peer.h"
#include "controller/api/port.h"
#include "controller/api/request.h"
#include "controller/jobs/job.h"

#define EVENTS_BEAT_MS 15000

enum answer_kind { ANSWER_BYTES, ANSWER_STREAM, ANSWER_EVENTS };

struct query_item {
    char *name, *value;
};

/* A download: outlives its request, as the library drops the response last. */
struct download {
    struct request *rq; /* valid while the library reads */
    struct flow *flow;
    request_produce *produce;
    void *arg;
    void (*drop)(void *arg);
    struct api_server *api;
};

struct events {
    struct request *rq;
    struct job_watch *watch;
    char job[24];
    int64_t after;      /* last event that went to `out` */
    struct buf out;     /* text not sent yet */
    atomic_bool nudged; /* there may be more in the catalog */
    bool beat;          /* time for a comment, so that a dead client shows */
    bool ended;         /* the final state is in `out` or was sent */
};

struct request {
    struct api_server *api;
    struct MHD_Connection *conn;
    const struct guard_rules *rules; /* of the port it came in by */
    struct request *next, **link;    /* api->requests */
    char *target;                    /* undecoded */
    const struct route *route;
    char *params[REQUEST_MAX_PARAMS];
    size_t param_count;
    struct query_item query[REQUEST_MAX_QUERY];
    size_t query_count;
    struct buf body;
    json_t *json;
    struct peer peer;
    char *last_event;    /* header Last-Event-ID, or NULL */
    char *about;         /* node, for the audit log */
    struct flow *upload; /* ROUTE_UPLOAD */
    struct flow *sent;   /* ANSWER_STREAM, once it has begun */

    bool begun;     /* headers were looked at */
    bool working;   /* a worker runs the handler */
    bool finished;  /* the answer is ready */
    bool suspended; /* the library leaves the connection alone */
    bool gone;      /* the connection is over; freed when the worker ends */
    bool too_long;  /* the body */

    int rc; /* of the handler */
    struct error e;
    enum answer_kind kind;
    int status;
    const char *type;
    struct buf out;
    char *file_name;
    int64_t size;
    struct download *download;
    struct events *events;
};

struct api_server {
    struct controller *c;
    struct id ca;
    struct api_port *ports;
    size_t port_count;
    uv_timer_t timeout; /* the library's own */
    uv_timer_t beat;
    uv_async_t wake; /* a flow or a job moved */
    struct request *requests;
    size_t workers; /* handlers and producers at work */
    bool in_run;
    bool stopping;
    bool stopped; /* the library is gone */
    unsigned open_handles;
    void (*on_stopped)(void *arg);
    void *arg;
};

/* server.c */
void api_run(struct api_server *a); /* let the library work; loop thread */
void api_suspend(struct request *rq);
void api_resume(struct request *rq); /* no-op when not suspended */
void api_worker_ended(struct api_server *a);

/* request.c */
struct request *request_new(struct api_server *a, const char *target);
void request_free(struct request *rq);
/* Find the route and take the target apart: 0, or a HTTP status. */
int request_route(struct request *rq, const char *method, const char **why);
int request_parse_body(struct request *rq, struct error *e);
/* Turn a failure into an answer. */
void request_fail(struct request *rq, int status, const char *code,
                  const char *text);
int status_of_code(int code);

/* answer.c */
enum MHD_Result answer_queue(struct request *rq);
void download_free(struct download *d);

/* events.c */
ssize_t events_read(void *cls, uint64_t pos, char *out, size_t max);
void events_free(struct events *ev);

#endif
