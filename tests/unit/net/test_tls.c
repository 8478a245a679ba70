/* SPDX-License-Identifier: MIT */
/* The TLS policy, one test per line of it: who is let in, who is refused, and
 * how a connection ends. `openssl s_client` plays the foreign client. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/net/tls_stream.h"
#include "tests/unit/net/net_fixture.h"

static struct pki pki, other;

static int make_pki(void **state)
{
    (void)state;
    pki_make(&pki, "OCM CA one");
    pki_issue_usual(&pki);
    pki_issue(&pki, "expired", X509_CLIENT, NULL, NODE_URI, -7200, -60);
    pki_issue(&pki, "future", X509_CLIENT, NULL, NODE_URI, 3600, 7200);
    pki_issue(&pki, "stranger", X509_CLIENT, NULL, "ocm://else/7", -60, 60);
    pki_issue(&pki, "old-server", X509_SERVER, CONTROLLER_NAME, NULL, -7200,
              -60);
    pki_make(&other, "OCM CA one"); /* the same name on purpose */
    pki_issue_usual(&other);
    return 0;
}

static int drop_pki(void **state)
{
    (void)state;
    pki_drop(&pki);
    pki_drop(&other);
    return 0;
}

/* One end of a TLS connection. */
struct tend {
    struct tls_stream *t;
    bool ready, closed;
    int status;
    char why[200];
    struct tls_peer peer;
    uint64_t got;
    size_t to_send, sent;       /* bytes after on_ready */
    bool close_when_sent, hold; /* hold: pause on the first byte */
};

struct net {
    uv_loop_t loop;
    uv_tcp_t listener;
    struct sockaddr_in addr;
    struct tls_context *server_ctx, *client_ctx;
    struct tend server, client;
};

static void send_more(struct tend *d)
{
    static uint8_t block[50000];

    while (d->sent < d->to_send) {
        size_t n = d->to_send - d->sent;
        size_t took;

        n = n < sizeof(block) ? n : sizeof(block);
        took = tls_stream_write(d->t, block, n);
        d->sent += took;
        if (took < n)
            return;
    }
    if (d->close_when_sent) {
        d->close_when_sent = false;
        tls_stream_close(d->t);
    }
}

static void on_ready(struct tls_stream *t, void *arg)
{
    struct tend *d = arg;

    d->ready = true;
    d->peer = *tls_stream_peer(t);
    send_more(d);
}

static void on_readable(struct tls_stream *t, void *arg)
{
    struct tend *d = arg;
    uint8_t room[3000];
    ssize_t n;

    while ((n = tls_stream_read(t, room, sizeof(room))) > 0) {
        d->got += (uint64_t)n;
        if (d->hold) {
            d->hold = false;
            tls_stream_pause(t);
            return;
        }
    }
}

static void on_drain(struct tls_stream *t, void *arg)
{
    (void)t;
    send_more(arg);
}

static void on_closed(struct tls_stream *t, int status, const char *why,
                      void *arg)
{
    struct tend *d = arg;

    (void)t;
    assert_false(d->closed);
    d->closed = true;
    d->status = status;
    d->t = NULL;
    snprintf(d->why, sizeof(d->why), "%s", why);
}

static const struct tls_handler handler = {
    .on_ready = on_ready,
    .on_readable = on_readable,
    .on_drain = on_drain,
    .on_closed = on_closed,
};

static void on_connection(uv_stream_t *listener, int status)
{
    struct net *n = listener->data;
    int rc;

    assert_int_equal(status, 0);
    n->server.t =
        tls_stream_accept(listener, n->server_ctx, &handler, &n->server, &rc);
    assert_non_null(n->server.t);
}

static void net_open(struct net *n, struct tls_context *server,
                     struct tls_context *client)
{
    int len = sizeof(n->addr);

    n->server_ctx = server;
    n->client_ctx = client;
    uv_loop_init(&n->loop);
    uv_tcp_init(&n->loop, &n->listener);
    n->listener.data = n;
    uv_ip4_addr("127.0.0.1", 0, &n->addr);
    uv_tcp_bind(&n->listener, (const struct sockaddr *)&n->addr, 0);
    assert_int_equal(uv_listen((uv_stream_t *)&n->listener, 8, on_connection),
                     0);
    uv_tcp_getsockname(&n->listener, (struct sockaddr *)&n->addr, &len);
}

