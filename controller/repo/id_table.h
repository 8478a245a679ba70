/* SPDX-License-Identifier: MIT */
/* A set of (id, type) with a number each, whole ids compared: about 96 bytes
 * of memory per entry at worst. */
#ifndef CONTROLLER_REPO_ID_TABLE_H
#define CONTROLLER_REPO_ID_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/data/digest.h"

struct id_entry {
    struct id id;
    uint8_t type; /* 0xff: empty slot */
    uint64_t value;
};

/* `{0}` is a valid empty table. */
struct id_table {
    struct id_entry *slots; /* open addressing */
    size_t cap;             /* power of two, or 0 */
    size_t count;
};

void id_table_free(struct id_table *t);  /* back to {0} */
void id_table_clear(struct id_table *t); /* memory kept */
/* NULL when absent; borrowed until the next add. */
struct id_entry *id_table_find(const struct id_table *t, const struct id *id,
                               unsigned type);
/* The entry, made with value 0 when it was absent (then *fresh is true). */
struct id_entry *id_table_add(struct id_table *t, const struct id *id,
                              unsigned type, bool *fresh);

#endif
