/* SPDX-License-Identifier: MIT */
/* Walking folders.
 *
 * A folder: list and sort its names, merge them with what the layout puts
 * there, visit each. When all of them are as in the last backup and none is
 * missing, the folder's tree id is the old one and no JSON is made; otherwise
 * the nodes are encoded and the tree is sent. What cannot be looked at costs
 * itself only. Names that are gone when their turn comes make the folder be
 * listed once more. One list of names and entries is held per level. */
#include "agent/capture/walk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/capture/database.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/data/tree.h"

#define TREE_ROOM (1u << 20) /* no node is larger than that */
#define AHEAD_AFTER 8        /* files in a row that had to be read */
#define LATE_LOOKS 2         /* more, at a folder whose names change */

/* One folder being walked. */
struct folder {
    const struct place *pl; /* NULL: not a real folder */
    int fd;                 /* -1: not a real folder */
    unsigned depth;
    struct names names;
    struct names late[LATE_LOOKS]; /* of further looks, see look_again */
    struct entry *entries;
    size_t count, cap;
    size_t ahead; /* names before this one are read ahead, or need not be */
    bool changed; /* something differs from the last backup */
    bool cut;     /* not all entries fit the tree */
    bool gone;    /* a name had nothing any more when its turn came */
};

static int walk_folder(struct capture *c, const struct place *pl, int fd,
                       const struct layout *over, unsigned depth, bool prune,
                       struct entry *self, struct error *e);

char *place_live(const struct capture *c, const struct place *pl)
{
    if (c->path.len < pl->rel_at)
        return mem_strdup(pl->root->path);
    return path_join(pl->root->path, (char *)c->path.data + pl->rel_at);
}

static void add_entry(struct folder *f, const struct entry *en)
{
    f->entries =
        mem_grow(f->entries, &f->cap, f->count + 1, sizeof(*f->entries));
    f->entries[f->count++] = *en;
    if (!en->unchanged)
        f->changed = true;
}

/* --- one entry of a real folder */

static int open_folder(int at_fd, const char *name, int nofollow)
{
    int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | nofollow;
    int fd = openat(at_fd, name, flags | O_NOATIME);

    if (fd < 0 && errno == EPERM)
        fd = openat(at_fd, name, flags);
    return fd;
}

static int visit_folder(struct capture *c, struct folder *f, const char *name,
                        const struct layout *over, enum capture_choice choice,
                        struct entry *en, struct error *e)
{
    struct stat st;
    int fd, rc;

    if (f->pl->device != en->attr.device) {
        capture_problem(c, "another file system is mounted here, not entered");
        return STEP_NOTHING;
    }
    if (f->depth >= CAPTURE_MAX_DEPTH) {
        capture_problem(c, "more than %u folders deep, not entered",
                        CAPTURE_MAX_DEPTH);
        return STEP_NOTHING;
    }
    fd = open_folder(f->fd, name, O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return STEP_NOTHING;
    if (fd < 0) {
        capture_problem(c, "folder cannot be opened: %m");
        return STEP_NOTHING;
    }
    if (fstat(fd, &st) == 0)
        en->attr = attr_of(&st);
    rc = walk_folder(c, f->pl, fd, over, f->depth + 1,
                     choice == CAPTURE_DESCEND, en, e);
    close(fd);
    return rc;
}

/* Links and special files: nothing to read, only to remember. */
static int visit_plain(struct capture *c, struct entry *en,
                       enum cache_kind kind)
{
    struct cache_record rec = {.kind = kind, .attr = en->attr};
    const struct cache_record *old =
        c->old ? cache_find(c->old, (char *)c->path.data, c->path.len) : NULL;