static void dial(struct net *n, const char *name)
{
    int rc = 0;

    n->client.t = tls_stream_dial(&n->loop, n->client_ctx,
                                  (const struct sockaddr *)&n->addr, name,
                                  &handler, &n->client, &rc);
    assert_non_null(n->client.t);
}

static void net_close(struct net *n)
{
    uv_close((uv_handle_t *)&n->listener, NULL);
    loop_finish(&n->loop);
    tls_context_unref(n->server_ctx);
    tls_context_unref(n->client_ctx);
}

static void connect_both(struct net *n, struct tls_context *server,
                         struct tls_context *client, const char *name,
                         bool client_closes)
{
    memset(n, 0, sizeof(*n));
    n->client.close_when_sent = client_closes;
    net_open(n, server, client);
    dial(n, name);
    loop_until(&n->loop, &n->client.closed);
    loop_until(&n->loop, &n->server.closed);
    net_close(n);
}

/* Connect; when both are ready the client closes. */
static void meet(struct net *n, struct tls_context *server,
                 struct tls_context *client, const char *name)
{
    connect_both(n, server, client, name, true);
}

static struct tls_context *server_of(struct pki *p, const char *name)
{
    return pki_context(p, &pki, TLS_SERVER, name);
}

static struct tls_context *client_of(struct pki *p, const char *name)
{
    return pki_context(p, &pki, TLS_CLIENT, name);
}

static void friends_meet(void **state)
{
    struct x509_info info;
    struct buf pem = {0}, der = {0};
    char *path = pki_path(&pki, "client", ".pem");
    struct net n;

    (void)state;
    meet(&n, server_of(&pki, "server"), client_of(&pki, "client"),
         CONTROLLER_NAME);
    assert_true(n.server.ready && n.client.ready);
    assert_int_equal(n.server.status, 0);
    assert_int_equal(n.client.status, 0);
    assert_string_equal(n.server.peer.uri, NODE_URI);
    assert_string_equal(n.client.peer.uri, "");
    file_read(path, 65536, &pem, NULL);
    assert_int_equal(x509_from_pem(&pem, &der, NULL), 0);
    assert_int_equal(x509_inspect(der.data, der.len, &info, NULL), 0);
    assert_true(id_equal(&info.fingerprint, &n.server.peer.fingerprint));
    assert_int_equal(info.not_after, n.server.peer.not_after);
    buf_free(&pem);
    buf_free(&der);
    free(path);
}

/* The server must refuse; the client hears of it either way. (In TLS 1.3 it
 * may be ready before, so it must not close by itself.) */
static void server_refuses(struct tls_context *client, const char *why)
{
    struct net n;

    connect_both(&n, server_of(&pki, "server"), client, CONTROLLER_NAME, false);
    assert_false(n.server.ready);
    assert_int_equal(n.server.status, OCM_E_TLS);
    if (!strstr(n.server.why, why))
        print_error("%s\n", n.server.why);
    assert_non_null(strstr(n.server.why, why));
    assert_int_equal(n.client.status, OCM_E_TLS);
    assert_non_null(strstr(n.client.why, "refused us"));
}

static void clients_of_another_ca_are_refused(void **state)
{
    (void)state;
    server_refuses(client_of(&other, "client"), "not of our CA");
}

static void a_server_certificate_is_no_client(void **state)
{
    (void)state;
    server_refuses(client_of(&pki, "server"), "");
}

static void the_ca_itself_is_no_client(void **state)
{
    (void)state;
    server_refuses(client_of(&pki, "ca"), "");
}

static void expired_clients_are_refused(void **state)
{
    (void)state;
    server_refuses(client_of(&pki, "expired"), "expired");
    server_refuses(client_of(&pki, "future"), "not valid yet");
}

static void a_client_must_name_a_node(void **state)
{
    (void)state;
    server_refuses(client_of(&pki, "stranger"), "names no node");
}

/* The client must refuse. */
static void client_refuses(struct tls_context *server, const char *name,
                           const char *why)
{
    struct net n;

    meet(&n, server, client_of(&pki, "client"), name);
    assert_false(n.client.ready || n.server.ready);
    assert_int_equal(n.client.status, OCM_E_TLS);
    if (!strstr(n.client.why, why))
        print_error("%s\n", n.client.why);
    assert_non_null(strstr(n.client.why, why));
}

