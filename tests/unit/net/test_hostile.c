/* SPDX-License-Identifier: MIT */
/* A peer with a good certificate and bad manners: raw frames against a
 * channel. Every fault ends the connection with a reason that the peer is
 * told; none costs more memory than the frame it came in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/net/channel_internal.h"
#include "common/net/envelope.h"
#include "tests/unit/net/net_fixture.h"

static struct pki pki;

static int make_pki(void **state)
{
    (void)state;
    pki_make(&pki, "OCM CA test");
    pki_issue_usual(&pki);
    return 0;
}

static int drop_pki(void **state)
{
    (void)state;
    pki_drop(&pki);
    return 0;
}

/* The attacker: sends `wire` when ready, then listens. */
struct attacker {
    struct tls_stream *t;
    struct buf wire;
    size_t sent;
    struct buf heard;
    bool closed, deaf;
};

static void send_more(struct attacker *a)
{
    while (a->sent < a->wire.len) {
        size_t n = tls_stream_write(a->t, a->wire.data + a->sent,
                                    a->wire.len - a->sent);

        a->sent += n;
        if (n == 0)
            return;
    }
}

static void on_ready(struct tls_stream *t, void *arg)
{
    struct attacker *a = arg;

    if (a->deaf)
        tls_stream_pause(t);
    send_more(a);
}

static void on_readable(struct tls_stream *t, void *arg)
{
    struct attacker *a = arg;
    ssize_t n;

    while ((n = tls_stream_read(t, buf_reserve(&a->heard, 4096), 4096)) > 0)
        a->heard.len += (size_t)n;
}

static void on_drain(struct tls_stream *t, void *arg)
{
    (void)t;
    send_more(arg);
}

static void on_closed(struct tls_stream *t, int status, const char *why,
                      void *arg)
{
    struct attacker *a = arg;

    (void)t;
    (void)status;
    (void)why;
    a->t = NULL;
    a->closed = true;
}

static const struct tls_handler handler = {
    .on_ready = on_ready,
    .on_readable = on_readable,
    .on_drain = on_drain,
    .on_closed = on_closed,
};

static void add_frame(struct buf *wire, enum frame_kind kind, uint32_t stream,
                      const void *p, size_t len)
{
    struct frame_head h = {(uint32_t)len, kind, stream};

    frame_encode(buf_reserve(wire, FRAME_HEAD_LEN), &h);
    wire->len += FRAME_HEAD_LEN;
    buf_add(wire, p, len);
}

static void add_head(struct buf *wire, uint32_t len, enum frame_kind kind,
                     uint32_t stream)
{
    struct frame_head h = {len, kind, stream};

    frame_encode(buf_reserve(wire, FRAME_HEAD_LEN), &h);
    wire->len += FRAME_HEAD_LEN;
}

static void add_message(struct buf *wire, uint32_t stream, const char *text)
{
    struct buf b = {0};

    assert_int_equal(envelope_pack(log_line(text), &b, NULL), 0);
    add_frame(wire, FRAME_CONTROL, stream, b.data, b.len);
    buf_free(&b);
}

static void attack_begin(struct pair *p, struct attacker *a)
{
    int rc = 0;

    pair_listen(p, &pki);
    a->t = tls_stream_dial(&p->loop, p->client_ctx,
                           (const struct sockaddr *)&p->addr, CONTROLLER_NAME,
                           &handler, a, &rc);
    assert_non_null(a->t);
}

static void attack_end(struct pair *p, struct attacker *a)
{
    if (a->t)
        tls_stream_close(a->t);
    loop_until(&p->loop, &a->closed);
    pair_close(p);
    buf_free(&a->wire);
    buf_free(&a->heard);
}

/* Waits for the channel to close, and looks for `why`, on both ends. */
static void must_close(struct buf *wire, int code, const char *why)
{
    struct pair p = {0};
    struct attacker a = {.wire = buf_take(wire)};

    attack_begin(&p, &a);
    loop_until(&p.loop, &p.server.closed);
    if (p.server.status != code || !strstr(p.server.why, why))
        print_error("%d: %s\n", p.server.status, p.server.why);
    assert_int_equal(p.server.status, code);
    assert_non_null(strstr(p.server.why, why));
    loop_until(&p.loop, &a.closed);
    assert_non_null(memmem(a.heard.data, a.heard.len, why, strlen(why)));
    attack_end(&p, &a);
}

