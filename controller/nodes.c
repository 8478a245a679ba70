/* SPDX-License-Identifier: MIT */
#include "controller/nodes.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

/* A linear table would do for hundreds; 10^5 nodes want a hash. Open
 * addressing on the id's characters, tombstones by re-insertion. */
struct entry {
    char id[40];        /* "" : empty */
    struct channel *ch; /* counted */
    struct node_link *link;
};

struct nodes {
    uv_mutex_t lock;
    struct entry *slots;
    size_t cap, count;
    uint64_t serial;
};

#define NODES_MIN_CAP 64

static size_t slot_of(const struct nodes *n, const char *id)
{
    uint64_t h = 1469598103934665603ull; /* FNV-1a */
    size_t i;

    for (const char *p = id; *p; p++)
        h = (h ^ (uint8_t)*p) * 1099511628211ull;
    i = (size_t)h & (n->cap - 1);
    while (n->slots[i].id[0] && strcmp(n->slots[i].id, id) != 0)
        i = (i + 1) & (n->cap - 1);
    return i;
}

static void put(struct nodes *n, const struct entry *e)
{
    n->slots[slot_of(n, e->id)] = *e;
}

static void grow(struct nodes *n)
{
    struct entry *old = n->slots;
    size_t cap = n->cap;

    n->cap = cap ? cap * 2 : NODES_MIN_CAP;
    n->slots = mem_array(n->cap, sizeof(*n->slots));
    for (size_t i = 0; i < cap; i++) {
        if (old[i].id[0])
            put(n, &old[i]);
    }
    free(old);
}

struct nodes *nodes_new(void)
{
    struct nodes *n = mem_zalloc(sizeof(*n));

    uv_mutex_init(&n->lock);
    grow(n);
    return n;
}

void nodes_free(struct nodes *n)
{
    if (!n)
        return;
    for (size_t i = 0; i < n->cap; i++) {
        if (n->slots[i].ch)
            channel_unref(n->slots[i].ch);
        free(n->slots[i].link);
    }
    uv_mutex_destroy(&n->lock);
    free(n->slots);
    free(n);
}

void nodes_add(struct nodes *n, const char *node_id, struct channel *ch,
               const struct node_link *link)
{
    struct channel *old;
    struct entry *at;

    uv_mutex_lock(&n->lock);
    if ((n->count + 1) * 4 > n->cap * 3)
        grow(n);
    at = &n->slots[slot_of(n, node_id)];
    old = at->ch;
    if (!at->id[0]) {
        snprintf(at->id, sizeof(at->id), "%s", node_id);
        n->count++;
    }
    at->ch = channel_ref(ch);
    free(at->link);
    at->link = mem_dup(link, sizeof(*link));
    at->link->serial = ++n->serial;
    uv_mutex_unlock(&n->lock);
    if (old) {
        channel_close(old, OCM_E_CLOSED, "replaced by a newer connection");
        channel_unref(old);
    }
}

void nodes_remove(struct nodes *n, const char *node_id, struct channel *ch)
{
    bool mine;
    size_t i;

    uv_mutex_lock(&n->lock);
    i = slot_of(n, node_id);
    mine = n->slots[i].id[0] && n->slots[i].ch == ch;
    if (mine) {
        free(n->slots[i].link);
        n->slots[i] = (struct entry){0};
        n->count--;
        /* whoever was pushed behind this slot must be found again */
        for (i = (i + 1) & (n->cap - 1); n->slots[i].id[0];
             i = (i + 1) & (n->cap - 1)) {
            struct entry e = n->slots[i];

            n->slots[i] = (struct entry){0};
            put(n, &e);
        }
    }
    uv_mutex_unlock(&n->lock);
    if (mine)
        channel_unref(ch);
}

static struct channel *find(struct nodes *n, const char *node_id)
{
    struct channel *ch;

    uv_mutex_lock(&n->lock);
    ch = n->slots[slot_of(n, node_id)].ch;
    if (ch)
        ch = channel_ref(ch);
    uv_mutex_unlock(&n->lock);
    return ch;
}

bool nodes_connected(struct nodes *n, const char *node_id)
{
    struct channel *ch = find(n, node_id);

    if (ch)
        channel_unref(ch);
    return ch != NULL;
}

bool nodes_link(struct nodes *n, const char *node_id, struct node_link *out)
{
    const struct entry *at;
    bool there;

    uv_mutex_lock(&n->lock);
    at = &n->slots[slot_of(n, node_id)];
    there = at->ch != NULL;
    if (there)
        *out = *at->link;
    uv_mutex_unlock(&n->lock);
    return there;
}

struct stream *nodes_open_stream(struct nodes *n, const char *node_id,
                                 struct error *e)
{
    struct channel *ch = find(n, node_id);
    struct stream *s;

    if (!ch) {
        error_set(e, OCM_E_OFFLINE,
                  "the node is not connected; is its ocm-agent running?");
        return NULL;
    }
    s = channel_open_stream(ch, e);
    channel_unref(ch);
    return s;
}

void nodes_close(struct nodes *n, const char *node_id, const char *why)
{
    struct channel *ch = find(n, node_id);

    if (!ch)
        return;
    channel_close(ch, OCM_E_DENIED, why);
    channel_unref(ch);
}
