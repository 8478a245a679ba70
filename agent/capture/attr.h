/* SPDX-License-Identifier: MIT */
/* What lstat says of an entry, as far as it is stored or compared; and the
 * names of users and groups. */
#ifndef AGENT_CAPTURE_ATTR_H
#define AGENT_CAPTURE_ATTR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct attr {
    uint32_t mode; /* st_mode, with the type */
    uint32_t uid, gid;
    uint32_t links;
    uint64_t size;
    int64_t mtime_ns, ctime_ns;
    uint64_t inode, device;
};

struct attr attr_of(const struct stat *st);

/* The same file with the same content, as far as stat can tell. */
bool attr_same(const struct attr *a, const struct attr *b);
/* The same file at all. */
bool attr_same_inode(const struct attr *a, const struct attr *b);

/* Names from /etc/passwd or /etc/group, read without NSS (the agent is one
 * static file), kept for the run. */
struct owner_name {
    uint32_t id;
    char *name; /* "" when there is none */
};
struct owner_names {
    struct owner_name *items;
    size_t count, cap;
};

const char *owner_user(struct owner_names *n, uint32_t uid);
const char *owner_group(struct owner_names *n, uint32_t gid);
void owner_names_free(struct owner_names *n);

#endif
