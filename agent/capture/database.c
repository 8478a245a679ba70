/* SPDX-License-Identifier: MIT */
/* When a database is copied, when the last backup's content still holds, and
 * how rows and their database stay one point in time.
 *
 * Unchanged means main file and -wal both look as they did just before the
 * copy was taken, so what is committed later shows next time. */
#include "agent/capture/database.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/capture/database_copy.h"
#include "common/base/log.h"
#include "common/base/mem.h"

static const struct attr *wal_of(const struct database_look *l)
{
    return l->has_wal ? &l->wal : NULL;
}

void sources_open(struct capture *c)
{
    size_t cap = 0;

    for (size_t i = 0; i < c->o->section_count; i++) {
        const struct capture_section *s = &c->o->sections[i];

        for (size_t k = 0; k < s->row_count && !s->skipped; k++) {
            const char *path = s->rows[k].database;
            struct database_look l;
            size_t n = 0;

            while (n < c->source_count && strcmp(c->sources[n].path, path) != 0)
                n++;
            if (n < c->source_count || database_look(path, &l) < 0)
                continue;
            c->sources = mem_grow(c->sources, &cap, n + 1, sizeof(*c->sources));
            c->sources[c->source_count++] =
                (struct source){.path = path, .main = l.main};
        }
    }
}

void sources_close(struct capture *c)
{
    for (size_t i = 0; i < c->source_count; i++) {
        if (c->sources[i].copy)
            unlink(c->sources[i].copy);
        free(c->sources[i].copy);
        free(c->sources[i].reason);
    }
    free(c->sources);
}

static struct source *source_of(struct capture *c, const struct attr *a)
{
    for (size_t i = 0; i < c->source_count; i++) {
        if (attr_same_inode(&c->sources[i].main, a))
            return &c->sources[i];
    }
    return NULL;
}

/* Copy `live` to a private file. 0 and `*copy`; STEP_NOTHING and `*reason`
 * when this database cannot be had; a code when the capture must end. */
static int make_copy(struct capture *c, const char *live,
                     struct database_look *seen, char **copy, char **reason,
                     struct error *e)
{
    struct database_limits limits = {.time_ms = c->o->database_ms,
                                     .wal_growth = c->o->wal_growth,
                                     .cancelled = c->o->cancelled};
    struct error why = {0};
    struct database_look after = {.has_wal = false};
    int rc;

    *copy = temp_path(c, "database");
    rc = database_copy(live, *copy, &limits, seen, &why);
    /* the name must not have come to mean another file meanwhile */
    if (rc == 0 && (database_look(live, &after) < 0 ||
                    !attr_same_inode(&seen->main, &after.main))) {
        unlink(*copy);
        rc = error_set(&why, OCM_E_CHANGED, "replaced while it was copied");
    }
    if (rc == 0)
        return 0;
    free(*copy);
    *copy = NULL;
    if (rc == OCM_E_CANCELLED || rc == OCM_E_SPACE)
        return error_set(e, rc, "%s: %s", live, why.text);
    *reason = mem_strdup(why.text);
    return STEP_NOTHING;
}

static int source_copy(struct capture *c, struct source *s, struct error *e)
{
    struct database_look seen;
    int rc;

    if (s->state == SOURCE_COPIED)
        return 0;
    if (s->state == SOURCE_FAILED)
        return STEP_NOTHING;
    rc = make_copy(c, s->path, &seen, &s->copy, &s->reason, e);
    if (rc < 0)
        return rc;
    s->state = rc == 0 ? SOURCE_COPIED : SOURCE_FAILED;
    if (rc == 0) {
        s->main = seen.main;
        s->has_wal = seen.has_wal;
        s->wal = seen.wal;
    }
    return rc;
}

/* How the database of `s` looks for this run: fixed by its first use. */
static struct database_look source_look(const struct source *s)
{
    return (struct database_look){
        .main = s->main, .wal = s->wal, .has_wal = s->has_wal};
}

static void source_decide(struct source *s, const struct database_look *l)
{
    s->state = SOURCE_REUSED;
    s->main = l->main;
    s->wal = l->wal;
    s->has_wal = l->has_wal;
}

/* The attributes a stored database shows: the time of its last commit. */
static struct attr stored_attr(const struct database_look *l)
{
    struct attr a = l->main;

    if (l->has_wal && l->wal.mtime_ns > a.mtime_ns)
        a.mtime_ns = l->wal.mtime_ns;
    return a;
}

static int remember(struct capture *c, struct cache_record *rec,
                    const struct database_look *l, const struct entry *en,
                    const struct id *sum, struct error *e)
{
    rec->attr = l->main;
    rec->has_wal = l->has_wal;
    rec->wal = l->wal;
    rec->stored_size = en->attr.size;
    rec->sum = *sum;
    rec->ids = en->id_count > 1 ? en->ids : &en->one;
    rec->id_count = en->id_count;
    if (c->fresh && rec->id_count <= CACHE_IDS_MAX)
        cache_add(c->fresh, (char *)c->path.data, c->path.len, rec);
    capture_count_file(c, en->attr.size);
    return sums_add(c, sum, e);
}

