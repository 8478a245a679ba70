/* SPDX-License-Identifier: MIT */
/* Content-defined chunking: FastCDC (Xia et al., USENIX ATC 2016) with
 * normalised chunking. The gear table comes from the repository's 32-byte
 * chunk seed, so that all agents of one repository cut alike. */
#ifndef COMMON_DATA_CHUNKER_H
#define COMMON_DATA_CHUNKER_H

#include <stddef.h>
#include <stdint.h>

#define CHUNKER_SEED_LEN 32
#define CHUNK_MIN (256u * 1024)
#define CHUNK_AVG (1024u * 1024)
#define CHUNK_MAX (4u * 1024 * 1024)
#define CHUNK_WHOLE (512u * 1024) /* shorter files are one chunk */

struct chunker {
    uint64_t gear[256];
};

void chunker_init(struct chunker *c, const uint8_t seed[CHUNKER_SEED_LEN]);

/* Length of the first chunk of the `len` bytes at `p`, which must be at least
 * CHUNK_MAX bytes unless they are the end of the file. */
size_t chunker_cut(const struct chunker *c, const uint8_t *p, size_t len);

#endif
