/* SPDX-License-Identifier: MIT */
/* From a full stage to the commit mark.
 *
 *   guard on -> stop the gateway and prove it down -> is the node still as
 *   planned? -> list the swap in the journal -> swap
 *   -> [OpenClaw's own upgrade of the state] -> guard off
 *   -> start quiet -> health -> stop -> start -> health -> commit
 *
 * A failure before the journal's "swap" line: guard off, start as before,
 * nothing has changed. After it: guard on, stop, walk back, guard off, start
 * as before. A walk that cannot be finished leaves the guard on and the
 * journal where it is, for the next start of the agent. */
#include "agent/apply/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/apply/fault.h"
#include "agent/apply/swap.h"
#include "agent/apply/swap_set.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define HEALTH_AGAIN_MS                                                        \
    60000 /* at most, once it was healthy without channels */

struct deed {
    struct apply *a;
    struct swap *s;
    enum gateway_state before;
    bool start;  /* bring it up at the end */
    bool lifted; /* the guard is off again, it may be up */
    int64_t down_ms;
    struct error *e;
};

/* ---- the test ---- */

/* Agents named by facts: agent.<id>.workspace. */
static int64_t agents_in(const struct facts *f)
{
    int64_t count = 0;

    for (size_t i = 0; i < f->count; i++)
        count += text_has_prefix(f->items[i].key, "agent.") &&
                 text_has_suffix(f->items[i].key, ".workspace");
    return count > 0 ? count : -1;
}

static bool brings(const struct apply *a, const char *section)
{
    for (size_t i = 0; i < a->snap.section_count; i++)
        if (strcmp(a->snap.sections[i].name, section) == 0)
            return a->snap.sections[i].chosen && !a->snap.sections[i].failed;
    return false;
}

/* What must be there comes from the source for what the source brought. */
static struct gateway_expect expect(const struct deed *d, bool running)
{
    const struct apply *a = d->a;
    bool in_db = (a->snap.era == ERA_SQLITE || a->snap.era == ERA_MIXED) &&
                 a->row_section_count == 0;
    const struct facts *roster =
        brings(a, "gateway") ? &a->snap.facts : &a->target.facts;
    const char *jobs = NULL;
    struct gateway_expect x = {
        .agents = agents_in(roster), .cron_jobs = -1, .running = running};

    if (brings(a, in_db ? "state" : "cron"))
        jobs = facts_get(&a->snap.facts, "cron.jobs");
    else if (a->row_section_count > 0 ||
             (!brings(a, "state") && !brings(a, "cron")))
        jobs = facts_get(&a->target.facts, "cron.jobs");
    /* an upgrade may bring jobs of files beside those of the database */
    if (a->upgrade)
        jobs = NULL;
    if (jobs && !text_to_i64(jobs, 0, INT32_MAX, &x.cron_jobs))
        x.cron_jobs = -1;
    return x;
}

static int check(struct deed *d, bool running, int64_t wait_ms)
{
    struct apply_result *out = d->a->out;
    struct gateway_expect x = expect(d, running);
    int rc;

    apply_say(d->a, "health", NULL);
    out->check_count = 0;
    rc = gateway_health(d->a->gateway, &x, wait_ms, NULL, out->checks,
                        &out->check_count, ARRAY_LEN(out->checks), d->e);
    apply_point();
    return rc;
}

/* Look at the node again: another state may mean another port. */
static void renew_gateway(struct apply *a)
{
    struct openclaw now = {0};
    struct buf notes = {0};
    struct gateway *g = NULL;

    if (openclaw_detect(&a->conf, &now, &notes, NULL) == 0)
        g = gateway_new(&a->conf, &now);
    if (g) {
        gateway_free(a->gateway);
        a->gateway = g;
    }
    openclaw_fini(&now);
    buf_free(&notes);
}

static int start_and_check(struct deed *d)
{
    struct apply *a = d->a;
    int64_t wait = a->o->health_wait_ms;
    int rc;

    apply_say(a, "start", NULL);
    rc = gateway_start(a->gateway, true, d->e);
    apply_point();
    if (rc == 0)
        rc = check(d, true, wait);
    if (rc == 0)
        rc = gateway_stop(a->gateway, a->o->stop_bound_ms, d->e);
    apply_point();
    if (rc == 0)
        rc = gateway_start(a->gateway, false, d->e);
    apply_point();
    a->out->gateway_down_ms = clock_monotonic_ms() - d->down_ms;
    if (rc == 0)
        rc = check(d, true, wait < HEALTH_AGAIN_MS ? wait : HEALTH_AGAIN_MS);
    return rc;
}

