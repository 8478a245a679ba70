/* SPDX-License-Identifier: MIT */
/* Chunks: known cuts, bounds, and that an insertion moves few of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/mem.h"
#include "common/data/chunker.h"
#include "common/data/digest.h"
#include "common/data/idset.h"

#define LEN (12u * 1024 * 1024)

static uint8_t *noise(size_t len)
{
    uint64_t x = 0x9e3779b97f4a7c15;
    uint8_t *p = mem_alloc(len);

    for (size_t i = 0; i < len; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        p[i] = (uint8_t)(x >> 24);
    }
    return p;
}

static void seeded(struct chunker *c)
{
    uint8_t seed[CHUNKER_SEED_LEN];

    for (uint8_t i = 0; i < sizeof(seed); i++)
        seed[i] = i;
    chunker_init(c, seed);
}

/* Worked out by a second implementation, from the description alone. */
static void known_cuts(void **state)
{
    static const size_t want[] = {487560,  1238233, 1649807, 1153272,
                                  1212749, 1398483, 1234151, 1109443,
                                  1226181, 1274155, 598878};
    uint8_t *p = noise(LEN);
    struct chunker c;
    size_t at = 0, i = 0;

    (void)state;
    seeded(&c);
    assert_true(c.gear[0] == UINT64_C(0x3ebb6523d00f470));
    assert_true(c.gear[255] == UINT64_C(0xe8c2071603a6d714));
    for (; at < LEN; at += want[i++])
        assert_int_equal(chunker_cut(&c, p + at, LEN - at), want[i]);
    assert_int_equal(i, ARRAY_LEN(want));
    free(p);
}

static void lengths_are_bounded(void **state)
{
    uint8_t *p = mem_zalloc(2 * CHUNK_MAX), *q = noise(2 * CHUNK_MAX);
    struct chunker c;

    (void)state;
    seeded(&c);
    assert_int_equal(chunker_cut(&c, p, 2 * CHUNK_MAX), CHUNK_MAX);
    assert_int_equal(chunker_cut(&c, p, CHUNK_MIN), CHUNK_MIN);
    assert_int_equal(chunker_cut(&c, p, 1), 1);
    assert_int_equal(chunker_cut(&c, p, 0), 0);
    for (size_t at = 0; at < CHUNK_MAX; at += 99991) {
        size_t n = chunker_cut(&c, q + at, CHUNK_MAX);

        assert_true(n > CHUNK_MIN && n <= CHUNK_MAX);
    }
    free(p);
    free(q);
}

static size_t add_cuts(struct idset *set, const struct chunker *c,
                       const uint8_t *p, size_t len)
{
    size_t fresh = 0;

    while (len > 0) {
        size_t n = chunker_cut(c, p, len);
        struct id id = digest_of(p, n);

        fresh += idset_add(set, &id);
        p += n;
        len -= n;
    }
    return fresh;
}

static void an_insertion_moves_few(void **state)
{
    uint8_t *p = noise(LEN), *q = mem_alloc(LEN + 7);
    struct idset set = {0};
    struct chunker c;

    (void)state;
    memcpy(q, p, 3000000);
    memcpy(q + 3000000, "inserts", 7);
    memcpy(q + 3000007, p + 3000000, LEN - 3000000);
    seeded(&c);
    assert_int_equal(add_cuts(&set, &c, p, LEN), 11);
    assert_true(add_cuts(&set, &c, q, LEN + 7) <= 2);
    idset_free(&set);
    free(p);
    free(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_cuts),
        cmocka_unit_test(lengths_are_bounded),
        cmocka_unit_test(an_insertion_moves_few),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