/* Store the file `copy` as the content of `out`. */
static int store_copy(struct capture *c, const char *copy, enum cache_kind kind,
                      const struct id *query, const struct database_look *l,
                      struct entry *out, struct error *e)
{
    struct cache_record rec = {.kind = kind, .query = *query};
    struct content content = {0};
    int rc = read_own_file(c, copy, &content, e);

    if (rc == 0) {
        out->kind = kind;
        entry_content(out, &content);
        rc = remember(c, &rec, l, out, &content.sum, e);
    }
    content_free(&content);
    return rc;
}

static int reuse(struct capture *c, const struct cache_record *old,
                 const struct database_look *l, struct entry *out,
                 struct error *e)
{
    struct cache_record rec = {.kind = old->kind, .query = old->query};

    out->kind = old->kind;
    entry_reuse(out, old);
    return remember(c, &rec, l, out, &old->sum, e);
}

int database_capture(struct capture *c, const char *live, const struct attr *a,
                     const struct cache_record *rec, struct entry *out,
                     struct error *e)
{
    static const struct id no_query;
    struct source *s = source_of(c, a);
    char *copy = NULL, *reason = NULL;
    struct database_look seen;
    int rc = database_look(live, &seen);

    if (rc < 0) {
        capture_problem(c, "cannot be read: %s", strerror(-rc));
        return STEP_NOTHING;
    }
    if (s && s->state != SOURCE_NEW)
        seen = source_look(s);
    if ((!s || s->state == SOURCE_NEW || s->state == SOURCE_REUSED) &&
        entry_fits(c, rec, CACHE_DATABASE, &seen.main, wal_of(&seen))) {
        if (s)
            source_decide(s, &seen);
        out->attr = stored_attr(&seen);
        return reuse(c, rec, &seen, out, e);
    }
    if (s) {
        rc = source_copy(c, s, e);
        seen = source_look(s);
    } else {
        rc = make_copy(c, live, &seen, &copy, &reason, e);
    }
    if (rc == STEP_NOTHING)
        capture_problem(c, "%s", s ? s->reason : reason);
    if (rc == 0) {
        out->attr = stored_attr(&seen);
        rc = store_copy(c, s ? s->copy : copy, CACHE_DATABASE, &no_query, &seen,
                        out, e);
    }
    if (copy)
        unlink(copy);
    free(copy);
    free(reason);
    return rc;
}

/* Rows belong to us: private, with the time of their database. */
static struct attr rows_attr(const struct database_look *l)
{
    return (struct attr){.mode = S_IFREG | 0600,
                         .uid = getuid(),
                         .gid = getgid(),
                         .links = 1,
                         .mtime_ns = stored_attr(l).mtime_ns,
                         .ctime_ns = stored_attr(l).mtime_ns};
}

int rows_capture(struct capture *c, const struct capture_rows *rows,
                 struct entry *out, struct error *e)
{
    struct id query = digest_of(rows->sql, strlen(rows->sql));
    const struct cache_record *rec =
        c->old ? cache_find(c->old, (char *)c->path.data, c->path.len) : NULL;
    struct source *s = NULL;
    struct error why = {0};
    struct database_look seen;
    char *file;
    int rc;

    out->ours = true;
    for (size_t i = 0; i < c->source_count; i++) {
        if (strcmp(c->sources[i].path, rows->database) == 0)
            s = &c->sources[i];
    }
    if (!s)
        return STEP_NOTHING;
    if (s->state == SOURCE_NEW && database_look(s->path, &seen) < 0)
        return STEP_NOTHING;
    if (s->state != SOURCE_NEW)
        seen = source_look(s);
    if (s->state != SOURCE_COPIED && s->state != SOURCE_FAILED &&
        entry_fits(c, rec, CACHE_ROWS, &seen.main, wal_of(&seen)) &&
        id_equal(&rec->query, &query)) {
        source_decide(s, &seen);
        out->attr = rows_attr(&seen);
        return reuse(c, rec, &seen, out, e);
    }
    rc = source_copy(c, s, e);
    if (rc == STEP_NOTHING)
        capture_problem(c, "%s", s->reason);
    if (rc != 0)
        return rc;
    seen = source_look(s);
    out->attr = rows_attr(&seen);
    file = temp_path(c, "rows");
    rc = rows_write(s->copy, rows->sql, file, c->o->cancelled, &why);
    if (rc == 0) {
        rc = store_copy(c, file, CACHE_ROWS, &query, &seen, out, e);
    } else if (rc == OCM_E_NOTFOUND) {
        log_info("no rows at=%s: %s", rows->at, why.text);
        rc = STEP_NOTHING;
    } else if (rc == OCM_E_CANCELLED || rc == OCM_E_SPACE) {
        rc = error_set(e, rc, "%s: %s", rows->at, why.text);
    } else {
        capture_problem(c, "rows cannot be read: %s", why.text);
        rc = STEP_NOTHING;
    }
    unlink(file);
    free(file);
    return rc;
}
