/* SPDX-License-Identifier: MIT */
/* The queue between reading and sending: order, bounds, the first failure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "agent/capture/upload.h"
#include "common/base/mem.h"

struct sink {
    uint64_t next; /* number the next blob must carry */
    uint64_t fail_at;
    uint64_t bytes;
    bool wrong;
    struct zstream *z;
};

/* Blob n is n in 8 bytes, over and over; its id is that of the bytes. */
static int put(void *arg, const struct blob *b, struct error *e)
{
    struct sink *s = arg;
    struct buf room = {0};
    const uint8_t *plain;
    uint64_t n;

    if (s->fail_at && s->next == s->fail_at)
        return error_set(e, OCM_E_CLOSED, "closed");
    if (zstream_open(s->z, b, &room, &plain, e) < 0) {
        s->wrong = true;
    } else {
        memcpy(&n, plain, sizeof(n));
        s->wrong = s->wrong || n != s->next;
    }
    s->next++;
    s->bytes += b->stored_len;
    buf_free(&room);
    return 0;
}

static int add(struct upload *u, uint64_t n, size_t len, struct error *e)
{
    uint8_t *p = mem_alloc(len);
    struct id id;
    int rc;

    for (size_t i = 0; i + sizeof(n) <= len; i += sizeof(n))
        memcpy(p + i, &n, sizeof(n));
    for (size_t i = len & ~(size_t)7; i < len; i++)
        p[i] = 1;
    id = digest_of(p, len);
    rc = upload_add(u, BLOB_DATA, &id, p, len, e);
    free(p); /* the bytes were copied, or put already */
    return rc;
}

static void keeps_order_at_all_sizes(void **state)
{
    static const size_t sizes[] = {
        8,           9,  500000,  100,     4194304, 12, 2097152,
        UPLOAD_RING, 64, 3000001, 1048576, 7000000, 16, UPLOAD_RING - 1};
    struct sink s = {.z = zstream_new(1)};
    struct error e = {0};
    struct upload *u = upload_new(1, put, &s, &e);
    uint64_t n = 0;

    (void)state;
    assert_non_null(u);
    for (int round = 0; round < 4; round++) {
        for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
            assert_int_equal(add(u, n++, sizes[i], &e), 0);
        for (int i = 0; i < 2000; i++)
            assert_int_equal(add(u, n++, 8 + (size_t)i * 7, &e), 0);
    }
    assert_int_equal(upload_drain(u, &e), 0);
    assert_int_equal(s.next, n);
    assert_false(s.wrong);
    assert_int_equal(upload_bytes(u), s.bytes);
    upload_free(u);
    zstream_free(s.z);
}

static void first_failure_is_kept(void **state)
{
    struct sink s = {.z = zstream_new(1), .fail_at = 5};
    struct error e = {0};
    struct upload *u = upload_new(1, put, &s, &e);
    int rc = 0;

    (void)state;
    for (uint64_t n = 0; n < 10000 && rc == 0; n++)
        rc = add(u, n, 70000, &e);
    /* 10,000 of them do not fit the ring: the failure came back */
    assert_int_equal(rc, OCM_E_CLOSED);
    assert_string_equal(e.text, "closed");
    assert_int_equal(add(u, 1, 9000000, &e), OCM_E_CLOSED);
    assert_int_equal(upload_drain(u, &e), OCM_E_CLOSED);
    assert_int_equal(s.next, 5);
    upload_free(u);
    zstream_free(s.z);
}

static void freed_at_any_time(void **state)
{
    (void)state;
    for (uint64_t n = 0; n < 20; n++) {
        struct sink s = {.z = zstream_new(1)};
        struct error e = {0};
        struct upload *u = upload_new(1, put, &s, &e);

        for (uint64_t i = 0; i < n; i++)
            assert_int_equal(add(u, i, 100000, &e), 0);
        upload_free(u);
        assert_false(s.wrong);
        zstream_free(s.z);
    }
    upload_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_order_at_all_sizes),
        cmocka_unit_test(first_failure_is_kept),
        cmocka_unit_test(freed_at_any_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
