/* SPDX-License-Identifier: MIT */
/* A walk over live and staged folders side by side. */
#include "agent/apply/swap_set.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define SET_MAX_DEPTH 1024

/* A root of a restored section on the target, at or above a folder. */
struct claim {
    const struct capture_root *root;
    char *path; /* of the root, links followed; owned by `all` of the walk */
};

struct claims {
    struct claim *items;
    size_t count, cap;
};

struct walk {
    const struct apply *a;
    struct swap *out;
    struct claims all; /* of all restored sections */
    char *work_dir;    /* the agent's own folder, links followed */
    uint32_t place;
    struct error *e;
};

enum found { FOUND_NONE, FOUND_DIR, FOUND_OTHER };

/* One name, in either folder. */
struct pair {
    char *name;
    enum found live, fresh;
};

struct pairs {
    struct pair *items;
    size_t count, cap;
};

/* ---- who owns what ---- */

static const struct snap_section *restored(const struct apply *a,
                                           const char *name)
{
    for (size_t i = 0; i < a->snap.section_count; i++) {
        const struct snap_section *s = &a->snap.sections[i];

        if (strcmp(s->name, name) == 0)
            return (s->chosen || s->clear) && !s->failed && !s->adds_only &&
                           (s->action == ACTION_COPY ||
                            s->action == ACTION_ADAPT)
                       ? s
                       : NULL;
    }
    return NULL;
}

static void claims_add(struct claims *c, struct claim claim)
{
    c->items = mem_grow(c->items, &c->cap, c->count + 1, sizeof(*c->items));
    c->items[c->count++] = claim;
}

static void claims_all(struct walk *w)
{
    const struct openclaw *o = &w->a->target;

    for (size_t i = 0; i < o->section_count; i++)
        for (size_t j = 0; restored(w->a, o->sections[i].name) &&
                           j < o->sections[i].root_count;
             j++)
            claims_add(&w->all, (struct claim){
                                    &o->sections[i].roots[j],
                                    target_real(o->sections[i].roots[j].path)});
}

static bool takes(const struct walk *w, const struct claim *c, const char *rel,
                  bool is_dir)
{
    char *at;
    bool only;

    if (c->root->choose &&
        c->root->choose(c->root->arg, rel, is_dir) == CAPTURE_SKIP)
        return false;
    if (is_dir || w->a->o->intention == INTENT_RESTORE)
        return true;
    /* what a clone or a move does not bring, it does not take away either */
    at = path_join(c->root->at, rel);
    only = section_restore_only(w->a->target.era, at);
    free(at);
    return !only;
}

/* Which claims of the folder above reach down to `path`? */
static void narrow(const struct walk *w, const struct claims *above,
                   const char *path, bool is_dir, struct claims *out)
{
    for (size_t i = 0; i < above->count; i++) {
        const struct claim *c = &above->items[i];
        size_t len = strlen(c->path);

        if (path_is_below(path, c->path) && path[len] &&
            takes(w, c, path + len + 1, is_dir))
            claims_add(out, *c);
    }
    for (size_t i = 0; i < w->all.count; i++)
        if (strcmp(w->all.items[i].path, path) == 0)
            claims_add(out, w->all.items[i]);
}

/* Claims at the top of a place: its own and those from above it. */
static void claims_at(const struct walk *w, const char *path, bool is_dir,
                      struct claims *out)
{
    for (size_t i = 0; i < w->all.count; i++) {
        const struct claim *c = &w->all.items[i];
        size_t len = strlen(c->path);
        bool good = path_is_below(path, c->path);
        char *part = mem_strdup(path);

        for (size_t n = len + 1; good && path[len] && n <= strlen(path); n++) {
            if (path[n] != '/' && path[n] != 0)
                continue;
            part[n] = 0;
            good = takes(w, c, part + len + 1, path[n] || is_dir);
            part[n] = path[n];
        }
        free(part);
        if (good)
            claims_add(out, *c);
    }
}

/* Never ours to move: our own folders, other places, other file systems. */
static bool is_foreign(const struct walk *w, const char *path, const char *name,
                       bool is_dir)
{
    const struct apply *a = w->a;

    if (text_has_prefix(name, ".ocm-stage-") ||
        text_has_prefix(name, ".ocm-old-") ||
        path_is_below(path, w->work_dir) ||
        (is_dir && target_is_mount(a, path)))
        return true;
    for (size_t i = 0; i < a->place_count; i++)
        if (i != w->place && strcmp(a->places[i].path, path) == 0)
            return true;
    return false;
}

/* Did the adaptation drop it? Then the target's own stays. */
static bool was_dropped(const struct walk *w, const char *path)
{
    uint32_t entry = target_find(w->a, path, true);

    return entry != SNAP_NONE && w->a->snap.entries[entry].flags & SNAP_GONE;
}

