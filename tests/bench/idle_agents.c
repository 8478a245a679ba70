/* SPDX-License-Identifier: MIT */
/* Many idle agents in one loop, so that the controller's memory for one can be
 * measured:
 *   idle_agents FOLDER HOST:PORT COUNT
 * reads COUNT join tokens from standard input, one a line, joins a node with
 * each (keys below FOLDER) and says "joined"; at the next line it connects all
 * of them, says "connected" after the last Welcome, and holds the connections
 * until standard input ends. Any connection that fails ends it with 1. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/join.h"
#include "agent/job.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/base/text.h"
#include "common/net/channel.h"
#include "common/net/protocol.h"

#define DIALS_AT_ONCE 16
#define LINE_BYTES 256

struct fleet;

struct idle {
    struct fleet *fleet;
    char *dir;
    struct tls_context *tls;
    struct channel *ch;
    bool welcome;
};

struct fleet {
    uv_loop_t loop;
    uv_pipe_t input;
    char byte[64];
    struct idle *agents;
    size_t count, dialed, open, welcome;
    bool ending, failed;
};

static void dial_next(struct fleet *f);

static void fleet_end(struct fleet *f)
{
    if (f->ending)
        return;
    f->ending = true;
    uv_close((uv_handle_t *)&f->input, NULL);
    for (size_t i = 0; i < f->count; i++) {
        if (f->agents[i].ch)
            channel_close(f->agents[i].ch, 0, NULL);
    }
}

static void on_open(struct channel *ch, void *arg)
{
    struct idle *a = arg;
    Ocm__Hello hello = OCM__HELLO__INIT;
    Ocm__Envelope m = OCM__ENVELOPE__INIT;
    uint8_t instance[AGENT_INSTANCE_LEN] = {0};
    size_t i = (size_t)(a - a->fleet->agents);

    memcpy(instance, &i, sizeof(i));
    hello.protocol_min = PROTOCOL_MIN;
    hello.protocol_max = PROTOCOL_MAX;
    hello.agent_version = (char *)OCM_VERSION;
    hello.platform = (char *)"linux-x86_64";
    hello.hostname = (char *)"idle";
    hello.instance.data = instance;
    hello.instance.len = sizeof(instance);
    hello.running_job = (char *)"";
    m.body_case = OCM__ENVELOPE__BODY_HELLO;
    m.hello = &hello;
    channel_send_control(ch, &m);
}

static void on_control(struct channel *ch, const Ocm__Envelope *m, void *arg)
{
    struct idle *a = arg;
    struct fleet *f = a->fleet;

    if (m->body_case != OCM__ENVELOPE__BODY_WELCOME || a->welcome) {
        fprintf(stderr, "%s: no Welcome: %s\n", a->dir,
                m->body_case == OCM__ENVELOPE__BODY_ERROR ? m->error->text
                                                          : "?");
        channel_close(ch, 0, NULL);
        return;
    }
    a->welcome = true;
    if (m->welcome->keepalive_ms)
        channel_set_keepalive(ch, m->welcome->keepalive_ms);
    channel_allow_streams(ch);
    if (++f->welcome == f->count) {
        puts("connected");
        fflush(stdout);
    }
    dial_next(f);
}

/* Nothing is served here. */
static void on_stream(struct channel *ch, struct stream *s,
                      Ocm__Envelope *first, void *arg)
{
    (void)ch;
    (void)arg;
    stream_message_free(first);
    stream_close(s);
}

static void on_closed(struct channel *ch, int status, const char *why,
                      void *arg)
{
    struct idle *a = arg;

    channel_unref(ch);
    a->ch = NULL;
    a->fleet->open--;
    if (a->fleet->ending)
        return;
    fprintf(stderr, "%s: closed: %s\n", a->dir, why ? why : error_text(status));
    a->fleet->failed = true;
    fleet_end(a->fleet);
}

static const struct channel_handler handler = {
    .on_open = on_open,
    .on_control = on_control,
    .on_stream = on_stream,
    .on_closed = on_closed,
};

