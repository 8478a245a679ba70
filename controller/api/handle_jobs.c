/* SPDX-License-Identifier: MIT */
/* Jobs: start each kind, list, show, watch, cancel. What a job gets as its
 * parameters is what openapi.json says of the request, with snapshots as full
 * ids and nodes checked. */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "controller/api/handlers.h"
#include "controller/api/shapes.h"
#include "controller/jobs/job.h"

#define MAX_NODES 1000
#define MAX_LIST 1000
#define MAX_RULES 200
#define JOBS_LIMIT 50
#define JOBS_LIMIT_MAX 1000

static int start(struct request *rq, const char *kind, const char *node,
                 json_t *params, json_t *ids, struct error *e)
{
    char id[24];
    int rc = jobs_start(request_controller(rq)->jobs, kind, node,
                        request_owner(rq), params, id, e);

    if (rc == 0)
        json_array_append_new(ids, json_string(id));
    return rc;
}

static int start_one(struct request *rq, const char *kind, const char *node,
                     json_t *params, struct error *e)
{
    json_t *ids = json_array();
    int rc = start(rq, kind, node, params, ids, e);

    request_about_node(rq, node);
    if (rc == 0)
        rc = request_reply(rq, 202,
                           json_pack("{s:O}", "job", json_array_get(ids, 0)));
    json_decref(ids);
    return rc;
}

/* A node of the body that lives; its name, as it is now, goes to `out`. */
static int live_node(struct request *rq, const char *name, struct node *out,
                     struct error *e)
{
    int rc = catalog_node_get(request_controller(rq)->catalog, name, out, e);

    if (rc == 0 && out->revoked)
        rc = error_set(e, OCM_E_NOTFOUND, "node '%s' was removed", name);
    return rc;
}

/* ---- backups ---- */

/* The names to back up, in order, without repeats. */
static int chosen_nodes(struct request *rq, json_t *names, struct error *e)
{
    const json_t *list;
    struct node *nodes;
    bool all = false;
    size_t count;
    int rc = request_body_list(rq, "nodes", MAX_NODES, &list, e);

    if (rc == 0)
        rc = request_body_flag(rq, "all", &all, e);
    if (rc < 0)
        return rc;
    if (all == (json_array_size(list) > 0))
        return error_set(e, OCM_E_INVALID, "name the nodes, or say all: true");
    if (!all) {
        for (size_t i = 0; rc == 0 && i < json_array_size(list); i++) {
            struct node n;

            rc = live_node(rq, json_string_value(json_array_get(list, i)), &n,
                           e);
            if (rc == 0)
                json_object_set_new(names, n.name, json_true());
        }
        return rc;
    }
    rc = catalog_nodes(request_controller(rq)->catalog, &nodes, &count, e);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < count; i++) {
        if (!nodes[i].revoked)
            json_object_set_new(names, nodes[i].name, json_true());
    }
    free(nodes);
    return json_object_size(names) > 0
               ? 0
               : error_set(e, OCM_E_NOTFOUND, "there is no node yet");
}

int post_backups(struct request *rq, struct error *e)
{
    json_t *names = json_object(), *jobs = json_array();
    const json_t *sections, *body = request_body(rq);
    bool no_data = false, reread = false;
    const char *name;
    json_t *unused;
    int rc = request_body_keys(rq, "nodes all sections no_data reread", e);

    if (rc == 0)
        rc = request_body_list(rq, "sections", MAX_LIST, &sections, e);
    if (rc == 0)
        rc = request_body_flag(rq, "no_data", &no_data, e);
    if (rc == 0)
        rc = request_body_flag(rq, "reread", &reread, e);
    if (rc == 0)
        rc = chosen_nodes(rq, names, e);
    json_object_foreach(names, name, unused)
    {
        json_t *params, *ids = json_array();

        if (rc == 0) {
            params = json_pack("{s:s,s:b,s:b}", "node", name, "no_data",
                               no_data, "reread", reread);
            if (json_object_get(body, "sections"))
                json_object_set(params, "sections",
                                json_object_get(body, "sections"));
            rc = start(rq, "backup", name, params, ids, e);
        }
        if (rc == 0)
            json_array_append_new(jobs,
                                  json_pack("{s:s,s:O}", "node", name, "job",
                                            json_array_get(ids, 0)));
        json_decref(ids);
    }
    if (json_object_size(names) == 1)
        request_about_node(rq, json_string_value(json_object_get(
                                   json_array_get(jobs, 0), "node")));
    else
        request_about_node(rq, "(several)");
    json_decref(names);
    if (rc < 0) {
        json_decref(jobs);
        return rc;
    }
    return request_reply(rq, 202, json_pack("{s:o}", "jobs", jobs));
}

