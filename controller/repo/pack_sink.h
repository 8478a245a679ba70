/* SPDX-License-Identifier: MIT */
/* A thread that makes full packs durable, so that the one that fills them
 * does not wait for the disk. One per writer. */
#ifndef CONTROLLER_REPO_PACK_SINK_H
#define CONTROLLER_REPO_PACK_SINK_H

#include <stddef.h>

#include "controller/repo/pack.h"
#include "controller/repo/store.h"

#define SINK_QUEUE_MAX 4 /* packs on their way to the disk; then put waits */

/* A finished pack. */
struct full_pack {
    struct full_pack *next;
    struct id id;
    struct store_file *file; /* all bytes appended; NULL once committed */
    struct pack_entry *entries;
    size_t count;
};

void full_pack_free(struct full_pack *p); /* NULL is fine */

struct pack_sink;
struct pack_sink *pack_sink_new(void);
/* Ends the thread; packs still queued are given up. NULL is fine. */
void pack_sink_free(struct pack_sink *s);

/* Queue `p`, which the sink owns from now on. Waits while the queue is full.
 * The first failure of an earlier pack is returned here, and from then on;
 * then `p` is given up. */
int pack_sink_give(struct pack_sink *s, struct full_pack *p, struct error *e);
/* The packs that became durable, in order: a list that the caller owns from
 * now on. With `all`, waits until none is on its way. */
int pack_sink_take(struct pack_sink *s, bool all, struct full_pack **out,
                   struct error *e);

#endif