/* ---- forwards ---- */

static int guard(struct deed *d, bool on)
{
    int rc = gateway_guard(d->a->gateway, on, d->e);

    d->lifted = !on;
    apply_point();
    return rc;
}

static int stop(struct deed *d)
{
    struct apply *a = d->a;
    struct buf why = {0}, text = {0};
    bool fenced = gateway_fenced(a->gateway, &why);
    int rc;

    d->before = gateway_status(a->gateway, &text);
    if (text.len > 0)
        apply_log(a, "info", "gateway: %s", buf_str(&text));
    buf_free(&text);
    d->start = !a->o->no_start && !fenced &&
               (d->before == GATEWAY_RUNNING || d->before == GATEWAY_STOPPED);
    if (fenced)
        apply_log(a, "warn", "the gateway is fenced and stays down: %s",
                  buf_str(&why));
    else if (d->before == GATEWAY_ABSENT || d->before == GATEWAY_MANUAL)
        apply_log(a, "warn",
                  d->before == GATEWAY_ABSENT
                      ? "there is no OpenClaw on this node: the state is put "
                        "in place, nothing is started"
                      : "the gateway is controlled by hand: start it when "
                        "this is done");
    buf_free(&why);
    if (d->start) { /* else it would only show when all is swapped */
        rc = gateway_check_start(a->gateway, d->e);
        if (rc < 0)
            return rc;
    }
    rc = swap_log_mark(d->s, "stop", "running", d->before == GATEWAY_RUNNING,
                       d->e);
    if (rc == 0)
        rc = swap_log_mark(d->s, "guard", NULL, false, d->e);
    if (rc == 0) /* first: what restarts it by itself does not come between */
        rc = guard(d, true);
    if (rc < 0)
        return rc;
    apply_say(a, "stop", NULL);
    d->down_ms = clock_monotonic_ms();
    rc = gateway_stop(a->gateway, a->o->stop_bound_ms, d->e);
    apply_point();
    return rc;
}

static int swap(struct deed *d)
{
    struct apply *a = d->a;
    int rc;

    apply_say(a, "swap", NULL);
    rc = swap_set_fill(a, d->s, d->e);
    if (rc == 0)
        rc = swap_log_ops(d->s, 0, d->e);
    if (rc == 0 && apply_cancelled(a, d->e))
        rc = OCM_E_CANCELLED;
    if (rc < 0)
        return rc;
    d->s->begun = true; /* from here on only forwards or all the way back */
    rc = swap_log_mark(d->s, "swap", NULL, false, d->e);
    return rc < 0 ? rc : swap_run(d->s, d->e);
}

/* OpenClaw's own, of what has just come: guarded, and to be undone. */
static int upgrade(struct deed *d)
{
    struct apply *a = d->a;
    struct buf said = {0};
    int rc;

    apply_say(a, "upgrade", NULL);
    rc = swap_keep_state(d->s, d->e);
    apply_point();
    if (rc == 0) {
        renew_gateway(a);
        rc = gateway_upgrade(a->gateway, NULL, &said, d->e);
    }
    if (rc == 0)
        apply_log(a, "info", "OpenClaw upgraded the state: %s", buf_str(&said));
    apply_point();
    buf_free(&said);
    return rc;
}

static int forwards(struct deed *d)
{
    struct apply *a = d->a;
    int rc = stop(d);

    if (rc == 0)
        rc = edit_again(a, d->e);
    if (rc == 0)
        rc = swap(d);
    if (rc == 0 && a->upgrade)
        rc = upgrade(d);
    if (rc == 0)
        rc = guard(d, false);
    if (rc == 0)
        renew_gateway(a);
    if (rc == 0)
        rc = d->start ? start_and_check(d)
                      : check(d, false, a->o->health_wait_ms);
    if (rc == 0)
        rc = swap_log_mark(d->s, "commit", "start", d->start, d->e);
    return rc;
}

