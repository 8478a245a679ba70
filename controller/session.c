/* SPDX-License-Identifier: MIT */
/* Agents' port: TLS -> certificate in the catalog's allow-list? -> Hello ->
 * Welcome -> registered in `nodes`, streams allowed -> ... -> closed.
 * Join port: TLS without a certificate -> Join -> Joined or Error -> closed.
 * Everything else, and silence, ends the connection with one line. */
#include "controller/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/base/worker.h"
#include "common/net/envelope.h"
#include "controller/ca.h"
#include "controller/catalog/catalog.h"
#include "controller/controller_conf.h"
#include "controller/handle_backup.h"
#include "controller/handle_join.h"
#include "controller/jobs/job.h"
#include "controller/nodes.h"
#include "controller/repo/repo.h"

#define SESSION_PROTOCOL 1
#define SESSION_MAX_TASKS 8 /* conversations an agent may hold open */
#define NODE_URI "ocm://node/"
#define RENEW_MIN_S 60

struct session {
    struct controller *c;
    struct channel *ch;
    bool joining;
    bool welcomed;
    bool second;  /* another machine has this identity; said elsewhere */
    bool closed;  /* the channel is gone */
    bool crowded; /* more conversations than allowed, and that was told */
    char address[64];
    struct node node;
    uv_timer_t hello; /* waits for Hello or Join */
    bool timer_closed;
    unsigned tasks;
    void (*on_gone)(void *arg);
    void *arg;
};

static void maybe_gone(struct session *s)
{
    if (!s->closed || !s->timer_closed || s->tasks)
        return;
    s->on_gone(s->arg);
    free(s);
}

static void on_timer_closed(uv_handle_t *h)
{
    struct session *s = h->data;

    s->timer_closed = true;
    maybe_gone(s);
}

static void on_hello_timeout(uv_timer_t *t)
{
    struct session *s = t->data;

    channel_close(s->ch, OCM_E_TIMEOUT, "nothing said in time");
}

/* ---- who is it ---- */

static int identify(struct session *s, struct error *e)
{
    const struct tls_peer *peer = tls_stream_peer(channel_tls(s->ch));

    if (!text_has_prefix(peer->uri, NODE_URI))
        return error_set(e, OCM_E_AUTH, "the certificate names no node");
    return catalog_cert_check(s->c->catalog, &peer->fingerprint,
                              peer->uri + strlen(NODE_URI), &s->node, e);
}

static void on_open(struct channel *ch, void *arg)
{
    struct session *s = arg;
    struct error e = {0};

    uv_timer_start(&s->hello, on_hello_timeout, SESSION_HELLO_MS, 0);
    if (s->joining)
        return;
    if (identify(s, &e) < 0) {
        log_warn("agent refused: %s", e.text);
        catalog_audit_rare(s->c->catalog, "agent", "connection refused", "",
                           e.text, NULL);
        channel_close(ch, OCM_E_AUTH,
                      "this certificate is not accepted: the node was removed "
                      "or must join again");
    }
}

/* ---- first message ---- */

/* One identity, one machine: an image that was started twice is noticed, and
 * of two the first stays. */
static bool refused_as_second(struct session *s, const Ocm__Hello *h)
{
    struct controller *c = s->c;
    struct instance_verdict v;
    struct error e = {0};

    if (h->instance.len != CATALOG_INSTANCE_LEN)
        return false;
    if (catalog_node_instance(c->catalog, s->node.id, h->instance.data,
                              nodes_connected(c->nodes, s->node.id),
                              clock_now_ns(), &v, &e) < 0) {
        log_warn("node=%s: %s", s->node.name, e.text);
        return false;
    }
    if (v.fresh) {
        log_error("node=%s the same identity runs on two machines, %s and %s: "
                  "join one of them again (ocmctl node token), then: ocmctl "
                  "node single %s",
                  s->node.name, s->node.hostname, h->hostname, s->node.name);
        catalog_audit(c->catalog, "agent", "identity runs twice", s->node.name,
                      h->hostname, NULL);
    }
    s->second = v.refuse;
    if (v.refuse)
        channel_close(s->ch, OCM_E_DENIED,
                      "the same identity runs on two machines: join one of "
                      "them again with a token of its own (ocmctl node token)");
    return v.refuse;
}

