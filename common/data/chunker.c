/* SPDX-License-Identifier: MIT */
/* FastCDC: a gear hash rolls over the bytes; a chunk ends where its top bits
 * are zero. Before the average length more of them are asked for, after it
 * fewer, which gathers the lengths around the average ("normalised", level
 * 2). The top bits are used because they depend on the last 64 bytes. */
#include "common/data/chunker.h"

#include "common/base/buf.h"
#include "common/data/digest.h"

#define AVG_BITS 20 /* log2(CHUNK_AVG) */
#define NORMAL 2    /* bits more before the average, fewer after */
#define TOP_BITS(n) (~UINT64_C(0) << (64 - (n)))
#define MASK_EARLY TOP_BITS(AVG_BITS + NORMAL)
#define MASK_LATE TOP_BITS(AVG_BITS - NORMAL)

_Static_assert(CHUNK_AVG == 1u << AVG_BITS, "masks follow the average");

/* The table is SHA-256(seed | counter, u32 little endian), four values of
 * 64 bits, little endian, from each. */
void chunker_init(struct chunker *c, const uint8_t seed[CHUNKER_SEED_LEN])
{
    for (uint32_t i = 0; i < 64; i++) {
        uint8_t counter[4];
        struct digest d;
        struct id out;

        write_u32le(counter, i);
        digest_init(&d);
        digest_add(&d, seed, CHUNKER_SEED_LEN);
        digest_add(&d, counter, sizeof(counter));
        out = digest_end(&d);
        for (uint32_t k = 0; k < 4; k++)
            c->gear[i * 4 + k] = read_u64le(out.b + k * 8);
    }
}

size_t chunker_cut(const struct chunker *c, const uint8_t *p, size_t len)
{
    size_t end = len < CHUNK_MAX ? len : CHUNK_MAX;
    size_t normal = end < CHUNK_AVG ? end : CHUNK_AVG;
    size_t i = CHUNK_MIN;
    uint64_t hash = 0;

    if (end <= CHUNK_MIN)
        return end;
    for (; i < normal; i++) {
        hash = (hash << 1) + c->gear[p[i]];
        if (!(hash & MASK_EARLY))
            return i + 1;
    }
    for (; i < end; i++) {
        hash = (hash << 1) + c->gear[p[i]];
        if (!(hash & MASK_LATE))
            return i + 1;
    }
    return end;
}