static void servers_are_proven(void **state)
{
    (void)state;
    client_refuses(pki_context(&other, &pki, TLS_SERVER, "server"),
                   CONTROLLER_NAME, "not of our CA");
    client_refuses(server_of(&pki, "server"), "else.test", "another name");
    client_refuses(server_of(&pki, "server"), "ontroller.test", "another name");
    client_refuses(server_of(&pki, "old-server"), CONTROLLER_NAME, "expired");
    client_refuses(server_of(&pki, "client"), CONTROLLER_NAME, "");
    client_refuses(server_of(&pki, "ca"), CONTROLLER_NAME, "");
}

static void a_name_must_be_expected(void **state)
{
    struct tls_context *ctx = client_of(&pki, "client");
    struct sockaddr_in addr;
    uv_loop_t loop;
    int rc = 0;

    (void)state;
    uv_loop_init(&loop);
    uv_ip4_addr("127.0.0.1", 1, &addr);
    assert_null(tls_stream_dial(&loop, ctx, (struct sockaddr *)&addr, NULL,
                                &handler, NULL, &rc));
    assert_int_equal(rc, UV_EINVAL);
    assert_null(tls_stream_dial(&loop, ctx, (struct sockaddr *)&addr, "",
                                &handler, NULL, &rc));
    assert_int_equal(rc, UV_EINVAL);
    loop_finish(&loop);
    tls_context_unref(ctx);
}

static void nobody_there_is_told_by_on_closed(void **state)
{
    struct net n = {0};

    (void)state;
    net_open(&n, server_of(&pki, "server"), client_of(&pki, "client"));
    uv_ip4_addr("127.0.0.1", 1, &n.addr); /* tcpmux: nobody listens */
    dial(&n, CONTROLLER_NAME);
    loop_until(&n.loop, &n.client.closed);
    assert_int_equal(n.client.status, UV_ECONNREFUSED);
    net_close(&n);
}

/* Joining */

static struct tls_context *joiner(const struct pki *p)
{
    struct tls_files files = {.ca_fingerprint = &p->ca_fingerprint};
    struct tls_context *c = tls_context_new(TLS_JOIN_CLIENT, &files, NULL);

    assert_non_null(c);
    return c;
}

static void a_join_trusts_the_ca_of_the_token(void **state)
{
    struct net n;

    (void)state;
    meet(&n, pki_context(&pki, &pki, TLS_JOIN_SERVER, "server"), joiner(&pki),
         NULL);
    assert_true(n.client.ready && n.server.ready);
    assert_int_equal(n.client.status, 0);
    meet(&n, pki_context(&pki, &pki, TLS_JOIN_SERVER, "server"), joiner(&pki),
         CONTROLLER_NAME);
    assert_true(n.client.ready);
}

static void join_refused(struct tls_context *server, const char *name,
                         const char *why)
{
    struct net n;

    meet(&n, server, joiner(&pki), name);
    assert_false(n.client.ready);
    assert_int_equal(n.client.status, OCM_E_TLS);
    if (!strstr(n.client.why, why))
        print_error("%s\n", n.client.why);
    assert_non_null(strstr(n.client.why, why));
}

/* "mixed": a leaf of another CA, followed by the CA that the token names. */
static void mix_chain(void)
{
    char *leaf = pki_path(&other, "server", ".pem");
    char *key = pki_path(&other, "server", ".key");
    char *ca = pki_path(&pki, "ca", ".pem");
    char *out = pki_path(&pki, "mixed", ".pem");
    char *out_key = pki_path(&pki, "mixed", ".key");
    struct buf b = {0};

    assert_int_equal(file_read(leaf, 65536, &b, NULL), 0);
    assert_int_equal(file_read(ca, 65536, &b, NULL), 0);
    assert_int_equal(file_write(out, b.data, b.len, 0600, NULL), 0);
    buf_clear(&b);
    assert_int_equal(file_read(key, 65536, &b, NULL), 0);
    assert_int_equal(file_write(out_key, b.data, b.len, 0600, NULL), 0);
    buf_wipe(&b);
    free(leaf);
    free(key);
    free(ca);
    free(out);
    free(out_key);
}

