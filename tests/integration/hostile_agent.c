/* SPDX-License-Identifier: MIT */
/* An agent with a good certificate and bad intentions:
 *   hostile_agent FOLDER WAY [ARGUMENT]
 * FOLDER is what `ocm-agent join` left. It connects, and at the moment that
 * the way asks for it misbehaves, once; then it answers PING and says on
 * standard output, a line each, what becomes of it:
 *   connected              Welcome came
 *   asked NAME             the controller opened a conversation
 *   refused ID             CommitRefused with this first id
 *   committed              Committed
 *   data N                 DATA of N bytes
 *   error CODE: TEXT       Error, on any stream
 *   over                   the conversation has ended ...
 *   alive                  ... and the connection still answers PING
 *   closed: WHY            the connection ended
 * It ends by itself with the conversation or the connection, at the latest
 * after LIFE_MS, which is its only failure. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent_conf.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/base/text.h"
#include "common/data/blob.h"
#include "common/data/tree.h"
#include "common/net/envelope.h"
#include "common/net/frame.h"
#include "common/net/stream.h"
#include "common/net/tls_stream.h"

#define PROTOCOL_VERSION 1
#define INSTANCE_LEN 16
#define LIFE_MS 60000
#define CUT_AFTER_MS 100

enum moment { AT_OPEN, AT_WELCOME, AT_BACKUP, AT_PLAN };

struct evil {
    uv_loop_t loop;
    uv_timer_t life, cut;
    struct tls_context *tls;
    struct tls_stream *t;
    const struct way *way;
    const char *arg; /* "" when there is none */
    struct frame_reader in;
    struct buf out;
    size_t sent;
    uint32_t stream; /* the conversation; 0: none yet */
    bool over, failed;
    bool gone; /* breaks the conversation off at the next DATA */
};

struct way {
    const char *name;
    enum moment moment;
    void (*act)(struct evil *v);
};

static void __attribute__((format(printf, 1, 2))) say(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
    fflush(stdout);
}

/* ---- frames out ---- */

static void pump(struct evil *v)
{
    while (v->t && v->sent < v->out.len) {
        size_t n =
            tls_stream_write(v->t, v->out.data + v->sent, v->out.len - v->sent);

        v->sent += n;
        if (n == 0)
            return;
    }
    buf_clear(&v->out);
    v->sent = 0;
}

static void put_head(struct evil *v, enum frame_kind kind, uint32_t stream,
                     size_t len)
{
    struct frame_head h = {(uint32_t)len, kind, stream};

    frame_encode(buf_reserve(&v->out, FRAME_HEAD_LEN), &h);
    v->out.len += FRAME_HEAD_LEN;
}

static void put(struct evil *v, enum frame_kind kind, uint32_t stream,
                const void *p, size_t len)
{
    put_head(v, kind, stream, len);
    if (len)
        buf_add(&v->out, p, len);
    pump(v);
}

static void put_message(struct evil *v, uint32_t stream, const Ocm__Envelope *m)
{
    struct buf b = {0};

    if (envelope_pack(m, &b, NULL) == 0)
        put(v, FRAME_CONTROL, stream, b.data, b.len);
    buf_free(&b);
}

static void put_hello(struct evil *v)
{
    Ocm__Hello hello = OCM__HELLO__INIT;
    Ocm__Envelope m = OCM__ENVELOPE__INIT;
    uint8_t instance[INSTANCE_LEN];

    secret_random(instance, sizeof(instance));
    hello.protocol_min = PROTOCOL_VERSION;
    hello.protocol_max = PROTOCOL_VERSION;
    /* would reach people's terminals and logs, if nobody took care */
    hello.agent_version = (char *)"0\x1b[31m\nerror: forged";
    hello.platform = (char *)"linux-x86_64";
    hello.hostname = (char *)"evil";
    hello.instance.data = instance;
    hello.instance.len = sizeof(instance);
    m.body_case = OCM__ENVELOPE__BODY_HELLO;
    m.hello = &hello;
    put_message(v, 0, &m);
}

static void put_offer(struct evil *v, uint32_t stream, const char *reason)
{
    Ocm__BackupOffer offer = OCM__BACKUP_OFFER__INIT;
    Ocm__Envelope m = OCM__ENVELOPE__INIT;

    offer.reason = (char *)reason;
    m.body_case = OCM__ENVELOPE__BODY_BACKUP_OFFER;
    m.backup_offer = &offer;
    put_message(v, stream, &m);
}

/* ---- blobs ---- */

