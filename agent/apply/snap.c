/* SPDX-License-Identifier: MIT */
/* Trees of a snapshot into a flat array of entries.
 *
 * The folders known so far form the frontier; they are announced in batches
 * and read in order, each appending its children, until no folder is left.
 * Breadth first, so a snapshot costs as many round trips as it is deep. */
#include "agent/apply/snap.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/mem.h"
#include "common/base/text.h"

#define SNAP_BLOCK (256u * 1024)
#define SNAP_BATCH 1024
#define SHOWN_MAX 200        /* bytes of a path in a reason */
#define SNAP_MAX_WARNINGS 50 /* of one kind; then one line for all others */

struct snap_block {
    struct snap_block *next;
    size_t used, cap;
    max_align_t data[];
};

enum warned { WARN_SPECIAL, WARN_SETUID, WARN_LINK };

struct walk {
    struct snap *s;
    const struct apply_source *src;
    enum intention intention;
    const atomic_bool *cancelled;
    struct plan *plan;
    uint32_t *dirs; /* the frontier */
    size_t dir_count, dir_cap;
};

/* Bytes of any alignment, so that names and ids lie close. */
static void *alloc_bytes(struct snap *s, size_t len)
{
    struct snap_block *b = s->blocks;

    if (!b || b->cap - b->used < len) {
        size_t cap = len > SNAP_BLOCK ? len : SNAP_BLOCK;

        b = mem_alloc(sizeof(*b) + cap);
        *b = (struct snap_block){.next = s->blocks, .cap = cap};
        s->blocks = b;
    }
    b->used += len;
    return (char *)b->data + b->used - len;
}

void *snap_alloc(struct snap *s, size_t len)
{
    size_t align = sizeof(max_align_t);
    char *p = alloc_bytes(s, len + align - 1);

    return p + (align - (uintptr_t)p % align) % align;
}

static char *keep_str(struct snap *s, const char *p, size_t len)
{
    char *copy = alloc_bytes(s, len + 1);

    memcpy(copy, p, len);
    copy[len] = 0;
    return copy;
}

void snap_fini(struct snap *s)
{
    for (struct snap_block *b = s->blocks, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    for (size_t i = 0; i < s->root_count; i++) {
        free(s->roots[i].at);
        free(s->roots[i].path);
        free(s->roots[i].target);
        free(s->roots[i].shown);
        free(s->roots[i].rel);
    }
    for (size_t i = 0; i < s->section_count; i++)
        free(s->sections[i].failed);
    free(s->roots);
    free(s->sections);
    free(s->entries);
    facts_fini(&s->facts);
    *s = (struct snap){0};
}

void snap_fail_section(struct snap *s, size_t section, const char *why,
                       struct plan *plan)
{
    struct snap_section *x = &s->sections[section];

    if (x->failed)
        return;
    x->failed = mem_strdup(why);
    plan_warn(plan, "damaged", false, x->name, "", "",
              "%s: the section stays as it is on this node", why);
}

void snap_path(const struct snap *s, uint32_t entry, struct buf *out)
{
    const struct snap_entry *n = &s->entries[entry];

    if (entry == 0)
        return;
    snap_path(s, n->parent, out);
    if (n->parent != 0)
        buf_add_byte(out, '/');
    buf_add(out, n->name, n->name_len);
}

uint32_t snap_child(const struct snap *s, uint32_t dir, const char *name,
                    size_t len)
{
    const struct snap_entry *d = &s->entries[dir];
    uint32_t low = 0, high = d->count;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        const struct snap_entry *n = &s->entries[d->first + mid];
        size_t shorter = n->name_len < len ? n->name_len : len;
        int order = memcmp(n->name, name, shorter);

        if (order == 0 && n->name_len == len)
            return d->first + mid;
        if (order < 0 || (order == 0 && n->name_len < len))
            low = mid + 1;
        else
            high = mid;
    }
    return SNAP_NONE;
}

/* ---- policy ---- */