static void bad_heads_close(void **state)
{
    struct buf w = {0};

    (void)state;
    add_head(&w, UINT32_MAX, FRAME_CONTROL, 0);
    must_close(&w, OCM_E_LIMIT, "the limit is");
    add_head(&w, FRAME_MAX_DATA + 1, FRAME_DATA, 1);
    must_close(&w, OCM_E_LIMIT, "the limit is");
    add_head(&w, 0, 0, 0);
    must_close(&w, OCM_E_PROTOCOL, "unknown kind");
    buf_add(&w, "GET / HTTP/1.1\r\n\r\n", 18);
    must_close(&w, OCM_E_PROTOCOL, "frame");
}

static void streams_are_opened_by_the_rules(void **state)
{
    struct buf w = {0};

    (void)state;
    add_message(&w, 2, "an even id is not the agent's");
    must_close(&w, OCM_E_PROTOCOL, "never opened");
    add_frame(&w, FRAME_DATA, 1, "x", 1);
    must_close(&w, OCM_E_PROTOCOL, "begin with a message");
    add_frame(&w, FRAME_END, 1, NULL, 0);
    must_close(&w, OCM_E_PROTOCOL, "begin with a message");
    add_frame(&w, FRAME_CANCEL, 1, NULL, 0);
    must_close(&w, OCM_E_PROTOCOL, "begin with a message");
    add_frame(&w, FRAME_CREDIT, 1, "\0\0\0\1", 4);
    must_close(&w, OCM_E_PROTOCOL, "begin with a message");
}

/* Server: holds every stream until the channel is gone. */
static void hold(struct stream *s, Ocm__Envelope *first, void *arg)
{
    struct stream_item item;

    (void)arg;
    stream_message_free(first);
    stream_expect(s, OCM__ENVELOPE__BODY_FACTS, -1, &first, NULL);
    if (first)
        stream_message_free(first);
    while (stream_recv(s, -1, &item, NULL) == 0 && item.kind != STREAM_END)
        stream_item_free(&item);
    stream_close(s);
}

/* Server: keeps the stream without reading; closed by the test. */
static struct stream *_Atomic kept;

static void keep(struct stream *s, Ocm__Envelope *first, void *arg)
{
    (void)arg;
    stream_message_free(first);
    kept = s;
}

static void must_close_serving(void (*serve)(struct stream *, Ocm__Envelope *,
                                             void *),
                               struct buf *wire, const char *why)
{
    struct pair p = {.server.serve = serve};
    struct attacker a = {.wire = buf_take(wire)};

    kept = NULL;
    attack_begin(&p, &a);
    loop_until(&p.loop, &p.server.closed);
    pair_until_idle(&p);
    if (!strstr(p.server.why, why))
        print_error("%d: %s\n", p.server.status, p.server.why);
    assert_int_equal(p.server.status, OCM_E_PROTOCOL);
    assert_non_null(strstr(p.server.why, why));
    stream_close(kept);
    attack_end(&p, &a);
}

static void conversations_follow_the_rules(void **state)
{
    uint8_t *big = calloc(1, FRAME_MAX_DATA);
    struct buf w = {0};

    (void)state;
    add_message(&w, 1, "begin"); /* more than the window */
    add_frame(&w, FRAME_DATA, 1, big, 5u << 20);
    add_frame(&w, FRAME_DATA, 1, big, 5u << 20);
    must_close_serving(keep, &w, "than the window allows");
    add_message(&w, 1, "begin"); /* one large frame, but only one */
    add_frame(&w, FRAME_DATA, 1, big, FRAME_MAX_DATA);
    add_frame(&w, FRAME_DATA, 1, big, 1);
    must_close_serving(keep, &w, "than the window allows");
    add_message(&w, 1, "begin");
    add_frame(&w, FRAME_CREDIT, 1, "\0\0\0\1", 4);
    must_close_serving(hold, &w, "never used");
    add_message(&w, 1, "begin");
    add_frame(&w, FRAME_END, 1, NULL, 0);
    add_frame(&w, FRAME_END, 1, NULL, 0);
    must_close_serving(keep, &w, "after the end");
    add_message(&w, 1, "begin");
    add_frame(&w, FRAME_END, 1, NULL, 0);
    add_message(&w, 1, "again");
    must_close_serving(keep, &w, "after the end");
    add_message(&w, 1, "begin"); /* found by the worker */
    add_frame(&w, FRAME_CONTROL, 1, "\xff\xff", 2);
    must_close_serving(hold, &w, "malformed");
    free(big);
}

