/* SPDX-License-Identifier: MIT */
/* The life of a request: target seen -> headers seen (guard, peer, route) ->
 * body -> handler on a worker, connection suspended -> worker done -> resumed
 * -> answer queued -> over. A client that goes away: over at once; when the
 * worker is still at it, the request is freed at its end. */
#include "controller/api/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/worker.h"
#include "controller/api/api_internal.h"
#include "controller/api/guard.h"
#include "controller/controller_conf.h"

#define API_MEMORY_LIMIT (128 * 1024) /* per connection, in the library */

/* Before 1.0 the library's only strict check, for Host, leaves the connection
 * open behind its own refusal: the guard's closes it. */
#define API_STRICTNESS (MHD_VERSION >= 0x01000000 ? 1 : 0)

/* ---- the library in the loop ---- */

static void on_timeout(uv_timer_t *h)
{
    api_run(CONTAINER_OF(h, struct api_server, timeout));
}

void api_run(struct api_server *a)
{
    MHD_UNSIGNED_LONG_LONG ms;
    uint64_t soonest = UINT64_MAX;

    if (a->in_run || a->stopped)
        return;
    a->in_run = true;
    for (size_t i = 0; i < a->port_count; i++)
        MHD_run(a->ports[i].mhd);
    a->in_run = false;
    for (size_t i = 0; i < a->port_count; i++) {
        if (MHD_get_timeout(a->ports[i].mhd, &ms) == MHD_YES && ms < soonest)
            soonest = ms;
    }
    if (soonest < UINT64_MAX)
        uv_timer_start(&a->timeout, on_timeout, soonest, 0);
    else
        uv_timer_stop(&a->timeout);
}

static void on_poll(uv_poll_t *h, int status, int events)
{
    (void)status;
    (void)events;
    api_run(CONTAINER_OF(h, struct api_port, poll)->api);
}

void api_suspend(struct request *rq)
{
    rq->suspended = true;
    MHD_suspend_connection(rq->conn);
}

void api_resume(struct request *rq)
{
    if (!rq->suspended)
        return;
    rq->suspended = false;
    MHD_resume_connection(rq->conn);
}

/* Something moved: whoever waits for it goes on. */
static void on_wake(uv_async_t *h)
{
    struct api_server *a = CONTAINER_OF(h, struct api_server, wake);

    for (struct request *rq = a->requests; rq; rq = rq->next) {
        /* a handler at work may be setting `events` just now */
        if (!rq->working && rq->events && atomic_load(&rq->events->nudged))
            api_resume(rq);
        if (rq->sent && flow_ready(rq->sent))
            api_resume(rq);
        if (rq->upload && !rq->finished && flow_ready(rq->upload))
            api_resume(rq);
    }
    api_run(a);
}

static void on_beat(uv_timer_t *h)
{
    struct api_server *a = CONTAINER_OF(h, struct api_server, beat);

    for (struct request *rq = a->requests; rq; rq = rq->next) {
        if (rq->working || !rq->events)
            continue;
        rq->events->beat = true;
        atomic_store(&rq->events->nudged, true);
        api_resume(rq);
    }
    api_run(a);
}

/* ---- handlers ---- */

static void write_audit(struct request *rq)
{
    struct error e = {0};
    const char *node = rq->about ? rq->about : "";

    if (!rq->route->audit)
        return;
    if (catalog_audit(rq->api->c->catalog, rq->peer.owner, rq->route->audit,
                      node, rq->rc < 0 ? error_name(rq->rc) : "ok", &e) < 0)
        log_error("audit: %s", e.text);
}

static void run_handler(void *arg)
{
    struct request *rq = arg;

    rq->rc = rq->route->handler(rq, &rq->e);
    if (rq->rc < 0)
        request_fail(rq, status_of_code(rq->rc), error_name(rq->rc),
                     rq->e.text[0] ? rq->e.text : error_text(rq->rc));
    write_audit(rq);
    /* What is left of the body passes unread. */
    if (rq->upload)
        flow_abort(rq->upload);
}

static void maybe_stopped(struct api_server *a);

