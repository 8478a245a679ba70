/* SPDX-License-Identifier: MIT */
/* Make a plan: a fresh backup of the source unless an older one was chosen,
 * then the target stages, adapts and tells every edit and warning. Nothing on
 * the target changes. The plan is kept so that exactly it can be applied. */
#include "controller/jobs/plan_request.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "controller/jobs/kinds.h"
#include "controller/repo/repo.h"

#define PLAN_VALID_NS (24ll * 3600 * 1000000000)

static int take_snapshot(struct job *j, const struct node *source,
                         const json_t *params, struct id *snapshot,
                         struct id *root, struct error *e)
{
    struct controller *c = job_context(j);
    const char *ref = json_string_value(json_object_get(params, "snapshot"));
    struct backup_order order = {.job = job_id(j)};
    struct backup_outcome out = {0};
    struct snapshot snap;
    int rc;

    if (ref && *ref) {
        rc = repo_snapshot_find(c->repo, source->id, ref, &snap, e);
        if (rc < 0)
            return rc;
        *snapshot = snap.id;
        *root = snap.tree;
        snapshot_fini(&snap);
        return 0;
    }
    order.no_data = json_is_true(json_object_get(params, "no_data"));
    rc = kinds_backup(j, source, &order, &out, e);
    if (rc < 0) {
        error_prefix(e, "the fresh backup of %s", source->name);
        return rc;
    }
    if (out.partial)
        job_log(j, "warn",
                "the fresh backup of %s is partial; see its problems",
                source->name);
    json_decref(out.report);
    *snapshot = out.snapshot;
    *root = out.root;
    return 0;
}

/* The text of a blocking warning, or NULL. */
static const char *blocked_by(const json_t *plan)
{
    const json_t *list = json_object_get(plan, "warnings"), *w;
    size_t i;

    json_array_foreach(list, i, w)
    {
        if (json_is_true(json_object_get(w, "blocking")))
            return json_string_value(json_object_get(w, "text"));
    }
    return NULL;
}

/* The plan as people saw it, and what to ask the target for again. */
static int keep(struct controller *c, json_t *result,
                const struct plan_request *p, struct error *e)
{
    json_t *kept = json_copy(result);
    char *text;
    int rc;

    json_object_set_new(kept, "request", plan_request_to_json(p));
    text = json_dumps(kept, JSON_COMPACT);
    rc = catalog_plan_put(c->catalog, p->id, text,
                          clock_now_ns() + PLAN_VALID_NS, e);
    free(text);
    json_decref(kept);
    return rc;
}

static int run(struct job *j, const json_t *params, json_t *result,
               struct error *e)
{
    struct controller *c = job_context(j);
    struct plan_request p;
    const char *claim[2];
    int rc = plan_request_from_params(c, job_id(j), params, &p, e);

    if (rc < 0)
        return rc;
    claim[0] = p.source.id;
    claim[1] = p.target.id;
    rc = job_claim_nodes(j, claim, strcmp(claim[0], claim[1]) ? 2 : 1, e);
    if (rc == 0)
        rc = catalog_node_get(c->catalog, p.source.id, &p.source, e);
    if (rc == 0)
        rc = take_snapshot(j, &p.source, params, &p.snapshot, &p.root, e);
    if (rc == 0) {
        job_step(j, "plan");
        rc = plan_request_ask(j, &p, result, e);
    }
    if (rc == 0)
        rc = keep(c, result, &p, e);
    if (rc == 0 && blocked_by(result))
        job_log(j, "warn", "the plan cannot be applied: %s",
                blocked_by(result));
    plan_request_fini(&p);
    return rc;
}

const struct job_kind job_plan = {.name = "plan", .run = run};