static void warn(struct walk *w, enum warned kind, const char *code,
                 uint32_t root, const char *path, const char *text)
{
    const struct snap *s = w->s;
    const char *section = s->sections[s->roots[root].section].name;
    struct buf shown = {0};

    if (w->s->warned[kind]++ >= SNAP_MAX_WARNINGS)
        return;
    if (w->s->warned[kind] == SNAP_MAX_WARNINGS)
        text = "and further ones like it";
    text_escape(&shown, path, strlen(path));
    plan_warn(w->plan, code, false, section, buf_str(&shown), "", "%s", text);
    buf_free(&shown);
}

/* Does the link at `rel` (below its root) lead out of the root, by its text? */
static bool link_leaves(const struct snap_root *r, const char *rel,
                        const char *target)
{
    char *full, *clean;
    bool out;

    if (target[0] == '/') {
        clean = path_clean(target);
        out = !path_is_below(clean, r->path) || !r->target ||
              !path_is_below(clean, r->target);
        free(clean);
        return out;
    }
    /* resolved below a root that ".." cannot climb out of unnoticed */
    full = mem_printf("%s/%s/../%s", r->path, rel, target);
    clean = path_clean(full);
    out = !clean || !path_is_below(clean, r->path);
    free(clean);
    free(full);
    return out;
}

/* May the entry be restored? Warns when not. */
static bool kind_is_fine(struct walk *w, uint32_t root, const char *path,
                         const struct tree_node *n)
{
    static const char *const reasons[] = {
        [TREE_DEV] = "a block device is not restored",
        [TREE_CHARDEV] = "a character device is not restored",
        [TREE_FIFO] = "a FIFO is not restored",
        [TREE_SOCKET] = "a socket is not restored",
        [TREE_OTHER] = "an entry of unknown kind is not restored",
    };

    if (n->type == TREE_FILE || n->type == TREE_DIR || n->type == TREE_SYMLINK)
        return true;
    warn(w, WARN_SPECIAL, "special-file", root, path, reasons[n->type]);
    return false;
}

static mode_t safe_mode(struct walk *w, uint32_t root, const char *path,
                        const struct tree_node *n)
{
    mode_t mode = n->mode & 07777;

    if (w->intention == INTENT_RESTORE || !(mode & (S_ISUID | S_ISGID)))
        return mode;
    if (n->type == TREE_FILE)
        warn(w, WARN_SETUID, "setuid", root, path,
             "restored without its setuid and setgid bits");
    return mode & (mode_t) ~(S_ISUID | S_ISGID);
}

/* ---- the walk ---- */

/* "config", "config/<chosen section>": are there rows below? */
static bool leads_to_rows(const struct snap *s, const char *path)
{
    if (strcmp(path, "config") == 0)
        return true;
    for (size_t i = 0; i < s->section_count; i++)
        if (s->sections[i].chosen && text_has_prefix(path, "config/") &&
            strcmp(path + 7, s->sections[i].name) == 0)
            return true;
    return false;
}

/* The root of a child, SNAP_NONE for a folder on the way to one; false when
 * the child is of no interest. A folder within a root that only leads to
 * another one was no folder of the node: capture gives it no time. */
static bool child_root(const struct snap *s, const struct snap_entry *dir,
                       const char *path, const struct tree_node *n,
                       uint32_t *root)
{
    bool leads = false, on_the_way = false;

    *root = dir->root;
    if (dir->root != SNAP_NONE && !s->roots[dir->root].nested)
        return true;
    for (uint32_t i = 0; i < s->root_count; i++) {
        if (strcmp(s->roots[i].at, path) == 0) {
            *root = i;
            return s->roots[i].wanted;
        }
        leads = path_is_below(s->roots[i].at, path);
        on_the_way |= leads && s->roots[i].wanted;
        if (leads && n->type == TREE_DIR && n->mtime_ns == 0)
            *root = SNAP_NONE;
    }
    return *root != SNAP_NONE || on_the_way ||
           (dir->depth < 2 && leads_to_rows(s, path));
}