/* ---- plans, and what is done with them ---- */

static int check_rules(const json_t *rules, struct error *e)
{
    if (!rules)
        return 0;
    if (!json_is_array(rules) || json_array_size(rules) > MAX_RULES)
        return error_set(e, OCM_E_INVALID,
                         "'rules' must be a list of at most %d", MAX_RULES);
    for (size_t i = 0; i < json_array_size(rules); i++) {
        const json_t *r = json_array_get(rules, i);
        const char *from = json_string_value(json_object_get(r, "from"));

        if (json_object_size(r) != 2 || !from || !*from ||
            !json_is_string(json_object_get(r, "to")))
            return error_set(e, OCM_E_INVALID,
                             "each of 'rules' must be {\"from\", \"to\"}");
    }
    return 0;
}

static int check_intention(const char *intention, const struct node *source,
                           const struct node *target, struct error *e)
{
    bool same = strcmp(source->id, target->id) == 0;

    if (strcmp(intention, "restore") != 0 && strcmp(intention, "clone") != 0 &&
        strcmp(intention, "move") != 0)
        return error_set(e, OCM_E_INVALID,
                         "'intention' must be restore, clone or move");
    if (strcmp(intention, "restore") == 0 && !same)
        return error_set(e, OCM_E_INVALID,
                         "a restore is for the node that was backed up: use "
                         "clone or move");
    if (strcmp(intention, "restore") != 0 && same)
        return error_set(e, OCM_E_INVALID,
                         "source and target are the same node");
    return 0;
}

/* Copy what may stand in a plan's request and was checked. */
static void copy_keys(json_t *params, const json_t *body,
                      const char *const *keys)
{
    for (; *keys; keys++) {
        json_t *v = json_object_get(body, *keys);

        if (v)
            json_object_set(params, *keys, v);
    }
}

/* The newest backup of a node that was made for its own sake and of all of
 * it: one that was taken before a change, or of some sections, is gone back to
 * only by name. */
static int newest_snapshot(struct request *rq, const struct node *n,
                           struct id *out, struct error *e)
{
    struct snapshot *all;
    size_t count;
    bool found = false;
    int rc = repo_snapshots(request_controller(rq)->repo, &all, &count, e);

    if (rc < 0 && rc != OCM_E_PARTIAL)
        return rc;
    for (size_t i = count; i > 0 && !found; i--) {
        const char *id = snapshot_tag(&all[i - 1], "node");

        found = id && strcmp(id, n->id) == 0 &&
                !shape_has_tag(&all[i - 1], "safety") &&
                !shape_has_tag(&all[i - 1], "selected");
        if (found)
            *out = all[i - 1].id;
    }
    snapshots_free(all, count);
    return found ? 0
                 : error_set(e, OCM_E_NOTFOUND, "there is no backup of '%s'",
                             n->name);
}

/* What a plan starts from, as a full id. Without a word a restore goes back
 * to the newest backup; a clone and a move take a fresh one in their job. */
static int plan_snapshot(struct request *rq, const struct node *source,
                         bool restore, json_t *params, struct error *e)
{
    const char *ref = NULL;
    struct snapshot s = {0};
    char hex[ID_HEX_LEN + 1];
    int rc = request_body_text(rq, "snapshot", ID_HEX_LEN, &ref, e);

    if (rc < 0 || (!ref && !restore))
        return rc;
    if (ref)
        rc = repo_snapshot_find(request_controller(rq)->repo, source->id, ref,
                                &s, e);
    else
        rc = newest_snapshot(rq, source, &s.id, e);
    if (rc < 0)
        return rc;
    id_hex(&s.id, hex);
    json_object_set_new(params, "snapshot", json_string(hex));
    snapshot_fini(&s);
    return 0;
}

