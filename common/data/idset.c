/* SPDX-License-Identifier: MIT */
#include "common/data/idset.h"

#include <stdlib.h>

#include "common/base/buf.h"
#include "common/base/mem.h"

#define IDSET_MIN_CAP 64

void idset_free(struct idset *s)
{
    free(s->slots);
    *s = (struct idset){0};
}

/* 0 marks an empty slot, so the prefix 0 shares the place of 1. */
static uint64_t prefix_of(uint64_t p)
{
    return p ? p : 1;
}

static size_t find(const struct idset *s, uint64_t prefix)
{
    size_t mask = s->cap - 1, i = (size_t)prefix & mask;

    while (s->slots[i] && s->slots[i] != prefix)
        i = (i + 1) & mask;
    return i;
}

static void grow(struct idset *s)
{
    struct idset bigger = {
        .cap = s->cap ? s->cap * 2 : IDSET_MIN_CAP,
        .count = s->count,
    };

    bigger.slots = mem_array(bigger.cap, sizeof(*bigger.slots));
    for (size_t i = 0; i < s->cap; i++) {
        if (s->slots[i])
            bigger.slots[find(&bigger, s->slots[i])] = s->slots[i];
    }
    free(s->slots);
    *s = bigger;
}

bool idset_add_prefix(struct idset *s, uint64_t prefix_le)
{
    uint64_t prefix = prefix_of(prefix_le);
    size_t i;

    if ((s->count + 1) * 4 > s->cap * 3)
        grow(s);
    i = find(s, prefix);
    if (s->slots[i])
        return false;
    s->slots[i] = prefix;
    s->count++;
    return true;
}

bool idset_add(struct idset *s, const struct id *id)
{
    return idset_add_prefix(s, read_u64le(id->b));
}

bool idset_has(const struct idset *s, const struct id *id)
{
    if (!s->cap)
        return false;
    return s->slots[find(s, prefix_of(read_u64le(id->b)))] != 0;
}
