/* SPDX-License-Identifier: MIT */
/* Apply a plan that was agreed to. Restore and clone do exactly the plan. A
 * move first stops and fences the source's gateway, takes a last snapshot,
 * plans again and stops if a *config* edit is new; when it cannot be finished
 * the source is set free again. */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "controller/jobs/kinds.h"
#include "controller/jobs/plan_request.h"
#include "controller/nodes.h"
#include "controller/repo/repo.h"

/* ---- move ---- */

/* Is an edit of the config area in `after` that `before` did not have? */
static const char *new_config_edit(const json_t *before, const json_t *after)
{
    const json_t *old = json_object_get(before, "edits"), *d, *o;
    size_t i, k;

    json_array_foreach(json_object_get(after, "edits"), i, d)
    {
        const char *file = json_string_value(json_object_get(d, "file"));
        bool known = false;

        if (!file || strncmp(file, "config/", 7) != 0)
            continue;
        json_array_foreach(old, k, o)
        {
            known = known || (json_equal(json_object_get(d, "id"),
                                         json_object_get(o, "id")) &&
                              json_equal(json_object_get(d, "new"),
                                         json_object_get(o, "new")));
        }
        if (!known)
            return file;
    }
    return NULL;
}

/* The source is fenced: last snapshot, plan again, compare. */
static int plan_last(struct job *j, struct plan_request *p,
                     const json_t *agreed, struct error *e)
{
    struct backup_order order = {.job = job_id(j), .tag = "move"};
    struct backup_outcome out = {0};
    json_t *fresh = json_object();
    const char *file;
    int rc;

    order.no_data = json_is_true(json_object_get(p->options, "no_data"));
    rc = kinds_backup(j, &p->source, &order, &out, e);
    if (rc == 0 && out.partial)
        rc = error_set(e, OCM_E_PARTIAL,
                       "the last backup of %s is partial; a move needs a "
                       "complete one",
                       p->source.name);
    if (rc == 0) {
        p->snapshot = out.snapshot;
        p->root = out.root;
        job_step(j, "plan again");
        rc = plan_request_ask(j, p, fresh, e);
    }
    if (rc == 0 && (file = new_config_edit(agreed, fresh)) != NULL)
        rc = error_set(e, OCM_E_CHANGED,
                       "%s has changed since the plan was agreed to; make a "
                       "new plan",
                       file);
    json_decref(out.report);
    json_decref(fresh);
    return rc;
}

/* What a move did to the two gateways, to be undone when it fails. */
struct fences {
    bool source_ran;  /* before the fence */
    bool target_free; /* it was fenced by an earlier move away from it */
};

/* How a gateway is before anything is done to it: when that cannot be known,
 * it could not be put back either. */
static int look_at(struct job *j, const struct node *node, bool *runs,
                   bool *fenced, struct error *e)
{
    json_t *r = json_object();
    int rc = kinds_gateway(j, node, "status", r, e);
    const char *state = json_string_value(json_object_get(r, "state"));

    *runs = rc == 0 && state && strcmp(state, "running") == 0;
    *fenced = json_is_true(json_object_get(r, "fenced"));
    json_decref(r);
    return rc;
}

static int fence_source(struct job *j, struct plan_request *p,
                        const json_t *agreed, bool source_gone,
                        struct fences *f, struct error *e)
{
    struct controller *c = job_context(j);
    bool fenced;
    int rc;

    if (!nodes_connected(c->nodes, p->source.id)) {
        if (source_gone) {
            job_log(j, "warn",
                    "%s is not connected and taken as dead, as you said: "
                    "never start its gateway again",
                    p->source.name);
            return 0;
        }
        return error_set(e, OCM_E_OFFLINE,
                         "%s is not connected, so its gateway cannot be "
                         "stopped; if that machine is gone for good say "
                         "--source-gone",
                         p->source.name);
    }
    job_step(j, "fence the source");
    rc = look_at(j, &p->source, &f->source_ran, &fenced, e);
    if (rc < 0)
        return rc;
    p->source_fenced = true; /* a fence may stand although the stop failed */
    rc = kinds_gateway(j, &p->source, "fence", NULL, e);
    return rc < 0 ? rc : plan_last(j, p, agreed, e);
}