static void a_join_is_not_fooled(void **state)
{
    (void)state;
    join_refused(pki_context(&other, &other, TLS_JOIN_SERVER, "server"), NULL,
                 "token names");
    mix_chain();
    join_refused(pki_context(&pki, &pki, TLS_JOIN_SERVER, "mixed"), NULL,
                 "not of our CA");
    join_refused(pki_context(&pki, &pki, TLS_JOIN_SERVER, "client"), NULL, "");
    join_refused(pki_context(&pki, &pki, TLS_JOIN_SERVER, "ca"), NULL, "");
    join_refused(pki_context(&pki, &pki, TLS_JOIN_SERVER, "old-server"), NULL,
                 "expired");
    join_refused(pki_context(&pki, &pki, TLS_JOIN_SERVER, "server"),
                 "else.test", "another name");
}

static void contexts_are_checked(void **state)
{
    char *key = pki_path(&pki, "client", ".key");
    char *cert = pki_path(&pki, "server", ".pem");
    char *ca = pki_path(&pki, "ca", ".pem");
    struct tls_files files = {.key = key, .cert = cert, .ca = ca};
    struct error e = {0};

    (void)state;
    assert_null(tls_context_new(TLS_SERVER, &files, &e));
    assert_non_null(strstr(e.text, "does not belong"));
    files.key = "/nonexistent/key";
    assert_null(tls_context_new(TLS_SERVER, &files, &e));
    assert_non_null(strstr(e.text, "/nonexistent/key"));
    files.key = cert;
    assert_null(tls_context_new(TLS_CLIENT, &files, &e));
    files.key = NULL;
    assert_null(tls_context_new(TLS_CLIENT, &files, &e));
    assert_null(tls_context_new(TLS_JOIN_CLIENT, &files, &e));
    free(key);
    free(cert);
    free(ca);
}

/* Data and ends */

static void data_before_and_after_a_pause_arrives(void **state)
{
    struct net n = {0};

    (void)state;
    n.client.to_send = 20u << 20;
    n.client.close_when_sent = true;
    n.server.hold = true;
    net_open(&n, server_of(&pki, "server"), client_of(&pki, "client"));
    dial(&n, CONTROLLER_NAME);
    while (n.server.got == 0)
        uv_run(&n.loop, UV_RUN_ONCE);
    for (int i = 0; i < 200; i++)
        uv_run(&n.loop, UV_RUN_NOWAIT);
    assert_true(n.server.got <= 3000);      /* paused is paused */
    assert_true(n.client.sent < 20u << 20); /* and TCP pushed back */
    tls_stream_resume(n.server.t);
    loop_until(&n.loop, &n.server.closed);
    loop_until(&n.loop, &n.client.closed);
    assert_true(n.server.got == 20u << 20);
    assert_int_equal(n.server.status, 0);
    assert_int_equal(n.client.status, 0);
    net_close(&n);
}

static void a_cut_is_told_from_a_close(void **state)
{
    struct net n = {0};

    (void)state;
    net_open(&n, server_of(&pki, "server"), client_of(&pki, "client"));
    dial(&n, CONTROLLER_NAME);
    loop_until(&n.loop, &n.server.ready);
    loop_until(&n.loop, &n.client.ready);
    tls_stream_abort(n.client.t, OCM_E_FAILED, "for the test");
    assert_false(n.client.closed); /* never inside the call */
    loop_until(&n.loop, &n.client.closed);
    loop_until(&n.loop, &n.server.closed);
    assert_int_equal(n.client.status, OCM_E_FAILED);
    assert_string_equal(n.client.why, "for the test");
    assert_true(n.server.status == UV_EOF || n.server.status == UV_ECONNRESET);
    net_close(&n);
}

/* After N turns one end goes away, politely or not: everything ends. */
static void leaving_at_every_step_ends_everything(void **state)
{
    (void)state;
    for (int turns = 0; turns < 30; turns++) {
        for (int how = 0; how < 4; how++) {
            struct net n = {0};
            struct tend *who = how & 1 ? &n.server : &n.client;

            n.client.to_send = 300000;
            net_open(&n, server_of(&pki, "server"), client_of(&pki, "client"));
            dial(&n, CONTROLLER_NAME);
            for (int i = 0; i < turns; i++)
                uv_run(&n.loop, UV_RUN_NOWAIT);
            if (!who->t)
                who = &n.client;
            if (!who->closed && how & 2)
                tls_stream_abort(who->t, OCM_E_FAILED, "test");
            else if (!who->closed)
                tls_stream_close(who->t);
            loop_until(&n.loop, &n.client.closed);
            if (n.server.t)
                loop_until(&n.loop, &n.server.closed);
            net_close(&n);
        }
    }
}

