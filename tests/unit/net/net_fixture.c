/* SPDX-License-Identifier: MIT */
/* A throw-away PKI and two channels over loopback. */
#include "tests/unit/net/net_fixture.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/worker.h"

#define LIMIT_MS 60000

/* PKI */

static int64_t now_s(void)
{
    return clock_now_ns() / 1000000000;
}

char *pki_path(const struct pki *p, const char *name, const char *suffix)
{
    return mem_printf("%s/%s%s", p->dir, name, suffix);
}

static void put(const struct pki *p, const char *name, const char *suffix,
                const struct buf *b)
{
    char *path = pki_path(p, name, suffix);

    assert_int_equal(file_write(path, b->data, b->len, 0600, NULL), 0);
    free(path);
}

void pki_make(struct pki *p, const char *ca_name)
{
    struct x509_order o = {
        .use = X509_CA,
        .common_name = ca_name,
        .not_before = now_s() - 86400,
        .not_after = now_s() + 86400,
    };
    struct buf pem = {0};

    memset(p, 0, sizeof(*p));
    snprintf(p->dir, sizeof(p->dir), "/tmp/ocm-net-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    assert_int_equal(x509_key_new(&p->ca_key, NULL), 0);
    assert_int_equal(x509_ca_new(&p->ca_key, &o, &p->ca_der, NULL), 0);
    p->ca_fingerprint = digest_of(p->ca_der.data, p->ca_der.len);
    x509_to_pem(&p->ca_der, &pem);
    put(p, "ca", ".pem", &pem);
    put(p, "ca", ".key", &p->ca_key);
    buf_free(&pem);
}

void pki_drop(struct pki *p)
{
    tree_remove(p->dir, NULL);
    buf_wipe(&p->ca_key);
    buf_free(&p->ca_der);
}

void pki_issue(struct pki *p, const char *name, enum x509_use use,
               const char *dns_name, const char *uri, int64_t from_s,
               int64_t to_s)
{
    struct x509_order o = {
        .use = use,
        .common_name = name,
        .dns_name = dns_name,
        .uri = uri,
        .not_before = now_s() + from_s,
        .not_after = now_s() + to_s,
    };
    struct buf key = {0}, csr = {0}, der = {0}, pem = {0};

    assert_int_equal(x509_key_new(&key, NULL), 0);
    assert_int_equal(x509_request(&key, &csr, NULL), 0);
    assert_int_equal(
        x509_sign(&p->ca_key, &p->ca_der, csr.data, csr.len, &o, &der, NULL),
        0);
    x509_to_pem(&der, &pem);
    put(p, name, ".key", &key);
    put(p, name, ".pem", &pem);
    buf_wipe(&key);
    buf_free(&csr);
    buf_free(&der);
    buf_free(&pem);
}

void pki_issue_usual(struct pki *p)
{
    pki_issue(p, "server", X509_SERVER, CONTROLLER_NAME, NULL, -3600, 3600);
    pki_issue(p, "client", X509_CLIENT, NULL, NODE_URI, -3600, 3600);
}

struct tls_context *pki_context(const struct pki *p, const struct pki *trust,
                                enum tls_role role, const char *name)
{
    char *key = pki_path(p, name, ".key"), *cert = pki_path(p, name, ".pem");
    char *ca = pki_path(trust, "ca", ".pem");
    struct tls_files files = {
        .key = key,
        .cert = cert,
        .ca = ca,
        .ca_fingerprint = &trust->ca_fingerprint,
    };
    struct error e = {0};
    struct tls_context *ctx = tls_context_new(role, &files, &e);

    if (!ctx)
        print_error("%s\n", e.text);
    assert_non_null(ctx);
    free(key);
    free(cert);
    free(ca);
    return ctx;
}

/* Loop */

static void on_limit(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

struct limit {
    uv_timer_t timer;
    bool over;
};

static void limit_begin(uv_loop_t *loop, struct limit *l)
{
    l->over = false;
    uv_timer_init(loop, &l->timer);
    l->timer.data = &l->over;
    uv_timer_start(&l->timer, on_limit, LIMIT_MS, 0);
}

static void limit_end(uv_loop_t *loop, struct limit *l)
{
    uv_close((uv_handle_t *)&l->timer, NULL);
    uv_run(loop, UV_RUN_NOWAIT);
    assert_false(l->over);
}

void loop_until(uv_loop_t *loop, const bool *flag)
{
    struct limit l;

    limit_begin(loop, &l);
    while (!*flag && !l.over)
        uv_run(loop, UV_RUN_ONCE);
    limit_end(loop, &l);
}

void loop_until_int(uv_loop_t *loop, const atomic_int *value, int at_least)
{
    struct limit l;

    limit_begin(loop, &l);
    while (atomic_load(value) < at_least && !l.over)
        uv_run(loop, UV_RUN_ONCE);
    limit_end(loop, &l);
}

void loop_finish(uv_loop_t *loop)
{
    uv_run(loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(loop), 0);
}

size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

size_t heap_bytes(void)
{
    struct mallinfo2 info;

    if (__sanitizer_get_current_allocated_bytes)
        return __sanitizer_get_current_allocated_bytes();
    info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/* Pair */

struct job {
    struct pair *pair;
    void (*fn)(void *arg);
    void *arg;
};

static void job_run(void *arg)
{
    struct job *j = arg;

    j->fn(j->arg);
}

static void job_done(void *arg)
{
    struct job *j = arg;

    atomic_fetch_sub(&j->pair->workers, 1);
    free(j);
}

void pair_work(struct pair *p, void (*fn)(void *arg), void *arg)
{
    struct job *j = mem_zalloc(sizeof(*j));

    *j = (struct job){p, fn, arg};
    atomic_fetch_add(&p->workers, 1);
    assert_int_equal(worker_start(&p->loop, job_run, job_done, j), 0);
}

struct serving {
    struct end *end;
    struct stream *s;
    Ocm__Envelope *first;
};

static void serve(void *arg)
{
    struct serving *v = arg;

    v->end->serve(v->s, v->first, v->end->serve_arg);
    free(v);
}

static void on_open(struct channel *ch, void *arg)
{
    struct end *end = arg;

    end->open = true;
    if (!end->shy)
        channel_allow_streams(ch);
}

static void on_control(struct channel *ch, const Ocm__Envelope *m, void *arg)
{
    struct end *end = arg;

    (void)ch;
    end->controls++;
    if (m->body_case == OCM__ENVELOPE__BODY_ERROR)
        snprintf(end->control_text, sizeof(end->control_text), "%s",
                 m->error->text);
}

static void on_stream(struct channel *ch, struct stream *s,
                      Ocm__Envelope *first, void *arg)
{
    struct end *end = arg;
    struct serving *v;

    (void)ch;
    if (!end->serve) {
        stream_message_free(first);
        stream_close(s);
        return;
    }
    v = mem_zalloc(sizeof(*v));
    *v = (struct serving){end, s, first};
    pair_work(end->pair, serve, v);
}

static void on_closed(struct channel *ch, int status, const char *why,
                      void *arg)
{
    struct end *end = arg;

    assert_false(end->closed);
    end->closed = true;
    end->status = status;
    snprintf(end->why, sizeof(end->why), "%s", why);
    channel_unref(ch);
    end->ch = NULL;
}

static const struct channel_handler handler = {
    .on_open = on_open,
    .on_control = on_control,
    .on_stream = on_stream,
    .on_closed = on_closed,
};

static void on_connection(uv_stream_t *listener, int status)
{
    struct pair *p = listener->data;
    struct tls_stream *t;
    int rc = 0;

    assert_int_equal(status, 0);
    t = tls_stream_accept(listener, p->server_ctx, NULL, NULL, &rc);
    assert_non_null(t);
    p->server.ch = channel_new(t, true, &handler, &p->server);
}

void pair_listen(struct pair *p, struct pki *pki)
{
    int len = sizeof(p->addr);

    p->pki = pki;
    p->server.pair = p->client.pair = p;
    p->server_ctx = pki_context(pki, pki, TLS_SERVER, "server");
    p->client_ctx = pki_context(pki, pki, TLS_CLIENT, "client");
    assert_int_equal(uv_loop_init(&p->loop), 0);
    uv_tcp_init(&p->loop, &p->listener);
    p->listener.data = p;
    uv_ip4_addr("127.0.0.1", 0, &p->addr);
    assert_int_equal(
        uv_tcp_bind(&p->listener, (const struct sockaddr *)&p->addr, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&p->listener, 8, on_connection),
                     0);
    uv_tcp_getsockname(&p->listener, (struct sockaddr *)&p->addr, &len);
}

void pair_open(struct pair *p, struct pki *pki)
{
    struct tls_stream *t;
    int rc = 0;

    pair_listen(p, pki);
    t = tls_stream_dial(&p->loop, p->client_ctx,
                        (const struct sockaddr *)&p->addr, CONTROLLER_NAME,
                        NULL, NULL, &rc);
    assert_non_null(t);
    p->client.ch = channel_new(t, false, &handler, &p->client);
    loop_until(&p->loop, &p->client.open);
    loop_until(&p->loop, &p->server.open);
}

void pair_until_idle(struct pair *p)
{
    struct limit l;

    limit_begin(&p->loop, &l);
    while (atomic_load(&p->workers) > 0 && !l.over)
        uv_run(&p->loop, UV_RUN_ONCE);
    limit_end(&p->loop, &l);
}

void pair_close(struct pair *p)
{
    if (p->client.ch)
        channel_close(p->client.ch, 0, NULL);
    if (p->client.ch)
        loop_until(&p->loop, &p->client.closed);
    if (p->server.ch)
        loop_until(&p->loop, &p->server.closed);
    pair_until_idle(p);
    uv_close((uv_handle_t *)&p->listener, NULL);
    loop_finish(&p->loop);
    tls_context_unref(p->server_ctx);
    tls_context_unref(p->client_ctx);
}

Ocm__Envelope *log_line(const char *text)
{
    static _Thread_local Ocm__Envelope m;
    static _Thread_local Ocm__LogLine body;

    ocm__envelope__init(&m);
    ocm__log_line__init(&body);
    body.level = (char *)"info";
    body.text = (char *)text;
    m.body_case = OCM__ENVELOPE__BODY_LOG_LINE;
    m.log_line = &body;
    return &m;
}

uint8_t bulk_byte(uint64_t i)
{
    return (uint8_t)(i * 31 + (i >> 13));
}

void bulk_fill(struct buf *b, size_t len, uint64_t from)
{
    uint8_t *p;

    stream_data_begin(b);
    p = buf_reserve(b, len);
    for (size_t i = 0; i < len; i++)
        p[i] = bulk_byte(from + i);
    b->len += len;
}

int bulk_send(struct stream *s, uint64_t bytes, size_t piece, struct error *e)
{
    uint64_t done = 0;
    int rc = 0;

    while (done < bytes && rc == 0) {
        size_t n = bytes - done < piece ? (size_t)(bytes - done) : piece;
        struct buf b = {0};

        bulk_fill(&b, n, done);
        rc = stream_send_data(s, &b, e);
        done += n;
    }
    return rc;
}
