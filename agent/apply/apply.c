/* SPDX-License-Identifier: MIT */
/* Plan and deed. See apply.h for the ladder, deed.c for its second half. */
#include "agent/apply/apply.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/apply/fault.h"
#include "agent/apply/internal.h"
#include "agent/apply/swap.h"
#include "common/base/mem.h"

static void fini(struct apply *a)
{
    edit_end(a);
    apply_install_fini(a);
    gateway_free(a->gateway);
    for (size_t i = 0; i < a->place_count; i++) {
        free(a->places[i].path);
        free(a->places[i].label);
    }
    for (size_t i = 0; i < a->stage_count; i++) {
        if (a->stages[i].fd >= 0)
            close(a->stages[i].fd);
        free(a->stages[i].parent);
        free(a->stages[i].dir);
        free(a->stages[i].kept);
    }
    for (size_t i = 0; i < a->mount_count; i++)
        free(a->mounts[i]);
    free(a->state_real);
    free(a->places);
    free(a->stages);
    free(a->mounts);
    snap_fini(&a->snap);
    openclaw_fini(&a->target);
    if (a->lock >= 0)
        close(a->lock);
}

int apply_plan(const struct apply_options *o, struct apply_result *out,
               struct error *e)
{
    struct apply a = {.o = o, .out = out, .lock = -1};
    struct swap s = {0};
    int rc;

    *out = (struct apply_result){0};
    rc = prepare(&a, &s, e);
    prepare_undo(&a, &s);
    if (rc == 0)
        out->state = "planned";
    swap_fini(&s);
    fini(&a);
    return rc;
}

static int check_plan(const struct apply_result *r, const struct id *agreed,
                      struct error *e)
{
    const struct plan *p = &r->plan;
    size_t blocking = 0;
    const char *first = NULL;

    if (!id_equal(&r->digest, agreed))
        return error_set(e, OCM_E_CHANGED,
                         "the plan made now is not the one that was agreed "
                         "to: look at a new plan");
    for (size_t i = 0; i < p->warning_count; i++) {
        if (!p->warnings[i].blocking)
            continue;
        blocking++;
        first = first ? first : p->warnings[i].text;
    }
    if (blocking > 0)
        return error_set(e, OCM_E_DENIED,
                         "%zu warning%s of the plan must be solved first: %s",
                         blocking, blocking == 1 ? "" : "s", first);
    return 0;
}

/* Everything into the stage, checked, and on the disk. */
static int stage_all(struct apply *a, struct swap *s, struct error *e)
{
    int rc = stage_check_space(a, false, e);

    if (rc == 0)
        rc = fetch_rest(a, e);
    if (rc == 0)
        rc = edit_check_rest(a, e);
    if (rc == 0)
        rc = apply_install_stage(a, e);
    for (size_t i = 0; rc == 0 && i < a->snap.section_count; i++)
        if (a->snap.sections[i].failed)
            stage_drop_section(a, i);
    if (rc == 0)
        rc = fetch_attributes(a, e);
    if (rc == 0 && apply_cancelled(a, e))
        rc = OCM_E_CANCELLED;
    if (rc == 0)
        rc = stage_sync(a, e);
    if (rc == 0)
        rc = swap_log_mark(s, "staged", NULL, false, e);
    return rc;
}

/* A run in which every section failed has nothing to swap. */
static int check_any(const struct apply *a, struct error *e)
{
    const char *why = NULL;

    for (size_t i = 0; i < a->snap.section_count; i++) {
        const struct snap_section *s = &a->snap.sections[i];

        if ((s->chosen || s->clear) && !s->failed)
            return 0;
        if (s->failed && !why)
            why = s->failed;
    }
    return why ? error_set(e, OCM_E_DAMAGED, "no section can be restored: %s",
                           why)
               : error_set(e, OCM_E_INVALID,
                           "nothing is left to be restored: no section of the "
                           "backup is chosen and allowed");
}

static int safety(struct apply *a, struct error *e)
{
    int rc;

    if (a->o->no_safety || !a->o->safety)
        return 0;
    apply_say(a, "safety", NULL);
    rc = a->o->safety(a->o->arg, &a->out->safety_snapshot, e);
    apply_point();
    if (rc < 0)
        return error_prefix(e, "the safety backup failed, nothing was changed");
    return apply_cancelled(a, e) ? OCM_E_CANCELLED : 0;
}

int apply_run(const struct apply_options *o, const struct id *agreed,
              struct apply_result *out, struct error *e)
{
    struct apply a = {.o = o, .out = out, .lock = -1};
    struct swap s = {0};
    int rc;

    *out = (struct apply_result){.state = "unchanged"};
    rc = prepare(&a, &s, e);
    if (rc == 0)
        rc = check_plan(out, agreed, e);
    if (rc == 0) {
        a.gateway = gateway_new(&a.conf, &a.target);
        rc = stage_all(&a, &s, e);
    }
    if (rc == 0)
        rc = check_any(&a, e);
    if (rc == 0)
        rc = safety(&a, e);
    if (rc == 0)
        rc = deed(&a, &s, e);
    else
        prepare_undo(&a, &s);
    if (rc < 0 && !out->reason && e)
        out->reason = mem_strdup(e->text);
    swap_fini(&s);
    fini(&a);
    return rc;
}

void apply_result_fini(struct apply_result *r)
{
    plan_fini(&r->plan);
    for (size_t i = 0; i < r->section_count; i++)
        free(r->sections[i].target);
    free(r->sections);
    free(r->reason);
    free(r->kept);
    *r = (struct apply_result){0};
}
