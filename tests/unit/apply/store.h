/* SPDX-License-Identifier: MIT */
/* A repository in memory, and the source that apply reads from: it insists on
 * reads in the order of the announcements, as the wire does. */
#ifndef TESTS_UNIT_APPLY_STORE_H
#define TESTS_UNIT_APPLY_STORE_H

#include "agent/apply/apply.h"

struct stored {
    struct id id;
    enum blob_type type;
    uint8_t *data; /* NULL: an empty slot */
    size_t len;
};

struct store {
    struct stored *slots; /* open addressing */
    size_t cap, count;
    struct id *queue; /* announced, not read */
    size_t first, queued, queue_cap;
    uint64_t reads, bytes;
    struct id damaged; /* reading it fails with OCM_E_DAMAGED */
    void (*on_read)(void *arg, uint64_t reads);
    void *arg;
};

/* Keeps a copy; the same blob twice is one. */
struct id store_put(struct store *s, enum blob_type type, const void *p,
                    size_t len);
bool store_get(const struct store *s, const struct id *id, const uint8_t **p,
               size_t *len);
/* A tree blob of the nodes, in the order given. */
struct id store_tree(struct store *s, const struct tree_node *nodes,
                     size_t count);
struct apply_source store_source(struct store *s);
void store_free(struct store *s);

#endif