int post_plans(struct request *rq, struct error *e)
{
    static const char *const keys[] = {
        "intention",   "sections",   "no_data",          "rules",
        "channels_on", "skip_edits", "install_openclaw", "upgrade_state",
        NULL};
    const char *source = NULL, *target = NULL, *intention = NULL;
    const json_t *list, *body = request_body(rq);
    struct node from, to;
    json_t *params;
    bool flag;
    int rc = request_body_keys(rq,
                               "source target intention snapshot sections "
                               "no_data rules channels_on skip_edits "
                               "install_openclaw upgrade_state",
                               e);

    if (rc == 0)
        rc = request_body_text(rq, "source", NAME_MAX_LEN, &source, e);
    if (rc == 0)
        rc = request_body_text(rq, "target", NAME_MAX_LEN, &target, e);
    if (rc == 0)
        rc = request_body_text(rq, "intention", NAME_MAX_LEN, &intention, e);
    if (rc == 0)
        rc = request_body_list(rq, "sections", MAX_LIST, &list, e);
    if (rc == 0)
        rc = request_body_list(rq, "skip_edits", MAX_LIST, &list, e);
    if (rc == 0)
        rc = request_body_flag(rq, "no_data", &flag, e);
    if (rc == 0)
        rc = request_body_flag(rq, "channels_on", &flag, e);
    if (rc == 0)
        rc = request_body_flag(rq, "install_openclaw", &flag, e);
    if (rc == 0)
        rc = request_body_flag(rq, "upgrade_state", &flag, e);
    if (rc == 0)
        rc = check_rules(json_object_get(body, "rules"), e);
    if (rc == 0 && (!source || !target || !intention))
        rc = error_set(e, OCM_E_INVALID,
                       "source, target and intention are wanted");
    /* A removed node can still be a source: its backups stay. */
    if (rc == 0)
        rc =
            catalog_node_get(request_controller(rq)->catalog, source, &from, e);
    if (rc == 0)
        rc = live_node(rq, target, &to, e);
    if (rc == 0)
        rc = check_intention(intention, &from, &to, e);
    if (rc < 0)
        return rc;
    params = json_pack("{s:s,s:s,s:s,s:s}", "source", from.name, "target",
                       to.name, "source_id", from.id, "target_id", to.id);
    copy_keys(params, body, keys);
    rc = plan_snapshot(rq, &from, strcmp(intention, "restore") == 0, params, e);
    if (rc < 0) {
        json_decref(params);
        return rc;
    }
    return start_one(rq, "plan", to.name, params, e);
}

static int read_plan(struct request *rq, json_t **out, struct error *e)
{
    const char *id = NULL;
    char *text = NULL;
    int rc = request_body_text(rq, "plan", 64, &id, e);

    if (rc == 0 && !id)
        rc = error_set(e, OCM_E_INVALID, "'plan' is missing: make one first");
    if (rc == 0)
        rc = catalog_plan_get(request_controller(rq)->catalog, id, &text, e);
    if (rc < 0)
        return rc;
    *out = json_loads(text, 0, NULL);
    free(text);
    if (!json_is_object(*out)) {
        json_decref(*out);
        return error_set(e, OCM_E_DAMAGED, "plan '%s' cannot be read", id);
    }
    return 0;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));

    return s ? s : "";
}

/* A migration is agreed to by the target's name, word for word. */
static int check_agreement(struct request *rq, const json_t *plan, bool restore,
                           struct error *e)
{
    bool is_restore = strcmp(text_of(plan, "intention"), "restore") == 0;
    const char *confirm = "";
    int rc = request_body_text(rq, "confirm", NAME_MAX_LEN, &confirm, e);

