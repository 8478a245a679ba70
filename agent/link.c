/* SPDX-License-Identifier: MIT */
/* Happy path: resolve -> dial -> TLS -> Hello -> Welcome -> idle, streams,
 * renewal -> closed -> wait (full jitter) -> resolve ...
 * A refusal by the controller (Error on stream 0) is logged with its words and
 * tried again like a broken connection, with growing waits: the operator may
 * mend it. "Connected" is true only after Welcome: with TLS 1.3 our handshake
 * ends before the controller has judged our certificate. */
#include "agent/link.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "agent/build.h"
#include "agent/job.h"
#include "agent/upgrade/upgrade.h"
#include "common/base/backoff.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/worker.h"
#include "common/net/tls_context.h"

#define LINK_BACKOFF_BASE_MS 500
#define LINK_WELCOME_MS 20000 /* from dialing to Welcome */
#define LINK_STEADY_MS 10000  /* connected so long: the backoff starts over */

enum link_state {
    LINK_WAITING,
    LINK_RESOLVING,
    LINK_CONNECTING, /* TCP, TLS, Hello sent */
    LINK_CONNECTED,  /* Welcome received */
    LINK_STOPPED,
};

struct link {
    struct agent *agent;     /* borrowed */
    struct tls_context *tls; /* replaced by a renewal */
    struct channel *ch;      /* NULL unless connecting or connected */
    enum link_state state;
    struct backoff backoff;
    uv_timer_t retry;   /* next attempt */
    uv_timer_t welcome; /* bound on connecting */
    uv_timer_t renew;   /* certificate */
    uv_timer_t settle;  /* end of a trial; armed only in one */
    bool trial;         /* we are an upgrade that was not heard yet */
    char *undone;       /* of an upgrade, to be told in Hello; or NULL */
    uv_getaddrinfo_t resolve;
    unsigned address;     /* which of the controller's is tried */
    int64_t connected_ms; /* monotonic */
    unsigned tasks;       /* workers still running */
    uv_mutex_t lock;      /* guards `open` for other threads */
    struct channel *open; /* counted reference while connected */
    bool refused;         /* the controller has ended this connection */
    bool stopping;
    unsigned handles; /* timers not closed yet */
    void (*on_stopped)(void *arg);
    void *arg;
};

static void dial(struct link *l);
static void maybe_stopped(struct link *l);

static struct tls_context *load_tls(struct agent *a, struct error *e)
{
    char *node = agent_path(a, "node.pem"), *ca = agent_path(a, "ca.pem");
    struct tls_files files = {.key = node, .cert = node, .ca = ca};
    struct tls_context *c = tls_context_new(TLS_CLIENT, &files, e);

    free(node);
    free(ca);
    return c;
}

/* ---- waiting and dialing ---- */

static void on_retry(uv_timer_t *t)
{
    dial(t->data);
}

static void wait_and_retry(struct link *l)
{
    int64_t ms;

    if (l->stopping)
        return;
    if (l->state == LINK_CONNECTED &&
        (int64_t)uv_now(l->agent->loop) - l->connected_ms > LINK_STEADY_MS)
        backoff_reset(&l->backoff);
    l->state = LINK_WAITING;
    ms = backoff_next_ms(&l->backoff);
    log_debug("next attempt in %lld ms", (long long)ms);
    uv_timer_start(&l->retry, on_retry, (uint64_t)ms, 0);
}

static void on_welcome_timeout(uv_timer_t *t)
{
    struct link *l = t->data;

    if (l->ch)
        channel_close(l->ch, OCM_E_TIMEOUT, "no Welcome in time");
}

