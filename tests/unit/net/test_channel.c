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

/* DATA until the end. */
static int recv_bulk(struct stream *s, struct talk *t)
{
    struct stream_item item;
    int rc;

    while ((rc = stream_recv(s, 30000, &item, &t->e)) == 0) {
        if (item.kind == STREAM_END)
            return 0;
        for (size_t i = 0; i < item.data.len; i += 97)
            t->wrong |= item.data.data[i] != bulk_byte(t->got + i);
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
        t->rc = bulk_send(s, t->bytes, t->piece, &t->e);
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

/* The most heap that any turn of the loop saw. */
struct peak {
    uv_prepare_t prepare;
    size_t most;
};

static void on_turn(uv_prepare_t *prepare)
{
    struct peak *peak = CONTAINER_OF(prepare, struct peak, prepare);
    size_t now = heap_bytes();

    peak->most = now > peak->most ? now : peak->most;
}

static void bulk_both_ways_in_flat_memory(void **state)
{
    const uint64_t bytes = 256ull << 20;
    struct pair p = {0};
    struct talk up = {.bytes = bytes, .piece = 1500000};
    struct talk down = {.bytes = bytes, .piece = 1500000};
    struct talk got_up = {0}, got_down = {0};
    struct peak peak = {0};
    size_t before;

    (void)state;
    p.server.serve = p.client.serve = swallow;
    p.server.serve_arg = &got_up;
    p.client.serve_arg = &got_down;
    pair_open(&p, &pki);
    up.ch = p.client.ch;
    down.ch = p.server.ch;
    before = heap_bytes();
    uv_prepare_init(&p.loop, &peak.prepare);
    uv_prepare_start(&peak.prepare, on_turn);
    pair_work(&p, push_bulk, &up);
    pair_work(&p, push_bulk, &down);
    pair_until_idle(&p);
    uv_close((uv_handle_t *)&peak.prepare, NULL);
    assert_int_equal(up.rc, 0);
    assert_int_equal(down.rc, 0);
    assert_true(got_up.got == bytes && got_down.got == bytes);
    assert_false(got_up.wrong || got_down.wrong);
    /* per direction: the window, the outbox, and frames on their way, in
     * buffers that may have twice the room of their bytes */
    assert_true(peak.most - before <
                2 * (2 * (STREAM_WINDOW + STREAM_OUTBOX) + (8u << 20)));
    print_message("2 x 256 MiB in %lld ms, heap at most +%zu KiB\n",
                  (long long)up.took_ms, (peak.most - before) / 1024);
    pair_close(&p);
    assert_int_equal(p.client.status, 0);
}

/* Many at once */

static void many_streams_at_once(void **state)
{
    enum { COUNT = CHANNEL_MAX_STREAMS };
    struct talk *t = mem_array(COUNT, sizeof(*t));
    struct pair p = {0};

    (void)state;
    p.server.serve = echo;
    pair_open(&p, &pki);
    for (int i = 0; i < COUNT; i++) {
        t[i].ch = p.client.ch;
        pair_work(&p, ask_echo, &t[i]);
    }
    pair_until_idle(&p);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(t[i].rc, 0);
        assert_false(t[i].wrong);
        assert_int_equal(t[i].got % 2, 1);
        for (int k = 0; k < i; k++)
            assert_true(t[i].got != t[k].got);
    }
    pair_close(&p);
    free(t);
}

static void one_more_is_busy(void **state)
{
    struct stream *s[CHANNEL_MAX_STREAMS];
    struct pair p = {0};
    struct error e = {0};

    (void)state;
    pair_open(&p, &pki);
    for (int i = 0; i < CHANNEL_MAX_STREAMS; i++) {
        s[i] = channel_open_stream(p.client.ch, &e);
        assert_non_null(s[i]);
    }
    assert_null(channel_open_stream(p.client.ch, &e));
    assert_int_equal(e.code, OCM_E_BUSY);
    stream_close(s[5]); /* the peer never heard of it */
    s[5] = channel_open_stream(p.client.ch, &e);
    assert_non_null(s[5]);
    for (int i = 0; i < CHANNEL_MAX_STREAMS; i++)
        stream_close(s[i]);
    pair_close(&p);
}

/* A bulk stream must not hold up a small one: echoes end while it runs. */
static void bulk_leaves_room_for_others(void **state)
{
    struct pair p = {0};
    struct talk bulk = {.bytes = 64u << 20, .piece = 1u << 20};
    struct talk got = {0}, small = {0};

    (void)state;
    p.server.serve = swallow;
    p.server.serve_arg = &got;
    p.client.serve = echo;
    pair_open(&p, &pki);
    bulk.ch = p.client.ch;
    small.ch = p.server.ch;
    pair_work(&p, push_bulk, &bulk);
    pair_work(&p, ask_echo, &small);
    pair_until_idle(&p);
    assert_int_equal(bulk.rc, 0);
    assert_int_equal(small.rc, 0);
    assert_true(got.got == bulk.bytes);
    pair_close(&p);
}

/* Flow control */

/* Server: reads only after the test has opened the gate. */
static uv_sem_t gate;

static void gated_swallow(struct stream *s, Ocm__Envelope *first, void *arg)
{
    uv_sem_wait(&gate);
    swallow(s, first, arg);
}

static void push_counted(void *arg)
{
    struct talk *t = arg;
    struct stream *s = channel_open_stream(t->ch, &t->e);
    uint64_t done = 0;

    t->rc = stream_send(s, log_line("bulk"), &t->e);
    while (t->rc == 0 && done < t->bytes) {
        struct buf b = {0};

        bulk_fill(&b, t->piece, done);
        t->rc = stream_send_data(s, &b, &t->e);
        done += t->piece;
        atomic_fetch_add(&t->step, 1);
    }
    if (t->rc == 0)
        t->rc = stream_end(s, &t->e);
    if (t->rc == 0) {
        struct stream_item item;

        t->rc = stream_recv(s, 30000, &item, &t->e);
        stream_item_free(&item);
    }
    stream_close(s);
}

/* Turns without which nothing could move any more. */
static void turns(struct pair *p, int count)
{
    for (int i = 0; i < count; i++)
        uv_run(&p->loop, UV_RUN_NOWAIT);
}

static void a_slow_reader_bounds_memory(void **state)
{
    const size_t piece = 512u << 10;
    struct pair p = {0};
    struct talk t = {.bytes = 64u << 20, .piece = piece}, got = {0};
    int most = (int)((STREAM_WINDOW + STREAM_OUTBOX) / piece) + 2;
    size_t unread;

    (void)state;
    uv_sem_init(&gate, 0);
    p.server.serve = gated_swallow;
    p.server.serve_arg = &got;
    pair_open(&p, &pki);
    t.ch = p.client.ch;
    pair_work(&p, push_counted, &t);
    loop_until_int(&p.loop, &t.step, most - 3);
    turns(&p, 500);
    assert_true(atomic_load(&t.step) <= most);
    uv_mutex_lock(&p.server.ch->lock);
    unread = p.server.ch->inbox_bytes;
    uv_mutex_unlock(&p.server.ch->lock);
    assert_true(unread <= STREAM_WINDOW);
    assert_true(unread > STREAM_WINDOW / 2);
    uv_sem_post(&gate);
    pair_until_idle(&p);
    assert_int_equal(t.rc, 0);
    assert_true(got.got == t.bytes);
    assert_false(got.wrong);
    pair_close(&p);
    uv_sem_destroy(&gate);
}

/* Server: messages until the end, in order. */
static void count_messages(struct stream *s, Ocm__Envelope *first, void *arg)
{
    struct talk *t = arg;
    struct stream_item item;

    stream_message_free(first);
    uv_sem_wait(&gate);
    while ((t->rc = stream_recv(s, 30000, &item, &t->e)) == 0 &&
           item.kind == STREAM_MESSAGE) {
        t->wrong |=
            (uint64_t)strtol(item.message->log_line->text, NULL, 10) != t->got;
        t->got++;
        stream_item_free(&item);
    }
    stream_end(s, NULL);
    stream_close(s);
}

static void flood_messages(void *arg)
{
    struct talk *t = arg;
    struct stream *s = channel_open_stream(t->ch, &t->e);
    char text[3000];

    memset(text, ' ', sizeof(text));
    text[sizeof(text) - 1] = 0;
    t->rc = stream_send(s, log_line("flood"), &t->e);
    for (uint64_t i = 0; i < t->bytes && t->rc == 0; i++) {
        text[snprintf(text, 20, "%llu", (unsigned long long)i)] = ' ';
        t->rc = stream_send(s, log_line(text), &t->e);
        atomic_fetch_add(&t->step, 1);
    }
    if (t->rc == 0)
        t->rc = stream_end(s, &t->e);
    stream_close(s);
}

static void unread_messages_stop_the_reading(void **state)
{
    struct pair p = {0};
    struct talk t = {.bytes = 20000}, got = {0};
    int last;

    (void)state;
    uv_sem_init(&gate, 0);
    p.server.serve = count_messages;
    p.server.serve_arg = &got;
    pair_open(&p, &pki);
    t.ch = p.client.ch;
    pair_work(&p, flood_messages, &t);
    while (!p.server.ch->paused)
        uv_run(&p.loop, UV_RUN_ONCE);
    do { /* until the sender is stuck, too */
        last = atomic_load(&t.step);
        turns(&p, 2000);
    } while (atomic_load(&t.step) != last);
    assert_true(last < 20000);
    uv_mutex_lock(&p.server.ch->lock);
    assert_true(p.server.ch->streams->messages <= STREAM_MAX_MESSAGES);
    uv_mutex_unlock(&p.server.ch->lock);
    uv_sem_post(&gate);
    pair_until_idle(&p);
    assert_int_equal(t.rc, 0);
    assert_int_equal(got.rc, 0);
    assert_true(got.got == t.bytes);
    assert_false(got.wrong);
    pair_close(&p);
    uv_sem_destroy(&gate);
}

static void push_large(void *arg)
{
    struct talk *t = arg;
    struct stream *s = channel_open_stream(t->ch, &t->e);
    struct stream_item item;
    struct buf b = {0};

    t->rc = stream_send(s, log_line("large"), &t->e);
    bulk_fill(&b, 3u << 20, 0); /* the window is not whole for what follows */
    if (t->rc == 0)
        t->rc = stream_send_data(s, &b, &t->e);
    for (int i = 0; i < 3 && t->rc == 0; i++) {
        bulk_fill(&b, FRAME_MAX_DATA,
                  (3u << 20) + (uint64_t)i * FRAME_MAX_DATA);
        t->rc = stream_send_data(s, &b, &t->e);
        assert_null(b.data);
    }
    bulk_fill(&b, FRAME_MAX_DATA + 1, 0);
    t->wrong |= stream_send_data(s, &b, NULL) != OCM_E_LIMIT || b.data;
    stream_data_begin(&b);
    t->wrong |= stream_send_data(s, &b, NULL) != OCM_E_LIMIT || b.data;
    if (t->rc == 0)
        t->rc = stream_end(s, &t->e);
    t->wrong |= stream_send(s, log_line("late"), NULL) != OCM_E_INVALID;
    if (t->rc == 0)
        t->rc = stream_recv(s, 30000, &item, &t->e);
    if (t->rc == 0)
        stream_item_free(&item);
    stream_close(s);
}

static void frames_larger_than_the_window_pass(void **state)
{
    struct pair p = {0};
    struct talk t = {0}, got = {0};

    (void)state;
    p.server.serve = swallow;
    p.server.serve_arg = &got;
    pair_open(&p, &pki);
    t.ch = p.client.ch;
    pair_work(&p, push_large, &t);
    pair_until_idle(&p);
    assert_int_equal(t.rc, 0);
    assert_false(t.wrong || got.wrong);
    assert_true(got.got == (3u << 20) + 3ull * FRAME_MAX_DATA);
    pair_close(&p);
}

/* Ends of conversations */

/* Both sides say one thing at each of these steps; the client breaks off
 * before step `bytes`. */
static void talk_and_cancel(void *arg)
{
    struct talk *t = arg;
    struct stream *s = channel_open_stream(t->ch, &t->e);
    struct stream_item item;
    struct buf b = {0};

    if (t->bytes > 0)
        t->rc = stream_send(s, log_line("one"), &t->e);
    if (t->bytes > 1) {
        t->rc = stream_recv(s, 10000, &item, &t->e);
        stream_item_free(&item);
    }
    if (t->bytes > 2) {
        bulk_fill(&b, 100000, 0);
        t->rc = stream_send_data(s, &b, &t->e);
    }
    if (t->bytes > 3) {
        t->rc = stream_recv(s, 10000, &item, &t->e);
        stream_item_free(&item);
    }
    if (t->bytes > 4)
        t->rc = stream_end(s, &t->e);
    if (t->wrong) { /* by cancel, else by close */
        stream_cancel(s);
        stream_cancel(s);
        t->rc = stream_recv(s, 10000, &item, &t->e);
        assert_int_equal(t->rc, OCM_E_CANCELLED);
        assert_int_equal(stream_send(s, log_line("x"), NULL), OCM_E_CANCELLED);
        assert_true(stream_cancelled(s));
    }
    stream_close(s);
}

/* Server: echoes, and notes how it ended. */
static void echo_to_the_end(struct stream *s, Ocm__Envelope *first, void *arg)
{
    struct talk *t = arg;
    struct stream_item item;

    stream_send(s, first, NULL);
    stream_message_free(first);
    while ((t->rc = stream_recv(s, 10000, &item, &t->e)) == 0) {
        if (item.kind == STREAM_END)
            break;
        stream_item_free(&item);
        t->rc = stream_send(s, log_line("got it"), NULL);
    }
    stream_close(s);
}

static void breaking_off_at_every_step(void **state)
{
    struct pair p = {0};

    (void)state;
    p.server.serve = echo_to_the_end;
    pair_open(&p, &pki);
    for (int how = 0; how < 2; how++) {
        for (uint64_t step = 0; step <= 5; step++) {
            struct talk t = {.ch = p.client.ch, .bytes = step, .wrong = how};
            struct talk got = {.rc = 1};

            p.server.serve_arg = &got;
            pair_work(&p, talk_and_cancel, &t);
            pair_until_idle(&p);
            turns(&p, 20);
            pair_until_idle(&p);
            if (step > 0 && step < 5 && got.rc != 1)
                assert_int_equal(got.rc, OCM_E_CANCELLED);
        }
    }
    /* and the connection is as good as new */
    {
        struct talk t = {.ch = p.client.ch};

        p.server.serve = echo;
        pair_work(&p, ask_echo, &t);
        pair_until_idle(&p);
        assert_int_equal(t.rc, 0);
        assert_false(t.wrong);
        uv_mutex_lock(&p.client.ch->lock);
        assert_int_equal(p.client.ch->objects[true], 0);
        uv_mutex_unlock(&p.client.ch->lock);
    }
    pair_close(&p);
}

/* Server: answers, ends and leaves at once, with megabytes still queued. */
static void answer_and_leave(struct stream *s, Ocm__Envelope *first, void *arg)
{
    struct talk *t = arg;

    stream_message_free(first);
    t->rc = bulk_send(s, 11u << 20, 1u << 20, &t->e);
    if (t->rc == 0)
        t->rc = stream_end(s, &t->e);
    stream_close(s);
}

static void read_later(void *arg)
{
    struct talk *t = arg;
    struct stream *s = channel_open_stream(t->ch, &t->e);
    struct buf b = {0};

    t->rc = stream_send(s, log_line("give"), &t->e);
    uv_sem_wait(&gate);
    bulk_fill(&b, 100, 0); /* what nobody there reads any more does not hurt */
    stream_send_data(s, &b, NULL);
    t->rc = recv_bulk(s, t);
    stream_close(s);
}

static void the_last_words_of_who_left_arrive(void **state)
{
    struct pair p = {0};
    struct talk t = {0}, gave = {.rc = 1};

    (void)state;
    uv_sem_init(&gate, 0);
    p.server.serve = answer_and_leave;
    p.server.serve_arg = &gave;
    pair_open(&p, &pki);
    t.ch = p.client.ch;
    pair_work(&p, read_later, &t);
    while (atomic_load(&p.workers) > 1 || gave.rc == 1)
        uv_run(&p.loop, UV_RUN_ONCE);
    uv_sem_post(&gate);
    pair_until_idle(&p);
    assert_int_equal(gave.rc, 0);
    assert_int_equal(t.rc, 0);
    assert_false(t.wrong);
    assert_true(t.got == 11u << 20);
    pair_close(&p);
    uv_sem_destroy(&gate);
}

static void say_error(struct stream *s, Ocm__Envelope *first, void *arg)
{
    struct error why = {0};
    char wide[2 * ERROR_TEXT_MAX];

    (void)arg;
    stream_message_free(first);
    stream_send_log(s, "info", "about to %s", "fail");
    /* a name from a disk, which is no UTF-8, and is cut in the middle */
    memset(wide, 0xe9, sizeof(wide) - 1);
    wide[sizeof(wide) - 1] = 0;
    stream_send_log(s, "info", "%s", wide);
    stream_send_progress(s, &(Ocm__Progress)OCM__PROGRESS__INIT);
    error_set(&why, OCM_E_SPACE, "the disk of the node is full");
    stream_send_error(s, &why);
    stream_close(s);
}

static void expect_facts(void *arg)
{
    struct talk *t = arg;
    struct stream *s = channel_open_stream(t->ch, &t->e);
    Ocm__Envelope *m = NULL;

    stream_send(s, log_line("facts, please"), NULL);
    t->rc = stream_expect(s, OCM__ENVELOPE__BODY_FACTS, 10000, &m, &t->e);
    t->wrong = m != NULL;
    /* and again: nothing follows an error */
    if (stream_expect(s, OCM__ENVELOPE__BODY_FACTS, 10000, &m, NULL) != t->rc)
        t->wrong = true;
    stream_close(s);
}

static void errors_travel(void **state)
{
    struct pair p = {0};
    struct talk t = {0};

    (void)state;
    p.server.serve = say_error;
    pair_open(&p, &pki);
    t.ch = p.client.ch;
    pair_work(&p, expect_facts, &t);
    pair_until_idle(&p);
    assert_int_equal(t.rc, OCM_E_SPACE);
    assert_string_equal(t.e.text, "the disk of the node is full");
    assert_false(t.wrong);
    pair_close(&p);
}

static void say_get(struct stream *s, Ocm__Envelope *first, void *arg)
{
    Ocm__Envelope m = OCM__ENVELOPE__INIT;
    Ocm__Get get = OCM__GET__INIT;

    (void)arg;
    stream_message_free(first);
    m.body_case = OCM__ENVELOPE__BODY_GET;
    m.get = &get;
    stream_send(s, &m, NULL);
    stream_end(s, NULL);
    stream_close(s);
}

static void the_unexpected_is_named(void **state)
{
    struct pair p = {0};
    struct talk t = {0};

    (void)state;
    p.server.serve = say_get;
    pair_open(&p, &pki);
    t.ch = p.client.ch;
    pair_work(&p, expect_facts, &t);
    pair_until_idle(&p);
    assert_int_equal(t.rc, OCM_E_PROTOCOL);
    assert_string_equal(t.e.text, "expected a Facts message, got Get");
    pair_close(&p);
}

/* Waits */

/* Server: says nothing until cancelled. */
static void keep_silent(struct stream *s, Ocm__Envelope *first, void *arg)
{
    struct talk *t = arg;
    struct stream_item item;

    stream_message_free(first);
    t->rc = stream_recv(s, -1, &item, &t->e);
    stream_close(s);
}

static void wait_for_answer(void *arg)
{
    struct talk *t = arg;
    struct stream *s = channel_open_stream(t->ch, &t->e);
    int64_t from = clock_monotonic_ms();
    struct stream_item item;

    if (t->bytes)
        stream_set_deadline(s, (int64_t)t->bytes);
    t->rc = stream_send(s, log_line("hello?"), &t->e);
    atomic_fetch_add(&t->step, 1);
    if (t->rc == 0)
        t->rc = stream_recv(s, (int)t->piece - 1, &item, &t->e);
    t->took_ms = clock_monotonic_ms() - from;
    if (t->bytes && t->rc == OCM_E_TIMEOUT) /* it stays over */
        t->wrong = stream_send(s, log_line("x"), NULL) != OCM_E_TIMEOUT;
    stream_close(s);
}

static void waits_have_ends(void **state)
{
    struct pair p = {0};
    struct talk timeout = {.piece = 51}, deadline = {.bytes = 50};
    struct talk silent = {0};

    (void)state;
    p.server.serve = keep_silent;
    p.server.serve_arg = &silent;
    pair_open(&p, &pki);
    timeout.ch = deadline.ch = p.client.ch;
    pair_work(&p, wait_for_answer, &timeout);
    pair_until_idle(&p);
    assert_int_equal(timeout.rc, OCM_E_TIMEOUT);
    assert_true(timeout.took_ms >= 50 && timeout.took_ms < 5000);
    pair_work(&p, wait_for_answer, &deadline);
    pair_until_idle(&p);
    assert_int_equal(deadline.rc, OCM_E_TIMEOUT);
    assert_true(deadline.took_ms >= 50 && deadline.took_ms < 5000);
    assert_false(deadline.wrong);
    assert_int_equal(silent.rc, OCM_E_CANCELLED); /* by stream_close */
    pair_close(&p);
}

/* However a connection ends, whoever waits hears of it. */
static void a_dead_channel_ends_all_waits(void **state)
{
    (void)state;
    for (int how = 0; how < 4; how++) {
        struct pair p = {0};
        struct talk t = {0}, silent = {0};
        struct channel *ours;
        struct error e = {0};

        p.server.serve = keep_silent;
        p.server.serve_arg = &silent;
        pair_open(&p, &pki);
        t.ch = p.client.ch;
        pair_work(&p, wait_for_answer, &t);
        while (atomic_load(&p.workers) < 2)
            uv_run(&p.loop, UV_RUN_ONCE);
        ours = channel_ref(p.client.ch);
        switch (how) {
        case 0:
            channel_close(p.client.ch, 0, NULL);
            break;
        case 1:
            channel_close(p.server.ch, OCM_E_DENIED, "certificate revoked");
            break;
        case 2:
            tls_stream_abort(channel_tls(p.server.ch), OCM_E_FAILED, "test");
            break;
        default:
            tls_stream_close(channel_tls(p.server.ch));
        }
        pair_until_idle(&p);
        assert_int_equal(t.rc, OCM_E_CLOSED);
        assert_int_equal(silent.rc, OCM_E_CLOSED);
        assert_true(t.took_ms < 10000);
        loop_until(&p.loop, &p.client.closed);
        loop_until(&p.loop, &p.server.closed);
        assert_null(channel_open_stream(ours, &e));
        assert_int_equal(e.code, OCM_E_CLOSED);
        assert_null(channel_tls(ours));
        channel_unref(ours);
        if (how == 1) {
            assert_string_equal(p.client.control_text, "certificate revoked");
            assert_int_equal(p.server.status, OCM_E_DENIED);
            assert_string_equal(p.server.why, "certificate revoked");
        }
        if (how == 2)
            assert_true(p.client.status == UV_EOF ||
                        p.client.status == UV_ECONNRESET);
        if (how == 3)
            assert_int_equal(p.client.status, 0);
        pair_close(&p);
    }
}

/* Bulk is running while the connection goes. */
static void closing_under_load(void **state)
{
    (void)state;
    for (int how = 0; how < 3; how++) {
        struct pair p = {0};
        struct talk t = {.bytes = 1u << 30, .piece = 256u << 10}, got = {0};

        p.server.serve = swallow;
        p.server.serve_arg = &got;
        pair_open(&p, &pki);
        t.ch = p.client.ch;
        pair_work(&p, push_counted, &t);
        loop_until_int(&p.loop, &t.step, 40);
        if (how == 0)
            channel_close(p.client.ch, 0, NULL);
        else if (how == 1)
            channel_close(p.server.ch, OCM_E_FAILED, "enough");
        else
            tls_stream_abort(channel_tls(p.client.ch), OCM_E_FAILED, "test");
        pair_until_idle(&p);
        assert_int_equal(t.rc, OCM_E_CLOSED);
        assert_int_equal(got.rc, OCM_E_CLOSED);
        assert_false(got.wrong);
        pair_close(&p);
        if (how == 1)
            assert_string_equal(p.client.control_text, "enough");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_come_back),
        cmocka_unit_test(bulk_both_ways_in_flat_memory),
        cmocka_unit_test(many_streams_at_once),
        cmocka_unit_test(one_more_is_busy),
        cmocka_unit_test(bulk_leaves_room_for_others),
        cmocka_unit_test(a_slow_reader_bounds_memory),
        cmocka_unit_test(unread_messages_stop_the_reading),
        cmocka_unit_test(frames_larger_than_the_window_pass),
        cmocka_unit_test(breaking_off_at_every_step),
        cmocka_unit_test(the_last_words_of_who_left_arrive),
        cmocka_unit_test(errors_travel),
        cmocka_unit_test(the_unexpected_is_named),
        cmocka_unit_test(waits_have_ends),
        cmocka_unit_test(a_dead_channel_ends_all_waits),
        cmocka_unit_test(closing_under_load),
    };

    return cmocka_run_group_tests(tests, make_pki, drop_pki);
}
