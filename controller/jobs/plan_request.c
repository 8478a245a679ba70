/* SPDX-License-Identifier: MIT */
#include "controller/jobs/plan_request.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/base/text.h"
#include "common/net/envelope.h"
#include "controller/controller_conf.h"
#include "controller/jobs/kinds.h"
#include "controller/nodes.h"
#include "controller/repo/repo.h"
#include "controller/serve.h"

#define APPLY_IDLE_MS (15 * 60 * 1000) /* stopping a gateway may take five */
#define OUTCOME_MS (10 * 60 * 1000)    /* for a node that was cut off */
#define OUTCOME_POLL_MS 500

static const char *const intentions[] = {
    [OCM__INTENTION__RESTORE] = "restore",
    [OCM__INTENTION__CLONE] = "clone",
    [OCM__INTENTION__MOVE] = "move",
};

static const char *const option_keys[] = {
    "sections",   "no_data",          "rules",         "channels_on",
    "skip_edits", "install_openclaw", "upgrade_state",
};

static const char *text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s ? s : "";
}

static int intention_of(const char *name, Ocm__Intention *out, struct error *e)
{
    for (size_t i = 1; i < ARRAY_LEN(intentions); i++) {
        if (strcmp(intentions[i], name) == 0) {
            *out = (Ocm__Intention)i;
            return 0;
        }
    }
    return error_set(e, OCM_E_INVALID,
                     "intention '%s': say restore, clone or move", name);
}

static int find_nodes(struct controller *c, const json_t *j,
                      struct plan_request *out, struct error *e)
{
    int rc = catalog_node_get(c->catalog, text(j, "source"), &out->source, e);

    if (rc == 0)
        rc = catalog_node_get(c->catalog, text(j, "target"), &out->target, e);
    if (rc == 0)
        rc = intention_of(text(j, "intention"), &out->intention, e);
    if (rc == 0)
        rc = node_check_single(&out->target, e);
    if (rc == 0 && out->intention == OCM__INTENTION__MOVE)
        rc = node_check_single(&out->source, e);
    if (rc < 0)
        return rc;
    if ((out->intention == OCM__INTENTION__RESTORE) !=
        (strcmp(out->source.id, out->target.id) == 0))
        return error_set(e, OCM_E_INVALID,
                         out->intention == OCM__INTENTION__RESTORE
                             ? "a restore goes to the node it came from; for "
                               "another node say clone or move"
                             : "source and target are the same node; that is "
                               "a restore");
    out->options = json_object();
    for (size_t i = 0; i < ARRAY_LEN(option_keys); i++) {
        json_t *v = json_object_get(j, option_keys[i]);

        if (v && !json_is_null(v))
            json_object_set(out->options, option_keys[i], v);
    }
    return 0;
}

int plan_request_from_params(struct controller *c, const char *id,
                             const json_t *params, struct plan_request *out,
                             struct error *e)
{
    *out = (struct plan_request){0};
    snprintf(out->id, sizeof(out->id), "%s", id);
    secret_random(out->seed, sizeof(out->seed));
    return find_nodes(c, params, out, e);
}

json_t *plan_request_to_json(const struct plan_request *p)
{
    char snapshot[ID_HEX_LEN + 1], root[ID_HEX_LEN + 1], digest[ID_HEX_LEN + 1],
        seed[2 * PLAN_SEED_LEN + 1];
    json_t *j;

    id_hex(&p->snapshot, snapshot);
    id_hex(&p->root, root);
    id_hex(&p->digest, digest);
    hex_encode(p->seed, PLAN_SEED_LEN, seed);
    j = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "id", p->id, "source",
                  p->source.id, "target", p->target.id, "intention",
                  intentions[p->intention], "snapshot", snapshot, "root", root,
                  "digest", digest, "seed", seed);
    json_object_update(j, p->options);
    return j;
}

int plan_request_from_json(struct controller *c, const json_t *j,
                           struct plan_request *out, struct error *e)
{
    const char *seed = text(j, "seed");

