/* SPDX-License-Identifier: MIT */
/* The names in one folder, sorted by bytes, and which of them are companions
 * of which (a database's -wal, -shm, -journal). */
#ifndef AGENT_CAPTURE_NAMES_H
#define AGENT_CAPTURE_NAMES_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"

enum name_flags {
    NAME_HAS_WAL = 1,     /* "<name>-wal" is here as well */
    NAME_HAS_JOURNAL = 2, /* "<name>-journal" is */
    NAME_COMPANION = 4,   /* the name itself ends like one */
    NAME_DATABASE = 8,    /* set by the walk: handled as a database */
    /* as the listing had it, which may be old by now; none: ask lstat */
    NAME_FILE = 16,  /* a regular file */
    NAME_OTHER = 32, /* a link, FIFO, socket, device */
    NAME_GONE = 64,  /* set by the walk: nothing had it when its turn came */
};

struct name {
    const char *s; /* NUL-terminated, in `bytes` */
    uint16_t len;
    uint8_t flags;
};

struct names {
    struct name *items;
    size_t count;
    char *bytes;
};

/* All names in the folder `fd` but "." and ".."; `room` is scratch. 0 or
 * -errno; -EOVERFLOW: more than TREE_MAX_ENTRIES, the first of them given. */
int names_read(int fd, struct buf *room, struct names *out);
void names_free(struct names *n);

/* The item of that name, or NULL. */
struct name *names_find(struct names *all, const char *s, size_t len);
/* The database whose companion `n` would be, if it is in the list. */
struct name *names_owner(struct names *all, const struct name *n);

#endif
