/* SPDX-License-Identifier: MIT */
/* Content of the snapshot into the stage.
 *
 * For each file in order: is it on this node already, unchanged? then take it
 * from there; else announce its blobs, well ahead of reading them. A second
 * thread writes. What comes damaged or is missing costs its section: the
 * blobs announced for it are still read, to stay in step, and thrown away. */
#include "agent/apply/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/apply/fault.h"
#include "agent/apply/writer.h"
#include "common/base/files.h"
#include "common/base/mem.h"

/* Sizes up to which a file is looked at for the plan; the state database
 * always is. */
#define LOOK_CONFIG_MAX (256u * 1024 * 1024)
#define LOOK_TEXT_MAX (256u * 1024)
#define LOOK_TEXT_TOTAL (16u * 1024 * 1024)

#define AHEAD_FILES 2048
#define AHEAD_IDS 4096
#define AHEAD_LOCAL (2u * 1024 * 1024) /* bytes taken from this node */

/* A file between its announcement and its writing. */
struct pending {
    uint32_t entry;
    uint8_t *local; /* its content, found on this node; or NULL */
};

struct fetch_run {
    struct apply *a;
    struct writer *w;
    const uint32_t *files;
    size_t count;
    size_t announced, done; /* of files */
    size_t ids;             /* announced and not read */
    size_t local_bytes;     /* in `ring` */
    struct pending ring[AHEAD_FILES];
    struct id *wanted; /* to be announced together */
    size_t wanted_count, wanted_cap;
    uint32_t parent; /* of the folder the writer has open */
    uint32_t place;
    bool have_dir;
};

/* ---- which files ---- */

static bool is_looked_at(const struct snap *s, const struct snap_entry *n,
                         enum file_kind kind, uint64_t *text_left)
{
    bool config =
        strcmp(s->sections[s->roots[n->root].section].area, "config") == 0;

    switch (kind) {
    case KIND_OPAQUE:
    case KIND_AGENT_DB:
        return false;
    case KIND_OTHER_DB:
    case KIND_JSONL:
        return config && n->size <= LOOK_CONFIG_MAX;
    case KIND_TEXT:
        if (n->size > LOOK_TEXT_MAX || n->size > *text_left)
            return false;
        *text_left -= n->size;
        return true;
    case KIND_STATE_DB:
        return true;
    case KIND_CONFIG:
    case KIND_JSON:
    case KIND_YAML:
    case KIND_ENV:
    case KIND_UNIT:
    case KIND_CRONTAB:
        break;
    }
    return n->size <= LOOK_CONFIG_MAX;
}

/* What is not looked at comes as it is: for another node that must be said
 * where it would have been edited. */
static void warn_of_size(struct apply *a, const struct snap_entry *n,
                         enum file_kind kind, const char *at)
{
    if (a->o->intention == INTENT_RESTORE || n->size <= LOOK_CONFIG_MAX ||
        (kind != KIND_CONFIG && kind != KIND_JSON && kind != KIND_YAML &&
         kind != KIND_ENV))
        return;
    plan_warn(&a->out->plan, "not-adapted", true,
              a->snap.sections[a->snap.roots[n->root].section].name, at, "",
              "larger than %u bytes: leave the section out, or choose another "
              "backup",
              LOOK_CONFIG_MAX);
}