static void on_open(struct channel *ch, void *arg)
{
    struct link *l = arg;
    struct agent *a = l->agent;
    Ocm__Hello hello = OCM__HELLO__INIT;
    Ocm__Envelope m = OCM__ENVELOPE__INIT;
    char host[UV_MAXHOSTNAMESIZE] = "";
    char platform[64], job[32];
    size_t len = sizeof(host);
    struct utsname u;

    uv_os_gethostname(host, &len);
    uname(&u);
    snprintf(platform, sizeof(platform), "linux-%.40s", u.machine);
    uv_mutex_lock(&a->busy);
    memcpy(job, a->job, sizeof(job));
    uv_mutex_unlock(&a->busy);
    hello.protocol_min = PROTOCOL_MIN;
    hello.protocol_max = PROTOCOL_MAX;
    hello.agent_version = (char *)agent_version;
    hello.features = (char **)agent_features;
    while (agent_features[hello.n_features])
        hello.n_features++;
    hello.upgrade_undone = l->undone ? l->undone : hello.upgrade_undone;
    hello.platform = platform;
    hello.hostname = host;
    hello.instance.data = a->instance;
    hello.instance.len = AGENT_INSTANCE_LEN;
    hello.running_job = job;
    m.body_case = OCM__ENVELOPE__BODY_HELLO;
    m.hello = &hello;
    channel_send_control(ch, &m);
}

/* ---- renewal ---- */

struct renewal {
    struct link *link;
    struct stream *stream;
    int rc;
    struct error e;
};

static void renew_run(void *arg)
{
    struct renewal *r = arg;

    r->rc = job_renew(r->link->agent, r->stream, &r->e);
}

static void renew_done(void *arg)
{
    struct renewal *r = arg;
    struct link *l = r->link;
    struct tls_context *fresh;

    l->tasks--;
    if (r->rc == 0) {
        fresh = load_tls(l->agent, &r->e);
        if (fresh) {
            tls_context_unref(l->tls);
            l->tls = fresh; /* the open connection keeps its own */
            log_info("certificate renewed");
        } else {
            r->rc = r->e.code;
        }
    }
    if (r->rc < 0)
        log_warn("certificate not renewed: %s", r->e.text);
    free(r);
    maybe_stopped(l);
}

static void on_renew(uv_timer_t *t)
{
    struct link *l = t->data;
    struct renewal *r = mem_zalloc(sizeof(*r));

    r->link = l;
    r->stream = l->ch ? channel_open_stream(l->ch, &r->e) : NULL;
    if (!r->stream || worker_start(l->agent->loop, renew_run, renew_done, r)) {
        stream_close(r->stream);
        free(r);
        return;
    }
    l->tasks++;
}

/* ---- an upgrade ---- */

static void settle(struct link *l)
{
    struct error e = {0};

    uv_timer_stop(&l->settle);
    if (!l->trial)
        return;
    if (upgrade_settle(l->agent->conf.state_dir, &e) < 0)
        log_warn("%s", e.text);
    else
        l->trial = false;
}

static void on_settle(uv_timer_t *t)
{
    settle(t->data);
}

static void tell_undone(struct link *l)
{
    if (!l->undone)
        return;
    upgrade_told(l->agent->conf.state_dir);
    free(l->undone);
    l->undone = NULL;
}

/* ---- connected ---- */

static void welcome(struct link *l, const Ocm__Welcome *w)
{
    if (w->protocol < PROTOCOL_MIN || w->protocol > PROTOCOL_MAX) {
        channel_close(l->ch, OCM_E_VERSION, "protocol version not offered");
        return;
    }
    uv_timer_stop(&l->welcome);
    l->state = LINK_CONNECTED;
    l->connected_ms = (int64_t)uv_now(l->agent->loop);
    l->agent->protocol = w->protocol;
    if (w->keepalive_ms)
        channel_set_keepalive(l->ch, w->keepalive_ms);
    channel_allow_streams(l->ch);
    uv_mutex_lock(&l->lock);
    l->open = channel_ref(l->ch);
    uv_mutex_unlock(&l->lock);
    /* once a day at the latest: timers must not overflow */
    uv_timer_start(&l->renew, on_renew, (uint64_t)w->renew_after_s * 1000,
                   24ull * 3600 * 1000);
    log_info("connected controller=%s node=%s", l->agent->identity.controller,
             w->node_name);
    tell_undone(l);
    if (l->trial)
        uv_timer_start(
            &l->settle, on_settle,
            (uint64_t)upgrade_steady_ms(l->agent->conf.upgrade_wait_ms), 0);
}