static uint32_t renew_after(const struct session *s)
{
    const struct tls_peer *peer = tls_stream_peer(channel_tls(s->ch));
    int64_t left = peer->not_after - time(NULL);
    int64_t third = s->c->conf->cert_days * 24 * 3600 / 3;
    int64_t after = left - third;

    return after < RENEW_MIN_S ? RENEW_MIN_S : (uint32_t)after;
}

static bool has_feature(const Ocm__Hello *h, const char *name)
{
    for (size_t i = 0; i < h->n_features; i++) {
        if (strcmp(h->features[i], name) == 0)
            return true;
    }
    return false;
}

static struct node_link link_of(struct session *s, const Ocm__Hello *h)
{
    struct node_link l = {
        .can_upgrade = has_feature(h, "upgrade"),
        .can_uninstall = has_feature(h, "uninstall"),
    };

    snprintf(l.agent_version, sizeof(l.agent_version), "%s", h->agent_version);
    snprintf(l.upgrade_undone, sizeof(l.upgrade_undone), "%s",
             h->upgrade_undone);
    if (l.upgrade_undone[0]) {
        log_warn("node=%s upgrade put back: %s", s->node.name,
                 l.upgrade_undone);
        catalog_audit(s->c->catalog, "agent", "upgrade put back", s->node.name,
                      l.upgrade_undone, NULL);
    }
    if (s->node.agent_version[0] &&
        strcmp(s->node.agent_version, l.agent_version) != 0)
        catalog_audit(s->c->catalog, "agent", "version changed", s->node.name,
                      l.agent_version, NULL);
    return l;
}

static void hello(struct session *s, const Ocm__Hello *h)
{
    Ocm__Envelope m = OCM__ENVELOPE__INIT;
    Ocm__Welcome w = OCM__WELCOME__INIT;
    char *both[2];
    struct node_link link;
    struct error e = {0};

    if (s->welcomed || !*s->node.id) {
        channel_close(s->ch, OCM_E_PROTOCOL, "unexpected Hello");
        return;
    }
    if (h->protocol_min > SESSION_PROTOCOL ||
        h->protocol_max < SESSION_PROTOCOL) {
        log_warn("node=%s speaks protocol %u to %u, we speak %d", s->node.name,
                 h->protocol_min, h->protocol_max, SESSION_PROTOCOL);
        channel_close(s->ch, OCM_E_VERSION,
                      "no common protocol version: upgrade the older side");
        return;
    }
    if (refused_as_second(s, h))
        return;
    uv_timer_stop(&s->hello);
    s->welcomed = true;
    link = link_of(s, h);
    if (catalog_node_seen(s->c->catalog, s->node.id, h->agent_version,
                          h->platform, h->hostname, clock_now_ns(), &e) < 0)
        log_warn("node=%s: %s", s->node.name, e.text);
    w.protocol = SESSION_PROTOCOL;
    w.features = both;
    if (link.can_upgrade)
        both[w.n_features++] = (char *)"upgrade";
    if (link.can_uninstall)
        both[w.n_features++] = (char *)"uninstall";
    w.node_id = s->node.id;
    w.node_name = s->node.name;
    w.controller_version = (char *)OCM_VERSION;
    w.keepalive_ms = (uint32_t)s->c->conf->keepalive_ms;
    w.renew_after_s = renew_after(s);
    m.body_case = OCM__ENVELOPE__BODY_WELCOME;
    m.welcome = &w;
    channel_send_control(s->ch, &m);
    channel_set_keepalive(s->ch, s->c->conf->keepalive_ms);
    channel_allow_streams(s->ch);
    nodes_add(s->c->nodes, s->node.id, s->ch, &link);
    log_info("node=%s connected agent=%s", s->node.name, h->agent_version);
}