static struct id add_blob(struct buf *parcel, enum blob_type type,
                          const void *p, size_t len)
{
    struct blob b = {.id = digest_of(p, len),
                     .type = type,
                     .encoding = BLOB_PLAIN,
                     .raw_len = (uint32_t)len,
                     .stored_len = (uint32_t)len,
                     .stored = p};

    parcel_add(parcel, &b);
    return b.id;
}

static void put_parcel(struct evil *v, struct buf *parcel)
{
    put(v, FRAME_DATA, v->stream, parcel->data, parcel->len);
    buf_free(parcel);
}

static struct id put_blob(struct evil *v, enum blob_type type, const void *p,
                          size_t len)
{
    struct buf parcel = {0};
    struct id id = add_blob(&parcel, type, p, len);

    put_parcel(v, &parcel);
    return id;
}

static void put_commit(struct evil *v, const void *root, size_t len)
{
    Ocm__Commit commit = OCM__COMMIT__INIT;
    Ocm__Envelope m = OCM__ENVELOPE__INIT;

    commit.root.data = (uint8_t *)(uintptr_t)root;
    commit.root.len = len;
    m.body_case = OCM__ENVELOPE__BODY_COMMIT;
    m.commit = &commit;
    put_message(v, v->stream, &m);
}

static struct id arg_id(const struct evil *v)
{
    struct id id = {{0}};

    if (!id_parse(v->arg, &id))
        fprintf(stderr, "the argument is no id: '%s'\n", v->arg);
    return id;
}

/* ---- ways: before and at the greeting ---- */

static void silent(struct evil *v)
{
    (void)v;
}

static void garbage(struct evil *v)
{
    put(v, FRAME_CONTROL, 0, "\x0a\x7f", 2);
}

static void greeting_long(struct evil *v)
{
    put_head(v, FRAME_CONTROL, 0, 100 * 1024);
    pump(v);
}

static void hello_twice(struct evil *v)
{
    put_hello(v);
}

static void frame_long(struct evil *v)
{
    put_head(v, FRAME_DATA, 1, UINT32_MAX);
    pump(v);
}

static void frame_kind(struct evil *v)
{
    put_head(v, (enum frame_kind)99, 0, 8);
    pump(v);
}

static void on_cut(uv_timer_t *timer)
{
    (void)timer;
    say("cut");
    _exit(0); /* as a cable would: no close_notify */
}

static void frame_cut(struct evil *v)
{
    put_head(v, FRAME_CONTROL, 0, 1000);
    buf_add(&v->out, "0123456789", 10);
    pump(v);
    uv_timer_start(&v->cut, on_cut, CUT_AFTER_MS, 0);
}

static void message_odd(struct evil *v)
{
    Ocm__Join join = OCM__JOIN__INIT;
    Ocm__Envelope m = OCM__ENVELOPE__INIT;

    m.body_case = OCM__ENVELOPE__BODY_JOIN;
    m.join = &join;
    put_message(v, 0, &m);
}

static void stream_without_message(struct evil *v)
{
    put(v, FRAME_DATA, 1, "x", 1);
}

static void stream_of_the_other(struct evil *v)
{
    put_offer(v, 1000, "safety");
}

static void streams_many(struct evil *v)
{
    for (uint32_t i = 0; i < 400; i++)
        put_offer(v, 2 * i + 1, "safety");
}

/* Fewer than a channel allows, more than the controller serves. */
static void streams_crowd(struct evil *v)
{
    v->stream = 1;
    for (uint32_t i = 0; i < 40; i++)
        put_offer(v, 2 * i + 1, "safety");
}

static void offer_odd(struct evil *v)
{
    v->stream = 1;
    put_offer(v, v->stream, "because");
}

static void offer_unasked(struct evil *v)
{
    v->stream = 1;
    put_offer(v, v->stream, "safety");
}

static void conversation_odd(struct evil *v)
{
    Ocm__Facts facts = OCM__FACTS__INIT;
    Ocm__Envelope m = OCM__ENVELOPE__INIT;

    v->stream = 1;
    m.body_case = OCM__ENVELOPE__BODY_FACTS;
    m.facts = &facts;
    put_message(v, v->stream, &m);
}

/* ---- ways: in a backup ---- */

static void blob_hash(struct evil *v)
{
    struct buf parcel = {0};

    add_blob(&parcel, BLOB_DATA, "five!", 5);
    parcel.data[parcel.len - 1] ^= 1;
    put_parcel(v, &parcel);
}

static void parcel_cut(struct evil *v)
{
    struct buf parcel = {0};

    add_blob(&parcel, BLOB_DATA, "five!", 5);
    add_blob(&parcel, BLOB_DATA, "and five", 8);
    parcel.len -= 3;
    put_parcel(v, &parcel);
}