static void on_control(struct channel *ch, const Ocm__Envelope *m, void *arg)
{
    struct link *l = arg;

    switch (m->body_case) {
    case OCM__ENVELOPE__BODY_WELCOME:
        if (l->state == LINK_CONNECTING) {
            welcome(l, m->welcome);
            return;
        }
        break;
    case OCM__ENVELOPE__BODY_ERROR:
        log_warn("the controller refused us: %s (%s)", m->error->text,
                 m->error->code);
        l->refused = true;
        channel_close(ch, 0, NULL);
        return;
    default:
        break;
    }
    channel_close(ch, OCM_E_PROTOCOL, "unexpected message");
}

struct task {
    struct link *link;
    struct stream *stream;
    Ocm__Envelope *first;
    int rc;
};

static void task_run(void *arg)
{
    struct task *t = arg;
    struct error e = {0};

    t->rc = job_serve(t->link->agent, t->stream, t->first, &e);
    if (t->rc < 0) {
        log_warn("conversation failed: %s", e.text);
        stream_send_error(t->stream, &e);
    }
    stream_end(t->stream, NULL);
}

static void task_done(void *arg)
{
    struct task *t = arg;
    struct link *l = t->link;

    if (t->rc == 0)
        settle(l);
    stream_message_free(t->first);
    stream_close(t->stream);
    free(t);
    l->tasks--;
    malloc_trim(0); /* an idle agent is small */
    maybe_stopped(l);
}

static void on_stream(struct channel *ch, struct stream *s,
                      Ocm__Envelope *first, void *arg)
{
    struct link *l = arg;
    struct task *t = mem_zalloc(sizeof(*t));
    int rc;

    (void)ch;
    t->link = l;
    t->stream = s;
    t->first = first;
    rc = worker_start(l->agent->loop, task_run, task_done, t);
    if (rc < 0) {
        log_error("no thread for a job: %s", error_text(rc));
        stream_message_free(first);
        stream_close(s);
        free(t);
        return;
    }
    l->tasks++;
}

static void on_closed(struct channel *ch, int status, const char *why,
                      void *arg)
{
    struct link *l = arg;

    (void)status;
    uv_timer_stop(&l->welcome);
    uv_timer_stop(&l->renew);
    uv_timer_stop(&l->settle);
    if (l->state == LINK_CONNECTING)
        l->address++; /* it may only listen on another one */
    uv_mutex_lock(&l->lock);
    if (l->open)
        channel_unref(l->open);
    l->open = NULL;
    uv_mutex_unlock(&l->lock);
    channel_unref(ch);
    l->ch = NULL;
    if (!l->stopping)
        log_warn("connection to %s:%lld ended: %s", l->agent->identity.host,
                 (long long)l->agent->identity.port,
                 l->refused ? "by the controller" : why);
    l->refused = false;
    wait_and_retry(l);
    maybe_stopped(l);
}

static const struct channel_handler handler = {
    .on_open = on_open,
    .on_control = on_control,
    .on_stream = on_stream,
    .on_closed = on_closed,
};

/* The one whose turn it is. */
static const struct sockaddr *pick(const struct link *l,
                                   const struct addrinfo *all)
{
    const struct addrinfo *one = all;

    for (unsigned n = l->address; n > 0; n--)
        one = one->ai_next ? one->ai_next : all;
    return one->ai_addr;
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *res)
{
    struct link *l = req->data;
    struct tls_stream *tls;
    int rc = status;

    if (l->stopping) {
        uv_freeaddrinfo(res);
        l->state = LINK_STOPPED;
        maybe_stopped(l);
        return;
    }
    if (status == 0) {
        tls = tls_stream_dial(l->agent->loop, l->tls, pick(l, res),
                              l->agent->identity.controller, NULL, NULL, &rc);
        uv_freeaddrinfo(res);
        if (tls) {
            l->state = LINK_CONNECTING;
            l->ch = channel_new(tls, false, &handler, l);
            uv_timer_start(&l->welcome, on_welcome_timeout, LINK_WELCOME_MS, 0);
            return;
        }
        l->address++;
    }
    log_warn("cannot reach %s: %s", l->agent->identity.host, error_text(rc));
    wait_and_retry(l);
}