/* ---- listing ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct pair *)a)->name,
                  ((const struct pair *)b)->name);
}

static enum found kind_of(const char *dir, const char *name)
{
    char *path = path_join(dir, name);
    struct stat st;
    enum found kind = FOUND_NONE;

    if (lstat(path, &st) == 0)
        kind = S_ISDIR(st.st_mode) ? FOUND_DIR : FOUND_OTHER;
    free(path);
    return kind;
}

/* d_type saves a stat where the file system tells it. */
static enum found entry_kind(const char *dir, const struct dirent *d)
{
    if (d->d_type == DT_UNKNOWN)
        return kind_of(dir, d->d_name);
    return d->d_type == DT_DIR ? FOUND_DIR : FOUND_OTHER;
}

static int list(const char *dir, bool live, struct pairs *out, struct error *e)
{
    DIR *d = opendir(dir);
    const struct dirent *entry;
    size_t known = out->count;

    if (!d)
        return errno == ENOENT ? 0 : error_errno(e, "%s", dir);
    while ((entry = readdir(d)) != NULL) {
        struct pair key = {.name = (char *)(uintptr_t)entry->d_name}, *p;
        enum found kind;

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        kind = entry_kind(dir, entry);
        p = known ? bsearch(&key, out->items, known, sizeof(key), by_name)
                  : NULL;
        if (!p) {
            out->items = mem_grow(out->items, &out->cap, out->count + 1,
                                  sizeof(*out->items));
            p = &out->items[out->count++];
            *p = (struct pair){.name = mem_strdup(entry->d_name)};
        }
        *(live ? &p->live : &p->fresh) = kind;
    }
    closedir(d);
    if (out->count > 0)
        qsort(out->items, out->count, sizeof(*out->items), by_name);
    return 0;
}

static void pairs_free(struct pairs *p)
{
    for (size_t i = 0; i < p->count; i++)
        free(p->items[i].name);
    free(p->items);
}

static const struct pair *find(const struct pairs *p, const char *name)
{
    struct pair key = {.name = (char *)(uintptr_t)name};

    return p->count ? bsearch(&key, p->items, p->count, sizeof(key), by_name)
                    : NULL;
}

/* ---- ops ---- */

static struct swap_attr attr_of(const struct stat *st)
{
    return (struct swap_attr){.mode = st->st_mode & 07777,
                              .uid = st->st_uid,
                              .gid = st->st_gid,
                              .mtime_s = st->st_mtim.tv_sec,
                              .mtime_ns = st->st_mtim.tv_nsec};
}

static void add_entry(struct walk *w, const char *rel, const char *live,
                      bool has_live, bool has_fresh)
{
    struct swap_op op = {.kind = SWAP_ENTRY,
                         .place = w->place,
                         .rel = mem_strdup(rel),
                         .live = has_live,
                         .fresh = has_fresh};
    struct stat st;

    if (has_live && lstat(live, &st) == 0 && S_ISDIR(st.st_mode) &&
        !(st.st_mode & S_IWUSR))
        op.mode = st.st_mode & 07777;
    swap_add(w->out, op);
}

static void add_attr(struct walk *w, const char *rel, const char *live,
                     const char *fresh)
{
    struct swap_op op = {
        .kind = SWAP_ATTR, .place = w->place, .rel = mem_strdup(rel)};
    uint32_t entry = target_find(w->a, live, false);
    struct stat st;

    if (lstat(live, &st) == 0)
        op.before = attr_of(&st);
    if (entry != SNAP_NONE && w->a->snap.entries[entry].type == TREE_DIR &&
        lstat(fresh, &st) == 0) {
        op.set = true;
        op.after = attr_of(&st);
    }
    swap_add(w->out, op);
}

static void drop_ops(struct walk *w, size_t first)
{
    while (w->out->op_count > first)
        free(w->out->ops[--w->out->op_count].rel);
}

static const char *const sidecars[] = {"-wal", "-shm", "-journal"};

/* The database that `name` is a sidecar of; NULL when it is none. */
static char *database_of(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(sidecars); i++)
        if (text_has_suffix(name, sidecars[i]) &&
            strlen(name) > strlen(sidecars[i]))
            return mem_strndup(name, strlen(name) - strlen(sidecars[i]));
    return NULL;
}

static bool is_sqlite(const char *path)
{
    char head[16] = {0};
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    bool is = fd >= 0 && read(fd, head, sizeof(head)) == sizeof(head) &&
              memcmp(head, "SQLite format 3", sizeof(head)) == 0;

    if (fd >= 0)
        close(fd);
    return is;
}

/* Sidecars that the new database will get when it runs must not meet the old
 * one when the swap is undone. */