    en->kind = kind;
    en->unchanged = entry_fits(c, old, kind, &en->attr, NULL);
    if (c->fresh)
        cache_add(c->fresh, (char *)c->path.data, c->path.len, &rec);
    if (c->section >= 0)
        c->seen[c->section] = true;
    return STEP_STORED;
}

/* What the caller wants with the current path. The root itself is not asked
 * for: that it is given says it. */
static enum capture_choice ask(const struct capture *c, const struct place *pl,
                               bool is_dir)
{
    const struct capture_root *root = pl->root;

    if (!root->choose || c->path.len < pl->rel_at)
        return CAPTURE_TAKE;
    return root->choose(root->arg, (char *)c->path.data + pl->rel_at, is_dir);
}

static int visit(struct capture *c, struct folder *f, const char *name,
                 uint8_t *flags, const struct layout *over, struct entry *en,
                 struct error *e)
{
    enum capture_choice choice;
    struct stat st;
    int rc = capture_check(c, e);

    if (rc < 0)
        return rc;
    if (fstatat(f->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        if (errno == ENOENT)
            log_debug("vanished: path=%s", (char *)c->path.data);
        else
            capture_problem(c, "cannot be looked at: %m");
        return STEP_NOTHING;
    }
    choice = ask(c, f->pl, S_ISDIR(st.st_mode));
    if (choice == CAPTURE_SKIP)
        return STEP_NOTHING;
    if (c->path.len > CAPTURE_MAX_PATH) {
        capture_problem(c, "a path of more than %u bytes, not stored",
                        CAPTURE_MAX_PATH);
        return STEP_NOTHING;
    }
    en->attr = attr_of(&st);
    switch (st.st_mode & S_IFMT) {
    case S_IFDIR:
        return visit_folder(c, f, name, over, choice, en, e);
    case S_IFREG:
        return file_capture(c, f->pl, f->fd, name, flags, choice, en, e);
    case S_IFLNK:
        return visit_plain(c, en, CACHE_SYMLINK);
    case S_IFIFO:
        return visit_plain(c, en, CACHE_FIFO);
    case S_IFSOCK: /* its owner makes it anew; restic cannot restore one */
        log_debug("socket left out: path=%s", (char *)c->path.data);
        return STEP_NOTHING;
    default:
        capture_problem(c, "is a device node, not stored");
        return STEP_NOTHING;
    }
}

/* Have the files behind name `next` read while this one is handled: only when
 * they are likely to be read at all, and not past a folder, whose own files
 * come first. */
static void look_ahead(struct capture *c, struct folder *f, size_t next)
{
    const uint8_t passed = NAME_FILE | NAME_OTHER;

    if (c->misses < AHEAD_AFTER || next == f->names.count ||
        !(f->names.items[next - 1].flags & passed))
        return;
    if (!c->ahead)
        c->ahead = ahead_new();
    if (!c->ahead)
        return;
    if (f->ahead < next)
        f->ahead = next;
    while (f->ahead < f->names.count && ahead_has_room(c->ahead)) {
        const struct name *n = &f->names.items[f->ahead];
        size_t before;

        if (!(n->flags & passed))
            break;
        before = capture_push(c, n->s, n->len);
        if ((n->flags & ~NAME_FILE) == 0 &&
            ask(c, f->pl, false) == CAPTURE_TAKE)
            ahead_add(c->ahead, f->fd, n->s);
        capture_pop(c, before);
        f->ahead++;
    }
}

/* --- what the layout puts in a folder */

/* A root that is a single file: looked at through its own folder. Whether it
 * is a database is seen by its header, as nobody can be asked. */
static int visit_root_file(struct capture *c, const struct capture_root *root,
                           struct entry *en, struct error *e)
{
    const char *slash = strrchr(root->path, '/');
    struct place pl = {.root = root, .rel_at = c->path.len + 1};
    struct folder f = {.pl = &pl};
    uint8_t flags = NAME_HAS_WAL;
    char *dir = slash > root->path
                    ? mem_strndup(root->path, (size_t)(slash - root->path))
                    : mem_strdup("/");
    int rc = STEP_NOTHING;

