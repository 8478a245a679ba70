/* SPDX-License-Identifier: MIT */
/* Frame heads: limits, garbage, truncation; the reader, byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/secret.h"
#include "common/net/frame.h"

static int decode(uint32_t len, uint8_t kind, uint32_t stream)
{
    struct frame_head h = {len, (enum frame_kind)kind, stream}, out;
    uint8_t raw[FRAME_HEAD_LEN];
    struct error e = {0};
    int rc;

    frame_encode(raw, &h);
    rc = frame_decode(raw, &out, &e);
    if (rc == 0) {
        assert_int_equal(out.len, len);
        assert_int_equal(out.kind, kind);
        assert_int_equal(out.stream, stream);
    } else {
        assert_int_equal(e.code, rc);
        assert_true(e.text[0] != 0);
    }
    return rc;
}

static void heads_have_limits(void **state)
{
    (void)state;
    assert_int_equal(decode(0, FRAME_CONTROL, 0), 0);
    assert_int_equal(decode(FRAME_MAX_CONTROL, FRAME_CONTROL, 5), 0);
    assert_int_equal(decode(FRAME_MAX_CONTROL + 1, FRAME_CONTROL, 5),
                     OCM_E_LIMIT);
    assert_int_equal(decode(FRAME_MAX_DATA, FRAME_DATA, 5), 0);
    assert_int_equal(decode(FRAME_MAX_DATA + 1, FRAME_DATA, 5), OCM_E_LIMIT);
    assert_int_equal(decode(UINT32_MAX, FRAME_DATA, 5), OCM_E_LIMIT);
    assert_int_equal(decode(0, FRAME_DATA, 5), OCM_E_PROTOCOL);
    assert_int_equal(decode(4, FRAME_CREDIT, 5), 0);
    assert_int_equal(decode(3, FRAME_CREDIT, 5), OCM_E_PROTOCOL);
    assert_int_equal(decode(5, FRAME_CREDIT, 5), OCM_E_LIMIT);
    assert_int_equal(decode(0, FRAME_END, 5), 0);
    assert_int_equal(decode(1, FRAME_END, 5), OCM_E_LIMIT);
    assert_int_equal(decode(0, FRAME_CANCEL, 5), 0);
    assert_int_equal(decode(1, FRAME_CANCEL, 5), OCM_E_LIMIT);
    assert_int_equal(decode(8, FRAME_PING, 0), 0);
    assert_int_equal(decode(7, FRAME_PING, 0), OCM_E_PROTOCOL);
    assert_int_equal(decode(8, FRAME_PONG, 0), 0);
    assert_int_equal(decode(9, FRAME_PONG, 0), OCM_E_LIMIT);
}

static void heads_know_their_streams(void **state)
{
    (void)state;
    assert_int_equal(decode(1, FRAME_DATA, 0), OCM_E_PROTOCOL);
    assert_int_equal(decode(4, FRAME_CREDIT, 0), OCM_E_PROTOCOL);
    assert_int_equal(decode(0, FRAME_END, 0), OCM_E_PROTOCOL);
    assert_int_equal(decode(0, FRAME_CANCEL, 0), OCM_E_PROTOCOL);
    assert_int_equal(decode(8, FRAME_PING, 1), OCM_E_PROTOCOL);
    assert_int_equal(decode(8, FRAME_PONG, 1), OCM_E_PROTOCOL);
    assert_int_equal(decode(0, 0, 1), OCM_E_PROTOCOL);
    assert_int_equal(decode(0, 8, 1), OCM_E_PROTOCOL);
    assert_int_equal(decode(0, 255, 1), OCM_E_PROTOCOL);
}

static void reserved_bits_are_zero(void **state)
{
    struct frame_head h = {0, FRAME_END, 3}, out;
    uint8_t raw[FRAME_HEAD_LEN];

    (void)state;
    for (int i = 5; i < 8; i++) {
        frame_encode(raw, &h);
        raw[i] = 1;
        assert_int_equal(frame_decode(raw, &out, NULL), OCM_E_PROTOCOL);
    }
}

/* Feed `wire` in pieces of `step` bytes; count the frames. */
static int feed(const struct buf *wire, size_t step, int *rc_out)
{
    struct frame_reader r = {0};
    size_t off = 0;
    int frames = 0, rc = 0;

    while (off < wire->len && rc >= 0) {
        size_t room, n;
        uint8_t *p = frame_reader_room(&r, &room);

        assert_true(room > 0);
        n = room < step ? room : step;
        n = n < wire->len - off ? n : wire->len - off;
        memcpy(p, wire->data + off, n);
        off += n;
        rc = frame_reader_put(&r, n, NULL);
        if (rc == FRAME_DONE) {
            assert_int_equal(r.payload.len, r.head.len);
            for (size_t i = 0; i < r.payload.len; i++)
                assert_int_equal(r.payload.data[i], frames);
            if (frames % 2) { /* taken or left: both are fine */
                struct buf taken = buf_take(&r.payload);

                buf_free(&taken);
            }
        }
        if (rc == FRAME_DONE || (rc == FRAME_HEAD_READY && r.head.len == 0))
            frames++;
    }
    frame_reader_fini(&r);
    *rc_out = rc;
    return frames;
}