/* 64 MiB of zeros that say they are `raw_len` bytes. */
static void put_zeros(struct evil *v, uint32_t raw_len)
{
    size_t len = 64u << 20;
    uint8_t *zeros = mem_zalloc(len);
    struct zstream *z = zstream_new(0);
    struct buf room = {0}, parcel = {0};
    struct blob b = {.id = digest_of(zeros, len), .type = BLOB_DATA};

    zstream_pack(z, zeros, len, &room, &b);
    b.raw_len = raw_len;
    parcel_add(&parcel, &b);
    put_parcel(v, &parcel);
    zstream_free(z);
    buf_free(&room);
    free(zeros);
}

static void blob_bomb(struct evil *v)
{
    put_zeros(v, 4096);
}

static void blob_large(struct evil *v)
{
    put_zeros(v, 64u << 20);
}

static void commit_id(struct evil *v)
{
    struct id id = arg_id(v);

    put_commit(v, id.b, ID_LEN);
}

static void commit_short(struct evil *v)
{
    put_commit(v, "short", 5);
}

/* The argument is the "nodes" of a tree; content that it may name is sent. */
static void commit_tree(struct evil *v)
{
    char *text = mem_printf("{\"nodes\":%s}\n", v->arg);
    struct id root;

    put_blob(v, BLOB_DATA, "five!", 5);
    root = put_blob(v, BLOB_TREE, text, strlen(text));
    put_commit(v, root.b, ID_LEN);
    free(text);
}

static struct id put_level(struct evil *v, const struct id *below)
{
    struct buf text = {0};
    struct id id;

    tree_begin(&text);
    for (int i = 0; below && i < 2; i++) {
        struct tree_node n = {.name = i ? "b" : "a",
                              .name_len = 1,
                              .type = TREE_DIR,
                              .mode = 0700,
                              .user = "",
                              .group = "",
                              .subtree = *below};

        tree_add(&text, &n);
    }
    tree_end(&text);
    id = put_blob(v, BLOB_TREE, text.data, text.len);
    buf_free(&text);
    return id;
}

/* 60 small trees that name 2^60 paths. */
static void tree_bomb(struct evil *v)
{
    struct id at = put_level(v, NULL);

    for (int i = 0; i < 60; i++)
        at = put_level(v, &at);
    put_commit(v, at.b, ID_LEN);
}

static void commit_twice(struct evil *v)
{
    commit_tree(v);
    commit_tree(v);
}

/* Says all, and with the ids that it owns, which come last, does not wait for
 * an answer. */
static void commit_gone(struct evil *v)
{
    commit_tree(v);
    put(v, FRAME_END, v->stream, NULL, 0);
    v->gone = true;
}

static void order_odd(struct evil *v)
{
    Ocm__Plan plan = OCM__PLAN__INIT;
    Ocm__Envelope m = OCM__ENVELOPE__INIT;

    m.body_case = OCM__ENVELOPE__BODY_PLAN;
    m.plan = &plan;
    put_message(v, v->stream, &m);
}

static void early_end(struct evil *v)
{
    put(v, FRAME_END, v->stream, NULL, 0);
}

static void frame_after_end(struct evil *v)
{
    early_end(v);
    put(v, FRAME_DATA, v->stream, "x", 1);
}

static void credit_unused(struct evil *v)
{
    put(v, FRAME_CREDIT, v->stream, "\x7f\0\0\0", 4);
}

/* While the first frame, full of small blobs, keeps the controller busy, the
 * others use up more than its window. */
static void overrun(struct evil *v)
{
    struct buf parcel = {0};
    uint8_t *rest = mem_zalloc(5u << 20);

    for (uint32_t i = 0; i < 40000; i++) {
        uint32_t small[8] = {i};

        add_blob(&parcel, BLOB_DATA, small, sizeof(small));
    }
    put_parcel(v, &parcel);
    for (int i = 0; i < 3; i++)
        put(v, FRAME_DATA, v->stream, rest, 5u << 20);
    free(rest);
}

/* ---- ways: in a plan ---- */

static void put_get(struct evil *v, const void *ids, size_t len)
{
    Ocm__Get get = OCM__GET__INIT;
    Ocm__Envelope m = OCM__ENVELOPE__INIT;

    get.ids.data = (uint8_t *)(uintptr_t)ids;
    get.ids.len = len;
    m.body_case = OCM__ENVELOPE__BODY_GET;
    m.get = &get;
    put_message(v, v->stream, &m);
}

