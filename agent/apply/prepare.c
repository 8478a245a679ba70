/* SPDX-License-Identifier: MIT */
/* What plan and deed have in common: look at both ends, stage what must be
 * looked at, adapt it. */
#include "agent/apply/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "agent/apply/fault.h"
#include "agent/apply/swap.h"
#include "agent/apply/swap_set.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define JOB_MAX_LEN 64

void apply_log(const struct apply *a, const char *level, const char *fmt, ...)
{
    struct buf shown = {0};
    char line[1024];
    va_list ap;

    if (!a->o->on_log)
        return;
    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    text_escape(&shown, line, strlen(line));
    a->o->on_log(a->o->arg, level, buf_str(&shown));
    buf_free(&shown);
}

void apply_say(const struct apply *a, const char *step, const char *current)
{
    if (a->o->on_step)
        a->o->on_step(a->o->arg, step, a->files_done, a->files_total,
                      a->bytes_done, a->bytes_total, current);
}

bool apply_cancelled(const struct apply *a, struct error *e)
{
    if (!a->o->cancelled || !atomic_load(a->o->cancelled))
        return false;
    error_set(e, OCM_E_CANCELLED, "cancelled");
    return true;
}

bool apply_costs_a_section(int code)
{
    return code == OCM_E_DAMAGED || code == OCM_E_MISSING ||
           code == OCM_E_NOTFOUND;
}

void apply_fail_section(struct apply *a, size_t section, const char *why)
{
    if (!a->snap.sections[section].failed)
        apply_log(a, "error", "section %s stays as it is: %s",
                  a->snap.sections[section].name, why);
    snap_fail_section(&a->snap, section, why, &a->out->plan);
}

bool apply_is_out(const struct apply *a, const struct snap_entry *n)
{
    const struct snap *s = &a->snap;

    return n->flags & SNAP_GONE ||
           (n->root != SNAP_NONE &&
            s->sections[s->roots[n->root].section].failed);
}

/* ---- alone, and after nobody ---- */

/* The job's id becomes part of paths. */
static int check_job(const char *job, struct error *e)
{
    size_t len = job ? strlen(job) : 0;

    if (len == 0 || len > JOB_MAX_LEN ||
        strspn(job, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                    "0123456789-_") != len)
        return error_set(e, OCM_E_INVALID, "the job's id is not valid");
    return 0;
}

static int take_lock(struct apply *a, struct error *e)
{
    char *path = mem_printf("%s/apply.lock", a->o->work_dir);
    int rc = 0;

    a->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (a->lock < 0)
        rc = error_errno(e, "%s", path);
    else if (flock(a->lock, LOCK_EX | LOCK_NB) < 0)
        rc = error_set(e, OCM_E_BUSY, "another restore runs on this node");
    free(path);
    return rc;
}

static int check_leftovers(const struct apply *a, struct error *e)
{
    DIR *d = opendir(a->o->work_dir);
    const struct dirent *entry;
    int rc = 0;

    while (d && rc == 0 && (entry = readdir(d)) != NULL)
        if (text_has_prefix(entry->d_name, "apply-") &&
            text_has_suffix(entry->d_name, ".journal"))
            rc = error_set(e, OCM_E_LOCKED,
                           "an earlier restore is not finished (%s): restart "
                           "the agent, it puts things right at its start",
                           entry->d_name);
    if (d)
        closedir(d);
    return rc;
}

static int look_at_target(struct apply *a, struct error *e)
{
    struct buf notes = {0};
    int rc = openclaw_detect(a->o->conf, &a->target, &notes, e);

    for (char *line = buf_str(&notes); rc == 0 && *line;) {
        size_t len = strcspn(line, "\n");

        apply_log(a, "warn", "%.*s", (int)len, line);
        line += len + (line[len] == '\n');
    }
    buf_free(&notes);
    if (rc == 0 && (!a->target.state_dir || a->target.state_dir[0] != '/' ||
                    !a->target.state_dir[1]))
        rc = error_set(e, OCM_E_INVALID,
                       "this node does not know its state directory: set "
                       "state_dir in agent.conf");
    if (rc == 0) {
        a->out->facts_digest = facts_digest(&a->target.facts);
        a->conf = *a->o->conf;
        a->conf.state_dir = a->target.state_dir;
        if (a->target.config_path)
            a->conf.config_path = a->target.config_path;
    }
    return rc;
}

/* ---- the two totals people see ---- */

static void count_all(struct apply *a)
{
    for (uint32_t i = 1; i < a->snap.count; i++) {
        const struct snap_entry *n = &a->snap.entries[i];

        if (n->type != TREE_FILE || n->root == SNAP_NONE ||
            n->flags & SNAP_LINKED)
            continue;
        a->files_total++;
        a->bytes_total += n->size;
    }
}

static int begin_journal(struct apply *a, struct swap *s, struct error *e)
{
    int rc;

    swap_set_begin(a, s);
    rc = journal_create(a->o->work_dir, a->o->job, &s->journal, e);
    return rc < 0 ? rc : swap_log_begin(s, e);
}

static int look_at_source(struct apply *a, struct error *e)
{
    const struct apply_options *o = a->o;
    int rc = snap_load_meta(&a->snap, &o->source, &o->root, e);

    if (rc == 0)
        rc = target_choose(a, e);
    if (rc == 0)
        apply_install_choose(a);
    if (rc == 0)
        rc = edit_begin(a, e);
    if (rc < 0)
        return rc;
    target_map(a);
    rc = snap_walk(&a->snap, &o->source, &o->root, o->intention, o->cancelled,
                   &a->out->plan, e);
    if (rc == 0)
        rc = target_place(a, e);
    if (rc == 0)
        apply_install_place(a);
    return rc;
}

int prepare(struct apply *a, struct swap *s, struct error *e)
{
    int rc = check_job(a->o->job, e);

    apply_say(a, "read", NULL);
    if (rc == 0)
        rc = take_lock(a, e);
    if (rc == 0)
        rc = check_leftovers(a, e);
    if (rc == 0)
        rc = look_at_target(a, e);
    if (rc == 0)
        rc = look_at_source(a, e);
    if (rc < 0)
        return rc;
    fetch_mark(a);
    count_all(a);
    apply_say(a, "plan", NULL);
    rc = stage_plan(a, e);
    if (rc == 0)
        apply_install_check(a);
    if (rc == 0)
        rc = stage_check_space(a, true, e);
    if (rc == 0)
        rc = begin_journal(a, s, e);
    if (rc == 0)
        rc = stage_make(a, e);
    apply_point();
    if (rc == 0)
        rc = fetch_look(a, e);
    if (rc == 0)
        rc = edit_staged(a, e);
    apply_point();
    return rc;
}

void prepare_undo(struct apply *a, struct swap *s)
{
    stage_remove(a);
    if (s->journal)
        journal_remove(s->journal, NULL);
}