/* A foreign client */

struct child {
    uv_process_t process;
    bool ended;
    int64_t code;
};

static void on_child_exit(uv_process_t *p, int64_t code, int signal)
{
    struct child *c = p->data;

    (void)signal;
    c->ended = true;
    c->code = code;
    uv_close((uv_handle_t *)p, NULL);
}

static char *s_client_said(void)
{
    char *path = pki_path(&pki, "s_client", ".out");
    struct buf b = {0};

    assert_int_equal(file_read(path, 1 << 20, &b, NULL), 0);
    free(path);
    return buf_str(&b);
}

/* `openssl s_client` with `args` against our server; stdin stays empty. */
static void s_client(struct net *n, const char *args, bool server_should_open)
{
    struct child c = {0};
    char *line = mem_printf(
        "cd %s && exec timeout 20 openssl s_client -connect 127.0.0.1:%d "
        "-CAfile ca.pem -verify_return_error %s </dev/null >s_client.out 2>&1",
        pki.dir, ntohs(n->addr.sin_port), args);
    char *argv[] = {(char *)"sh", (char *)"-c", line, NULL};
    uv_process_options_t o = {
        .file = "/bin/sh", .args = argv, .exit_cb = on_child_exit};

    memset(&n->server, 0, sizeof(n->server));
    c.process.data = &c;
    assert_int_equal(uv_spawn(&n->loop, &c.process, &o), 0);
    loop_until(&n->loop, &c.ended);
    if (!n->server.t && !n->server.closed) { /* a mistake of this test */
        char *said = s_client_said();

        fail_msg("%s: never connected: %s", args, said);
    }
    loop_until(&n->loop, &n->server.closed);
    if (n->server.ready != server_should_open)
        print_error("%s: %s\n", args, n->server.why);
    assert_int_equal(n->server.ready, server_should_open);
    assert_int_equal(c.code == 0, server_should_open);
    free(line);
}

#define AS_CLIENT "-cert client.pem -key client.key "

static void foreign_clients_meet_the_policy(void **state)
{
    struct net n = {0};
    char *said;

    (void)state;
    if (system("openssl version >/dev/null 2>&1") != 0) /* NOLINT */
        skip();
    net_open(&n, server_of(&pki, "server"), NULL);
    s_client(&n, AS_CLIENT "-tls1_2 -verify_hostname " CONTROLLER_NAME, true);
    said = s_client_said();
    assert_non_null(strstr(said, "Cipher is ECDHE-ECDSA-"));
    assert_null(strstr(said, "TLS session ticket:"));
    free(said);
    s_client(&n, AS_CLIENT, true); /* whatever it likes best */
    /* no certificate */
    s_client(&n, "-tls1_2", false);
    assert_int_equal(n.server.status, OCM_E_TLS);
    /* old versions */
    s_client(&n, AS_CLIENT "-tls1_1 -cipher ALL:@SECLEVEL=0", false);
    s_client(&n, AS_CLIENT "-tls1 -cipher ALL:@SECLEVEL=0", false);
    /* no AEAD, no forward secrecy, no ECDSA, another curve or hash */
    s_client(&n, AS_CLIENT "-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA256", false);
    s_client(&n, AS_CLIENT "-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA", false);
    s_client(&n, AS_CLIENT "-tls1_2 -cipher ECDHE-ECDSA-AES128-CCM", false);
    s_client(&n, AS_CLIENT "-tls1_2 -cipher AES128-GCM-SHA256", false);
    s_client(&n, AS_CLIENT "-tls1_2 -cipher ECDHE-RSA-AES128-GCM-SHA256",
             false);
    s_client(&n, AS_CLIENT "-tls1_2 -curves P-384", false);
    s_client(&n,
             AS_CLIENT "-tls1_2 -sigalgs ECDSA+SHA1 -cipher ALL:@SECLEVEL=0",
             false);
    /* each of ours */
    s_client(&n, AS_CLIENT "-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256",
             true);
    s_client(&n, AS_CLIENT "-tls1_2 -cipher ECDHE-ECDSA-AES256-GCM-SHA384",
             true);
    s_client(&n, AS_CLIENT "-tls1_2 -cipher ECDHE-ECDSA-CHACHA20-POLY1305",
             true);
    net_close(&n);
}