static void get_id(struct evil *v)
{
    struct id id = arg_id(v);

    put_get(v, id.b, ID_LEN);
}

static void get_odd(struct evil *v)
{
    put_get(v, "an odd number of bytes, no ids", 30);
}

static const struct way ways[] = {
    {"silent", AT_OPEN, silent},
    {"garbage", AT_OPEN, garbage},
    {"greeting-long", AT_OPEN, greeting_long},
    {"hello-twice", AT_WELCOME, hello_twice},
    {"frame-long", AT_WELCOME, frame_long},
    {"frame-kind", AT_WELCOME, frame_kind},
    {"frame-cut", AT_WELCOME, frame_cut},
    {"message-broken", AT_WELCOME, garbage},
    {"message-odd", AT_WELCOME, message_odd},
    {"stream-without-message", AT_WELCOME, stream_without_message},
    {"stream-of-the-other", AT_WELCOME, stream_of_the_other},
    {"streams-many", AT_WELCOME, streams_many},
    {"streams-crowd", AT_WELCOME, streams_crowd},
    {"offer-odd", AT_WELCOME, offer_odd},
    {"offer-unasked", AT_WELCOME, offer_unasked},
    {"conversation-odd", AT_WELCOME, conversation_odd},
    {"blob-hash", AT_BACKUP, blob_hash},
    {"parcel-cut", AT_BACKUP, parcel_cut},
    {"blob-bomb", AT_BACKUP, blob_bomb},
    {"blob-large", AT_BACKUP, blob_large},
    {"commit-id", AT_BACKUP, commit_id},
    {"commit-short", AT_BACKUP, commit_short},
    {"commit-tree", AT_BACKUP, commit_tree},
    {"commit-twice", AT_BACKUP, commit_twice},
    {"commit-gone", AT_BACKUP, commit_gone},
    {"tree-bomb", AT_BACKUP, tree_bomb},
    {"order-odd", AT_BACKUP, order_odd},
    {"early-end", AT_BACKUP, early_end},
    {"frame-after-end", AT_BACKUP, frame_after_end},
    {"credit-unused", AT_BACKUP, credit_unused},
    {"overrun", AT_BACKUP, overrun},
    {"mute", AT_BACKUP, silent},
    {"get-id", AT_PLAN, get_id},
    {"get-odd", AT_PLAN, get_odd},
    {"mute-plan", AT_PLAN, silent},
};

/* ---- frames in ---- */

static void act(struct evil *v, enum moment now)
{
    if (v->way->moment == now)
        v->way->act(v);
}

static void on_message(struct evil *v, uint32_t stream, const Ocm__Envelope *m)
{
    char hex[ID_HEX_LEN + 1] = "?";

    if (stream && !v->stream)
        v->stream = stream;
    switch (m->body_case) {
    case OCM__ENVELOPE__BODY_WELCOME:
        say("connected");
        act(v, AT_WELCOME);
        break;
    case OCM__ENVELOPE__BODY_BACKUP_REQUEST:
        say("asked %s", envelope_name(m->body_case));
        act(v, AT_BACKUP);
        break;
    case OCM__ENVELOPE__BODY_PLAN_REQUEST:
        say("asked %s", envelope_name(m->body_case));
        act(v, AT_PLAN);
        break;
    case OCM__ENVELOPE__BODY_COMMIT_REFUSED:
        if (m->commit_refused->first_missing.len == ID_LEN)
            hex_encode(m->commit_refused->first_missing.data, ID_LEN, hex);
        say("refused %s", hex);
        act(v, AT_BACKUP); /* insists */
        break;
    case OCM__ENVELOPE__BODY_COMMITTED:
        say("committed");
        break;
    case OCM__ENVELOPE__BODY_ERROR:
        say("error %s: %s", m->error->code, m->error->text);
        break;
    default:
        say("asked %s", envelope_name(m->body_case));
    }
}

static void on_frame(struct evil *v)
{
    const struct frame_head *h = &v->in.head;
    struct error e = {0};
    Ocm__Envelope *m;

    switch (h->kind) {
    case FRAME_CONTROL:
        m = envelope_unpack(v->in.payload.data, v->in.payload.len, &e);
        if (m)
            on_message(v, h->stream, m);
        stream_message_free(m);
        break;
    case FRAME_DATA:
        say("data %u", h->len);
        if (v->gone && !v->over) {
            v->over = true;
            put(v, FRAME_CANCEL, v->stream, NULL, 0);
            put(v, FRAME_PING, 0, "are you?", FRAME_PING_LEN);
        }
        break;
    case FRAME_END:
    case FRAME_CANCEL:
        if (h->stream == v->stream && !v->over) {
            v->over = true;
            say("over");
            put(v, FRAME_END, v->stream, NULL, 0);
            put(v, FRAME_PING, 0, "are you?", FRAME_PING_LEN);
        }
        break;
    case FRAME_PING:
        put(v, FRAME_PONG, 0, v->in.payload.data, FRAME_PING_LEN);
        break;
    case FRAME_PONG:
        say("alive");
        tls_stream_close(v->t);
        break;
    case FRAME_CREDIT:
        break;
    }
}