void api_worker_ended(struct api_server *a)
{
    a->workers--;
    maybe_stopped(a);
}

static void on_handler_done(void *arg)
{
    struct request *rq = arg;
    struct api_server *a = rq->api;

    rq->working = false;
    rq->finished = true;
    if (rq->gone) {
        request_free(rq);
    } else {
        api_resume(rq);
        api_run(a);
    }
    api_worker_ended(a);
}

static bool start_handler(struct request *rq)
{
    struct api_server *a = rq->api;

    if (rq->route->flags & ROUTE_ON_LOOP) {
        run_handler(rq);
        rq->finished = true;
        return true;
    }
    if (a->stopping ||
        worker_start(a->c->loop, run_handler, on_handler_done, rq) < 0) {
        request_fail(rq, 503, "busy", "the controller is too busy or stopping");
        rq->finished = true;
        return false;
    }
    a->workers++;
    rq->working = true;
    return true;
}

/* ---- the library's callbacks ---- */

static void *on_target(void *cls, const char *uri, struct MHD_Connection *conn)
{
    const struct api_port *p = cls;
    struct request *rq = request_new(p->api, uri);

    rq->rules = &p->rules;
    rq->conn = conn;
    return rq;
}

/* Targets are decoded by the guard's own rules: the library leaves them. */
static size_t leave_escapes(void *cls, struct MHD_Connection *conn, char *s)
{
    (void)cls;
    (void)conn;
    return strlen(s);
}

struct header_list {
    struct guard_header items[GUARD_MAX_HEADERS + 1];
    size_t count;
};

static enum MHD_Result add_header(void *cls, enum MHD_ValueKind kind,
                                  const char *name, const char *value)
{
    struct header_list *l = cls;

    (void)kind;
    if (l->count < ARRAY_LEN(l->items))
        l->items[l->count++] = (struct guard_header){name, value};
    return MHD_YES;
}

static int too_long(const struct header_list *l, const struct route *route)
{
    if (route->flags & ROUTE_UPLOAD)
        return 0;
    for (size_t i = 0; i < l->count; i++) {
        if (strcasecmp(l->items[i].name, "Content-Length") == 0 &&
            strtoull(l->items[i].value, NULL, 10) > API_BODY_MAX)
            return 413;
    }
    return 0;
}

static const char *code_of_status(int status)
{
    switch (status) {
    case 403:
        return "denied";
    case 404:
        return "notfound";
    case 413:
    case 414:
    case 431:
        return "limit";
    default:
        return "invalid";
    }
}

/* Headers are complete. */
static enum MHD_Result begin(struct request *rq, const char *method,
                             const char *version)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(rq->conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    const struct peer *peer = info ? info->socket_context : NULL;
    struct header_list headers = {0};
    struct guard_request g = {
        .method = method,
        .target = rq->target,
        .version = version,
        .headers = headers.items,
    };
    const char *why = "";
    int status;

    rq->begun = true;
    MHD_get_connection_values(rq->conn, MHD_HEADER_KIND, add_header, &headers);
    g.header_count = headers.count;
    status = guard_check(rq->rules, &g, &why);
    if (status == 0 && (!peer || !peer->allowed)) {
        status = 403;
        why = "you may not use this socket: be root or a member of its group";
    }
    if (status == 0)
        status = request_route(rq, method, &why);
    if (status == 0 && (status = too_long(&headers, rq->route)) != 0)
        why = "the body is too long";
    if (status != 0) {
        log_debug("api refused=%d: %s", status, why);
        request_fail(rq, status, code_of_status(status), why);
        return answer_queue(rq);
    }
    rq->peer = *peer;
    rq->last_event = mem_strdup(MHD_lookup_connection_value(
        rq->conn, MHD_HEADER_KIND, "Last-Event-ID"));
    return MHD_YES;
}

static void on_flow_moved(void *arg)
{
    struct api_server *a = arg;

    uv_async_send(&a->wake);
}

