/* SPDX-License-Identifier: MIT */
/* The life of a channel beside its streams: greeting and keep-alive. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

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

/* One message and the wait for its answer, in a worker. */
struct asked {
    struct channel *ch;
    int rc;
    struct error e;
};

static void ask_once(void *arg)
{
    struct asked *t = arg;
    struct stream *s = channel_open_stream(t->ch, &t->e);
    struct stream_item item;

    t->rc = stream_send(s, log_line("hello?"), &t->e);
    if (t->rc == 0)
        t->rc = stream_recv(s, 10000, &item, &t->e);
    if (t->rc == 0)
        stream_item_free(&item);
    stream_close(s);
}

/* Keep-alive */

static void an_idle_peer_answers(void **state)
{
    struct pair p = {0};
    uint64_t heard;

    (void)state;
    pair_open(&p, &pki);
    channel_set_keepalive(p.server.ch, 20);
    channel_set_waits(p.server.ch, 2000, 20000);
    for (int i = 0; i < 4; i++) {
        heard = p.server.ch->heard_at;
        while (p.server.ch->heard_at == heard)
            uv_run(&p.loop, UV_RUN_ONCE);
        assert_false(p.server.closed || p.client.closed);
    }
    pair_close(&p);
    assert_int_equal(p.server.status, 0);
}

static void a_silent_peer_is_dead(void **state)
{
    struct pair p = {0};

    (void)state;
    pair_open(&p, &pki);
    tls_stream_pause(channel_tls(p.client.ch)); /* as if it were stopped */
    channel_set_keepalive(p.server.ch, 20);
    channel_set_waits(p.server.ch, 60, 20000);
    loop_until(&p.loop, &p.server.closed);
    assert_int_equal(p.server.status, OCM_E_TIMEOUT);
    tls_stream_resume(channel_tls(p.client.ch));
    loop_until(&p.loop, &p.client.closed);
    assert_int_not_equal(p.client.status, 0);
    pair_close(&p);
}

/* The greeting */

static void no_streams_before_the_greeting(void **state)
{
    struct pair p = {.server.shy = true};
    struct asked t = {0};

    (void)state;
    pair_open(&p, &pki);
    t.ch = p.client.ch;
    pair_work(&p, ask_once, &t);
    pair_until_idle(&p);
    assert_int_equal(t.rc, OCM_E_CLOSED);
    loop_until(&p.loop, &p.server.closed);
    assert_int_equal(p.server.status, OCM_E_PROTOCOL);
    assert_non_null(strstr(p.client.control_text, "before the greeting"));
    pair_close(&p);
}

static void the_greeting_has_a_limit(void **state)
{
    struct pair p = {.server.shy = true};

    (void)state;
    pair_open(&p, &pki);
    channel_set_waits(p.server.ch, 20000, 50);
    loop_until(&p.loop, &p.server.closed);
    assert_int_equal(p.server.status, OCM_E_TIMEOUT);
    pair_close(&p);
}

static void control_messages_arrive(void **state)
{
    struct pair p = {0};

    (void)state;
    pair_open(&p, &pki);
    for (int i = 0; i < 50; i++)
        channel_send_control(p.client.ch, log_line("x"));
    while (p.server.controls < 50)
        uv_run(&p.loop, UV_RUN_ONCE);
    pair_close(&p);
    channel_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_peer_answers),
        cmocka_unit_test(a_silent_peer_is_dead),
        cmocka_unit_test(no_streams_before_the_greeting),
        cmocka_unit_test(the_greeting_has_a_limit),
        cmocka_unit_test(control_messages_arrive),
    };

    return cmocka_run_group_tests(tests, make_pki, drop_pki);
}