/* A foreign server: `openssl s_server` with `args`, which tells its port. */
struct s_server {
    struct child child;
    uv_pipe_t in; /* stays open: at its end s_server would leave */
    uv_pipe_t out;
    char said[4096];
    size_t len;
    int port;
    bool known;
};

static void on_said_alloc(uv_handle_t *h, size_t len, uv_buf_t *b)
{
    struct s_server *v = h->data;

    (void)len;
    *b =
        uv_buf_init(v->said + v->len, (unsigned)(sizeof(v->said) - 1 - v->len));
}

static void on_said(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    struct s_server *v = s->data;
    const char *at;

    (void)b;
    if (n < 0) {
        uv_close((uv_handle_t *)s, NULL);
        v->known = true; /* it will not come any more */
        return;
    }
    v->len += (size_t)n;
    v->said[v->len] = 0;
    at = strstr(v->said, "ACCEPT ");
    if (at && strchr(at, '\n')) {
        at = strrchr(at, ':');
        v->port = at ? atoi(at + 1) : 0; /* NOLINT: openssl's own number */
        v->known = true;
    }
}

/* Our client against `args`; what it met is in n->client. */
static void meet_s_server(struct net *n, struct tls_context *client,
                          const char *args)
{
    struct s_server v = {0};
    char *line = mem_printf("cd %s && exec timeout 20 openssl s_server -accept "
                            "127.0.0.1:0 -naccept 1 -tls1_2 %s 2>&1",
                            pki.dir, args);
    char *argv[] = {(char *)"sh", (char *)"-c", line, NULL};
    uv_stdio_container_t io[2] = {
        {.flags = UV_CREATE_PIPE | UV_READABLE_PIPE},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE},
    };
    uv_process_options_t o = {
        .file = "/bin/sh",
        .args = argv,
        .stdio = io,
        .stdio_count = 2,
        .exit_cb = on_child_exit,
    };

    memset(n, 0, sizeof(*n));
    net_open(n, server_of(&pki, "server"), client);
    uv_pipe_init(&n->loop, &v.in, 0);
    uv_pipe_init(&n->loop, &v.out, 0);
    v.out.data = &v;
    v.child.process.data = &v.child;
    io[0].data.stream = (uv_stream_t *)&v.in;
    io[1].data.stream = (uv_stream_t *)&v.out;
    assert_int_equal(uv_spawn(&n->loop, &v.child.process, &o), 0);
    uv_read_start((uv_stream_t *)&v.out, on_said_alloc, on_said);
    loop_until(&n->loop, &v.known);
    if (v.port == 0)
        print_error("%s: %s\n", args, v.said);
    assert_true(v.port > 0);
    uv_ip4_addr("127.0.0.1", v.port, &n->addr);
    n->client.close_when_sent = true;
    dial(n, CONTROLLER_NAME);
    loop_until(&n->loop, &n->client.closed);
    loop_until(&n->loop, &v.child.ended);
    uv_close((uv_handle_t *)&v.in, NULL);
    net_close(n);
    free(line);
}

static void s_server_refused(struct tls_context *client, const char *args,
                             const char *why)
{
    struct net n;

    meet_s_server(&n, client, args);
    if (!strstr(n.client.why, why))
        print_error("%s: %s\n", args, n.client.why);
    assert_false(n.client.ready);
    assert_int_equal(n.client.status, OCM_E_TLS);
    assert_non_null(strstr(n.client.why, why));
}

#define AS_SERVER(name) "-cert " name ".pem -key " name ".key "
#define WITH_CA "-CAfile ca.pem "

static void foreign_servers_meet_the_policy(void **state)
{
    struct net n;

    (void)state;
    if (system("openssl version >/dev/null 2>&1") != 0) /* NOLINT */
        skip();
    meet_s_server(&n, client_of(&pki, "client"), AS_SERVER("server"));
    if (!n.client.ready)
        print_error("%s\n", n.client.why);
    assert_true(n.client.ready);
    s_server_refused(client_of(&pki, "client"), AS_SERVER("client"), "");
    s_server_refused(client_of(&pki, "client"), AS_SERVER("ca"), "");
    s_server_refused(client_of(&pki, "client"),
                     AS_SERVER("server") "-cipher ECDHE-ECDSA-AES128-SHA256",
                     "");
    meet_s_server(&n, joiner(&pki), AS_SERVER("server") WITH_CA);
    assert_string_equal(n.client.why, "closed");
    assert_true(n.client.ready);
    s_server_refused(joiner(&pki), AS_SERVER("server"), "token names");
    s_server_refused(joiner(&pki), AS_SERVER("client") WITH_CA, "");
    s_server_refused(joiner(&pki), AS_SERVER("ca") WITH_CA, "");
}