    if (rc < 0)
        return rc;
    if (is_restore != restore)
        return error_set(e, OCM_E_INVALID, "this plan is a %s: use /%s",
                         text_of(plan, "intention"),
                         is_restore ? "restores" : "migrations");
    if (!*confirm || strcmp(confirm, text_of(plan, "target")) != 0)
        return error_set(e, OCM_E_INVALID,
                         "'confirm' must be the name of the target: %s",
                         text_of(plan, "target"));
    return 0;
}

static int apply_plan(struct request *rq, const char *kind, bool restore,
                      struct error *e)
{
    static const char *const keys[] = {
        "plan", "no_start", "no_safety", "health_wait_ms", "source_gone", NULL};
    const json_t *body = request_body(rq);
    json_t *plan = NULL, *params, *wait;
    struct node target;
    bool flag;
    int rc = request_body_keys(
        rq, "plan confirm no_start no_safety health_wait_ms source_gone", e);

    if (rc == 0)
        rc = request_body_flag(rq, "no_start", &flag, e);
    if (rc == 0)
        rc = request_body_flag(rq, "no_safety", &flag, e);
    if (rc == 0)
        rc = request_body_flag(rq, "source_gone", &flag, e);
    wait = json_object_get(body, "health_wait_ms");
    if (rc == 0 && wait &&
        (!json_is_integer(wait) || json_integer_value(wait) < 1000 ||
         json_integer_value(wait) > 3600000))
        rc = error_set(e, OCM_E_INVALID,
                       "'health_wait_ms' must be from 1000 to 3600000");
    if (rc == 0)
        rc = read_plan(rq, &plan, e);
    if (rc < 0)
        return rc;
    rc = check_agreement(rq, plan, restore, e);
    if (rc == 0)
        rc = live_node(rq, text_of(plan, "target"), &target, e);
    json_decref(plan);
    if (rc < 0)
        return rc;
    params = json_pack("{s:s}", "target", target.name);
    copy_keys(params, body, keys);
    return start_one(rq, kind, target.name, params, e);
}

int post_migrations(struct request *rq, struct error *e)
{
    return apply_plan(rq, "migrate", false, e);
}

int post_restores(struct request *rq, struct error *e)
{
    return apply_plan(rq, "restore", true, e);
}

int post_verify(struct request *rq, struct error *e)
{
    const char *ref = NULL;
    bool read_data = false;
    struct snapshot s = {0};
    json_t *params;
    int rc = request_body_keys(rq, "snapshot read_data", e);

    if (rc == 0)
        rc = request_body_text(rq, "snapshot", 128, &ref, e);
    if (rc == 0)
        rc = request_body_flag(rq, "read_data", &read_data, e);
    if (rc == 0 && ref)
        rc = find_snapshot(rq, ref, &s, e);
    if (rc < 0)
        return rc;
    params = json_pack("{s:b}", "read_data", read_data);
    if (ref) {
        char hex[ID_HEX_LEN + 1];

        id_hex(&s.id, hex);
        json_object_set_new(params, "snapshot", json_string(hex));
    }
    rc = start_one(rq, "verify", s.hostname ? s.hostname : "", params, e);
    snapshot_fini(&s);
    return rc;
}

int post_gateway(struct request *rq, struct error *e)
{
    static const char *const verbs[] = {"status", "start", "stop", "fence",
                                        "unfence"};
    const char *verb = "status";
    struct node node;
    json_t *params;
    int rc = request_body_keys(rq, "verb", e);

    if (rc == 0)
        rc = request_body_text(rq, "verb", 16, &verb, e);
    if (rc == 0)
        rc = live_node(rq, request_param(rq, 0), &node, e);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        if (strcmp(verb, verbs[i]) == 0) {
            params = json_pack("{s:s,s:s}", "node", node.name, "verb", verb);
            return start_one(rq, "gateway", node.name, params, e);
        }
    }
    return error_set(e, OCM_E_INVALID,
                     "'verb' is one of status, start, stop, fence, unfence");
}

