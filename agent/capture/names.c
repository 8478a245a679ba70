/* SPDX-License-Identifier: MIT */
/* Listing a folder with getdents64: no stream to keep per level. */
#include "agent/capture/names.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/data/tree.h"

#define LIST_BLOCK 32768

static const struct {
    const char *text;
    size_t len;
    uint8_t flag;
} suffixes[] = {
    {"-wal", 4, NAME_HAS_WAL},
    {"-journal", 8, NAME_HAS_JOURNAL},
    {"-shm", 4, 0},
};

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct name *)a)->s, ((const struct name *)b)->s);
}

/* strcmp order is byte order, as names hold no NUL. */
struct name *names_find(struct names *all, const char *s, size_t len)
{
    size_t low = 0, high = all->count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        struct name *n = &all->items[mid];
        int c = memcmp(n->s, s, n->len < len ? n->len : len);

        if (c == 0 && n->len == len)
            return n;
        if (c < 0 || (c == 0 && n->len < len))
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

static const struct name *strip(const struct name *n, size_t *len,
                                uint8_t *flag)
{
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        if (n->len <= suffixes[i].len ||
            memcmp(n->s + n->len - suffixes[i].len, suffixes[i].text,
                   suffixes[i].len) != 0)
            continue;
        *len = n->len - suffixes[i].len;
        *flag = suffixes[i].flag;
        return n;
    }
    return NULL;
}

struct name *names_owner(struct names *all, const struct name *n)
{
    uint8_t flag;
    size_t len;

    return strip(n, &len, &flag) ? names_find(all, n->s, len) : NULL;
}

static void mark_companions(struct names *all)
{
    for (size_t i = 0; i < all->count; i++) {
        struct name *owner;
        uint8_t flag;
        size_t len;

        if (!strip(&all->items[i], &len, &flag))
            continue;
        owner = names_find(all, all->items[i].s, len);
        if (!owner)
            continue;
        owner->flags |= flag;
        all->items[i].flags |= NAME_COMPANION;
    }
}

static uint8_t kind_of(const struct dirent64 *d)
{
    switch (d->d_type) {
    case DT_REG:
        return NAME_FILE;
    case DT_DIR:
    case DT_UNKNOWN:
        return 0;
    default:
        return NAME_OTHER;
    }
}

/* One block of entries into `bytes`, each a byte of flags and the name; false
 * when the limit is reached. */
static bool take_block(const struct buf *room, size_t len, struct buf *bytes,
                       size_t *count)
{
    for (size_t at = 0; at < len;) {
        const struct dirent64 *d =
            (const struct dirent64 *)(const void *)(room->data + at);

        at += d->d_reclen;
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        if (*count == TREE_MAX_ENTRIES)
            return false;
        buf_add_byte(bytes, kind_of(d));
        buf_add(bytes, d->d_name, strlen(d->d_name) + 1);
        ++*count;
    }
    return true;
}

int names_read(int fd, struct buf *room, struct names *out)
{
    struct buf bytes = {0};
    const char *s;
    int rc = 0;

    *out = (struct names){0};
    buf_clear(room);
    buf_reserve(room, LIST_BLOCK);
    for (;;) {
        ssize_t n = getdents64(fd, room->data, LIST_BLOCK);

        if (n < 0)
            rc = -errno;
        if (n <= 0)
            break;
        if (!take_block(room, (size_t)n, &bytes, &out->count)) {
            rc = -EOVERFLOW;
            break;
        }
    }
    if (rc < 0 && rc != -EOVERFLOW) {
        buf_free(&bytes);
        out->count = 0;
        return rc;
    }
    out->bytes = mem_realloc(bytes.data, bytes.len);
    out->items = mem_array(out->count, sizeof(*out->items));
    s = out->bytes;
    for (size_t i = 0; i < out->count; i++) {
        out->items[i] = (struct name){
            .s = s + 1, .len = (uint16_t)strlen(s + 1), .flags = (uint8_t)*s};
        s += out->items[i].len + 2;
    }
    qsort(out->items, out->count, sizeof(*out->items), compare);
    mark_companions(out);
    return rc;
}

void names_free(struct names *n)
{
    free(n->items);
    free(n->bytes);
    *n = (struct names){0};
}
