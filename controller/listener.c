/* SPDX-License-Identifier: MIT */
#include "controller/listener.h"

#include <stdlib.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "controller/ca.h"
#include "controller/controller_conf.h"
#include "controller/session.h"

#define LISTENER_BACKLOG 1024

struct port {
    struct listener *l;
    uv_tcp_t tcp;
    struct tls_context *tls;
    bool joining;
    bool open;
    unsigned count, max; /* connections */
};

struct entry {
    struct port *port;
    struct session *session;
    struct entry *next, **at;
};

struct listener {
    struct controller *c;
    struct port agents, join;
    struct entry *sessions;
    unsigned handles;
    bool stopping;
    void (*on_stopped)(void *arg);
    void *arg;
};

static void maybe_stopped(struct listener *l)
{
    if (!l->stopping || l->handles || l->sessions || !l->on_stopped)
        return;
    void (*cb)(void *) = l->on_stopped;

    l->on_stopped = NULL;
    cb(l->arg);
}

static void on_gone(void *arg)
{
    struct entry *e = arg;
    struct listener *l = e->port->l;

    e->port->count--;
    *e->at = e->next;
    if (e->next)
        e->next->at = e->at;
    free(e);
    maybe_stopped(l);
}

static struct tls_context *make_tls(struct port *p, struct error *e)
{
    return ca_tls(p->l->c->ca, p->joining ? TLS_JOIN_SERVER : TLS_SERVER, e);
}

/* Connections that are there keep the context they began with. */
static void renew_tls(struct listener *l)
{
    struct port *ports[] = {&l->agents, &l->join};

    if (!ca_renew_server(l->c->ca))
        return;
    for (size_t i = 0; i < ARRAY_LEN(ports); i++) {
        struct error e = {0};
        struct tls_context *fresh = make_tls(ports[i], &e);

        if (!fresh) {
            log_error("our new certificate is not used before the next start: "
                      "%s",
                      e.text);
            continue;
        }
        tls_context_unref(ports[i]->tls);
        ports[i]->tls = fresh;
    }
}

/* Over the limit the connection is taken and dropped: left in the backlog it
 * would wait for ever. */
static void drop(struct port *p)
{
    int rc;
    struct tls_stream *tls =
        tls_stream_accept((uv_stream_t *)&p->tcp, p->tls, NULL, NULL, &rc);

    log_warn("too many connections on the %s port",
             p->joining ? "join" : "agents'");
    if (tls)
        tls_stream_abort(tls, OCM_E_LIMIT, "too many connections");
}

static void on_connection(uv_stream_t *server, int status)
{
    struct port *p = CONTAINER_OF(server, struct port, tcp);
    struct listener *l = p->l;
    struct tls_stream *tls;
    struct entry *e;
    int rc;

    if (status < 0 || l->stopping)
        return;
    if (p->count >= p->max) {
        drop(p);
        return;
    }
    renew_tls(l);
    tls = tls_stream_accept(server, p->tls, NULL, NULL, &rc);
    if (!tls) {
        log_warn("connection not accepted: %s", error_text(rc));
        return;
    }
    e = mem_zalloc(sizeof(*e));
    e->port = p;
    e->next = l->sessions;
    e->at = &l->sessions;
    if (e->next)
        e->next->at = &e->next;
    l->sessions = e;
    p->count++;
    e->session = session_new(l->c, tls, p->joining, on_gone, e);
}

static int open_port(struct listener *l, struct port *p, int64_t number,
                     bool joining, unsigned max, struct error *e)
{
    const char *host = l->c->conf->listen;
    struct sockaddr_storage addr;
    int rc;

    p->l = l;
    p->joining = joining;
    p->max = max;
    p->tls = make_tls(p, e);
    if (!p->tls)
        return e ? e->code : OCM_E_TLS;
    if (uv_ip4_addr(host, (int)number, (struct sockaddr_in *)&addr) < 0 &&
        uv_ip6_addr(host, (int)number, (struct sockaddr_in6 *)&addr) < 0)
        return error_set(e, OCM_E_INVALID,
                         "listen address '%s' is no IP address", host);
    uv_tcp_init(l->c->loop, &p->tcp);
    p->open = true;
    l->handles++;
    rc = uv_tcp_bind(&p->tcp, (struct sockaddr *)&addr, 0);
    if (rc == 0)
        rc = uv_listen((uv_stream_t *)&p->tcp, LISTENER_BACKLOG, on_connection);
    if (rc < 0)
        return error_set(e, rc, "cannot listen on %s:%lld: %s", host,
                         (long long)number, error_text(rc));
    return 0;
}

struct listener *listener_new(struct controller *c, struct error *e)
{
    struct listener *l = mem_zalloc(sizeof(*l));
    int rc;

    l->c = c;
    rc = open_port(l, &l->agents, c->conf->agent_port, false,
                   LISTENER_MAX_AGENTS, e);
    if (rc == 0)
        rc = open_port(l, &l->join, c->conf->join_port, true,
                       LISTENER_MAX_JOINS, e);
    if (rc == 0)
        return l;
    /* the loop has not run yet: let it close what was opened */
    listener_stop(l, NULL, NULL);
    uv_run(c->loop, UV_RUN_DEFAULT);
    listener_free(l);
    return NULL;
}

static void on_port_closed(uv_handle_t *h)
{
    struct port *p = CONTAINER_OF(h, struct port, tcp);

    p->l->handles--;
    maybe_stopped(p->l);
}

static void close_port(struct port *p)
{
    if (p->open)
        uv_close((uv_handle_t *)&p->tcp, on_port_closed);
    p->open = false;
}

void listener_stop(struct listener *l, void (*on_stopped)(void *arg), void *arg)
{
    l->stopping = true;
    l->on_stopped = on_stopped;
    l->arg = arg;
    close_port(&l->agents);
    close_port(&l->join);
    for (struct entry *e = l->sessions; e; e = e->next)
        session_close(e->session);
}

void listener_free(struct listener *l)
{
    if (!l)
        return;
    if (l->agents.tls)
        tls_context_unref(l->agents.tls);
    if (l->join.tls)
        tls_context_unref(l->join.tls);
    free(l);
}