/* "config/<section>/rows": rows of a database as text, for people; the
 * database itself is part of another section. */
static bool is_rows(struct snap *s, const char *path)
{
    for (size_t i = 0; i < s->section_count; i++) {
        const char *name = s->sections[i].name;
        size_t len = strlen(name);

        if (text_has_prefix(path, "config/") &&
            strncmp(path + 7, name, len) == 0 &&
            strcmp(path + 7 + len, "/rows") == 0)
            return s->sections[i].has_rows = true;
    }
    return false;
}

static void keep_attributes(struct snap *s, struct snap_entry *n,
                            const struct tree_node *from)
{
    for (size_t i = from->xattr_count; i-- > 0;) {
        struct snap_xattr *x = snap_alloc(s, sizeof(*x));
        uint8_t *value = alloc_bytes(s, from->xattrs[i].value_len + 1);

        memcpy(value, from->xattrs[i].value, from->xattrs[i].value_len);
        *x = (struct snap_xattr){
            .name =
                keep_str(s, from->xattrs[i].name, strlen(from->xattrs[i].name)),
            .value = value,
            .len = from->xattrs[i].value_len,
            .next = n->xattrs,
        };
        n->xattrs = x;
    }
    if (from->type == TREE_SYMLINK)
        n->linktarget = keep_str(s, from->linktarget, strlen(from->linktarget));
    n->id_count = from->type == TREE_DIR ? 1 : (uint32_t)from->content_count;
    if (n->id_count > 0) {
        struct id *ids = alloc_bytes(s, n->id_count * sizeof(*ids));

        memcpy(ids, from->type == TREE_DIR ? &from->subtree : from->content,
               n->id_count * sizeof(*ids));
        n->ids = ids;
    }
}

static int add_child(struct walk *w, uint32_t dir, uint32_t root,
                     const char *path, const struct tree_node *from,
                     struct error *e)
{
    struct snap *s = w->s;
    struct snap_entry *n;

    if (s->count >= TREE_MAX_TOTAL)
        return error_set(e, OCM_E_LIMIT, "the backup has more than %d entries",
                         TREE_MAX_TOTAL);
    if (from->type == TREE_FILE &&
        (from->content_count > UINT32_MAX / 2 ||
         (from->content_count == 0) != (from->size == 0)))
        return error_set(e, OCM_E_DAMAGED,
                         "%s: its size does not fit its content", path);
    s->entries =
        mem_grow(s->entries, &s->cap, s->count + 1, sizeof(*s->entries));
    n = &s->entries[s->count++];
    *n = (struct snap_entry){
        .name = keep_str(s, from->name, from->name_len),
        .name_len = (uint32_t)from->name_len,
        .parent = dir,
        .root = root,
        .type = (uint8_t)from->type,
        .depth = (uint16_t)(s->entries[dir].depth + 1),
        .mode = root == SNAP_NONE ? 0700 : safe_mode(w, root, path, from),
        .uid = from->uid,
        .gid = from->gid,
        .mtime_ns = from->mtime_ns,
        .size = from->size,
        .inode = from->inode,
        .device_id = from->device_id,
        .flags = from->type == TREE_FILE && from->links > 1 ? SNAP_NAMES : 0,
        .leader = SNAP_NONE,
    };
    keep_attributes(s, n, from);
    if (root != SNAP_NONE && s->roots[root].entry == SNAP_NONE &&
        strcmp(s->roots[root].at, path) == 0)
        s->roots[root].entry = (uint32_t)(s->count - 1);
    return 0;
}

static void count_child(struct walk *w, uint32_t entry, const char *path)
{
    struct snap *s = w->s;
    struct snap_entry *n = &s->entries[entry];
    struct snap_root *r;
    const char *rel;

    if (n->type == TREE_DIR) {
        w->dirs =
            mem_grow(w->dirs, &w->dir_cap, w->dir_count + 1, sizeof(*w->dirs));
        w->dirs[w->dir_count++] = entry;
        return;
    }
    r = &s->roots[n->root];
    rel = path + strlen(r->at);
    if (n->type == TREE_SYMLINK && *rel == '/' &&
        link_leaves(r, rel + 1, n->linktarget))
        warn(w, WARN_LINK, "link-outside", n->root, path,
             "a symbolic link that points out of its root is restored as it "
             "is");
    s->sections[r->section].files++;
    s->sections[r->section].bytes += n->size;
}