static void dial(struct link *l)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    char port[8];
    int rc;

    snprintf(port, sizeof(port), "%u", (uint16_t)l->agent->identity.port);
    l->state = LINK_RESOLVING;
    l->resolve.data = l;
    rc = uv_getaddrinfo(l->agent->loop, &l->resolve, on_resolved,
                        l->agent->identity.host, port, &hints);
    if (rc < 0) {
        log_warn("cannot resolve %s: %s", l->agent->identity.host,
                 error_text(rc));
        wait_and_retry(l);
    }
}

/* ---- life ---- */

struct link *link_new(struct agent *a, struct error *e)
{
    struct tls_context *tls = load_tls(a, e);
    struct link *l;

    if (!tls)
        return NULL;
    l = mem_zalloc(sizeof(*l));
    l->agent = a;
    l->tls = tls;
    l->backoff.base_ms = LINK_BACKOFF_BASE_MS;
    l->backoff.max_ms = a->conf.reconnect_max_ms;
    uv_mutex_init(&l->lock);
    uv_timer_init(a->loop, &l->retry);
    uv_timer_init(a->loop, &l->welcome);
    uv_timer_init(a->loop, &l->renew);
    uv_timer_init(a->loop, &l->settle);
    l->retry.data = l->welcome.data = l->renew.data = l->settle.data = l;
    l->handles = 4;
    l->trial = upgrade_on_trial(a->conf.state_dir);
    l->undone = upgrade_undone(a->conf.state_dir);
    return l;
}

void link_start(struct link *l)
{
    dial(l);
}

static void on_handle_closed(uv_handle_t *h)
{
    struct link *l = h->data;

    l->handles--;
    maybe_stopped(l);
}

static void maybe_stopped(struct link *l)
{
    if (!l->stopping || l->ch || l->tasks || l->handles ||
        l->state == LINK_RESOLVING || !l->on_stopped)
        return;
    void (*cb)(void *) = l->on_stopped;

    l->on_stopped = NULL;
    l->state = LINK_STOPPED;
    cb(l->arg);
}

void link_stop(struct link *l, void (*on_stopped)(void *arg), void *arg)
{
    if (l->stopping)
        return;
    l->stopping = true;
    l->on_stopped = on_stopped;
    l->arg = arg;
    uv_close((uv_handle_t *)&l->retry, on_handle_closed);
    uv_close((uv_handle_t *)&l->welcome, on_handle_closed);
    uv_close((uv_handle_t *)&l->renew, on_handle_closed);
    uv_close((uv_handle_t *)&l->settle, on_handle_closed);
    if (l->state == LINK_RESOLVING)
        uv_cancel((uv_req_t *)&l->resolve);
    if (l->ch)
        channel_close(l->ch, 0, NULL);
}

void link_free(struct link *l)
{
    if (!l)
        return;
    tls_context_unref(l->tls);
    uv_mutex_destroy(&l->lock);
    free(l->undone);
    free(l);
}

struct stream *link_open_stream(struct link *l, struct error *e)
{
    struct channel *ch = NULL;
    struct stream *s;

    uv_mutex_lock(&l->lock);
    if (l->open)
        ch = channel_ref(l->open);
    uv_mutex_unlock(&l->lock);
    if (!ch) {
        error_set(e, OCM_E_OFFLINE, "not connected to the controller");
        return NULL;
    }
    s = channel_open_stream(ch, e);
    channel_unref(ch);
    return s;
}
