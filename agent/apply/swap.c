/* SPDX-License-Identifier: MIT */
/* The two phases, their undoing, and what remains of them. See swap.h. */
#include "agent/apply/swap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/apply/fault.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"

/* The three names of an entry. */
struct names {
    char *live;      /* absolute */
    char *fresh;     /* below the stage: "new/<label>/<rel>" */
    char *old;       /* "old/<label>/<rel>" */
    char *fresh_abs; /* the same, absolute */
    char *old_abs;
};

static char *below(const char *part, const struct swap_place *p,
                   const char *rel)
{
    return mem_printf("%s/%s%s%s", part, p->label, *rel ? "/" : "", rel);
}

static struct names names_of(const struct swap *s, const struct swap_op *op)
{
    const struct swap_place *p = &s->places[op->place];
    struct names n = {
        .live = path_join(p->live, op->rel),
        .fresh = below("new", p, op->rel),
        .old = below("old", p, op->rel),
    };

    n.fresh_abs = path_join(p->stage, n.fresh);
    n.old_abs = path_join(p->stage, n.old);
    return n;
}

static void names_free(struct names *n)
{
    free(n->live);
    free(n->fresh);
    free(n->old);
    free(n->fresh_abs);
    free(n->old_abs);
}

static bool is_entry(const struct swap_op *op)
{
    return op->kind == SWAP_ENTRY && !op->split;
}

static int fail(struct error *e, int rc, const char *what, const char *path)
{
    errno = -rc;
    return error_errno(e, "%s %s", what, path);
}

static bool is_dir(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* ---- attributes of folders that stay ---- */

static int set_attr(const char *path, const struct swap_attr *a)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
                                {.tv_sec = a->mtime_s, .tv_nsec = a->mtime_ns}};
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    int rc = 0;

    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0)
        rc = -errno;
    if (rc == 0 && geteuid() == 0 &&
        (st.st_uid != a->uid || st.st_gid != a->gid) &&
        fchown(fd, a->uid, a->gid) < 0)
        rc = -errno;
    if (rc == 0 && (st.st_mode & 07777) != a->mode && fchmod(fd, a->mode) < 0)
        rc = -errno;
    if (rc == 0 && futimens(fd, times) < 0)
        rc = -errno;
    close(fd);
    return rc;
}

static int set_attrs(struct swap *s, bool after, struct error *e)
{
    for (size_t i = s->op_count; i-- > 0;) {
        const struct swap_op *op = &s->ops[i];
        char *path;
        int rc;

        if (op->kind != SWAP_ATTR || (after && !op->set))
            continue;
        path = path_join(s->places[op->place].live, op->rel);
        rc = set_attr(path, after ? &op->after : &op->before);
        apply_point();
        if (rc < 0) {
            fail(e, rc, "attributes of", path);
            free(path);
            return rc;
        }
        free(path);
    }
    return 0;
}

/* ---- forwards ---- */

/* Do both stand in one folder of one place? Ops come sorted, so comparing
 * with the one before finds nearly all. */
static bool same_parent(const struct swap_op *a, const struct swap_op *b)
{
    const char *x = strrchr(a->rel, '/'), *y = strrchr(b->rel, '/');
    size_t n = x ? (size_t)(x - a->rel) : 0;

    return a->place == b->place && *a->rel && *b->rel && !x == !y &&
           (!y || (size_t)(y - b->rel) == n) && memcmp(a->rel, b->rel, n) == 0;
}