/* A move back: the target is the one that shall live now. */
static int free_target(struct job *j, struct plan_request *p, struct fences *f,
                       struct error *e)
{
    bool runs, fenced;
    int rc = look_at(j, &p->target, &runs, &fenced, e);

    if (rc < 0 || !fenced)
        return rc;
    job_step(j, "free the target");
    f->target_free = true;
    return kinds_gateway(j, &p->target, "unfence", NULL, e);
}

static void release_source(struct job *j, struct plan_request *p,
                           const struct fences *f)
{
    struct error e = {0};

    if (f->target_free && kinds_gateway(j, &p->target, "fence", NULL, &e) < 0)
        job_log(j, "error", "%s could not be fenced again: %s", p->target.name,
                e.text);
    if (!p->source_fenced)
        return;
    job_step(j, "free the source");
    if (kinds_gateway(j, &p->source, "unfence", NULL, &e) < 0 ||
        (f->source_ran && kinds_gateway(j, &p->source, "start", NULL, &e) < 0))
        job_log(j, "error",
                "%s could not be set free again: %s; once it is there: "
                "ocmctl node gateway %s unfence",
                p->source.name, e.text, p->source.name);
}

/* ---- the job ---- */

static int load(struct controller *c, const char *id, json_t **kept,
                struct plan_request *p, struct error *e)
{
    json_error_t je;
    char *text;
    int rc = catalog_plan_get(c->catalog, id, &text, e);

    if (rc < 0)
        return rc;
    *kept = json_loads(text, 0, &je);
    free(text);
    if (!*kept)
        return error_set(e, OCM_E_DAMAGED, "plan %s: %s", id, je.text);
    rc = plan_request_from_json(c, json_object_get(*kept, "request"), p, e);
    if (rc < 0) {
        json_decref(*kept);
        *kept = NULL;
    }
    return rc;
}

static int run(struct job *j, const json_t *params, json_t *result,
               struct error *e)
{
    struct controller *c = job_context(j);
    const char *id = json_string_value(json_object_get(params, "plan"));
    const char *claim[2];
    struct fences fences = {0};
    struct plan_request p;
    json_t *kept = NULL;
    int rc = load(c, id ? id : "", &kept, &p, e);

    if (rc < 0)
        return rc;
    claim[0] = p.source.id;
    claim[1] = p.target.id;
    rc = job_claim_nodes(j, claim, strcmp(claim[0], claim[1]) ? 2 : 1, e);
    if (rc == 0)
        rc = catalog_node_get(c->catalog, p.source.id, &p.source, e);
    if (rc == 0 && p.intention == OCM__INTENTION__MOVE)
        rc = fence_source(j, &p, kept,
                          json_is_true(json_object_get(params, "source_gone")),
                          &fences, e);
    if (rc == 0 && p.intention == OCM__INTENTION__MOVE)
        rc = free_target(j, &p, &fences, e);
    if (rc == 0)
        rc = plan_request_apply(j, &p, params, result, e);
    if (p.told &&
        (rc == OCM_E_CLOSED || rc == OCM_E_OFFLINE || rc == OCM_E_TIMEOUT))
        /* the target may have come up: two live gateways would be worse */
        job_log(j, "error",
                "it is not known whether %s was applied; look at it before "
                "anything else%s",
                p.target.name,
                p.source_fenced
                    ? "; its source stays fenced until: ocmctl node "
                      "gateway SOURCE unfence"
                    : "");
    else if (rc < 0)
        release_source(j, &p, &fences);
    catalog_audit(c->catalog, job_owner(j), "plan applied", p.target.name,
                  rc < 0 ? e->text : "ok", NULL);
    plan_request_fini(&p);
    json_decref(kept);
    return rc;
}

const struct job_kind job_migrate = {.name = "migrate", .run = run};
const struct job_kind job_restore = {.name = "restore", .run = run};
