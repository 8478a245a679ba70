/* SPDX-License-Identifier: MIT */
/* Files with several names: their content is read once, as long as the table
 * has room; beyond that they are read again, which only costs time. */
#include "agent/capture/capture_internal.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

#define LINKS_SLOTS 8192u /* a power of two */
#define LINKS_FILES (LINKS_SLOTS / 2)
#define LINKS_IDS 64u /* chunks of a file in the table */

struct links {
    struct {
        struct attr attr; /* as read */
        struct content content;
        bool used;
    } slots[LINKS_SLOTS];
    size_t count;
};

static size_t slot_of(const struct links *l, const struct attr *a)
{
    size_t i = (size_t)((a->inode * UINT64_C(0x9e3779b97f4a7c15)) >> 32);

    for (i %= LINKS_SLOTS; l->slots[i].used; i = (i + 1) % LINKS_SLOTS) {
        if (attr_same_inode(&l->slots[i].attr, a))
            break;
    }
    return i;
}

static void copy(struct content *to, const struct content *from)
{
    *to = *from;
    to->cap = from->count;
    to->ids = from->count ? mem_dup(from->ids, from->count * sizeof(*from->ids))
                          : NULL;
}

bool links_find(struct capture *c, const struct attr *a, struct content *out)
{
    size_t i;

    if (!c->links || a->links < 2)
        return false;
    i = slot_of(c->links, a);
    if (!c->links->slots[i].used || !attr_same(&c->links->slots[i].attr, a))
        return false;
    copy(out, &c->links->slots[i].content);
    return true;
}

void links_add(struct capture *c, const struct attr *a,
               const struct content *content)
{
    size_t i;

    if (a->links < 2 || content->count > LINKS_IDS)
        return;
    if (!c->links)
        c->links = mem_zalloc(sizeof(*c->links));
    i = slot_of(c->links, a);
    if (c->links->slots[i].used) {
        free(c->links->slots[i].content.ids);
    } else {
        if (c->links->count == LINKS_FILES)
            return;
        c->links->count++;
        c->links->slots[i].used = true;
    }
    c->links->slots[i].attr = *a;
    copy(&c->links->slots[i].content, content);
}

void links_free(struct links *l)
{
    for (size_t i = 0; l && i < LINKS_SLOTS; i++)
        free(l->slots[i].content.ids);
    free(l);
}