/* ---- backwards ---- */

static void start_as_before(struct deed *d)
{
    struct error e = {0};
    struct buf text = {0};
    bool down = gateway_status(d->a->gateway, &text) == GATEWAY_STOPPED;

    buf_free(&text);
    if (d->before != GATEWAY_RUNNING || !down)
        return;
    apply_say(d->a, "start", NULL);
    if (gateway_start(d->a->gateway, false, &e) < 0)
        apply_log(d->a, "error", "the gateway did not start again: %s", e.text);
    apply_point();
}

/* Nothing was swapped yet. */
static void step_back(struct deed *d)
{
    struct error e = {0};

    if (gateway_guard(d->a->gateway, false, &e) < 0)
        apply_log(d->a, "error", "the start guard could not be lifted: %s",
                  e.text);
    apply_point();
    start_as_before(d);
    prepare_undo(d->a, d->s);
    d->a->out->state = "unchanged";
}

static int walk_back(struct deed *d, struct error *e)
{
    struct apply *a = d->a;
    int rc = 0;

    apply_say(a, "back", NULL);
    if (d->lifted || d->s->upgraded) {
        rc = gateway_guard(a->gateway, true, e);
        apply_point();
        if (rc == 0)
            rc = gateway_stop(a->gateway, a->o->stop_bound_ms, e);
        apply_point();
    }
    if (rc == 0)
        rc = swap_undo(d->s, e);
    if (rc == 0)
        rc = gateway_guard(a->gateway, false, e);
    apply_point();
    return rc;
}

static int back(struct deed *d, int cause)
{
    struct apply *a = d->a;
    struct error e = {0};
    int rc;

    if (!d->s->begun) {
        step_back(d);
        return cause;
    }
    apply_log(a, "error", "going back: %s", d->e->text);
    rc = walk_back(d, &e);
    if (rc < 0) {
        a->out->state = "failed";
        a->out->reason = mem_printf(
            "%s; and going back failed: %s. The gateway is kept from starting; "
            "restart the agent to try again",
            d->e->text, e.text);
        return error_set(d->e, rc, "%s", a->out->reason);
    }
    renew_gateway(a);
    start_as_before(d);
    a->out->state = "rolled-back";
    a->out->reason = mem_strdup(d->e->text);
    prepare_undo(a, d->s);
    return cause;
}

/* ---- the end ---- */

static void finish(struct deed *d)
{
    struct apply *a = d->a;
    struct error e = {0};

    a->out->state = "applied";
    for (size_t i = 0; i < a->stage_count; i++)
        a->stages[i].made = false; /* what goes and what stays is here: */
    if (swap_finish(d->s, &e) < 0 || journal_remove(d->s->journal, &e) < 0)
        apply_log(a, "warn", "%s: tidied up at the agent's next start", e.text);
    for (size_t i = 0; i < a->stage_count && !a->out->kept; i++)
        if (swap_has_kept(&d->s->stages[i]))
            a->out->kept = mem_strdup(a->stages[i].kept);
    for (size_t i = 0; i < a->stage_count; i++)
        swap_forget_old(a->stages[i].parent, a->stages[i].kept);
}

static void tell_failed_sections(struct apply *a)
{
    struct buf text = {0};

    for (size_t i = 0; i < a->snap.section_count; i++)
        if (a->snap.sections[i].failed)
            buf_printf(&text, "%ssection %s stays as it was: %s",
                       text.len ? "; " : "", a->snap.sections[i].name,
                       a->snap.sections[i].failed);
    if (text.len > 0 && !a->out->reason)
        a->out->reason = mem_strdup(buf_str(&text));
    buf_free(&text);
}

int deed(struct apply *a, struct swap *s, struct error *e)
{
    struct error own = {0};
    struct deed d = {.a = a, .s = s, .e = e ? e : &own};
    int rc = forwards(&d);

    if (rc < 0)
        rc = back(&d, rc);
    else
        finish(&d);
    if (d.down_ms > 0 && (rc < 0 || !d.start))
        a->out->gateway_down_ms = clock_monotonic_ms() - d.down_ms;
    tell_failed_sections(a);
    return rc;
}