    f.fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (f.fd < 0) {
        capture_problem(c, "%s cannot be opened: %m", dir);
    } else {
        rc = visit(c, &f, slash + 1, &flags, NULL, en, e);
        close(f.fd);
    }
    free(dir);
    return rc;
}

static int walk_root_folder(struct capture *c, const struct layout *l, int fd,
                            unsigned depth, struct entry *en, struct error *e)
{
    struct place pl = {.root = l->root, .rel_at = c->path.len + 1};
    struct stat st;

    if (fstat(fd, &st) < 0) {
        capture_problem(c, "cannot be looked at: %m");
        return STEP_NOTHING;
    }
    en->attr = attr_of(&st);
    en->live = mem_printf("%s/.", l->root->path);
    pl.device = en->attr.device;
    return walk_folder(c, &pl, fd, l, depth, l->root->shared, en, e);
}

static struct attr own_folder(void)
{
    return (struct attr){
        .mode = S_IFDIR | 0700, .uid = getuid(), .gid = getgid(), .links = 1};
}

static int walk_own_folder(struct capture *c, const struct layout *l,
                           unsigned depth, struct entry *en, struct error *e)
{
    en->ours = true;
    en->attr = own_folder();
    return walk_folder(c, NULL, -1, l, depth, true, en, e);
}

/* The root's own path may lead over links: it is what the caller named.
 * Below it none is followed. */
static int visit_root(struct capture *c, const struct layout *l, unsigned depth,
                      struct entry *en, struct error *e)
{
    struct stat st;
    int fd = open_folder(AT_FDCWD, l->root->path, 0), rc;

    if (fd >= 0) {
        rc = walk_root_folder(c, l, fd, depth, en, e);
        close(fd);
        return rc;
    }
    if (errno != ENOENT && errno != ENOTDIR) {
        capture_problem(c, "%s cannot be opened: %m", l->root->path);
        return STEP_NOTHING;
    }
    if (lstat(l->root->path, &st) == 0 && !S_ISDIR(st.st_mode) &&
        l->kid_count == 0) {
        struct capture_root root = *l->root;

        en->live = realpath(root.path, NULL);
        if (!en->live) { /* stored as the link it is, but that was not meant */
            capture_problem(c, "%s is a link that leads to nothing: %m",
                            root.path);
            en->live = mem_strdup(root.path);
        }
        root.path = en->live;
        return visit_root_file(c, &root, en, e);
    }
    /* nothing there; others may still stand below its place */
    return walk_own_folder(c, l, depth, en, e);
}

static int visit_layout(struct capture *c, struct folder *f,
                        const struct layout *l, struct entry *en,
                        struct error *e)
{
    int rc, before = c->section;