/* A foreign end that says something that is not TLS, and closes when the
 * server has hung up. */
static void on_junk_alloc(uv_handle_t *h, size_t len, uv_buf_t *b)
{
    static char room[1024];

    (void)h;
    (void)len;
    *b = uv_buf_init(room, sizeof(room));
}

static void on_junk_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    (void)b;
    if (n < 0)
        uv_close((uv_handle_t *)s, NULL);
}

static void on_junk_connect(uv_connect_t *req, int status)
{
    static const char junk[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    uv_buf_t b = uv_buf_init((char *)junk, sizeof(junk) - 1);

    assert_int_equal(status, 0);
    assert_int_equal(uv_try_write(req->handle, &b, 1), (int)b.len);
    uv_read_start(req->handle, on_junk_alloc, on_junk_read);
}

static void garbage_is_refused(void **state)
{
    struct net n = {0};
    uv_connect_t req;
    uv_tcp_t tcp;

    (void)state;
    net_open(&n, server_of(&pki, "server"), NULL);
    uv_tcp_init(&n.loop, &tcp);
    uv_tcp_connect(&req, &tcp, (const struct sockaddr *)&n.addr,
                   on_junk_connect);
    loop_until(&n.loop, &n.server.closed);
    assert_false(n.server.ready);
    assert_int_equal(n.server.status, OCM_E_TLS);
    net_close(&n);
}

/* Memory */

static void an_idle_connection_is_cheap(void **state)
{
    enum { COUNT = 8 };
    struct tls_context *s = server_of(&pki, "server");
    struct tls_context *c = client_of(&pki, "client");
    struct net n[COUNT];
    size_t before, after, each;

    (void)state;
    memset(n, 0, sizeof(n));
    for (int i = 0; i < COUNT; i++)
        net_open(&n[i], tls_context_ref(s), tls_context_ref(c));
    before = heap_bytes();
    for (int i = 0; i < COUNT; i++) {
        n[i].client.to_send = 1 << 20; /* has worked, then idles */
        dial(&n[i], CONTROLLER_NAME);
        while (n[i].server.got < 1 << 20)
            uv_run(&n[i].loop, UV_RUN_ONCE);
        uv_run(&n[i].loop, UV_RUN_NOWAIT);
    }
    after = heap_bytes();
    each = (after - before) / COUNT / 2;
    print_message("an idle connection holds %zu bytes per end\n", each);
    assert_true(each < 60000);
    for (int i = 0; i < COUNT; i++) {
        tls_stream_close(n[i].client.t);
        loop_until(&n[i].loop, &n[i].client.closed);
        loop_until(&n[i].loop, &n[i].server.closed);
        net_close(&n[i]);
    }
    tls_context_unref(s);
    tls_context_unref(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(friends_meet),
        cmocka_unit_test(clients_of_another_ca_are_refused),
        cmocka_unit_test(a_server_certificate_is_no_client),
        cmocka_unit_test(the_ca_itself_is_no_client),
        cmocka_unit_test(expired_clients_are_refused),
        cmocka_unit_test(a_client_must_name_a_node),
        cmocka_unit_test(servers_are_proven),
        cmocka_unit_test(a_name_must_be_expected),
        cmocka_unit_test(nobody_there_is_told_by_on_closed),
        cmocka_unit_test(a_join_trusts_the_ca_of_the_token),
        cmocka_unit_test(a_join_is_not_fooled),
        cmocka_unit_test(contexts_are_checked),
        cmocka_unit_test(data_before_and_after_a_pause_arrives),
        cmocka_unit_test(a_cut_is_told_from_a_close),
        cmocka_unit_test(leaving_at_every_step_ends_everything),
        cmocka_unit_test(foreign_clients_meet_the_policy),
        cmocka_unit_test(foreign_servers_meet_the_policy),
        cmocka_unit_test(garbage_is_refused),
        cmocka_unit_test(an_idle_connection_is_cheap),
    };

    return cmocka_run_group_tests(tests, make_pki, drop_pki);
}
