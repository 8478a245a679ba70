/* SPDX-License-Identifier: MIT */
#include "controller/repo/id_table.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/mem.h"

#define ID_TABLE_MIN_CAP 64
#define SLOT_EMPTY 0xff

void id_table_free(struct id_table *t)
{
    free(t->slots);
    *t = (struct id_table){0};
}

void id_table_clear(struct id_table *t)
{
    for (size_t i = 0; i < t->cap; i++)
        t->slots[i].type = SLOT_EMPTY;
    t->count = 0;
}

/* Where it is, or the empty slot where it goes. Ids are hashes already; who
 * makes many with one prefix pays for each with 2^k hashes. */
static size_t find(const struct id_table *t, const struct id *id, unsigned type)
{
    size_t mask = t->cap - 1, i = (size_t)read_u64le(id->b) & mask;

    while (t->slots[i].type != SLOT_EMPTY &&
           (t->slots[i].type != type || !id_equal(&t->slots[i].id, id)))
        i = (i + 1) & mask;
    return i;
}

static void grow(struct id_table *t)
{
    struct id_table bigger = {
        .cap = t->cap ? t->cap * 2 : ID_TABLE_MIN_CAP,
        .count = t->count,
    };

    bigger.slots = mem_array(bigger.cap, sizeof(*bigger.slots));
    for (size_t i = 0; i < bigger.cap; i++)
        bigger.slots[i].type = SLOT_EMPTY;
    for (size_t i = 0; i < t->cap; i++) {
        const struct id_entry *s = &t->slots[i];

        if (s->type != SLOT_EMPTY)
            bigger.slots[find(&bigger, &s->id, s->type)] = *s;
    }
    free(t->slots);
    *t = bigger;
}

struct id_entry *id_table_find(const struct id_table *t, const struct id *id,
                               unsigned type)
{
    size_t i;

    if (!t->cap)
        return NULL;
    i = find(t, id, type);
    return t->slots[i].type == SLOT_EMPTY ? NULL : &t->slots[i];
}

struct id_entry *id_table_add(struct id_table *t, const struct id *id,
                              unsigned type, bool *fresh)
{
    struct id_entry *s;

    if ((t->count + 1) * 4 > t->cap * 3)
        grow(t);
    s = &t->slots[find(t, id, type)];
    *fresh = s->type == SLOT_EMPTY;
    if (*fresh) {
        *s = (struct id_entry){.id = *id, .type = (uint8_t)type};
        t->count++;
    }
    return s;
}