void fetch_mark(struct apply *a)
{
    struct snap *s = &a->snap;
    uint64_t text_left = LOOK_TEXT_TOTAL;
    struct buf at = {0};

    for (uint32_t i = 1; i < s->count; i++) {
        struct snap_entry *n = &s->entries[i];
        enum file_kind kind;

        if (n->root == SNAP_NONE)
            continue;
        buf_clear(&at);
        snap_path(s, i, &at);
        kind = section_file_kind(s->era, buf_str(&at));
        if (s->sections[s->roots[n->root].section].rows_only &&
            (n->type != TREE_FILE || kind != KIND_STATE_DB))
            n->flags |= SNAP_GONE;
        if (n->type != TREE_FILE)
            continue;
        if (a->o->intention != INTENT_RESTORE &&
            section_restore_only(s->era, buf_str(&at)))
            n->flags |= SNAP_GONE;
        else if (is_looked_at(s, n, kind, &text_left))
            n->flags |= SNAP_LOOK;
        else if (kind == KIND_AGENT_DB || kind == KIND_OTHER_DB)
            n->flags |= SNAP_CHECK;
        else
            warn_of_size(a, n, kind, buf_str(&at));
    }
    buf_free(&at);
}

/* ---- one list of files ---- */

/* The file's content if this node has it already: same size, same SHA-256.
 * Only files of one blob: of others the blobs' borders are not known here. */
static uint8_t *find_local(const struct apply *a, uint32_t entry)
{
    const struct snap_entry *n = &a->snap.entries[entry];
    struct buf path = {0};
    uint8_t *p = NULL;
    struct stat st;
    struct id id;
    int fd;

    if (n->id_count != 1 || n->size == 0 || n->size > CHUNK_MAX ||
        !a->places[n->place].exists)
        return NULL;
    target_path(a, entry, &path);
    fd = open(buf_str(&path), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    buf_free(&path);
    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
        (uint64_t)st.st_size == n->size) {
        p = mem_alloc((size_t)n->size);
        if (fd_pread_all(fd, p, (size_t)n->size, 0) == 0)
            id = digest_of(p, (size_t)n->size);
        else
            memset(&id, 0, sizeof(id));
        if (!id_equal(&id, n->ids)) {
            free(p);
            p = NULL;
        }
    }
    close(fd);
    return p;
}

static int announce(struct fetch_run *r, struct error *e)
{
    const struct apply_source *src = &r->a->o->source;
    int rc = 0;

    while (r->announced < r->count && r->ids < AHEAD_IDS &&
           r->announced - r->done < AHEAD_FILES &&
           r->local_bytes < AHEAD_LOCAL) {
        uint32_t entry = r->files[r->announced];
        const struct snap_entry *n = &r->a->snap.entries[entry];
        struct pending *p = &r->ring[r->announced % AHEAD_FILES];

        *p = (struct pending){.entry = entry, .local = find_local(r->a, entry)};
        r->announced++;
        if (p->local) {
            r->local_bytes += (size_t)n->size;
            continue;
        }
        r->wanted = mem_grow(r->wanted, &r->wanted_cap,
                             r->wanted_count + n->id_count, sizeof(*r->wanted));
        if (n->id_count > 0)
            memcpy(r->wanted + r->wanted_count, n->ids,
                   n->id_count * sizeof(*n->ids));
        r->wanted_count += n->id_count;
        r->ids += n->id_count;
    }
    if (r->wanted_count > 0)
        rc = src->want(src->arg, r->wanted, r->wanted_count, e);
    r->wanted_count = 0;
    return rc;
}

static int open_dir(struct fetch_run *r, uint32_t entry, struct error *e)
{
    const struct snap_entry *n = &r->a->snap.entries[entry];
    int fd;

    if (r->have_dir && r->parent == n->parent && r->place == n->place &&
        !(n->flags & SNAP_BASE))
        return 0;
    fd = stage_open_parent(r->a, entry);
    if (fd < 0) {
        errno = -fd;
        return error_errno(e, "stage folder of %s", n->name);
    }
    r->have_dir = !(n->flags & SNAP_BASE);
    r->parent = n->parent;
    r->place = n->place;
    return writer_dir(r->w, fd, e);
}

static void fail_entry(struct fetch_run *r, uint32_t entry, const char *why)
{
    const struct snap *s = &r->a->snap;
    struct buf text = {0};

    snap_path(s, entry, &text);
    buf_printf(&text, ": %s", why);
    apply_fail_section(r->a, s->roots[s->entries[entry].root].section,
                       buf_str(&text));
    buf_free(&text);
}

