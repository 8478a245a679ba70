/* SPDX-License-Identifier: MIT */
/* The stage: where it stands, its folders, and that it is on the disk.
 *
 * Beside its place, so that a place can be swapped whole; inside it, when the
 * place is a mount point or its parent is not ours to write. Everything below
 * is made and opened beneath the stage's descriptor, never through a link. */
#include "agent/apply/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/apply/fault.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define STAGE_BLOCK 4096u
#define STAGE_SLACK (1024u * 1024)

/* The same from /proc, for kernels before 5.8; 0 when it cannot be told. */
static uint64_t mount_from_proc(const char *path)
{
    int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    char *info = mem_printf("/proc/self/fdinfo/%d", fd), line[128];
    FILE *f = fd < 0 ? NULL : fopen(info, "re");
    unsigned long id = 0;

    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "mnt_id: %lu", &id) == 1)
            break;
    if (f)
        fclose(f);
    if (fd >= 0)
        close(fd);
    free(info);
    return id;
}

/* Identity of the mount that `path` is on; links are not followed. */
static uint64_t mount_of(const char *path)
{
    struct statx stx;

    if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_MNT_ID, &stx) < 0 ||
        !(stx.stx_mask & STATX_MNT_ID))
        return mount_from_proc(path);
    return stx.stx_mnt_id;
}

/* The nearest folder above `path` that exists. Caller frees. */
static char *existing_above(const char *path)
{
    char *dir = mem_strdup(path);

    for (;;) {
        char *slash = strrchr(dir, '/');

        slash[slash == dir] = 0;
        if (dir_exists(dir) || slash == dir)
            return dir;
    }
}

static size_t stage_on(struct apply *a, const char *parent, uint64_t mount)
{
    struct stage *s;

    for (size_t i = 0; i < a->stage_count; i++)
        if (a->stages[i].mount == mount)
            return i;
    a->stages = mem_grow(a->stages, &a->stage_cap, a->stage_count + 1,
                         sizeof(*a->stages));
    s = &a->stages[a->stage_count++];
    *s = (struct stage){
        .parent = mem_strdup(parent),
        .dir =
            mem_printf("%s/.ocm-stage-%s", parent[1] ? parent : "", a->o->job),
        .kept =
            mem_printf("%s/.ocm-old-%s", parent[1] ? parent : "", a->o->job),
        .mount = mount,
        .fd = -1,
    };
    return a->stage_count - 1;
}

int stage_plan(struct apply *a, struct error *e)
{
    for (size_t i = 0; i < a->place_count; i++) {
        struct place *p = &a->places[i];
        char *above = existing_above(p->path);
        uint64_t mount = mount_of(above);
        struct stat st;
        bool exists = lstat(p->path, &st) == 0;
        bool is_dir = exists && S_ISDIR(st.st_mode);
        bool writable = access(above, W_OK | X_OK) == 0;

        p->exists = exists;
        if (is_dir && (mount_of(p->path) != mount || !writable)) {
            p->stage = stage_on(a, p->path, mount_of(p->path));
        } else if (!writable) {
            int rc = error_set(e, OCM_E_DENIED,
                               "%s: cannot be made, %s is not writable for "
                               "the agent",
                               p->path, above);

            free(above);
            return rc;
        } else {
            p->stage = stage_on(a, above, mount);
        }
        free(above);
    }
    for (size_t i = 0; i < a->place_count; i++)
        a->places[i].inside = path_is_below(
            a->stages[a->places[i].stage].parent, a->places[i].path);
    return 0;
}

int stage_check_space(const struct apply *a, bool look_only, struct error *e)
{
    const struct snap *s = &a->snap;

    for (size_t i = 0; i < a->stage_count; i++) {
        int64_t have = disk_free(a->stages[i].parent);
        uint64_t need = STAGE_SLACK;

        for (uint32_t j = 1; j < s->count; j++) {
            const struct snap_entry *n = &s->entries[j];

            if (n->root == SNAP_NONE || a->places[n->place].stage != i ||
                (look_only && !(n->flags & SNAP_LOOK)) ||
                n->type == TREE_SYMLINK || n->flags & SNAP_LINKED)
                continue;
            if (n->size > UINT64_MAX / 2 - need)
                return error_set(e, OCM_E_DAMAGED,
                                 "the backup claims an impossible size");
            need += n->type == TREE_DIR
                        ? STAGE_BLOCK
                        : (n->size + STAGE_BLOCK - 1) & ~(STAGE_BLOCK - 1ull);
        }
        if (have >= 0 && need > (uint64_t)have) {
            char want[32], got[32];

            text_of_bytes(need, want, sizeof(want));
            text_of_bytes((uint64_t)have, got, sizeof(got));
            return error_set(e, OCM_E_SPACE,
                             "%s: %s are needed beside the present state, %s "
                             "are free: make room there and try again",
                             a->stages[i].parent, want, got);
        }
    }
    return 0;
}

static int make_one(struct stage *s, struct error *e)
{
    static const char *const parts[] = {"new", "old", "found"};
    struct stat st;
    bool have = lstat(s->parent, &st) == 0;
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, st.st_mtim};

    if (mkdir(s->dir, 0700) < 0)
        return error_errno(e, "%s", s->dir);
    s->made = true;
    apply_point();
    s->fd = open(s->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (s->fd < 0)
        return error_errno(e, "%s", s->dir);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (mkdirat(s->fd, parts[i], 0700) < 0)
            return error_errno(e, "%s/%s", s->dir, parts[i]);
    if (have) /* a visit leaves no trace on a folder of somebody else */
        utimensat(AT_FDCWD, s->parent, times, 0);
    return 0;
}