static int dial(struct idle *a, struct error *e)
{
    char *node = path_join(a->dir, "node.pem"),
         *ca = path_join(a->dir, "ca.pem");
    struct tls_files files = {.key = node, .cert = node, .ca = ca};
    struct identity id = {0};
    struct sockaddr_in to;
    struct tls_stream *tls;
    int rc = identity_load(a->dir, &id, e);

    if (rc == 0) {
        a->tls = tls_context_new(TLS_CLIENT, &files, e);
        rc = a->tls ? 0 : e->code;
    }
    if (rc == 0) {
        rc = uv_ip4_addr(id.host, (int)id.port, &to);
        tls = rc < 0 ? NULL
                     : tls_stream_dial(&a->fleet->loop, a->tls,
                                       (const struct sockaddr *)&to,
                                       id.controller, NULL, NULL, &rc);
        if (tls) {
            a->ch = channel_new(tls, false, &handler, a);
            a->fleet->open++;
        } else {
            rc = error_set(e, rc, "%s: %s", id.host, error_text(rc));
        }
    }
    identity_free(&id);
    free(node);
    free(ca);
    return rc;
}

static void dial_next(struct fleet *f)
{
    struct error e = {0};

    if (f->ending || f->dialed == f->count)
        return;
    if (dial(&f->agents[f->dialed++], &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        f->failed = true;
        fleet_end(f);
    }
}

static void on_alloc(uv_handle_t *h, size_t size, uv_buf_t *b)
{
    struct fleet *f = h->data;

    (void)size;
    *b = uv_buf_init(f->byte, sizeof(f->byte));
}

static void on_input(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    (void)b;
    if (n < 0)
        fleet_end(s->data);
}

static int join_all(struct fleet *f, const char *dir, const char *host,
                    int64_t port, struct error *e)
{
    char line[LINE_BYTES];

    for (size_t i = 0; i < f->count; i++) {
        struct idle *a = &f->agents[i];
        struct join_options o = {.host = host, .port = port, .name = ""};

        if (!fgets(line, sizeof(line), stdin))
            return error_set(e, OCM_E_INVALID, "%zu tokens, not %zu", i,
                             f->count);
        line[strcspn(line, "\n")] = 0;
        a->fleet = f;
        a->dir = mem_printf("%s/%zu", dir, i);
        o.state_dir = a->dir;
        o.token = line;
        if (dir_make(a->dir, 0700, e) < 0 || join_run(&o, e) < 0)
            return e->code;
    }
    puts("joined");
    fflush(stdout);
    if (!fgets(line, sizeof(line), stdin))
        return error_set(e, OCM_E_INVALID, "the input ended");
    return 0;
}

static void hold(struct fleet *f)
{
    uv_loop_init(&f->loop);
    uv_pipe_init(&f->loop, &f->input, 0);
    f->input.data = f;
    uv_pipe_open(&f->input, 0);
    uv_read_start((uv_stream_t *)&f->input, on_alloc, on_input);
    for (int i = 0; i < DIALS_AT_ONCE; i++)
        dial_next(f);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    uv_loop_close(&f->loop);
}

int main(int argc, char **argv)
{
    struct fleet f = {0};
    struct error e = {0};
    int64_t count = 0, port = 0;
    char *colon = argc == 4 ? strrchr(argv[2], ':') : NULL;
    int rc;

    if (!colon || !text_to_i64(colon + 1, 1, 65535, &port) ||
        !text_to_i64(argv[3], 1, 100000, &count)) {
        fprintf(stderr, "usage: idle_agents FOLDER HOST:PORT COUNT\n");
        return 2;
    }
    *colon = 0;
    secret_init();
    log_init("idle_agents", LOG_WARN);
    f.count = (size_t)count;
    f.agents = mem_zalloc(f.count * sizeof(*f.agents));
    rc = dir_make(argv[1], 0700, &e);
    if (rc == 0)
        rc = join_all(&f, argv[1], argv[2], port, &e);
    if (rc == 0)
        hold(&f);
    else
        fprintf(stderr, "%s\n", e.text);
    for (size_t i = 0; i < f.count; i++) {
        if (f.agents[i].tls)
            tls_context_unref(f.agents[i].tls);
        free(f.agents[i].dir);
    }
    free(f.agents);
    return rc < 0 || f.failed;
}