/* The next announced blob. One that is damaged or missing fails the entry's
 * section, once; then *p is NULL and the others are read all the same. */
static int next_blob(struct fetch_run *r, uint32_t entry, uint32_t i,
                     const uint8_t **p, size_t *len, bool *good,
                     struct error *e)
{
    const struct apply_source *src = &r->a->o->source;
    const struct snap_entry *n = &r->a->snap.entries[entry];
    struct error why = {0};
    int rc;

    if (apply_cancelled(r->a, e))
        return OCM_E_CANCELLED;
    rc = src->read(src->arg, &n->ids[i], BLOB_DATA, p, len, &why);
    r->ids--;
    if (rc < 0 && apply_costs_a_section(rc)) {
        if (*good)
            fail_entry(r, entry, why.text);
        *good = false;
        *p = NULL;
        *len = 0;
        return 0;
    }
    if (rc < 0 && e)
        *e = why;
    r->a->bytes_done += rc < 0 ? 0 : *len;
    return rc;
}

static void size_is_wrong(struct fetch_run *r, uint32_t entry, bool *good)
{
    if (*good)
        fail_entry(r, entry, "its size does not fit its content");
    *good = false;
}

/* A file of one blob, or of none. */
static int copy_small(struct fetch_run *r, uint32_t entry, struct error *e)
{
    const struct snap_entry *n = &r->a->snap.entries[entry];
    bool good = !apply_is_out(r->a, n);
    const uint8_t *p = NULL;
    size_t len = 0;
    int rc = n->id_count > 0 ? next_blob(r, entry, 0, &p, &len, &good, e) : 0;

    if (rc == 0 && len != n->size)
        size_is_wrong(r, entry, &good);
    if (rc < 0 || !good)
        return rc;
    rc = open_dir(r, entry, e);
    return rc < 0 ? rc
                  : writer_file(r->w, entry, (uint8_t *)(uintptr_t)p, len,
                                false, e);
}

static int copy_large(struct fetch_run *r, uint32_t entry, struct error *e)
{
    const struct snap_entry *n = &r->a->snap.entries[entry];
    bool good = !apply_is_out(r->a, n), write = good;
    uint64_t got = 0;
    int rc = write ? open_dir(r, entry, e) : 0;

    if (rc == 0 && write)
        rc = writer_begin(r->w, entry, e);
    for (uint32_t i = 0; rc == 0 && i < n->id_count; i++) {
        const uint8_t *p;
        size_t len;

        rc = next_blob(r, entry, i, &p, &len, &good, e);
        got += rc < 0 ? 0 : len;
        if (rc == 0 && got > n->size)
            size_is_wrong(r, entry, &good);
        if (rc == 0 && write && good)
            rc = writer_data(r->w, p, len, e);
    }
    if (rc == 0 && got != n->size)
        size_is_wrong(r, entry, &good);
    return rc == 0 && write ? writer_finish(r->w, good, e) : rc;
}

static int copy_local(struct fetch_run *r, struct pending *p, struct error *e)
{
    const struct snap_entry *n = &r->a->snap.entries[p->entry];
    uint8_t *content = p->local;
    int rc;

    p->local = NULL;
    r->local_bytes -= (size_t)n->size;
    r->a->bytes_done += n->size;
    rc = apply_is_out(r->a, n) ? 1 : open_dir(r, p->entry, e);
    if (rc != 0) {
        free(content);
        return rc < 0 ? rc : 0;
    }
    return writer_file(r->w, p->entry, content, (size_t)n->size, true, e);
}

static int copy_file(struct fetch_run *r, struct pending *p, struct error *e)
{
    const struct snap_entry *n = &r->a->snap.entries[p->entry];
    int rc;

    if (p->local)
        rc = copy_local(r, p, e);
    else if (n->id_count <= 1)
        rc = copy_small(r, p->entry, e);
    else
        rc = copy_large(r, p->entry, e);
    r->a->files_done++;
    apply_say(r->a, "stage", n->name);
    return rc;
}