    *out = (struct plan_request){0};
    snprintf(out->id, sizeof(out->id), "%.23s", text(j, "id"));
    if (!id_parse(text(j, "snapshot"), &out->snapshot) ||
        !id_parse(text(j, "root"), &out->root) ||
        !id_parse(text(j, "digest"), &out->digest) ||
        !hex_decode(seed, strlen(seed), out->seed, PLAN_SEED_LEN))
        return error_set(e, OCM_E_DAMAGED, "the kept plan is not readable");
    return find_nodes(c, j, out, e);
}

void plan_request_fini(struct plan_request *p)
{
    json_decref(p->options);
    p->options = NULL;
}

/* ---- the message ---- */

struct message {
    Ocm__PlanRequest req;
    const char **sections, **skip;
    Ocm__Rule *rules, **rule_list;
};

static bool option(const struct plan_request *p, const char *key)
{
    return json_is_true(json_object_get(p->options, key));
}

static void message_fill(struct message *m, struct plan_request *p,
                         const char *job)
{
    const json_t *rules = json_object_get(p->options, "rules");

    *m = (struct message){0};
    ocm__plan_request__init(&m->req);
    m->sections = kinds_strings(p->options, "sections", &m->req.n_sections);
    m->skip = kinds_strings(p->options, "skip_edits", &m->req.n_skip_edits);
    m->req.sections = (char **)m->sections;
    m->req.skip_edits = (char **)m->skip;
    m->req.n_rules = json_array_size(rules);
    m->rules = mem_array(m->req.n_rules, sizeof(*m->rules));
    m->rule_list = mem_array(m->req.n_rules, sizeof(*m->rule_list));
    for (size_t i = 0; i < m->req.n_rules; i++) {
        const json_t *r = json_array_get(rules, i);

        ocm__rule__init(&m->rules[i]);
        m->rules[i].from = (char *)text(r, "from");
        m->rules[i].to = (char *)text(r, "to");
        m->rule_list[i] = &m->rules[i];
    }
    m->req.rules = m->rule_list;
    m->req.job = (char *)job;
    m->req.intention = p->intention;
    m->req.snapshot.data = p->snapshot.b;
    m->req.root.data = p->root.b;
    m->req.snapshot.len = m->req.root.len = ID_LEN;
    m->req.seed.data = p->seed;
    m->req.seed.len = PLAN_SEED_LEN;
    m->req.no_data = option(p, "no_data");
    m->req.channels_on = option(p, "channels_on");
    m->req.install_openclaw = option(p, "install_openclaw");
    m->req.upgrade_state = option(p, "upgrade_state");
    m->req.source_name = p->source.name;
    m->req.source_fenced = p->source_fenced;
}

static void message_fini(struct message *m)
{
    free((void *)m->sections);
    free((void *)m->skip);
    free(m->rules);
    free(m->rule_list);
}

/* ---- the conversation ---- */

static void cancel_stream(void *arg)
{
    stream_cancel(arg);
}

/* Serve the snapshot until the answer of kind `want` comes. */
static int converse(struct job *j, struct stream *s, const struct id *root,
                    Ocm__Envelope__BodyCase want, int idle_ms,
                    Ocm__Envelope **answer, struct error *e)
{
    struct serve *v = serve_new(job_context(j), s, root);
    int rc = 0;

    while (rc == 0) {
        struct stream_item item;

        rc = stream_recv(s, idle_ms, &item, e);
        if (rc == OCM_E_TIMEOUT)
            error_set(e, rc, "the agent has said nothing for %d s",
                      idle_ms / 1000);
        if (rc < 0)
            break;
        if (item.kind != STREAM_MESSAGE) {
            stream_item_free(&item);
            rc = error_set(e, OCM_E_PROTOCOL,
                           "the agent ended without an answer");
            break;
        }
        if (item.message->body_case == want) {
            *answer = item.message;
            break;
        }
        switch (item.message->body_case) {
        case OCM__ENVELOPE__BODY_GET:
            rc = serve_get(v, item.message->get, e);
            break;
        case OCM__ENVELOPE__BODY_PROGRESS: {
            const Ocm__Progress *p = item.message->progress;

            if (*p->step)
                job_step(j, p->step);
            job_progress(j, p->files_done, p->files_total, p->bytes_done,
                         p->bytes_total, p->current);
            break;
        }
        case OCM__ENVELOPE__BODY_LOG_LINE:
            job_log(j, item.message->log_line->level, "%s",
                    item.message->log_line->text);
            break;
        default:
            rc = error_set(e, OCM_E_PROTOCOL,
                           "the agent sent %s in the middle of a plan",
                           envelope_name(item.message->body_case));
        }
        stream_item_free(&item);
    }
    serve_free(v);
    return rc;
}

