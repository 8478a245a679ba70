/* SPDX-License-Identifier: MIT */
/* What a killed run left behind, judged by its journal alone:
 *
 *   no "swap" line     nothing changed: stages go, the guard is lifted, the
 *                      gateway runs again if it ran
 *   "swap", no mark    guard, stop, walk back, mark "undone", then as above
 *   "undone"           as above, without the walk
 *   "commit"           forwards: what was kept gets its name, stages go, the
 *                      gateway runs if it is to run
 *
 * The journal goes last, so being killed here only means to do it again. */
#include "agent/apply/apply.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "agent/apply/fault.h"
#include "agent/apply/swap.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define RECOVER_STOP_MS 60000

struct recovery {
    const struct openclaw_conf *conf;
    struct swap s;
    struct buf *text;
    struct error *e;
};

/* The gateway as it is to be found now; the state may be half swapped. */
static struct gateway *gateway_now(struct recovery *r, struct openclaw *o)
{
    struct openclaw_conf conf = *r->conf;
    struct buf notes = {0};
    struct gateway *g = NULL;

    conf.state_dir = r->s.state_dir;
    conf.config_path = r->s.config_path;
    if (openclaw_detect(&conf, o, &notes, r->e) == 0)
        g = gateway_new(&conf, o);
    buf_free(&notes);
    return g;
}

static void gateway_done(struct gateway *g, struct openclaw *o)
{
    gateway_free(g);
    openclaw_fini(o);
}

static int walk_back(struct recovery *r)
{
    struct openclaw o = {0};
    struct gateway *g = gateway_now(r, &o);
    int rc = g ? 0 : r->e->code;

    /* the guard comes first: it was off while the new state was tried, so a
     * host that boots may be starting the gateway at this very moment */
    if (rc == 0)
        rc = gateway_guard(g, true, r->e);
    apply_point();
    if (rc == 0)
        rc = gateway_stop(g, RECOVER_STOP_MS, r->e);
    apply_point();
    if (rc == 0)
        rc = swap_undo(&r->s, r->e);
    gateway_done(g, &o);
    if (rc == 0)
        buf_printf(r->text, "job %s: put back as it was before\n", r->s.job);
    return rc;
}

/* A gateway that does not start is told, and no reason to try for ever. */
static int let_run(struct recovery *r, bool start)
{
    struct openclaw o = {0};
    struct gateway *g = gateway_now(r, &o);
    struct buf why = {0};
    int rc = g ? 0 : r->e->code;

    if (rc == 0)
        rc = gateway_guard(g, false, r->e);
    apply_point();
    if (rc == 0 && start && !gateway_fenced(g, &why) &&
        gateway_status(g, &why) == GATEWAY_STOPPED) {
        struct error e = {0};

        if (gateway_start(g, false, &e) < 0)
            buf_printf(r->text, "job %s: the gateway did not start: %s\n",
                       r->s.job, e.text);
        else
            buf_printf(r->text, "job %s: the gateway was started\n", r->s.job);
        apply_point();
    }
    buf_free(&why);
    gateway_done(g, &o);
    return rc;
}

static int recover_one(struct recovery *r)
{
    struct swap *s = &r->s;
    int rc = 0;

    if (s->committed) {
        if (s->start)
            rc = let_run(r, true);
        if (rc == 0)
            rc = swap_finish(s, r->e);
        if (rc == 0)
            buf_printf(r->text, "job %s: finished, its new state stays\n",
                       s->job);
        return rc;
    }
    if (s->begun && !s->undone)
        rc = walk_back(r);
    if (rc == 0 && s->stopped)
        rc = let_run(r, s->running);
    if (rc == 0)
        rc = swap_discard(s, r->e);
    if (rc == 0 && !s->begun)
        buf_printf(r->text, "job %s: had changed nothing, its stage is gone\n",
                   s->job ? s->job : "?");
    return rc;
}

static int recover_journal(const struct openclaw_conf *conf, const char *path,
                           struct buf *text, struct error *e)
{
    struct recovery r = {.conf = conf, .text = text, .e = e};
    int rc = journal_open(path, swap_on_line, &r.s, &r.s.journal, e);

    if (rc == 0)
        rc = recover_one(&r);
    if (rc == 0)
        rc = journal_remove(r.s.journal, e);
    swap_fini(&r.s);
    return rc;
}

int apply_recover(const struct openclaw_conf *conf, const char *work_dir,
                  struct buf *text, struct error *e)
{
    char *lock = mem_printf("%s/apply.lock", work_dir);
    int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600), rc = 0;
    struct error own = {0};
    const struct dirent *entry;
    DIR *d = NULL;

    e = e ? e : &own;
    if (fd < 0)
        rc = error_errno(e, "%s", lock);
    else if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        rc = error_set(e, OCM_E_BUSY, "another agent works in %s", work_dir);
    else if (!(d = opendir(work_dir)))
        rc = error_errno(e, "%s", work_dir);
    while (rc == 0 && (entry = readdir(d)) != NULL) {
        char *path;

        if (!text_has_prefix(entry->d_name, "apply-") ||
            !text_has_suffix(entry->d_name, ".journal"))
            continue;
        path = path_join(work_dir, entry->d_name);
        rc = recover_journal(conf, path, text, e);
        free(path);
    }
    if (d)
        closedir(d);
    if (fd >= 0)
        close(fd);
    free(lock);
    return rc;
}