static int copy_files(struct apply *a, const uint32_t *files, size_t count,
                      struct error *e)
{
    struct fetch_run *r = mem_zalloc(sizeof(*r));
    struct error why = {0};
    int rc = 0, end;

    *r = (struct fetch_run){
        .a = a, .files = files, .count = count, .w = writer_new(a)};
    if (!r->w) {
        free(r);
        return error_set(e, OCM_E_FAILED, "no thread for writing");
    }
    while (rc == 0 && r->done < count) {
        if (r->announced == r->done || r->ids < AHEAD_IDS / 2)
            rc = announce(r, e);
        if (rc == 0)
            rc = copy_file(r, &r->ring[r->done % AHEAD_FILES], e);
        if (rc == 0)
            r->done++;
    }
    for (size_t i = r->done; i < r->announced; i++)
        free(r->ring[i % AHEAD_FILES].local);
    end = writer_end(r->w, &why);
    if (end < 0) { /* the cause, where `rc` is only its echo */
        rc = end;
        if (e)
            *e = why;
    }
    for (size_t i = 0; rc == 0 && i < count; i++)
        if (!apply_is_out(a, &a->snap.entries[files[i]]))
            a->snap.entries[files[i]].flags |= SNAP_STAGED;
    free(r->wanted);
    free(r);
    return rc;
}

static bool is_content(const struct snap_entry *n)
{
    return n->type == TREE_FILE && n->root != SNAP_NONE &&
           !(n->flags & (SNAP_STAGED | SNAP_GONE | SNAP_LINKED));
}

static int copy_where(struct apply *a, uint8_t flag, struct error *e)
{
    const struct snap *s = &a->snap;
    uint32_t *files = mem_array(s->count + 1, sizeof(*files));
    size_t count = 0;
    int rc;

    for (uint32_t i = 1; i < s->count; i++)
        if (is_content(&s->entries[i]) && !apply_is_out(a, &s->entries[i]) &&
            (s->entries[i].flags & SNAP_LOOK) == flag)
            files[count++] = i;
    rc = copy_files(a, files, count, e);
    free(files);
    return rc;
}

/* A further name of a file whose first one does not come here is the first one
 * in its place; one whose first name goes to another file system is a file of
 * its own. */
static void split_links(struct apply *a)
{
    struct snap *s = &a->snap;

    for (uint32_t i = 1; i < s->count; i++) {
        struct snap_entry *n = &s->entries[i], *first;

        if (!(n->flags & SNAP_LINKED) || n->flags & SNAP_GONE)
            continue;
        first = &s->entries[n->leader];
        if (first->flags & SNAP_GONE && first->leader == SNAP_NONE) {
            first->leader = i;
            n->flags &= (uint8_t)~SNAP_LINKED;
            continue;
        }
        if (first->flags & SNAP_GONE) {
            n->leader = first->leader;
            first = &s->entries[n->leader];
        }
        if (a->places[first->place].stage != a->places[n->place].stage)
            n->flags &= (uint8_t)~SNAP_LINKED;
    }
}

int fetch_look(struct apply *a, struct error *e)
{
    split_links(a);
    return copy_where(a, SNAP_LOOK, e);
}

/* ---- all the rest ---- */

/* A folder or symbolic link `name` in the staged folder `dir`. */
static int make_child(struct apply *a, uint32_t entry, int dir, struct error *e)
{
    const struct snap_entry *n = &a->snap.entries[entry];
    const char *name = stage_name(a, entry);

    if (n->type == TREE_DIR) {
        /* sections may share a folder, never anything else */
        if (mkdirat(dir, name, 0700) < 0 && errno != EEXIST)
            return error_errno(e, "staging the folder %s", n->name);
        return 0;
    }
    if (symlinkat(n->linktarget, dir, name) < 0)
        return error_errno(e, "staging the link %s", n->name);
    return attr_set_link(a, n, dir, name, e);
}

