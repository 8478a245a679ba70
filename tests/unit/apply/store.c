/* SPDX-License-Identifier: MIT */
/* Blobs by id, in memory. */
#include "store.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

static struct stored *slot_of(const struct store *s, const struct id *id)
{
    uint64_t at = read_u64le(id->b);

    for (;; at++) {
        struct stored *slot = &s->slots[at & (s->cap - 1)];

        if (!slot->data || id_equal(&slot->id, id))
            return slot;
    }
}

static void grow(struct store *s)
{
    struct store bigger = {.cap = s->cap ? s->cap * 2 : 1024};

    bigger.slots = mem_array(bigger.cap, sizeof(*bigger.slots));
    for (size_t i = 0; i < s->cap; i++)
        if (s->slots[i].data)
            *slot_of(&bigger, &s->slots[i].id) = s->slots[i];
    free(s->slots);
    s->slots = bigger.slots;
    s->cap = bigger.cap;
}

struct id store_put(struct store *s, enum blob_type type, const void *p,
                    size_t len)
{
    struct id id = digest_of(p, len);
    struct stored *slot;

    if (s->count * 2 >= s->cap)
        grow(s);
    slot = slot_of(s, &id);
    if (!slot->data) {
        *slot = (struct stored){
            .id = id, .type = type, .data = mem_alloc(len + 1), .len = len};
        if (len)
            memcpy(slot->data, p, len);
        s->count++;
    }
    return id;
}

bool store_get(const struct store *s, const struct id *id, const uint8_t **p,
               size_t *len)
{
    const struct stored *slot = s->cap ? slot_of(s, id) : NULL;

    if (!slot || !slot->data)
        return false;
    *p = slot->data;
    *len = slot->len;
    return true;
}

struct id store_tree(struct store *s, const struct tree_node *nodes,
                     size_t count)
{
    struct buf b = {0};
    struct id id;

    tree_begin(&b);
    for (size_t i = 0; i < count; i++)
        tree_add(&b, &nodes[i]);
    tree_end(&b);
    id = store_put(s, BLOB_TREE, b.data, b.len);
    buf_free(&b);
    return id;
}

static int want(void *arg, const struct id *ids, size_t count, struct error *e)
{
    struct store *s = arg;

    (void)e;
    s->queue = mem_grow(s->queue, &s->queue_cap, s->first + s->queued + count,
                        sizeof(*s->queue));
    memcpy(s->queue + s->first + s->queued, ids, count * sizeof(*ids));
    s->queued += count;
    return 0;
}

static int read_blob(void *arg, const struct id *id, enum blob_type type,
                     const uint8_t **p, size_t *len, struct error *e)
{
    struct store *s = arg;
    const struct stored *slot;

    if (s->queued == 0 || !id_equal(&s->queue[s->first], id))
        return error_set(e, OCM_E_FAILED, "a read out of order");
    s->first++;
    if (--s->queued == 0)
        s->first = 0;
    s->reads++;
    if (s->on_read)
        s->on_read(s->arg, s->reads);
    if (id_equal(id, &s->damaged))
        return error_set(e, OCM_E_DAMAGED, "a blob is damaged");
    slot = slot_of(s, id);
    if (!slot->data || slot->type != type)
        return error_set(e, OCM_E_MISSING, "a blob is missing");
    s->bytes += slot->len;
    *p = slot->data;
    *len = slot->len;
    return 0;
}

struct apply_source store_source(struct store *s)
{
    return (struct apply_source){.want = want, .read = read_blob, .arg = s};
}

void store_free(struct store *s)
{
    for (size_t i = 0; i < s->cap; i++)
        free(s->slots[i].data);
    free(s->slots);
    free(s->queue);
    *s = (struct store){0};
}
