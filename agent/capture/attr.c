/* SPDX-License-Identifier: MIT */
/* Attributes of entries, and owner names by plain reading of the two files. */
#include "agent/capture/attr.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"

#define OWNER_BUFFER 65536 /* one line; a group may have many members */
#define OWNER_NAMES_MAX 1024

static int64_t ns_of(const struct timespec *t)
{
    return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

struct attr attr_of(const struct stat *st)
{
    return (struct attr){
        .mode = st->st_mode,
        .uid = st->st_uid,
        .gid = st->st_gid,
        .links = (uint32_t)st->st_nlink,
        .size = (uint64_t)st->st_size,
        .mtime_ns = ns_of(&st->st_mtim),
        .ctime_ns = ns_of(&st->st_ctim),
        .inode = st->st_ino,
        .device = st->st_dev,
    };
}

bool attr_same_inode(const struct attr *a, const struct attr *b)
{
    return a->inode == b->inode && a->device == b->device &&
           (a->mode & S_IFMT) == (b->mode & S_IFMT);
}

bool attr_same(const struct attr *a, const struct attr *b)
{
    return attr_same_inode(a, b) && a->size == b->size &&
           a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns &&
           a->mode == b->mode && a->uid == b->uid && a->gid == b->gid &&
           a->links == b->links;
}

static char *find_user(uint32_t uid, char *buffer)
{
    FILE *f = fopen("/etc/passwd", "re");
    struct passwd pw, *got;
    char *name = NULL;

    while (f && !name && fgetpwent_r(f, &pw, buffer, OWNER_BUFFER, &got) == 0) {
        if (pw.pw_uid == uid)
            name = mem_strdup(pw.pw_name);
    }
    if (f)
        fclose(f);
    return name;
}

static char *find_group(uint32_t gid, char *buffer)
{
    FILE *f = fopen("/etc/group", "re");
    struct group gr, *got;
    char *name = NULL;

    while (f && !name && fgetgrent_r(f, &gr, buffer, OWNER_BUFFER, &got) == 0) {
        if (gr.gr_gid == gid)
            name = mem_strdup(gr.gr_name);
    }
    if (f)
        fclose(f);
    return name;
}

static const char *lookup(struct owner_names *n, uint32_t id,
                          char *(*find)(uint32_t id, char *buffer))
{
    char *buffer, *name;

    for (size_t i = 0; i < n->count; i++) {
        if (n->items[i].id == id)
            return n->items[i].name;
    }
    if (n->count == OWNER_NAMES_MAX)
        return "";
    buffer = mem_alloc(OWNER_BUFFER);
    name = find(id, buffer);
    free(buffer);
    n->items = mem_grow(n->items, &n->cap, n->count + 1, sizeof(*n->items));
    n->items[n->count++] =
        (struct owner_name){.id = id, .name = name ? name : mem_strdup("")};
    return n->items[n->count - 1].name;
}

const char *owner_user(struct owner_names *n, uint32_t uid)
{
    return lookup(n, uid, find_user);
}

const char *owner_group(struct owner_names *n, uint32_t gid)
{
    return lookup(n, gid, find_group);
}

void owner_names_free(struct owner_names *n)
{
    for (size_t i = 0; i < n->count; i++)
        free(n->items[i].name);
    free(n->items);
    *n = (struct owner_names){0};
}