/* Folders and symbolic links below the folder `dir`. */
static int make_children(struct apply *a, uint32_t dir, struct error *e)
{
    const struct snap *s = &a->snap;
    const struct snap_entry *d = &s->entries[dir];
    int shared = -1, rc = 0;

    for (uint32_t i = d->first; rc == 0 && i < d->first + d->count; i++) {
        const struct snap_entry *n = &s->entries[i];
        bool alone = n->flags & SNAP_BASE || n->place != d->place;
        int fd = alone ? -1 : shared;

        if (n->type == TREE_FILE || n->root == SNAP_NONE || apply_is_out(a, n))
            continue;
        if (fd < 0)
            fd = stage_open_parent(a, i);
        if (fd < 0) {
            errno = -fd;
            rc = error_errno(e, "staging %s", n->name);
            break;
        }
        rc = make_child(a, i, fd, e);
        if (alone)
            close(fd);
        else
            shared = fd;
    }
    if (shared >= 0)
        close(shared);
    return rc;
}

static int make_link(struct apply *a, uint32_t entry, struct error *e)
{
    const struct snap_entry *n = &a->snap.entries[entry];
    int from = stage_open_parent(a, n->leader);
    int to = stage_open_parent(a, entry);
    int rc = 0;

    if (from < 0 || to < 0)
        rc = error_set(e, OCM_E_FAILED, "staging the link %s failed", n->name);
    else if (linkat(from, stage_name(a, n->leader), to, stage_name(a, entry),
                    0) < 0)
        rc = error_errno(e, "staging the link %s", n->name);
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
    return rc;
}

int fetch_attributes_of(struct apply *a, uint32_t entry, struct error *e)
{
    const struct snap_entry *n = &a->snap.entries[entry];
    int dir = stage_open_parent(a, entry), fd, rc;

    if (dir < 0)
        return error_set(e, OCM_E_FAILED, "the stage folder of %s is gone",
                         n->name);
    fd = open_beneath(dir, stage_name(a, entry),
                      O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
    close(dir);
    if (fd < 0) {
        errno = -fd;
        return error_errno(e, "attributes of %s", n->name);
    }
    rc = attr_set_fd(a, n, fd, e);
    close(fd);
    return rc;
}

int fetch_rest(struct apply *a, struct error *e)
{
    const struct snap *s = &a->snap;
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < s->count; i++)
        if (s->entries[i].type == TREE_DIR)
            rc = make_children(a, i, e);
    apply_point();
    if (rc == 0)
        rc = copy_where(a, 0, e);
    apply_point();
    for (size_t i = 0; rc == 0 && i < s->section_count; i++)
        if (s->sections[i].failed)
            stage_drop_section(a, i);
    for (uint32_t i = 1; rc == 0 && i < s->count; i++)
        if (s->entries[i].flags & SNAP_LINKED &&
            !apply_is_out(a, &s->entries[i]) &&
            !apply_is_out(a, &s->entries[s->entries[i].leader]))
            rc = make_link(a, i, e);
    return rc;
}

int fetch_attributes(struct apply *a, struct error *e)
{
    const struct snap *s = &a->snap;
    int rc = 0;

    /* folders after what is in them: their times change with every entry */
    for (uint32_t i = (uint32_t)s->count; rc == 0 && i-- > 1;) {
        const struct snap_entry *n = &s->entries[i];

        if (n->root != SNAP_NONE && !apply_is_out(a, n) &&
            (n->type == TREE_DIR ||
             (n->flags & (SNAP_LOOK | SNAP_CHECK) && n->flags & SNAP_STAGED)))
            rc = fetch_attributes_of(a, i, e);
    }
    return rc;
}