static enum MHD_Result take_body(struct request *rq, const char *p, size_t *len)
{
    if (rq->route->flags & ROUTE_UPLOAD) {
        size_t n = *len;

        if (!rq->upload) {
            rq->upload = flow_new(on_flow_moved, rq->api);
            start_handler(rq);
        }
        if (!rq->finished)
            n = flow_put_now(rq->upload, p, *len);
        *len -= n;
        if (n == 0)
            api_suspend(rq);
        return MHD_YES;
    }
    if (rq->body.len + *len > API_BODY_MAX)
        return MHD_NO; /* chunked, and never told how long: cut */
    buf_add(&rq->body, p, *len);
    *len = 0;
    return MHD_YES;
}

/* The body is complete, or the worker is done. */
static enum MHD_Result go_on(struct request *rq)
{
    if (rq->finished)
        return answer_queue(rq);
    if (rq->upload) {
        flow_end(rq->upload, 0);
    } else if (!rq->working) {
        if (rq->route->flags & ROUTE_UPLOAD) {
            rq->upload = flow_new(on_flow_moved, rq->api);
            flow_end(rq->upload, 0);
        } else if (request_parse_body(rq, &rq->e) < 0) {
            request_fail(rq, 400, "invalid", rq->e.text);
            rq->finished = true;
        }
        if (!rq->finished)
            start_handler(rq);
        if (rq->finished)
            return answer_queue(rq);
    }
    api_suspend(rq);
    return MHD_YES;
}

static enum MHD_Result on_access(void *cls, struct MHD_Connection *conn,
                                 const char *url, const char *method,
                                 const char *version, const char *upload,
                                 size_t *upload_len, void **con_cls)
{
    struct request *rq = *con_cls;

    (void)cls;
    (void)conn;
    (void)url;
    if (!rq->begun)
        return begin(rq, method, version);
    if (*upload_len > 0)
        return take_body(rq, upload, upload_len);
    return go_on(rq);
}

static void on_completed(void *cls, struct MHD_Connection *conn, void **con_cls,
                         enum MHD_RequestTerminationCode code)
{
    struct request *rq = *con_cls;

    (void)cls;
    (void)conn;
    (void)code;
    if (!rq)
        return;
    *con_cls = NULL;
    rq->suspended = false;
    if (rq->working) {
        rq->gone = true;
        if (rq->upload)
            flow_abort(rq->upload);
        return;
    }
    request_free(rq);
}

static void on_connection(void *cls, struct MHD_Connection *conn,
                          void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    const struct api_port *p = cls;
    const union MHD_ConnectionInfo *info;
    struct peer *peer;

    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        free(*socket_context);
        *socket_context = NULL;
        return;
    }
    peer = mem_zalloc(sizeof(*peer));
    info = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (!info || !port_admit(p, info->connect_fd, peer))
        peer->allowed = false;
    if (!peer->allowed)
        log_warn("api refused=%s", peer->owner);
    *socket_context = peer;
}

__attribute__((format(printf, 2, 0))) static void
on_library_log(void *cls, const char *fmt, va_list ap)
{
    char line[512];

    (void)cls;
    vsnprintf(line, sizeof(line), fmt, ap);
    line[strcspn(line, "\r\n")] = '\0';
    log_debug("http: %s", line);
}

/* ---- starting ---- */

static int start_library(struct api_port *p, struct error *e)
{
    const union MHD_DaemonInfo *info;

    p->mhd = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL,
        NULL, on_access, p, MHD_OPTION_EXTERNAL_LOGGER, on_library_log, p,
        MHD_OPTION_LISTEN_SOCKET, p->fd, MHD_OPTION_STRICT_FOR_CLIENT,
        API_STRICTNESS, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)API_MAX_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)API_IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)API_MEMORY_LIMIT, MHD_OPTION_URI_LOG_CALLBACK, on_target, p,
        MHD_OPTION_UNESCAPE_CALLBACK, leave_escapes, p,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, p,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, p, MHD_OPTION_END);
    if (!p->mhd)
        return error_set(e, OCM_E_FAILED, "the HTTP library did not start");
    info = MHD_get_daemon_info(p->mhd, MHD_DAEMON_INFO_EPOLL_FD);
    if (!info || info->epoll_fd < 0)
        return error_set(e, OCM_E_UNSUPPORTED,
                         "the HTTP library was built without epoll");
    p->epoll_fd = info->epoll_fd;
    return 0;
}

