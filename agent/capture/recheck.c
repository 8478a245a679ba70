/* SPDX-License-Identifier: MIT */
/* Reading a share of the unchanged files again, so that what size and times
 * hide (a disk that lies, a wrong cache) is found within some backups.
 *
 * Each backup goes on in walk order where the one before it ended, until its
 * share is used up, and starts over at the end: all files had their turn
 * after RECHECK_PARTS backups, or as many as it takes at RECHECK_MAX each. A
 * file larger than the share is read whole, and the backups after it read
 * nothing until that is paid off. Databases are not among them: any change of
 * theirs has them copied whole. */
#include "agent/capture/capture_internal.h"

#include "common/base/log.h"

#define RECHECK_PARTS 50
#define RECHECK_MIN (1 << 20) /* bytes a backup */
#define RECHECK_MAX (16 << 20)
#define RECHECK_FILE 4096 /* to open and look at one costs as much */

void recheck_begin(struct capture *c)
{
    struct recheck *k = &c->recheck;
    const struct cache_turn *last;
    uint64_t share;

    k->on = c->o->recheck && !c->o->reread && c->old;
    if (!c->old)
        return;
    last = cache_turn(c->old);
    share = last->size / RECHECK_PARTS;
    share = share < RECHECK_MIN ? RECHECK_MIN : share;
    share = share > RECHECK_MAX ? RECHECK_MAX : share;
    buf_add(&k->turn.after, last->after.data, last->after.len);
    k->left = (k->on ? (int64_t)share : 0) - last->spent;
    k->passed = last->after.len == 0;
}

bool recheck_due(struct capture *c, uint64_t size, bool unchanged)
{
    struct recheck *k = &c->recheck;
    uint64_t cost = size + RECHECK_FILE;

    k->turn.size += cost;
    if (!k->on || !unchanged || k->left <= 0)
        return false;
    if (!k->passed)
        k->passed =
            cache_order((char *)c->path.data, c->path.len,
                        (char *)k->turn.after.data, k->turn.after.len) > 0;
    if (!k->passed)
        return false;
    k->left -= (int64_t)cost;
    buf_clear(&k->turn.after);
    buf_add(&k->turn.after, c->path.data, c->path.len);
    return true;
}

bool recheck_fits(struct capture *c, const struct cache_record *rec,
                  const struct content *content)
{
    if (content->size != rec->stored_size ||
        !id_equal(&content->sum, &rec->sum)) {
        c->r->silent_changes++;
        log_warn("path=%s holds something else than at the last backup, though "
                 "its size and times are the same: stored as it is now; look "
                 "at this machine's disk and memory",
                 (char *)c->path.data);
        return false;
    }
    c->r->files_checked++;
    c->r->bytes_checked += content->size;
    c->r->bytes_read -= content->size;
    return true;
}

void recheck_end(struct capture *c)
{
    struct recheck *k = &c->recheck;

    if (k->on && k->left > 0)
        buf_clear(&k->turn.after); /* all had their turn: from the start */
    k->turn.spent = k->left < 0 ? -k->left : 0;
    if (c->fresh)
        cache_set_turn(c->fresh, &k->turn);
}