static void add_absent_sidecars(struct walk *w, const struct pairs *pairs,
                                const char *name, const char *rel,
                                const char *fresh)
{
    if (!is_sqlite(fresh))
        return;
    for (size_t i = 0; i < ARRAY_LEN(sidecars); i++) {
        char *other = mem_printf("%s%s", name, sidecars[i]);
        char *path = mem_printf("%s%s", rel, sidecars[i]);

        if (!find(pairs, other))
            add_entry(w, path, path, false, false);
        free(other);
        free(path);
    }
}

/* ---- the walk ---- */

static int walk_dir(struct walk *w, const char *rel, const char *live,
                    const char *fresh, const struct claims *claims, int depth,
                    bool *whole);

/* A write-ahead log goes where its database goes. */
static bool follows_database(const struct walk *w, const struct pairs *pairs,
                             const struct pair *p, const char *live,
                             const struct claims *claims)
{
    char *base = database_of(p->name);
    const struct pair *db = base ? find(pairs, base) : NULL;
    bool follows = db && db->fresh == FOUND_OTHER;

    if (db && !follows && db->live == FOUND_OTHER) {
        char *path = database_of(live);
        struct claims own = {0};

        narrow(w, claims, path, false, &own);
        follows = own.count > 0 && !was_dropped(w, path);
        free(own.items);
        free(path);
    }
    free(base);
    return follows;
}

/* A file or link of the target. Sets *whole to false when it stays. */
static void walk_file(struct walk *w, const struct pairs *pairs,
                      const struct pair *p, const char *rel, const char *live,
                      const char *fresh, bool owned, bool *whole)
{
    if (p->fresh == FOUND_NONE && (!owned || was_dropped(w, live))) {
        *whole = false;
        return;
    }
    add_entry(w, rel, live, true, p->fresh != FOUND_NONE);
    if (p->fresh == FOUND_OTHER)
        add_absent_sidecars(w, pairs, p->name, rel, fresh);
}

static int walk_pair(struct walk *w, const struct pairs *pairs,
                     const struct pair *p, const char *rel, const char *live,
                     const char *fresh, const struct claims *claims, int depth,
                     bool *whole)
{
    struct claims own = {0};
    bool all = false;
    int rc = 0;

    if (p->live == FOUND_NONE) {
        add_entry(w, rel, live, false, true);
        if (p->fresh == FOUND_OTHER)
            add_absent_sidecars(w, pairs, p->name, rel, fresh);
        return 0;
    }
    if (is_foreign(w, live, p->name, p->live == FOUND_DIR)) {
        *whole = false;
        return p->fresh == FOUND_NONE
                   ? 0
                   : error_set(w->e, OCM_E_EXISTS,
                               "%s is not to be replaced: another file "
                               "system or a folder of the agent",
                               live);
    }
    narrow(w, claims, live, p->live == FOUND_DIR, &own);
    if (p->live != FOUND_DIR) {
        bool owned =
            own.count > 0 || follows_database(w, pairs, p, live, claims);

        walk_file(w, pairs, p, rel, live, fresh, owned, whole);
    } else {
        rc = walk_dir(w, rel, live, p->fresh == FOUND_DIR ? fresh : NULL, &own,
                      depth + 1, &all);
        if (rc == 0 && all)
            add_entry(w, rel, live, true, p->fresh != FOUND_NONE);
        else
            *whole = false;
        if (rc == 0 && !all && p->fresh == FOUND_OTHER)
            rc = error_set(w->e, OCM_E_EXISTS,
                           "%s is a folder with files outside the chosen "
                           "sections, the backup has a file there: move it "
                           "away",
                           live);
    }
    free(own.items);
    return rc;
}

/* Locks of a gateway that is down, in the state directory's tmp/. */
static void drop_locks(struct walk *w, const char *rel, const char *live)
{
    struct pairs pairs = {0};

    list(live, true, &pairs, NULL);
    for (size_t i = 0; i < pairs.count; i++) {
        char *sub = path_join(rel, pairs.items[i].name);
        char *path = path_join(live, pairs.items[i].name);

        if (text_has_prefix(pairs.items[i].name, "openclaw"))
            add_entry(w, sub, path, true, false);
        free(sub);
        free(path);
    }
    pairs_free(&pairs);
}

/* Ops for one folder of the target. *whole: it may go as one, and then its
 * own ops are left away. `fresh` NULL: nothing comes here. */
