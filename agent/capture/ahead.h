/* SPDX-License-Identifier: MIT */
/* Small files read before their turn, by a thread of its own: opened, read
 * and hashed while the walk encodes and sends what came before. Only a
 * shortcut: what is not read ahead the walk reads itself, and either way the
 * walk judges whether the file stood still.
 *
 * At most AHEAD_FILES are held, of up to AHEAD_BYTES each. Calls come from one
 * thread, in the order of the walk. */
#ifndef AGENT_CAPTURE_AHEAD_H
#define AGENT_CAPTURE_AHEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/capture/attr.h"
#include "common/data/digest.h"

#define AHEAD_FILES 16u
#define AHEAD_BYTES (96u * 1024)

struct ahead;

/* A regular file as it was found: still open. */
struct ahead_file {
    int fd;              /* the taker closes it */
    struct attr opened;  /* fstat at open */
    const uint8_t *data; /* opened.size bytes or fewer; until the next call */
    size_t len;
    struct id sum;
    bool no_xattrs;
};

/* Starts the thread; NULL when there is none to be had. */
struct ahead *ahead_new(void);
bool ahead_has_room(struct ahead *a);
/* Have the file read. `dir_fd` and `name` must stay until it is taken or
 * dropped; the pointer `name` is what it is asked for by. */
void ahead_add(struct ahead *a, int dir_fd, const char *name);
/* False: not read, or not yet begun, or no file for this: read it yourself.
 * What was to come before it is dropped. */
bool ahead_take(struct ahead *a, const char *name, struct ahead_file *out);
/* Nothing that was added is wanted any more. NULL is fine, here and below. */
void ahead_drop(struct ahead *a);
void ahead_free(struct ahead *a);

#endif