static void malformed_messages_close(void **state)
{
    struct buf w = {0};

    (void)state;
    add_frame(&w, FRAME_CONTROL, 0, "\x0a\x7f", 2);
    must_close(&w, OCM_E_PROTOCOL, "malformed");
    add_frame(&w, FRAME_CONTROL, 1, "\x0a\x7f", 2);
    must_close(&w, OCM_E_PROTOCOL, "malformed");
    add_frame(&w, FRAME_CONTROL, 0, "\x1a\x03\x12\x01\xff", 5);
    must_close(&w, OCM_E_PROTOCOL, "UTF-8");
}

static void a_greeting_is_short(void **state)
{
    struct pair p = {.server.shy = true};
    struct attacker a = {0};

    (void)state;
    add_message(&a.wire, 0, "short");
    add_head(&a.wire, CHANNEL_GREETING_MAX + 1, FRAME_CONTROL, 0);
    attack_begin(&p, &a);
    loop_until(&p.loop, &p.server.closed);
    assert_int_equal(p.server.controls, 1);
    assert_int_equal(p.server.status, OCM_E_LIMIT);
    attack_end(&p, &a);
}

static void streams_are_counted(void **state)
{
    struct buf w = {0};

    (void)state;
    for (uint32_t i = 0; i <= CHANNEL_MAX_STREAMS; i++)
        add_message(&w, 2 * i + 1, "mine");
    must_close_serving(hold, &w, "too many streams");
}

/* Opened and cancelled over and over: the table does not grow for ever, and
 * an id does not come twice. */
static void open_and_cancel_is_harmless(void **state)
{
    struct pair p = {.server.serve = NULL};
    struct attacker a = {0};

    (void)state;
    for (uint32_t i = 0; i < 5000; i++) {
        add_message(&a.wire, 2 * i + 1, "mine");
        add_frame(&a.wire, FRAME_CANCEL, 2 * i + 1, NULL, 0);
        add_frame(&a.wire, FRAME_DATA, 1, "late", 4); /* long over: dropped */
    }
    add_message(&a.wire, 0, "still there?");
    attack_begin(&p, &a);
    while (p.server.controls == 0 && !p.server.closed)
        uv_run(&p.loop, UV_RUN_ONCE);
    assert_false(p.server.closed);
    uv_mutex_lock(&p.server.ch->lock);
    assert_int_equal(p.server.ch->objects[false], 0);
    assert_int_equal(p.server.ch->peer_last, 9999);
    uv_mutex_unlock(&p.server.ch->lock);
    attack_end(&p, &a);
}

/* Answers that nobody reads do not pile up. */
static void a_flood_of_pings_is_bounded(void **state)
{
    struct pair p = {0};
    struct attacker a = {.deaf = true};

    (void)state;
    for (int i = 0; i < 400000; i++)
        add_frame(&a.wire, FRAME_PING, 0, "12345678", 8);
    add_message(&a.wire, 0, "done");
    attack_begin(&p, &a);
    while (p.server.controls == 0 && !p.server.closed)
        uv_run(&p.loop, UV_RUN_ONCE);
    assert_false(p.server.closed);
    assert_true(p.server.ch->stage.cap <= 2 * 16384 + 64);
    tls_stream_resume(a.t);
    attack_end(&p, &a);
}

/* One byte of a large frame, then silence: no more is held than announced,
 * and the keep-alive ends it. */
static void a_frame_that_never_comes_ends(void **state)
{
    struct pair p = {.server.serve = keep};
    struct attacker a = {.deaf = true};

    (void)state;
    kept = NULL;
    add_message(&a.wire, 1, "begin");
    add_head(&a.wire, FRAME_MAX_DATA, FRAME_DATA, 1);
    buf_add_byte(&a.wire, 0);
    attack_begin(&p, &a);
    while (!kept)
        uv_run(&p.loop, UV_RUN_ONCE);
    channel_set_keepalive(p.server.ch, 20);
    channel_set_waits(p.server.ch, 40, 20000);
    loop_until(&p.loop, &p.server.closed);
    assert_int_equal(p.server.status, OCM_E_TIMEOUT);
    stream_close(kept);
    tls_stream_resume(a.t);
    attack_end(&p, &a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_heads_close),
        cmocka_unit_test(streams_are_opened_by_the_rules),
        cmocka_unit_test(conversations_follow_the_rules),
        cmocka_unit_test(malformed_messages_close),
        cmocka_unit_test(a_greeting_is_short),
        cmocka_unit_test(streams_are_counted),
        cmocka_unit_test(open_and_cancel_is_harmless),
        cmocka_unit_test(a_flood_of_pings_is_bounded),
        cmocka_unit_test(a_frame_that_never_comes_ends),
    };

    return cmocka_run_group_tests(tests, make_pki, drop_pki);
}