int post_upgrades(struct request *rq, struct error *e)
{
    json_t *names = json_object(), *list, *canary, *unused;
    bool allow_downgrade = false;
    const json_t *packages = NULL;
    const char *name;
    int rc =
        request_body_keys(rq, "nodes all packages canary allow_downgrade", e);

    canary = json_object_get(request_body(rq), "canary");
    if (rc == 0)
        rc = request_body_list(rq, "packages", MAX_LIST, &packages, e);
    if (rc == 0)
        rc = request_body_flag(rq, "allow_downgrade", &allow_downgrade, e);
    if (rc == 0 && canary &&
        (!json_is_integer(canary) || json_integer_value(canary) < 0 ||
         json_integer_value(canary) > MAX_NODES))
        rc = error_set(e, OCM_E_INVALID, "'canary' must be from 0 to %d",
                       MAX_NODES);
    if (rc == 0)
        rc = chosen_nodes(rq, names, e);
    if (rc < 0) {
        json_decref(names);
        return rc;
    }
    list = json_array();
    json_object_foreach(names, name, unused)
        json_array_append_new(list, json_string(name));
    json_decref(names);
    name = json_array_size(list) == 1
               ? json_string_value(json_array_get(list, 0))
               : "";
    names = json_pack("{s:O,s:b}", "nodes", list, "allow_downgrade",
                      allow_downgrade);
    if (packages)
        json_object_set(names, "packages", (json_t *)packages);
    if (canary)
        json_object_set(names, "canary", canary);
    rc = start_one(rq, "upgrade", name, names, e);
    json_decref(list);
    return rc;
}

int post_uninstall(struct request *rq, struct error *e)
{
    struct node node;
    int rc = request_body_keys(rq, "", e);

    if (rc == 0)
        rc = live_node(rq, request_param(rq, 0), &node, e);
    if (rc < 0)
        return rc;
    return start_one(rq, "uninstall", node.name,
                     json_pack("{s:s}", "node", node.name), e);
}

/* ---- looking at jobs ---- */

int get_jobs(struct request *rq, struct error *e)
{
    struct job_row *rows;
    json_t *list;
    int64_t limit;
    size_t count;
    int rc =
        request_number(rq, "limit", JOBS_LIMIT, 1, JOBS_LIMIT_MAX, &limit, e);

    if (rc == 0)
        rc = catalog_jobs(request_controller(rq)->catalog,
                          request_query(rq, "node"), (size_t)limit, &rows,
                          &count, e);
    if (rc < 0)
        return rc;
    list = json_array();
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(list, shape_job(&rows[i], false));
        job_row_fini(&rows[i]);
    }
    free(rows);
    return request_reply(rq, 200, json_pack("{s:o}", "jobs", list));
}

int get_job(struct request *rq, struct error *e)
{
    struct controller *c = request_controller(rq);
    struct job_row row;
    json_t *job;
    char *progress;
    int rc = catalog_job_get(c->catalog, request_param(rq, 0), &row, e);

    if (rc < 0)
        return rc;
    job = shape_job(&row, true);
    progress = jobs_progress(c->jobs, row.id);
    json_object_set_new(job, "progress",
                        progress ? json_loads(progress, 0, NULL) : json_null());
    free(progress);
    job_row_fini(&row);
    return request_reply(rq, 200, json_pack("{s:o}", "job", job));
}

int get_job_events(struct request *rq, struct error *e)
{
    struct job_row row;
    int64_t after;
    int rc = request_after(rq, &after, e);

    if (rc == 0)
        rc = catalog_job_get(request_controller(rq)->catalog,
                             request_param(rq, 0), &row, e);
    if (rc < 0)
        return rc;
    rc = request_events(rq, row.id, after);
    job_row_fini(&row);
    return rc;
}

int post_job_cancel(struct request *rq, struct error *e)
{
    struct controller *c = request_controller(rq);
    struct job_row row;
    int rc = request_body_keys(rq, "", e);

    if (rc == 0)
        rc = catalog_job_get(c->catalog, request_param(rq, 0), &row, e);
    if (rc < 0)
        return rc;
    request_about_node(rq, row.node);
    rc = jobs_cancel(c->jobs, row.id, e);
    if (rc == 0)
        rc = request_reply(rq, 202, json_pack("{s:s}", "job", row.id));
    job_row_fini(&row);
    return rc;
}