static int add_children(struct walk *w, uint32_t dir, const struct tree *t,
                        struct error *e)
{
    struct snap *s = w->s;
    struct buf path = {0};
    size_t base;
    int rc = 0;

    snap_path(s, dir, &path);
    if (path.len > 0)
        buf_add_byte(&path, '/');
    base = path.len;
    s->entries[dir].first = (uint32_t)s->count;
    for (size_t i = 0; rc == 0 && i < t->count; i++) {
        const struct tree_node *n = &t->nodes[i];
        const char *full;
        uint32_t root;

        path.len = base;
        buf_add(&path, n->name, n->name_len);
        full = buf_str(&path);
        if (i > 0 && (strcmp(t->nodes[i - 1].name, n->name) >= 0))
            rc =
                error_set(e, OCM_E_DAMAGED,
                          "%s: the names of its folder are not in order", full);
        else if (path.len > SNAP_MAX_PATH)
            rc = error_set(e, OCM_E_LIMIT, "%.80s...: the path is too long",
                           full);
        else if (s->entries[dir].depth >= SNAP_MAX_DEPTH)
            rc = error_set(e, OCM_E_LIMIT,
                           "%.80s...: folders deeper than %d levels", full,
                           SNAP_MAX_DEPTH);
        if (rc < 0)
            break;
        if ((s->entries[dir].depth == 2 && is_rows(s, full)) ||
            !child_root(s, &s->entries[dir], full, n, &root))
            continue;
        if (root == SNAP_NONE ? n->type != TREE_DIR
                              : !kind_is_fine(w, root, full, n))
            continue;
        rc = add_child(w, dir, root, full, n, e);
        if (rc == 0)
            count_child(w, (uint32_t)s->count - 1, full);
    }
    s->entries[dir].count = (uint32_t)(s->count - s->entries[dir].first);
    buf_free(&path);
    return rc;
}

/* What is broken below a root costs its section, not the snapshot. */
static bool costs_a_section(const struct snap *s, uint32_t dir, int rc)
{
    return s->entries[dir].root != SNAP_NONE && s->count < TREE_MAX_TOTAL &&
           (rc == OCM_E_DAMAGED || rc == OCM_E_MISSING ||
            rc == OCM_E_NOTFOUND || rc == OCM_E_LIMIT);
}

static int read_dir(struct walk *w, uint32_t dir, struct error *e)
{
    struct snap *s = w->s;
    struct tree tree = {0};
    struct error why = {0};
    const uint8_t *p;
    size_t len;
    int rc = w->src->read(w->src->arg, s->entries[dir].ids, BLOB_TREE, &p, &len,
                          &why);

    if (rc == 0)
        rc = tree_parse(p, len, &tree, &why);
    if (rc == 0)
        rc = add_children(w, dir, &tree, &why);
    tree_free(&tree);
    if (rc < 0 && costs_a_section(s, dir, rc)) {
        struct buf path = {0};

        snap_path(s, dir, &path);
        if (path.len > SHOWN_MAX) {
            path.len = SHOWN_MAX;
            buf_add_str(&path, "...");
        }
        buf_printf(&path, ": %s", why.text);
        snap_fail_section(s, s->roots[s->entries[dir].root].section,
                          buf_str(&path), w->plan);
        buf_free(&path);
        return 0;
    }
    if (rc < 0 && e)
        *e = why;
    return rc;
}

/* `count` folders of the frontier, which grows meanwhile. */
static int read_batch(struct walk *w, size_t first, size_t count,
                      struct error *e)
{
    struct id *ids = mem_array(count, sizeof(*ids));
    int rc;