static void join(struct session *s, const Ocm__Join *j)
{
    Ocm__Envelope m = OCM__ENVELOPE__INIT;
    Ocm__Joined joined = OCM__JOINED__INIT;
    const struct buf *ca = ca_certificate(s->c->ca);
    struct join_answer answer;
    struct error e = {0};
    int rc = handle_join(s->c, j, &answer, &e);

    uv_timer_stop(&s->hello);
    if (rc < 0) {
        channel_close(s->ch, rc, e.text);
    } else {
        joined.certificate.data = answer.certificate.data;
        joined.certificate.len = answer.certificate.len;
        joined.ca_certificate.data = ca->data;
        joined.ca_certificate.len = ca->len;
        joined.node_id = answer.node.id;
        joined.node_name = answer.node.name;
        joined.controller_name = s->c->conf->name;
        joined.agent_port = (uint32_t)s->c->conf->agent_port;
        m.body_case = OCM__ENVELOPE__BODY_JOINED;
        m.joined = &joined;
        channel_send_control(s->ch, &m);
        channel_close(s->ch, 0, NULL);
    }
    join_answer_fini(&answer);
}

static void on_control(struct channel *ch, const Ocm__Envelope *m, void *arg)
{
    struct session *s = arg;

    if (!s->joining && m->body_case == OCM__ENVELOPE__BODY_HELLO)
        hello(s, m->hello);
    else if (s->joining && m->body_case == OCM__ENVELOPE__BODY_JOIN)
        join(s, m->join);
    else if (m->body_case == OCM__ENVELOPE__BODY_ERROR)
        channel_close(ch, 0, NULL);
    else
        channel_close(ch, OCM_E_PROTOCOL, "unexpected message");
}

/* ---- what an agent opens ---- */

struct task {
    struct session *session; /* waits for us before it goes */
    struct controller *c;
    struct node node;
    struct stream *stream;
    Ocm__Envelope *first;
};

static int serve_offer(struct task *t, struct error *e)
{
    struct backup_order order = {
        .job = t->first->backup_offer->job,
        .tag = "safety",
    };
    struct backup_outcome out = {0};
    struct node node;
    int rc;

    if (strcmp(t->first->backup_offer->reason, "safety") != 0 ||
        strlen(order.job) > 40 || !utf8_is_valid(order.job, strlen(order.job)))
        return error_set(e, OCM_E_PROTOCOL, "offer of a backup for '%s'",
                         t->first->backup_offer->reason);
    if (!jobs_works_on(t->c->jobs, order.job, t->node.id))
        return error_set(e, OCM_E_DENIED,
                         "offer of a backup for a job that does not work on "
                         "this node");
    rc = repo_lock(t->c->repo, false, e);
    if (rc < 0)
        return rc;
    rc = repo_refresh(t->c->repo, e);
    /* as it is now, not as it was when it connected */
    if (rc == 0)
        rc = catalog_node_get(t->c->catalog, t->node.id, &node, e);
    if (rc == 0)
        rc = handle_backup(t->c, t->stream, &node, &order, NULL, &out, e);
    json_decref(out.report);
    repo_unlock(t->c->repo);
    return rc;
}

static void task_run(void *arg)
{
    struct task *t = arg;
    struct error e = {0};
    int rc;

    switch (t->first->body_case) {
    case OCM__ENVELOPE__BODY_RENEW:
        rc = handle_renew(t->c, t->stream, &t->node, t->first->renew, &e);
        break;
    case OCM__ENVELOPE__BODY_BACKUP_OFFER:
        rc = serve_offer(t, &e);
        break;
    default:
        rc = error_set(&e, OCM_E_UNSUPPORTED,
                       "a conversation cannot begin with %s",
                       envelope_name(t->first->body_case));
    }
    if (rc < 0) {
        if (rc != OCM_E_CLOSED) /* the end of a connection is told once */
            log_warn("node=%s conversation failed: %s", t->node.name, e.text);
        stream_send_error(t->stream, &e);
    }
    stream_end(t->stream, NULL);
}