static void add_frame(struct buf *wire, enum frame_kind kind, uint32_t len,
                      int fill)
{
    struct frame_head h = {len, kind, kind == FRAME_PING ? 0 : 7};

    frame_encode(buf_reserve(wire, FRAME_HEAD_LEN), &h);
    wire->len += FRAME_HEAD_LEN;
    memset(buf_reserve(wire, len), fill, len);
    wire->len += len;
}

static void any_cut_of_the_bytes_gives_the_same_frames(void **state)
{
    struct buf wire = {0};
    int rc;

    (void)state;
    add_frame(&wire, FRAME_CONTROL, 100, 0);
    add_frame(&wire, FRAME_DATA, 1000, 1);
    add_frame(&wire, FRAME_END, 0, 2);
    add_frame(&wire, FRAME_PING, 8, 3);
    add_frame(&wire, FRAME_DATA, 1, 4);
    for (size_t step = 1; step < 64; step++) {
        assert_int_equal(feed(&wire, step, &rc), 5);
        assert_true(rc >= 0);
    }
    for (size_t len = 0; len < wire.len; len++) {
        struct buf cut = {wire.data, len, len};

        assert_true(feed(&cut, 4096, &rc) < 5);
        assert_true(rc >= 0);
    }
    buf_free(&wire);
}

static void a_bad_head_allocates_nothing(void **state)
{
    struct frame_reader r = {0};
    struct frame_head h = {UINT32_MAX, FRAME_DATA, 1};
    size_t room;

    (void)state;
    frame_encode(frame_reader_room(&r, &room), &h);
    assert_int_equal(room, FRAME_HEAD_LEN);
    assert_int_equal(frame_reader_put(&r, FRAME_HEAD_LEN, NULL), OCM_E_LIMIT);
    assert_null(r.payload.data);
    h.len = FRAME_MAX_DATA;
    r = (struct frame_reader){0};
    frame_encode(frame_reader_room(&r, &room), &h);
    assert_int_equal(frame_reader_put(&r, FRAME_HEAD_LEN, NULL),
                     FRAME_HEAD_READY);
    assert_null(r.payload.data); /* the owner judges first */
    frame_reader_fini(&r);
}

static void garbage_never_passes_for_long(void **state)
{
    (void)state;
    for (int i = 0; i < 2000; i++) {
        uint8_t raw[256];
        struct buf wire = {raw, sizeof(raw), sizeof(raw)};
        struct frame_reader r = {0};
        size_t off = 0;
        int rc = 0;

        secret_random(raw, sizeof(raw));
        while (off < wire.len && rc >= 0) {
            size_t room, n;
            uint8_t *p = frame_reader_room(&r, &room);

            n = room < wire.len - off ? room : wire.len - off;
            memcpy(p, raw + off, n);
            off += n;
            rc = frame_reader_put(&r, n, NULL);
        }
        frame_reader_fini(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_have_limits),
        cmocka_unit_test(heads_know_their_streams),
        cmocka_unit_test(reserved_bits_are_zero),
        cmocka_unit_test(any_cut_of_the_bytes_gives_the_same_frames),
        cmocka_unit_test(a_bad_head_allocates_nothing),
        cmocka_unit_test(garbage_never_passes_for_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