    for (size_t i = 0; i < count; i++)
        ids[i] = *w->s->entries[w->dirs[first + i]].ids;
    rc = w->src->want(w->src->arg, ids, count, e);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (w->cancelled && atomic_load(w->cancelled))
            rc = error_set(e, OCM_E_CANCELLED, "cancelled");
        else
            rc = read_dir(w, w->dirs[first + i], e);
    }
    free(ids);
    return rc;
}

/* Same device and inode, same content: names of one file. Kept apart from
 * foreign sections, so that each can be restored alone. */
static int by_inode(const void *a, const void *b, void *arg)
{
    const struct snap *s = arg;
    const struct snap_entry *x = &s->entries[*(const uint32_t *)a];
    const struct snap_entry *y = &s->entries[*(const uint32_t *)b];
    size_t i = s->roots[x->root].section, j = s->roots[y->root].section;

    if (i != j)
        return i < j ? -1 : 1;
    if (x->device_id != y->device_id)
        return x->device_id < y->device_id ? -1 : 1;
    if (x->inode != y->inode)
        return x->inode < y->inode ? -1 : 1;
    return x < y ? -1 : x > y;
}

static bool same_content(const struct snap_entry *a, const struct snap_entry *b)
{
    return a->size == b->size && a->id_count == b->id_count &&
           (a->id_count == 0 ||
            memcmp(a->ids, b->ids, a->id_count * sizeof(*a->ids)) == 0);
}

static void find_links(struct snap *s)
{
    uint32_t *list = NULL, leader = SNAP_NONE;
    size_t count = 0, cap = 0;

    for (uint32_t i = 0; i < s->count; i++) {
        if (!(s->entries[i].flags & SNAP_NAMES))
            continue;
        list = mem_grow(list, &cap, count + 1, sizeof(*list));
        list[count++] = i;
    }
    if (count > 1)
        qsort_r(list, count, sizeof(*list), by_inode, s);
    for (size_t i = 0; i < count; i++) {
        struct snap_entry *n = &s->entries[list[i]];
        const struct snap_entry *l =
            leader == SNAP_NONE ? NULL : &s->entries[leader];

        if (l && s->roots[l->root].section == s->roots[n->root].section &&
            l->inode == n->inode && l->device_id == n->device_id &&
            same_content(l, n)) {
            n->flags |= SNAP_LINKED;
            n->leader = leader;
        } else {
            leader = list[i];
        }
    }
    free(list);
}

int snap_walk(struct snap *s, const struct apply_source *src,
              const struct id *root, enum intention intention,
              const atomic_bool *cancelled, struct plan *plan, struct error *e)
{
    struct walk w = {.s = s,
                     .src = src,
                     .intention = intention,
                     .cancelled = cancelled,
                     .plan = plan};
    int rc = 0;

    for (size_t i = 0; i < s->root_count; i++)
        for (size_t j = 0; j < s->root_count; j++)
            if (i != j && path_is_below(s->roots[j].at, s->roots[i].at))
                s->roots[i].nested = true;
    s->entries = mem_grow(s->entries, &s->cap, 1, sizeof(*s->entries));
    s->entries[0] = (struct snap_entry){.type = TREE_DIR,
                                        .root = SNAP_NONE,
                                        .leader = SNAP_NONE,
                                        .name = "",
                                        .id_count = 1};
    s->entries[0].ids =
        memcpy(alloc_bytes(s, sizeof(*root)), root, sizeof(*root));
    s->count = 1;
    w.dirs = mem_grow(w.dirs, &w.dir_cap, 1, sizeof(*w.dirs));
    w.dirs[w.dir_count++] = 0;
    for (size_t done = 0; rc == 0 && done < w.dir_count;) {
        size_t n = w.dir_count - done;

        n = n < SNAP_BATCH ? n : SNAP_BATCH;
        rc = read_batch(&w, done, n, e);
        done += n;
    }
    free(w.dirs);
    if (rc == 0)
        find_links(s);
    return rc;
}