static int ask(struct job *j, struct plan_request *p, const Ocm__Envelope *m,
               Ocm__Envelope__BodyCase want, int idle_ms,
               Ocm__Envelope **answer, struct error *e)
{
    struct controller *c = job_context(j);
    struct stream *s = nodes_open_stream(c->nodes, p->target.id, e);
    int rc;

    if (!s) {
        error_prefix(e, "%s", p->target.name);
        return e->code;
    }
    job_on_cancel(j, cancel_stream, s);
    rc = repo_lock(c->repo, false, e);
    if (rc == 0) {
        rc = repo_refresh(c->repo, e);
        if (rc == 0)
            rc = stream_send(s, m, e);
        p->told = rc == 0 && want == OCM__ENVELOPE__BODY_APPLY_RESULT;
        if (rc == 0)
            rc = converse(j, s, &p->root, want, idle_ms, answer, e);
        repo_unlock(c->repo);
    }
    job_on_cancel(j, NULL, NULL);
    if (rc < 0)
        stream_send_error(s, e);
    stream_end(s, NULL);
    stream_close(s);
    return rc;
}

/* ---- plan ---- */

static json_t *edits_json(const Ocm__Plan *plan)
{
    json_t *list = json_array();

    for (size_t i = 0; i < plan->n_edits; i++) {
        const Ocm__Edit *d = plan->edits[i];

        json_array_append_new(
            list,
            json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:b,s:s}", "id", d->id,
                      "section", d->section, "file", d->file, "place", d->place,
                      "old", d->old_value, "new", d->new_value, "rule", d->rule,
                      "secret", d->secret, "note", d->note));
    }
    return list;
}

static json_t *warnings_json(const Ocm__Plan *plan)
{
    json_t *list = json_array();

    for (size_t i = 0; i < plan->n_warnings; i++) {
        const Ocm__Warning *w = plan->warnings[i];

        json_array_append_new(list,
                              json_pack("{s:s,s:s,s:s,s:s,s:s,s:b}", "code",
                                        w->code, "section", w->section, "file",
                                        w->file, "place", w->place, "text",
                                        w->text, "blocking", w->blocking));
    }
    return list;
}

static json_t *sections_json(const Ocm__Plan *plan)
{
    json_t *list = json_array();

    for (size_t i = 0; i < plan->n_sections; i++) {
        const Ocm__PlanSection *s = plan->sections[i];

        json_array_append_new(
            list, json_pack("{s:s,s:s,s:s,s:s,s:I,s:I}", "name", s->name,
                            "area", s->area, "action", s->action, "target",
                            s->target, "files", (json_int_t)s->files, "bytes",
                            (json_int_t)s->bytes));
    }
    return list;
}

int plan_request_ask(struct job *j, struct plan_request *p, json_t *result,
                     struct error *e)
{
    char digest[ID_HEX_LEN + 1], snapshot[ID_HEX_LEN + 1];
    Ocm__Envelope m = OCM__ENVELOPE__INIT, *answer = NULL;
    const Ocm__Plan *plan;
    struct message msg;
    json_t *out;
    int rc;