int stage_make(struct apply *a, struct error *e)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < a->stage_count; i++)
        rc = make_one(&a->stages[i], e);
    return rc;
}

void stage_remove(struct apply *a)
{
    for (size_t i = 0; i < a->stage_count; i++) {
        struct stage *s = &a->stages[i];
        struct error e = {0};
        struct stat st;

        if (s->fd >= 0)
            close(s->fd);
        s->fd = -1;
        if (!s->made)
            continue;
        s->made = false;
        if (lstat(s->parent, &st) == 0 && tree_remove(s->dir, &e) == 0) {
            struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, st.st_mtim};

            utimensat(AT_FDCWD, s->parent, times, 0);
        } else {
            apply_log(a, "warn", "%s stays behind: %s", s->dir, e.text);
        }
    }
}

void stage_path(const struct apply *a, uint32_t entry, struct buf *out)
{
    const struct place *p = &a->places[a->snap.entries[entry].place];
    struct buf rel = {0};

    target_rel(a, entry, &rel);
    buf_printf(out, "%s/new/%s", a->stages[p->stage].dir, p->label);
    if (rel.len > 0) {
        buf_add_byte(out, '/');
        buf_add(out, rel.data, rel.len);
    }
    buf_free(&rel);
}

/* mkdir -p beneath `root`: `path` is cut at each '/' in turn. */
static int make_dirs(int root, char *path)
{
    for (char *p = path;; p++) {
        int parent, rc = 0;
        char *name, c = *p;

        if (c != '/' && c != 0)
            continue;
        *p = 0;
        name = strrchr(path, '/');
        if (name)
            *name = 0;
        parent = name ? open_beneath(root, path, O_PATH | O_DIRECTORY, 0)
                      : dup(root);
        if (parent < 0)
            rc = parent == -1 ? -errno : parent;
        else if (mkdirat(parent, name ? name + 1 : path, 0700) < 0 &&
                 errno != EEXIST)
            rc = -errno;
        if (parent >= 0)
            close(parent);
        if (name)
            *name = '/';
        *p = c;
        if (rc < 0 || c == 0)
            return rc;
    }
}

int stage_open_dir(struct apply *a, uint32_t place, const char *rel)
{
    struct place *p = &a->places[place];
    int root = a->stages[p->stage].fd;
    char *path = *rel ? mem_printf("new/%s/%s", p->label, rel)
                      : mem_printf("new/%s", p->label);
    int fd = open_beneath(root, path, O_RDONLY | O_DIRECTORY, 0);

    if (fd == -ENOENT) {
        int rc = make_dirs(root, path);

        fd = rc < 0 ? rc : open_beneath(root, path, O_RDONLY | O_DIRECTORY, 0);
    }
    free(path);
    return fd;
}

const char *stage_name(const struct apply *a, uint32_t entry)
{
    const struct snap *s = &a->snap;
    const struct snap_entry *n = &s->entries[entry];
    const struct snap_root *r = &s->roots[n->root];
    const char *slash;

    if (!(n->flags & SNAP_BASE))
        return s->entries[n->parent].place == n->place
                   ? n->name
                   : a->places[n->place].label;
    if (!*r->rel || r->place != n->place)
        return a->places[n->place].label;
    slash = strrchr(r->rel, '/');
    return slash ? slash + 1 : r->rel;
}

int stage_open_parent(struct apply *a, uint32_t entry)
{
    uint32_t place = a->snap.entries[entry].place;
    struct buf rel = {0};
    char *slash;
    int fd;

    target_rel(a, entry, &rel);
    if (rel.len == 0) { /* the place itself */
        fd = open_beneath(a->stages[a->places[place].stage].fd, "new",
                          O_RDONLY | O_DIRECTORY, 0);
    } else {
        slash = strrchr(buf_str(&rel), '/');
        *(slash ? slash : (char *)rel.data) = 0;
        fd = stage_open_dir(a, place, (char *)rel.data);
    }
    buf_free(&rel);
    return fd;
}

void stage_drop_section(struct apply *a, size_t section)
{
    const struct snap *s = &a->snap;

    for (uint32_t i = (uint32_t)s->count; i-- > 1;) {
        const struct snap_entry *n = &s->entries[i];
        bool dir = n->type == TREE_DIR;
        int fd;

        if (n->root == SNAP_NONE || s->roots[n->root].section != section ||
            (n->type == TREE_FILE && !(n->flags & SNAP_STAGED)))
            continue;
        fd = stage_open_parent(a, i);
        if (fd < 0)
            continue;
        /* a folder that other sections share is not empty and stays */
        unlinkat(fd, stage_name(a, i), dir ? AT_REMOVEDIR : 0);
        close(fd);
    }
}

int stage_sync(struct apply *a, struct error *e)
{
    for (size_t i = 0; i < a->stage_count; i++)
        if (a->stages[i].fd >= 0 && syncfs(a->stages[i].fd) < 0)
            return error_errno(e, "%s", a->stages[i].dir);
    return 0;
}