    c->section = l->section >= 0 ? l->section : before;
    switch (l->kind) {
    case LAYOUT_ROOT:
        rc = visit_root(c, l, f->depth + 1, en, e);
        break;
    case LAYOUT_ROWS:
        rc = rows_capture(c, l->rows, en, e);
        break;
    case LAYOUT_META:
        rc = capture_meta(c, en, e);
        break;
    case LAYOUT_SUMS:
        rc = capture_sums(c, en, e);
        break;
    default:
        rc = walk_own_folder(c, l, f->depth + 1, en, e);
        break;
    }
    c->section = before;
    return rc;
}

/* --- a folder */

/* The companions of a database are in its copy already. */
static bool is_stored_with_owner(struct names *all, const struct name *n)
{
    const struct name *owner;

    if (!(n->flags & NAME_COMPANION))
        return false;
    owner = names_owner(all, n);
    return owner && (owner->flags & NAME_DATABASE);
}

static int visit_name(struct capture *c, struct folder *f, struct name *n,
                      const struct layout *over, struct entry *en,
                      struct error *e)
{
    if (is_stored_with_owner(&f->names, n))
        return STEP_NOTHING;
    return visit(c, f, n->s, &n->flags, over, en, e);
}

/* A name that both the folder and the layout have. A plain way in the layout
 * is laid over the real folder; anything else takes its place, and what would
 * have stood there is named. */
static int visit_both(struct capture *c, struct folder *f, struct name *n,
                      const struct layout *l, struct entry *en, struct error *e)
{
    struct stat st;
    bool there = fstatat(f->fd, n->s, &st, AT_SYMLINK_NOFOLLOW) == 0;
    int rc = STEP_NOTHING;

    if (there && S_ISDIR(st.st_mode) && l->kind == LAYOUT_FOLDER)
        rc = visit_name(c, f, n, l, en, e);
    else if (there && ask(c, f->pl, S_ISDIR(st.st_mode)) != CAPTURE_SKIP)
        capture_problem(c, "not stored: its place in the backup belongs to "
                           "something else");
    if (rc != STEP_NOTHING)
        return rc;
    entry_free(en);
    *en = (struct entry){.name = n->s, .name_len = n->len};
    return visit_layout(c, f, l, en, e);
}

static void note_gone(struct folder *f, struct name *n)
{
    struct stat st;

    if (fstatat(f->fd, n->s, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
        return;
    n->flags |= NAME_GONE;
    f->gone = true;
}

static int visit_all(struct capture *c, struct folder *f,
                     const struct layout *over, struct error *e)
{
    size_t i = 0, k = 0, kids = over ? over->kid_count : 0;

    while (i < f->names.count || k < kids) {
        struct name *n = i < f->names.count ? &f->names.items[i] : NULL;
        struct layout *l = k < kids ? over->kids[k] : NULL;
        int order = !n ? 1 : !l ? -1 : strcmp(n->s, l->name);
        struct entry en = {0};
        size_t before;
        int rc;

        i += order <= 0;
        k += order >= 0;
        en.name = order <= 0 ? n->s : l->name;
        en.name_len = strlen(en.name);
        if (order <= 0 && f->fd >= 0)
            look_ahead(c, f, i);
        before = capture_push(c, en.name, en.name_len);
        rc = order < 0    ? visit_name(c, f, n, NULL, &en, e)
             : order == 0 ? visit_both(c, f, n, l, &en, e)
                          : visit_layout(c, f, l, &en, e);
        capture_pop(c, before);
        if (rc == STEP_STORED) {
            add_entry(f, &en);
            continue;
        }
        entry_free(&en);
        if (rc < 0)
            return rc;
        if (order <= 0)
            note_gone(f, n);
    }
    return 0;
}

/* --- a second look */

/* Visited already, or not of this folder's own? */
static bool is_known(struct folder *f, size_t looks, const struct name *n,
                     const struct layout *over)
{
    const struct name *had = names_find(&f->names, n->s, n->len);

    for (size_t i = 0; i < looks; i++) {
        const struct name *later = names_find(&f->late[i], n->s, n->len);

        had = later ? later : had;
    }
    for (size_t i = 0; over && i < over->kid_count; i++) {
        if (strcmp(over->kids[i]->name, n->s) == 0)
            return true;
    }
    return had && !(had->flags & NAME_GONE);
}

static int visit_late(struct capture *c, struct folder *f, struct name *n,
                      struct error *e)
{
    struct entry en = {.name = n->s, .name_len = n->len};
    size_t before = capture_push(c, n->s, n->len);
    int rc = visit(c, f, n->s, &n->flags, NULL, &en, e);

    capture_pop(c, before);
    if (rc == STEP_STORED) {
        add_entry(f, &en);
        return 0;
    }
    entry_free(&en);
    note_gone(f, n);
    return rc < 0 ? rc : 0;
}

/* The database may have been met at an earlier look. */
static bool is_late_companion(struct folder *f, size_t look,
                              const struct name *n)
{
    for (size_t i = 0; i <= look; i++) {
        if (is_stored_with_owner(&f->late[i], n))
            return true;
    }
    return is_stored_with_owner(&f->names, n);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->name,
                  ((const struct entry *)b)->name);
}

/* A name that was gone when its turn came may only have been given another
 * one, or be about to come back (some write a file anew like that): what
 * stands there now and was not met is visited. Not into the cache, which is in
 * order: these are read again next time. */
static int look_again(struct capture *c, struct folder *f,
                      const struct layout *over, struct error *e)
{
    struct cache_writer *fresh = c->fresh;
    size_t before = f->count;
    int rc = 0;

    c->fresh = NULL;
    for (size_t look = 0; rc == 0 && f->gone && look < LATE_LOOKS; look++) {
        struct names *late = &f->late[look];

        f->gone = false;
        if (lseek(f->fd, 0, SEEK_SET) < 0 || names_read(f->fd, &c->list, late))
            break;
        for (size_t i = 0; rc == 0 && i < late->count; i++) {
            struct name *n = &late->items[i];

            if (!is_known(f, look, n, over) && !is_late_companion(f, look, n))
                rc = visit_late(c, f, n, e);
        }
    }
    c->fresh = fresh;
    if (f->count > before)
        qsort(f->entries, f->count, sizeof(*f->entries), by_name);
    return rc;
}

/* --- its tree */

static int encode(struct capture *c, struct folder *f, struct id *tree,
                  struct error *e)
{
    buf_clear(&c->tree);
    tree_begin(&c->tree);
    for (size_t i = 0; i < f->count; i++) {
        if (c->tree.len > BLOB_TREE_MAX - TREE_ROOM || i == TREE_MAX_ENTRIES) {
            capture_problem(c, "too many entries for one folder, %zu left out",
                            f->count - i);
            f->cut = true;
            break;
        }
        entry_encode(c, f->fd, &f->entries[i]);
    }
    tree_end(&c->tree);
    return read_store(c, BLOB_TREE, c->tree.data, c->tree.len, tree, e);
}

/* All visited: the folder's tree, and its record. */
static int finish(struct capture *c, struct folder *f, struct entry *self,
                  struct error *e)
{
    const struct cache_record *old =
        c->old ? cache_find(c->old, (char *)c->path.data, c->path.len) : NULL;
    struct cache_record rec = {.kind = CACHE_DIR, .attr = self->attr};
    int rc = 0;

    self->kind = CACHE_DIR;
    if (old && old->kind == CACHE_DIR && !f->changed &&
        old->children == f->count && idset_has(c->known, &old->sum)) {
        self->one = old->sum;
        self->unchanged =
            self->ours ? attr_same(&old->attr, &self->attr)
                       : entry_fits(c, old, CACHE_DIR, &self->attr, NULL);
    } else {
        rc = encode(c, f, &self->one, e);
    }
    if (rc < 0)
        return rc;
    rec.sum = self->one;
    rec.children = f->cut ? UINT64_MAX : f->count; /* never reuse a cut one */
    if (c->fresh)
        cache_add(c->fresh, (char *)c->path.data, c->path.len, &rec);
    if (c->path.len > 0)
        capture_count_dir(c);
    return STEP_STORED;
}

static int walk_folder(struct capture *c, const struct place *pl, int fd,
                       const struct layout *over, unsigned depth, bool prune,
                       struct entry *self, struct error *e)
{
    struct folder f = {.pl = pl, .fd = fd, .depth = depth};
    int rc = fd < 0 ? 0 : names_read(fd, &c->list, &f.names);
    struct stat st;

    if (rc == -EOVERFLOW) {
        capture_problem(c,
                        "more than %d entries in one folder, the rest is "
                        "left out",
                        TREE_MAX_ENTRIES);
    } else if (rc < 0) {
        capture_problem(c, "folder cannot be listed: %s", strerror(-rc));
        if (!over)
            return STEP_NOTHING;
    }
    rc = visit_all(c, &f, over, e);
    ahead_drop(c->ahead); /* what was added points into names and fd */
    if (rc == 0 && f.gone) {
        rc = look_again(c, &f, over, e);
        if (fstat(fd, &st) == 0)
            self->attr = attr_of(&st); /* as it is with those names */
    }
    if (rc == 0 && f.count == 0 && prune)
        rc = STEP_NOTHING;
    else if (rc == 0)
        rc = finish(c, &f, self, e);
    for (size_t i = 0; i < f.count; i++)
        entry_free(&f.entries[i]);
    free(f.entries);
    names_free(&f.names);
    for (size_t i = 0; i < LATE_LOOKS; i++)
        names_free(&f.late[i]);
    return rc;
}

int walk_all(struct capture *c, struct id *root, struct error *e)
{
    struct entry top = {0};
    int rc = walk_own_folder(c, c->layout, 0, &top, e);

    *root = top.one;
    entry_free(&top);
    return rc < 0 ? rc : 0;
}