    message_fill(&msg, p, job_id(j));
    m.body_case = OCM__ENVELOPE__BODY_PLAN_REQUEST;
    m.plan_request = &msg.req;
    rc = ask(j, p, &m, OCM__ENVELOPE__BODY_PLAN,
             (int)((struct controller *)job_context(j))->conf->silence_ms,
             &answer, e);
    message_fini(&msg);
    if (rc < 0)
        return rc;
    plan = answer->plan;
    if (plan->digest.len != ID_LEN) {
        stream_message_free(answer);
        return error_set(e, OCM_E_PROTOCOL, "a plan without a digest");
    }
    memcpy(p->digest.b, plan->digest.data, ID_LEN);
    id_hex(&p->digest, digest);
    id_hex(&p->snapshot, snapshot);
    out = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:o,s:o,s:o,s:I,s:I}", "plan",
                    p->id, "digest", digest, "source", p->source.name, "target",
                    p->target.name, "intention", intentions[p->intention],
                    "snapshot", snapshot, "edits", edits_json(plan), "warnings",
                    warnings_json(plan), "sections", sections_json(plan),
                    "edit_count", (json_int_t)plan->edit_count, "warning_count",
                    (json_int_t)plan->warning_count);
    stream_message_free(answer);
    if (!out)
        return error_set(e, OCM_E_PROTOCOL, "a plan with broken text");
    json_object_update(result, out);
    json_decref(out);
    return 0;
}

/* ---- apply ---- */

static int outcome(const Ocm__ApplyResult *r, const struct plan_request *p,
                   json_t *result, struct error *e)
{
    char safety[ID_HEX_LEN + 1] = "", snapshot[ID_HEX_LEN + 1];
    json_t *checks = json_array(), *out;
    struct id id;

    for (size_t i = 0; i < r->n_checks; i++)
        json_array_append_new(
            checks, json_pack("{s:s,s:b,s:s}", "name", r->checks[i]->name, "ok",
                              r->checks[i]->ok, "text", r->checks[i]->text));
    if (r->safety_snapshot.len == ID_LEN) {
        memcpy(id.b, r->safety_snapshot.data, ID_LEN);
        id_hex(&id, safety);
    }
    id_hex(&p->snapshot, snapshot);
    out = json_pack("{s:s,s:s,s:o,s:s,s:s,s:I,s:s}", "state", r->state,
                    "reason", r->reason, "checks", checks, "safety_snapshot",
                    safety, "kept", r->kept, "gateway_down_ms",
                    (json_int_t)r->gateway_down_ms, "snapshot", snapshot);
    json_object_update(result, out);
    json_decref(out);
    if (strcmp(r->state, "rolled-back") == 0)
        return error_set(e, OCM_E_UNHEALTHY, "%s was put back as it was: %s",
                         p->target.name, r->reason);
    if (strcmp(r->state, "applied") != 0)
        return error_set(e, OCM_E_FAILED, "%s was not changed: %s",
                         p->target.name, r->reason);
    return 0;
}

int plan_request_apply(struct job *j, struct plan_request *p,
                       const json_t *options, json_t *result, struct error *e)
{
    Ocm__Envelope m = OCM__ENVELOPE__INIT, *answer = NULL;
    Ocm__ApplyRequest req = OCM__APPLY_REQUEST__INIT;
    struct message msg;
    int rc;

    message_fill(&msg, p, job_id(j));
    req.plan = &msg.req;
    req.digest.data = p->digest.b;
    req.digest.len = ID_LEN;
    req.no_start = json_is_true(json_object_get(options, "no_start"));
    req.no_safety = json_is_true(json_object_get(options, "no_safety"));
    req.health_wait_ms = (uint32_t)json_integer_value(
        json_object_get(options, "health_wait_ms"));
    m.body_case = OCM__ENVELOPE__BODY_APPLY_REQUEST;
    m.apply_request = &req;
    rc = ask(j, p, &m, OCM__ENVELOPE__BODY_APPLY_RESULT, APPLY_IDLE_MS, &answer,
             e);
    message_fini(&msg);
    if (rc == 0)
        rc = outcome(answer->apply_result, p, result, e);
    stream_message_free(answer);
    return rc;
}
