/* SPDX-License-Identifier: MIT */
/* A set of ids as their first 8 bytes: 8 to 16 bytes of memory each. A false
 * "yes" (one in 2^64 per pair) is caught at COMMIT, which compares whole ids. */
#ifndef COMMON_DATA_IDSET_H
#define COMMON_DATA_IDSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/data/digest.h"

struct idset {
    uint64_t *slots; /* open addressing, 0 is empty */
    size_t cap;      /* power of two, or 0 */
    size_t count;
};

void idset_free(struct idset *s); /* back to {0} */
bool idset_has(const struct idset *s, const struct id *id);
/* true when it was not there before */
bool idset_add(struct idset *s, const struct id *id);
bool idset_add_prefix(struct idset *s, uint64_t prefix_le);

#endif
