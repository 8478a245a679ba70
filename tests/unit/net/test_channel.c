/* SPDX-License-Identifier: MIT */
/* Two channels over loopback mTLS, conversations in worker threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/net/channel_internal.h"
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

/* What a worker found; looked at by the test on its own thread. */
struct talk {
    struct channel *ch;
    struct stream *s;
    uint64_t bytes;  /* to send */
    size_t piece;    /* bytes per DATA frame */
    uint64_t got;    /* DATA bytes received */
    int rc;          /* of the call that ended it */
    bool wrong;      /* content differed */
    atomic_int step; /* for the test to wait on */
    int64_t took_ms;
    struct error e;
};

/* Byte `i` of every stream of test data. */
static uint8_t pattern(uint64_t i)
{
    return (uint8_t)(i * 31 + (i >> 13));
}

static void fill(struct buf *b, size_t len, uint64_t from)
{
    uint8_t *p;

    stream_data_begin(b);
    p = buf_reserve(b, len);
    for (size_t i = 0; i < len; i++)
        p[i] = pattern(from + i);
    b->len += len;
}

static int send_bulk(struct stream *s, uint64_t bytes, size_t piece,
                     struct error *e)
{
    uint64_t done = 0;
    int rc = 0;

    while (done < bytes && rc == 0) {
        size_t n = bytes - done < piece ? (size_t)(bytes - done) : piece;
        struct buf b = {0};

        fill(&b, n, done);
        rc = stream_send_data(s, &b, e);
        done += n;
    }
    return rc;
}

/* DATA until the end. */
static int recv_bulk(struct stream *s, struct talk *t)
{
    struct stream_item item;
    int rc;

    while ((rc = stream_recv(s, 30000, &item, &t->e)) == 0) {
        if (item.kind == STREAM_END)
            return 0;
        for (size_t i = 0; i < item.data.len; i += 97)
            t->wrong |= item.data.data[i] != pattern(t->got + i);
        t->got += item.data.len;
        stream_item_free(&item);
    }
    return rc;
}

/* Server: sends back every item until the peer's end, then ends. */
static void echo(struct stream *s, Ocm__Envelope *first, void *arg)
{
    struct stream_item item;

    (void)arg;
    stream_send(s, first, NULL);
    stream_message_free(first);
    while (stream_recv(s, 30000, &item, NULL) == 0 && item.kind != STREAM_END) {
        if (item.kind == STREAM_MESSAGE) {
            stream_send(s, item.message, NULL);
        } else {
            struct buf b = {0};

            stream_data_begin(&b);
            buf_add(&b, item.data.data, item.data.len);
            stream_send_data(s, &b, NULL);
        }
        stream_item_free(&item);
    }
    stream_end(s, NULL);
    stream_close(s);
}

static void ask_echo(void *arg)
{
    struct talk *t = arg;
    struct stream *s = channel_open_stream(t->ch, &t->e);
    struct stream_item item;
    char text[40];

    for (int i = 0; i < 20; i++) {
        snprintf(text, sizeof(text), "line %d", i);
        t->rc = stream_send(s, log_line(text), &t->e);
        if (t->rc == 0)
            t->rc = stream_recv(s, 10000, &item, &t->e);
        if (t->rc != 0)
            break;
        t->wrong |= item.kind != STREAM_MESSAGE ||
                    strcmp(item.message->log_line->text, text) != 0;
        stream_item_free(&item);
    }
    if (t->rc == 0)
        t->rc = stream_end(s, &t->e);
    if (t->rc == 0)
        t->rc = stream_recv(s, 10000, &item, &t->e);
    t->wrong |= item.kind != STREAM_END;
    t->got = stream_id(s);
    stream_close(s);
}

static void messages_come_back(void **state)
{
    struct pair p = {0};
    struct talk t = {0}, back = {0};

    (void)state;
    p.server.serve = p.client.serve = echo;
    pair_open(&p, &pki);
    t.ch = p.client.ch;
    back.ch = p.server.ch;
    pair_work(&p, ask_echo, &t);
    pair_work(&p, ask_echo, &back);
    pair_until_idle(&p);
    assert_int_equal(t.rc, 0);
    assert_int_equal(back.rc, 0);
    assert_false(t.wrong || back.wrong);
    assert_int_equal(t.got, 1);    /* the agent's ids are odd */
    assert_int_equal(back.got, 2); /* the controller's even */
    assert_string_equal(tls_stream_peer(channel_tls(p.server.ch))->uri,
                        NODE_URI);
    pair_close(&p);
    assert_int_equal(p.client.status, 0);
    assert_int_equal(p.server.status, 0);
}

/* Bulk */

static void swallow(struct stream *s, Ocm__Envelope *first, void *arg)
{
    struct talk *t = arg;

    stream_message_free(first);
    t->rc = recv_bulk(s, t);
    stream_send(s, log_line("all here"), NULL);
    stream_end(s, NULL);
    stream_close(s);
}

static void push_bulk(void *arg)
{
    struct talk *t = arg;
    struct stream *s = channel_open_stream(t->ch, &t->e);
    Ocm__Envelope *m = NULL;
    int64_t from = clock_monotonic_ms();

    t->rc = stream_send(s, log_line("bulk"), &t->e);
    if (t->rc == 0)
        t->rc = send_bulk(s, t->bytes, t->piece, &t->e);
    if (t->rc == 0)
        t->rc = stream_end(s, &t->e);
    if (t->rc == 0) {
        struct stream_item item;

        t->rc = stream_recv(s, 30000, &item, &t->e);
        m = item.message;
    }
    t->took_ms = clock_monotonic_ms() - from;
    stream_message_free(m);
    stream_close(s);
}

static void bulk_both_ways_in_flat_memory(void **state)
{
    const uint64_t bytes = 256ull << 20;
    struct pair p = {0};
    struct talk up = {.bytes = bytes, .piece = 1500000};
    struct talk down = {.bytes = bytes, .piece = 1500000};
    struct talk got_up = {0}, got_down = {0};
    size_t before, after;

    (void)state;
    p.server.serve = p.client.serve = swallow;
    p.server.serve_arg = &got_up;
    p.client.serve_arg = &got_down;
    pair_open(&p, &pki);
    up.ch = p.client.ch;
    down.ch = p.server.ch;
    before = resident_bytes();
    pair_work(&p, push_bulk, &up);
    pair_work(&p, push_bulk, &down);
    pair_until_idle(&p);
    after = resident_bytes();
    assert_int_equal(up.rc, 0);
    assert_int_equal(down.rc, 0);
    assert_true(got_up.got == bytes && got_down.got == bytes);
    assert_false(got_up.wrong || got_down.wrong);
    /* windows, outboxes and the sanitizer's quarantine, not half a gigabyte */
    assert_true(after < before + (340u << 20));
    print_message("2 x 256 MiB in %lld ms, resident +%lld KiB\n",
                  (long long)up.took_ms, (long long)(after - before) / 1024);
    pair_close(&p);
    assert_int_equal(p.client.status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_come_back),
        cmocka_unit_test(bulk_both_ways_in_flat_memory),
    };

    return cmocka_run_group_tests(tests, make_pki, drop_pki);
}