/* ---- connection ---- */

static void on_ready(struct tls_stream *t, void *arg)
{
    struct evil *v = arg;

    (void)t;
    if (v->way->moment == AT_OPEN)
        v->way->act(v);
    else
        put_hello(v);
}

static void on_readable(struct tls_stream *t, void *arg)
{
    struct evil *v = arg;
    struct error e = {0};

    for (;;) {
        size_t room;
        uint8_t *p = frame_reader_room(&v->in, &room);
        ssize_t n = tls_stream_read(t, p, room);
        int rc;

        if (n <= 0)
            return;
        rc = frame_reader_put(&v->in, (size_t)n, &e);
        if (rc == FRAME_DONE || (rc == FRAME_HEAD_READY && v->in.head.len == 0))
            on_frame(v);
    }
}

static void on_drain(struct tls_stream *t, void *arg)
{
    (void)t;
    pump(arg);
}

static void end(struct evil *v)
{
    if (!uv_is_closing((uv_handle_t *)&v->life)) {
        uv_close((uv_handle_t *)&v->life, NULL);
        uv_close((uv_handle_t *)&v->cut, NULL);
    }
}

static void on_closed(struct tls_stream *t, int status, const char *why,
                      void *arg)
{
    struct evil *v = arg;

    (void)t;
    v->t = NULL;
    say("closed: %s", status ? why : "by the rules");
    end(v);
}

static const struct tls_handler handler = {
    .on_ready = on_ready,
    .on_readable = on_readable,
    .on_drain = on_drain,
    .on_closed = on_closed,
};

static void on_old(uv_timer_t *timer)
{
    struct evil *v = timer->data;

    say("nothing came of it in %d s", LIFE_MS / 1000);
    v->failed = true;
    end(v);
    if (v->t)
        tls_stream_abort(v->t, UV_ETIMEDOUT, "too old");
}

static int dial(struct evil *v, const char *dir, struct error *e)
{
    char *node = path_join(dir, "node.pem"), *ca = path_join(dir, "ca.pem");
    struct tls_files files = {.key = node, .cert = node, .ca = ca};
    struct identity id = {0};
    struct sockaddr_in to;
    int rc = identity_load(dir, &id, e);

    if (rc == 0 && !(v->tls = tls_context_new(TLS_CLIENT, &files, e)))
        rc = e->code;
    if (rc == 0)
        rc = uv_ip4_addr(id.host, (int)id.port, &to);
    if (rc == 0) {
        v->t = tls_stream_dial(&v->loop, v->tls, (const struct sockaddr *)&to,
                               id.controller, &handler, v, &rc);
        if (!v->t)
            rc = error_set(e, rc, "%s: %s", id.host, error_text(rc));
    }
    identity_free(&id);
    free(node);
    free(ca);
    return rc;
}

static const struct way *find_way(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(ways); i++)
        if (strcmp(ways[i].name, name) == 0)
            return &ways[i];
    return NULL;
}

int main(int argc, char **argv)
{
    struct evil v = {.arg = argc > 3 ? argv[3] : ""};
    struct error e = {0};
    int rc;

    if (argc < 3 || !(v.way = find_way(argv[2]))) {
        fprintf(stderr, "usage: hostile_agent FOLDER WAY [ARGUMENT]\n");
        return 2;
    }
    secret_init();
    log_init("hostile_agent", LOG_WARN);
    uv_loop_init(&v.loop);
    uv_timer_init(&v.loop, &v.life);
    uv_timer_init(&v.loop, &v.cut);
    v.life.data = &v;
    uv_timer_start(&v.life, on_old, LIFE_MS, 0);
    rc = dial(&v, argv[1], &e);
    if (rc < 0) {
        fprintf(stderr, "%s\n", e.text);
        end(&v);
    }
    uv_run(&v.loop, UV_RUN_DEFAULT);
    uv_loop_close(&v.loop);
    if (v.tls)
        tls_context_unref(v.tls);
    frame_reader_fini(&v.in);
    buf_free(&v.out);
    return rc < 0 || v.failed;
}