static int walk_dir(struct walk *w, const char *rel, const char *live,
                    const char *fresh, const struct claims *claims, int depth,
                    bool *whole)
{
    size_t first = w->out->op_count;
    struct pairs pairs = {0};
    int rc = list(live, true, &pairs, w->e);

    *whole = claims->count > 0;
    if (rc == 0 && fresh)
        rc = list(fresh, false, &pairs, w->e);
    if (depth > SET_MAX_DEPTH)
        rc = error_set(w->e, OCM_E_LIMIT, "%.80s...: folders too deep", live);
    for (size_t i = 0; rc == 0 && i < pairs.count; i++) {
        const struct pair *p = &pairs.items[i];
        char *sub = path_join(rel, p->name);
        char *sub_live = path_join(live, p->name);
        char *sub_fresh = path_join(fresh ? fresh : "", p->name);

        rc = walk_pair(w, &pairs, p, sub, sub_live, sub_fresh, claims, depth,
                       whole);
        free(sub);
        free(sub_live);
        free(sub_fresh);
    }
    pairs_free(&pairs);
    if (rc < 0)
        return rc;
    if (*whole) {
        drop_ops(w, first);
    } else {
        if (strcmp(rel, "tmp") == 0 &&
            strcmp(w->a->places[w->place].path, w->a->state_real) == 0)
            drop_locks(w, rel, live);
        if (fresh || w->out->op_count > first)
            add_attr(w, rel, live, fresh ? fresh : live);
    }
    return 0;
}

static void add_missing_parents(struct walk *w, const char *path)
{
    char *dir = mem_strdup(path), *slash = strrchr(dir, '/');

    if (slash != dir) {
        *slash = 0;
        if (!dir_exists(dir)) {
            add_missing_parents(w, dir);
            swap_add(w->out, (struct swap_op){.kind = SWAP_MKDIR,
                                              .rel = mem_strdup(dir)});
        }
    }
    free(dir);
}

static int walk_place(struct walk *w)
{
    const struct place *p = &w->a->places[w->place];
    char *fresh = mem_printf("%s/new/%s", w->a->stages[p->stage].dir, p->label);
    enum found live = kind_of(p->path, ""), new = kind_of(fresh, "");
    struct claims claims = {0};
    bool whole = false;
    int rc = 0;

    if (p->whole) {
        if (live == FOUND_NONE)
            add_missing_parents(w, p->path);
        add_entry(w, "", p->path, live != FOUND_NONE, true);
    } else if (live == FOUND_NONE && new != FOUND_NONE) {
        add_missing_parents(w, p->path);
        add_entry(w, "", p->path, false, true);
    } else if (live != FOUND_DIR && new != FOUND_NONE) {
        add_entry(w, "", p->path, true, true);
    } else if (live == FOUND_DIR && new == FOUND_OTHER) {
        rc = error_set(w->e, OCM_E_EXISTS,
                       "%s is a folder, the backup has a file there", p->path);
    } else if (live == FOUND_DIR) {
        claims_at(w, p->path, true, &claims);
        rc = walk_dir(w, "", p->path, new == FOUND_DIR ? fresh : NULL, &claims,
                      0, &whole);
        /* the place itself goes only for another one */
        if (rc == 0 && whole && new == FOUND_DIR)
            add_entry(w, "", p->path, true, true);
    }
    free(claims.items);
    free(fresh);
    return rc;
}

void swap_set_begin(const struct apply *a, struct swap *out)
{
    out->job = mem_strdup(a->o->job);
    out->state_dir = mem_strdup(a->conf.state_dir);
    out->config_path = mem_strdup(a->conf.config_path);
    for (size_t i = 0; i < a->stage_count; i++) {
        const struct stage *s = &a->stages[i];

        out->stages = mem_grow(out->stages, &out->stage_cap,
                               out->stage_count + 1, sizeof(*out->stages));
        out->stages[out->stage_count++] =
            (struct swap_stage){.parent = mem_strdup(s->parent),
                                .dir = mem_strdup(s->dir),
                                .kept = mem_strdup(s->kept)};
    }
    for (size_t i = 0; i < a->place_count; i++) {
        const struct place *p = &a->places[i];

        out->places = mem_grow(out->places, &out->place_cap,
                               out->place_count + 1, sizeof(*out->places));
        out->places[out->place_count++] =
            (struct swap_place){.live = mem_strdup(p->path),
                                .stage = mem_strdup(a->stages[p->stage].dir),
                                .label = mem_strdup(p->label)};
    }
}

int swap_set_fill(const struct apply *a, struct swap *out, struct error *e)
{
    struct walk w = {
        .a = a, .out = out, .work_dir = target_real(a->o->work_dir), .e = e};
    int rc = 0;

    claims_all(&w);
    for (w.place = 0; rc == 0 && w.place < a->place_count; w.place++)
        rc = walk_place(&w);
    for (size_t i = 0; i < w.all.count; i++)
        free(w.all.items[i].path);
    free(w.all.items);
    free(w.work_dir);
    return rc;
}