static void stop_library(struct api_port *p)
{
    if (!p->mhd)
        return;
    MHD_stop_daemon(p->mhd); /* closes the socket unless it was taken away */
    p->mhd = NULL;
    p->fd = -1;
}

static void free_server(struct api_server *a)
{
    for (size_t i = 0; i < a->port_count; i++)
        port_fini(&a->ports[i]);
    free(a->ports);
    free(a);
}

static int start_port(struct api_server *a, const struct api_listener *l,
                      struct error *e)
{
    struct api_port *p = &a->ports[a->port_count];
    int rc = port_open(p, l, e);

    if (rc < 0)
        return rc;
    a->port_count++;
    p->api = a;
    return start_library(p, e);
}

int api_start(struct controller *c, const struct id *ca,
              const struct api_listener *listeners, size_t count,
              struct api_server **out, struct error *e)
{
    struct api_server *a = mem_zalloc(sizeof(*a));
    int rc = 0;

    a->c = c;
    a->ca = *ca;
    a->ports = mem_array(count, sizeof(*a->ports));
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = start_port(a, &listeners[i], e);
    if (rc < 0) {
        for (size_t i = 0; i < a->port_count; i++) {
            stop_library(&a->ports[i]);
            port_shut(&a->ports[i]);
        }
        free_server(a);
        return rc;
    }
    for (size_t i = 0; i < count; i++) {
        uv_poll_init(c->loop, &a->ports[i].poll, a->ports[i].epoll_fd);
        uv_poll_start(&a->ports[i].poll, UV_READABLE, on_poll);
        log_info("api socket=%s", a->ports[i].socket);
    }
    uv_timer_init(c->loop, &a->timeout);
    uv_timer_init(c->loop, &a->beat);
    uv_timer_start(&a->beat, on_beat, EVENTS_BEAT_MS, EVENTS_BEAT_MS);
    uv_async_init(c->loop, &a->wake, on_wake);
    *out = a;
    return 0;
}

/* ---- stopping ---- */

static void on_handle_closed(uv_handle_t *h)
{
    struct api_server *a = h->data;

    if (--a->open_handles > 0)
        return;
    if (a->on_stopped)
        a->on_stopped(a->arg);
    free_server(a);
}

static void close_handle(struct api_server *a, uv_handle_t *h)
{
    h->data = a;
    a->open_handles++;
    uv_close(h, on_handle_closed);
}

/* All workers have ended: what is suspended goes on, gets its end, and the
 * library may be stopped. */
static void maybe_stopped(struct api_server *a)
{
    if (!a->stopping || a->workers > 0 || a->stopped)
        return;
    for (struct request *rq = a->requests; rq; rq = rq->next)
        api_resume(rq);
    api_run(a);
    a->stopped = true;
    uv_timer_stop(&a->timeout);
    for (size_t i = 0; i < a->port_count; i++) {
        uv_poll_stop(&a->ports[i].poll);
        stop_library(&a->ports[i]);
        close_handle(a, (uv_handle_t *)&a->ports[i].poll);
    }
    close_handle(a, (uv_handle_t *)&a->timeout);
    close_handle(a, (uv_handle_t *)&a->beat);
    close_handle(a, (uv_handle_t *)&a->wake);
}

void api_stop(struct api_server *a, void (*on_stopped)(void *arg), void *arg)
{
    a->stopping = true;
    a->on_stopped = on_stopped;
    a->arg = arg;
    for (size_t i = 0; i < a->port_count; i++) {
        MHD_quiesce_daemon(a->ports[i].mhd); /* the socket is ours again */
        port_shut(&a->ports[i]);
    }
    /* Up- and downloads end now; events see `stopping` when they read. */
    for (struct request *rq = a->requests; rq; rq = rq->next) {
        if (rq->upload)
            flow_abort(rq->upload);
        if (rq->sent)
            flow_abort(rq->sent);
        if (!rq->working)
            api_resume(rq);
    }
    api_run(a);
    maybe_stopped(a);
}