static void task_done(void *arg)
{
    struct task *t = arg;
    struct session *s = t->session;

    stream_message_free(t->first);
    stream_close(t->stream);
    free(t);
    s->tasks--;
    maybe_gone(s);
}

/* One line a connection: a peer must not fill the log. */
static void refuse_stream(struct session *s, struct stream *stream)
{
    struct error e = {0};

    error_set(&e, OCM_E_BUSY, "%d conversations are under way already",
              SESSION_MAX_TASKS);
    if (!s->crowded)
        log_warn("node=%s conversation refused: %s", s->node.name, e.text);
    s->crowded = true;
    stream_send_error(stream, &e);
    stream_close(stream);
}

static void on_stream(struct channel *ch, struct stream *stream,
                      Ocm__Envelope *first, void *arg)
{
    struct session *s = arg;
    struct task *t;

    (void)ch;
    if (s->tasks >= SESSION_MAX_TASKS) {
        stream_message_free(first);
        refuse_stream(s, stream);
        return;
    }
    t = mem_zalloc(sizeof(*t));
    t->session = s;
    t->c = s->c;
    t->node = s->node;
    t->stream = stream;
    t->first = first;
    if (worker_start(s->c->loop, task_run, task_done, t) < 0) {
        stream_message_free(first);
        stream_close(stream);
        free(t);
        return;
    }
    s->tasks++;
}

/* ---- life ---- */

static void log_end(const struct session *s, int status, const char *why)
{
    bool foul = status == OCM_E_PROTOCOL || status == OCM_E_LIMIT;
    enum log_level level = foul ? LOG_WARN : s->second ? LOG_DEBUG : LOG_INFO;

    why = why && *why ? why : error_text(status);
    if (s->welcomed)
        log_write(level, "node=%s disconnected: %s", s->node.name, why);
    else if (!s->joining && status)
        log_write(level, "address=%s connection ended before Hello: %s",
                  s->address, why);
    else if (foul || status == OCM_E_TIMEOUT) /* others: handle_join */
        log_write(level, "address=%s ended while joining: %s", s->address, why);
}

static void on_closed(struct channel *ch, int status, const char *why,
                      void *arg)
{
    struct session *s = arg;

    if (s->welcomed)
        nodes_remove(s->c->nodes, s->node.id, ch);
    log_end(s, status, why);
    channel_unref(ch);
    s->closed = true;
    uv_close((uv_handle_t *)&s->hello, on_timer_closed);
}

static const struct channel_handler handler = {
    .on_open = on_open,
    .on_control = on_control,
    .on_stream = on_stream,
    .on_closed = on_closed,
};

struct session *session_new(struct controller *c, struct tls_stream *tls,
                            bool joining, void (*on_gone)(void *arg), void *arg)
{
    struct session *s = mem_zalloc(sizeof(*s));

    s->c = c;
    s->joining = joining;
    snprintf(s->address, sizeof(s->address), "%s", tls_stream_address(tls));
    s->on_gone = on_gone;
    s->arg = arg;
    uv_timer_init(c->loop, &s->hello);
    s->hello.data = s;
    uv_timer_start(&s->hello, on_hello_timeout,
                   SESSION_HELLO_MS + TLS_HANDSHAKE_MS, 0);
    s->ch = channel_new(tls, true, &handler, s);
    return s;
}

void session_close(struct session *s)
{
    if (!s->closed)
        channel_close(s->ch, OCM_E_CLOSED, "the controller is stopping");
}