static int sync_parents(struct swap *s, struct error *e)
{
    const struct swap_op *last = NULL;

    for (size_t i = 0; i < s->op_count; i++) {
        const struct swap_op *op = &s->ops[i];
        const char *stage;
        struct names n;
        int rc;

        if (!is_entry(op) || (last && same_parent(last, op)))
            continue;
        last = op;
        n = names_of(s, op);
        stage = s->places[op->place].stage;
        rc = swap_sync_parent(s->places[op->place].live, op->rel);
        if (rc == 0)
            rc = swap_sync_parent(stage, n.old);
        if (rc == 0)
            rc = swap_sync_parent(stage, n.fresh);
        if (rc < 0)
            fail(e, rc, "sync of", n.live);
        names_free(&n);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int make_parents(struct swap *s, struct error *e)
{
    for (size_t i = 0; i < s->op_count; i++) {
        if (s->ops[i].kind != SWAP_MKDIR)
            continue;
        if (mkdir(s->ops[i].rel, 0700) < 0 && errno != EEXIST)
            return error_errno(e, "%s", s->ops[i].rel);
        apply_point();
        dir_sync_of(s->ops[i].rel, NULL);
    }
    return 0;
}

/* Emptied folders, the inner ones first: they were split later. */
static int remove_emptied(struct swap *s, struct error *e)
{
    for (size_t i = s->op_count; i-- > 0;) {
        char *path;
        int rc;

        if (s->ops[i].kind != SWAP_RMDIR)
            continue;
        path = path_join(s->places[s->ops[i].place].live, s->ops[i].rel);
        rc =
            rmdir(path) < 0 && errno != ENOENT ? error_errno(e, "%s", path) : 0;
        free(path);
        apply_point();
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int make_emptied(struct swap *s, struct error *e)
{
    for (size_t i = 0; i < s->op_count; i++) {
        char *path;
        int rc;

        if (s->ops[i].kind != SWAP_RMDIR)
            continue;
        path = path_join(s->places[s->ops[i].place].live, s->ops[i].rel);
        rc = mkdir(path, 0700) < 0 && errno != EEXIST
                 ? error_errno(e, "%s", path)
                 : 0;
        free(path);
        apply_point();
        if (rc < 0)
            return rc;
    }
    return 0;
}

static void add_child(struct swap *s, size_t parent, const char *name,
                      bool live, bool fresh)
{
    const struct swap_op *op = &s->ops[parent];
    struct swap_op child = {.kind = SWAP_ENTRY,
                            .place = op->place,
                            .rel = path_join(op->rel, name),
                            .live = live,
                            .fresh = fresh};

    swap_add(s, child);
}

static void add_children(struct swap *s, size_t parent, const char *dir,
                         const char *other, bool of_live)
{
    DIR *d = opendir(dir);
    struct dirent *entry;

    while (d && (entry = readdir(d)) != NULL) {
        char *path;
        bool both;

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        path = path_join(other, entry->d_name);
        both = file_exists(path);
        free(path);
        if (of_live || !both) /* what both have came with the live ones */
            add_child(s, parent, entry->d_name, of_live, both || !of_live);
    }
    if (d)
        closedir(d);
}

static struct swap_attr attr_of(const char *path)
{
    struct stat st = {0};

    lstat(path, &st);
    return (struct swap_attr){.mode = st.st_mode & 07777,
                              .uid = st.st_uid,
                              .gid = st.st_gid,
                              .mtime_s = st.st_mtim.tv_sec,
                              .mtime_ns = st.st_mtim.tv_nsec};
}

/* The entries go one by one. The folder stays when one comes for it, else it
 * is taken away empty, before what comes instead. */
static int split(struct swap *s, size_t i, const struct names *n,
                 struct error *e)
{
    const struct swap_op op = s->ops[i];
    size_t first = s->op_count;
    bool stays = op.fresh && is_dir(n->fresh_abs);
    int rc;

    add_children(s, i, n->live, n->fresh_abs, true);
    if (stays)
        add_children(s, i, n->fresh_abs, n->live, false);
    else
        swap_add(s, (struct swap_op){.kind = SWAP_RMDIR,
                                     .place = op.place,
                                     .rel = mem_strdup(op.rel)});
    if (op.fresh && !stays)
        swap_add(s, (struct swap_op){.kind = SWAP_ENTRY,
                                     .place = op.place,
                                     .rel = mem_strdup(op.rel),
                                     .fresh = true});
    swap_add(s, (struct swap_op){.kind = SWAP_ATTR,
                                 .place = op.place,
                                 .rel = mem_strdup(op.rel),
                                 .set = stays,
                                 .before = attr_of(n->live),
                                 .after = attr_of(n->fresh_abs)});
    rc = swap_log_ops(s, first, e);
    if (rc == 0)
        rc = swap_log_index(s, "split", i, e);
    s->ops[i].split = rc == 0;
    return rc;
}

/* A file that cannot be renamed: keep a copy of it. */
static int keep_copy(struct swap *s, size_t i, const struct names *n,
                     struct error *e)
{
    char *temp = mem_printf("%s/found/copy", s->places[s->ops[i].place].stage);
    int rc = swap_log_index(s, "copy", i, e);

    s->ops[i].copy = rc == 0;
    if (rc == 0) {
        rc = swap_copy_over(n->live, temp, true);
        if (rc == 0)
            rc = swap_move(s->places[s->ops[i].place].stage, "found/copy",
                           s->places[s->ops[i].place].stage, n->old, true);
        if (rc < 0)
            fail(e, rc, "keeping a copy of", n->live);
    }
    free(temp);
    return rc;
}

static int move_away(struct swap *s, size_t i, struct error *e)
{
    const struct swap_place *p = &s->places[s->ops[i].place];
    struct names n = names_of(s, &s->ops[i]);
    int rc = swap_move(p->live, s->ops[i].rel, p->stage, n.old, true);

    apply_point();
    if ((rc == -EXDEV || rc == -EBUSY) && is_dir(n.live))
        rc = split(s, i, &n, e);
    else if (rc == -EXDEV || rc == -EBUSY)
        rc = keep_copy(s, i, &n, e);
    else if (rc < 0)
        fail(e, rc, "moving away", n.live);
    apply_point();
    names_free(&n);
    return rc;
}

static int move_in(struct swap *s, size_t i, struct error *e)
{
    const struct swap_place *p = &s->places[s->ops[i].place];
    struct names n = names_of(s, &s->ops[i]);
    int rc = s->ops[i].copy
                 ? swap_copy_over(n.fresh_abs, n.live, false)
                 : swap_move(p->stage, n.fresh, p->live, s->ops[i].rel, false);

    apply_point();
    if (rc < 0)
        fail(e, rc, "moving in", n.live);
    names_free(&n);
    return rc;
}

int swap_run(struct swap *s, struct error *e)
{
    int rc = make_parents(s, e);

    for (size_t i = 0; rc == 0 && i < s->op_count; i++)
        if (is_entry(&s->ops[i]) && s->ops[i].live)
            rc = move_away(s, i, e);
    if (rc == 0)
        rc = remove_emptied(s, e);
    if (rc == 0)
        rc = sync_parents(s, e);
    for (size_t i = 0; rc == 0 && i < s->op_count; i++)
        if (is_entry(&s->ops[i]) && s->ops[i].fresh)
            rc = move_in(s, i, e);
    if (rc == 0)
        rc = set_attrs(s, true, e);
    if (rc == 0)
        rc = sync_parents(s, e);
    if (rc == 0)
        rc = swap_log_mark(s, "swapped", NULL, false, e);
    s->swapped = rc == 0;
    return rc;
}

/* ---- backwards ---- */

/* Out of the way, into found/<n>: somebody made it meanwhile. */
static int put_aside(const struct swap_place *p, const char *rel)
{
    for (int n = 1; n < 100000; n++) {
        char name[32];
        int rc;

        snprintf(name, sizeof(name), "found/%d", n);
        rc = swap_move(p->live, rel, p->stage, name, false);
        if (rc != -EEXIST)
            return rc;
    }
    return -EEXIST;
}

static int undo_entry(struct swap *s, size_t i, struct error *e)
{
    const struct swap_op *op = &s->ops[i];
    const struct swap_place *p = &s->places[op->place];
    struct names n = names_of(s, op);
    bool fresh = file_exists(n.fresh_abs), live = file_exists(n.live);
    bool old = file_exists(n.old_abs);
    int rc = 0;

    if (op->copy) {
        if (old)
            rc = swap_copy_over(n.old_abs, n.live, true);
        apply_point();
        goto out;
    }
    /* what is live is ours when its place in the stage is empty */
    if (op->fresh && live && !fresh && (old || !op->live)) {
        rc = swap_move(p->live, op->rel, p->stage, n.fresh, false);
        live = rc < 0;
        apply_point();
    } else if (live && ((op->live && old) || (!op->live && !op->fresh))) {
        rc = put_aside(p, op->rel);
        live = rc < 0;
        apply_point();
    }
    if (rc == 0 && old && !live) {
        rc = swap_move(p->stage, n.old, p->live, op->rel, false);
        apply_point();
    }
    if (rc == 0 && op->mode && chmod(n.live, op->mode) < 0)
        rc = -errno;
    if (rc == 0 && op->live && !file_exists(n.live))
        rc = -ENOENT;
out:
    if (rc < 0)
        fail(e, rc, "putting back", n.live);
    names_free(&n);
    return rc;
}

/* Entries that had something live, or those that had not; as many as can be,
 * the first failure is told. */
static int undo_entries(struct swap *s, bool live, struct error *e)
{
    int rc = 0;

    for (size_t i = s->op_count; i-- > 0;) {
        struct error why = {0};
        int one;

        if (!is_entry(&s->ops[i]) || s->ops[i].live != live)
            continue;
        one = undo_entry(s, i, &why);
        if (one < 0 && rc == 0) {
            rc = one;
            if (e)
                *e = why;
        }
    }
    return rc;
}

int swap_undo(struct swap *s, struct error *e)
{
    int rc = s->upgraded ? swap_put_state_back(s, e) : 0;

    if (rc == 0)
        rc = undo_entries(s, false, e);
    if (rc == 0)
        rc = make_emptied(s, e);
    if (rc == 0)
        rc = undo_entries(s, true, e);
    if (rc == 0)
        rc = set_attrs(s, false, e);
    for (size_t i = s->op_count; rc == 0 && i-- > 0;)
        if (s->ops[i].kind == SWAP_MKDIR)
            rmdir(s->ops[i].rel); /* stays if somebody put something there */
    if (rc == 0)
        rc = sync_parents(s, e);
    if (rc == 0)
        rc = swap_log_mark(s, "undone", NULL, false, e);
    s->undone = rc == 0;
    return rc;
}

/* ---- afterwards ---- */

/* Work on folders of ours beside or in the live state leaves its times. */
static void keep_time(const char *dir, bool save, struct timespec *mtime)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, *mtime};
    struct stat st;

    if (save && stat(dir, &st) == 0)
        *mtime = st.st_mtim;
    else if (!save)
        utimensat(AT_FDCWD, dir, times, 0);
}

static bool is_empty(const char *dir)
{
    DIR *d = opendir(dir);
    const struct dirent *entry;
    int count = 0;

    while (d && (entry = readdir(d)) != NULL)
        count++;
    if (d)
        closedir(d);
    return count <= 2;
}

static int finish_stage(const struct swap_stage *stage, bool keep,
                        struct error *e)
{
    char *old = path_join(stage->dir, "old");
    struct timespec mtime = {.tv_nsec = UTIME_OMIT};
    int rc = 0;

    keep_time(stage->parent, true, &mtime);
    if (keep && dir_exists(old) && !is_empty(old)) {
        utimensat(AT_FDCWD, old, NULL, 0); /* its age counts from now */
        if (rename(old, stage->kept) < 0)
            rc = error_errno(e, "keeping %s", stage->kept);
        apply_point();
        if (rc == 0)
            dir_sync(stage->parent, NULL);
    }
    free(old);
    if (rc == 0)
        rc = tree_remove(stage->dir, e);
    keep_time(stage->parent, false, &mtime);
    apply_point();
    return rc;
}

int swap_finish(struct swap *s, struct error *e)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < s->stage_count; i++)
        rc = finish_stage(&s->stages[i], true, e);
    return rc;
}

int swap_discard(struct swap *s, struct error *e)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < s->stage_count; i++)
        rc = finish_stage(&s->stages[i], false, e);
    return rc;
}

bool swap_has_kept(const struct swap_stage *stage)
{
    return dir_exists(stage->kept);
}

void swap_forget_old(const char *parent, const char *but)
{
    time_t oldest = time(NULL) - SWAP_KEEP_DAYS * 86400;
    struct timespec mtime = {.tv_nsec = UTIME_OMIT};
    DIR *d = opendir(parent);
    const struct dirent *entry;

    keep_time(parent, true, &mtime);
    while (d && (entry = readdir(d)) != NULL) {
        char *path;
        struct stat st;

        if (!text_has_prefix(entry->d_name, ".ocm-old-"))
            continue;
        path = path_join(parent, entry->d_name);
        if (strcmp(path, but) != 0 && lstat(path, &st) == 0 &&
            S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
            st.st_mtime < oldest)
            tree_remove(path, NULL);
        free(path);
    }
    if (d)
        closedir(d);
    keep_time(parent, false, &mtime);
}
