/* SPDX-License-Identifier: MIT */
/* A regular file: as in the last backup, as a database, or read. */
#include <stdlib.h>
#include <string.h>

#include "agent/capture/database.h"
#include "agent/capture/database_copy.h"
#include "agent/capture/walk.h"
#include "common/base/log.h"

static const struct cache_record *last_time(struct capture *c)
{
    if (!c->old)
        return NULL;
    return cache_find(c->old, (char *)c->path.data, c->path.len);
}

static int keep(struct capture *c, const struct cache_record *rec,
                struct entry *out, bool remember, struct error *e)
{
    if (remember && c->fresh && rec->id_count <= CACHE_IDS_MAX)
        cache_add(c->fresh, (char *)c->path.data, c->path.len, rec);
    capture_count_file(c, out->attr.size);
    return sums_add(c, &rec->sum, e);
}

/* `old`: what the cache says of a file that is only read to be compared with
 * it, else NULL. */
static int read_plain(struct capture *c, int dir_fd, const char *name,
                      const struct cache_record *old, struct entry *out,
                      struct error *e)
{
    struct content content = {0};
    struct cache_record rec;
    int read = READ_STABLE, rc = STEP_NOTHING;

    if (old || !links_find(c, &out->attr, &content))
        read = read_file(c, dir_fd, name, &out->attr, &content, e);
    if (read < 0)
        rc = read;
    if (read == READ_GONE)
        log_debug("vanished: path=%s", (char *)c->path.data);
    if (read < 0 || read == READ_GONE || read == READ_FAILED)
        goto out;
    if (old && read == READ_STABLE && attr_same(&old->attr, &out->attr) &&
        recheck_fits(c, old, &content)) {
        entry_reuse(out, old);
        rc = keep(c, old, out, true, e);
        goto out;
    }
    if (read == READ_STABLE)
        links_add(c, &out->attr, &content);
    rec = (struct cache_record){.kind = CACHE_FILE,
                                .attr = out->attr,
                                .stored_size = content.size,
                                .sum = content.sum,
                                .id_count = content.count};
    entry_content(out, &content);
    rec.ids = out->id_count > 1 ? out->ids : &out->one;
    /* what moved under our eyes is read again next time */
    rc = keep(c, &rec, out, read == READ_STABLE, e);
out:
    content_free(&content);
    return rc;
}

/* Is it to be taken as a database? 1 yes, 0 no. A chosen one that is none is
 * a problem, and stored as the file it is. */
static int wants_database(struct capture *c, int dir_fd, const char *name,
                          uint8_t flags, enum capture_choice choice,
                          uint64_t size)
{
    int kind;

    if (choice != CAPTURE_DATABASE && choice != CAPTURE_MAYBE_DATABASE &&
        !(flags & (NAME_HAS_WAL | NAME_HAS_JOURNAL)))
        return 0;
    kind = database_kind(dir_fd, name);
    if (kind > DATABASE_NONE)
        return 1;
    if (kind == DATABASE_NONE && choice == CAPTURE_DATABASE && size > 0)
        capture_problem(c, "is no SQLite database, stored as a plain file");
    return 0;
}

int file_capture(struct capture *c, const struct place *pl, int dir_fd,
                 const char *name, uint8_t *flags, enum capture_choice choice,
                 struct entry *out, struct error *e)
{
    const struct cache_record *rec = last_time(c);
    bool unchanged;
    char *live;
    int rc;

    if (wants_database(c, dir_fd, name, *flags, choice, out->attr.size)) {
        *flags |= NAME_DATABASE;
        live = place_live(c, pl);
        rc = database_capture(c, live, &out->attr, rec, out, e);
        free(live);
        return rc;
    }
    out->kind = CACHE_FILE;
    unchanged = entry_fits(c, rec, CACHE_FILE, &out->attr, NULL);
    if (recheck_due(c, out->attr.size, unchanged))
        return read_plain(c, dir_fd, name, rec, out, e);
    if (unchanged) {
        entry_reuse(out, rec);
        c->misses = 0;
        return keep(c, rec, out, true, e);
    }
    c->misses++;
    return read_plain(c, dir_fd, name, NULL, out, e);
}
