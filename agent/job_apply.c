/* SPDX-License-Identifier: MIT */
/* Plan and apply, the agent's end. Ladder (PROTOCOL.md, "Plan", "Apply"):
 *   PlanRequest | ApplyRequest   <-
 *   Get / DATA (parcels)         <->  as often as needed, Progress, LogLine
 *   Plan | ApplyResult           ->
 * During an apply the agent opens a second stream for the safety backup. A
 * connection that breaks before the swap ends the apply with nothing changed;
 * after it the apply finishes by itself and tells the result when asked. */
#include "agent/job.h"

#include <stdlib.h>
#include <string.h>

#include "agent/apply/apply.h"
#include "agent/fetch.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define PLAN_MAX_EDITS 5000
#define PLAN_MAX_WARNINGS 2000
#define APPLY_PROGRESS_MS 100
#define RESULTS_KEPT 32
#define RESULT_MAX_BYTES (64 * 1024)

struct apply_job {
    struct agent *agent;
    struct stream *stream;
    const char *id;
    atomic_bool cancelled;
    char step[48];
    uint64_t last_ms; /* of the last Progress */
};

static void on_step(void *arg, const char *step, uint64_t files_done,
                    uint64_t files_total, uint64_t bytes_done,
                    uint64_t bytes_total, const char *current)
{
    struct apply_job *j = arg;
    uint64_t now = uv_hrtime() / 1000000;
    Ocm__Progress m = OCM__PROGRESS__INIT;
    struct buf text = {0};

    if (stream_cancelled(j->stream))
        atomic_store(&j->cancelled, true);
    if (strcmp(step, j->step) == 0 && now - j->last_ms < APPLY_PROGRESS_MS)
        return;
    snprintf(j->step, sizeof(j->step), "%s", step);
    j->last_ms = now;
    if (current)
        text_escape(&text, current, strlen(current));
    m.step = (char *)step;
    m.files_done = files_done;
    m.files_total = files_total;
    m.bytes_done = bytes_done;
    m.bytes_total = bytes_total;
    m.current = buf_str(&text);
    stream_send_progress(j->stream, &m);
    buf_free(&text);
}

static void on_log(void *arg, const char *level, const char *line)
{
    struct apply_job *j = arg;

    log_info("job=%s %s", j->id, line);
    stream_send_log(j->stream, level, "%s", line);
}

static int on_safety(void *arg, struct id *snapshot, struct error *e)
{
    struct apply_job *j = arg;

    return job_safety(j->agent, j->id, snapshot, e);
}

/* ---- request -> options ---- */

static int options_fill(struct apply_job *j, const Ocm__PlanRequest *req,
                        const struct openclaw_conf *conf,
                        struct apply_options *o, struct adapt_rule **rules,
                        struct error *e)
{
    if (req->intention < OCM__INTENTION__RESTORE ||
        req->intention > OCM__INTENTION__MOVE)
        return error_set(e, OCM_E_PROTOCOL, "unknown intention %d",
                         req->intention);
    if (req->root.len != ID_LEN || req->seed.len != 16)
        return error_set(e, OCM_E_PROTOCOL, "plan without root or seed");
    *rules = mem_array(req->n_rules, sizeof(**rules));
    for (size_t i = 0; i < req->n_rules; i++) {
        (*rules)[i].from = req->rules[i]->from;
        (*rules)[i].to = req->rules[i]->to;
    }
    *o = (struct apply_options){
        .conf = conf,
        .intention = (enum intention)req->intention,
        .sections = (const char *const *)req->sections,
        .section_count = req->n_sections,
        .no_data = req->no_data,
        .rules = *rules,
        .rule_count = req->n_rules,
        .channels_on = req->channels_on,
        .install_openclaw = req->install_openclaw,
        .upgrade_state = req->upgrade_state,
        .skip_edits = (const char *const *)req->skip_edits,
        .skip_count = req->n_skip_edits,
        .seed = req->seed.data,
        .node_key = j->agent->key,
        .work_dir = j->agent->conf.state_dir,
        .helper = "/proc/self/exe",
        .job = req->job,
        .health_wait_ms = j->agent->conf.health_wait_ms,
        .stop_bound_ms = j->agent->conf.stop_bound_ms,
        .on_step = on_step,
        .on_log = on_log,
        .arg = j,
        .cancelled = &j->cancelled,
    };
    memcpy(o->root.b, req->root.data, ID_LEN);
    return 0;
}

/* ---- plan -> message ---- */

static Ocm__Edit *pack_edit(const struct plan_edit *p)
{
    Ocm__Edit *m = mem_alloc(sizeof(*m));

    ocm__edit__init(m);
    m->id = (char *)p->id;
    m->section = p->section;
    m->file = p->file;
    m->place = p->place;
    m->old_value = p->secret ? plan_mask(p->old_value ? p->old_value : "")
                             : mem_strdup(p->old_value ? p->old_value : "");
    m->new_value = p->secret ? plan_mask(p->new_value ? p->new_value : "")
                             : mem_strdup(p->new_value ? p->new_value : "");
    m->rule = (char *)p->rule;
    m->secret = p->secret;
    if (p->note)
        m->note = p->note;
    return m;
}

static Ocm__Warning *pack_warning(const struct plan_warning *p)
{
    Ocm__Warning *m = mem_alloc(sizeof(*m));

    ocm__warning__init(m);
    m->code = (char *)p->code;
    m->section = p->section ? p->section : (char *)"";
    m->file = p->file ? p->file : (char *)"";
    m->place = p->place ? p->place : (char *)"";
    m->text = p->text;
    m->blocking = p->blocking;
    return m;
}

static Ocm__PlanSection *pack_section(const struct apply_section *p)
{
    Ocm__PlanSection *m = mem_alloc(sizeof(*m));

    ocm__plan_section__init(m);
    m->name = (char *)p->name;
    m->area = (char *)p->area;
    m->action = (char *)p->action;
    m->target = p->target ? p->target : (char *)"";
    m->files = p->files;
    m->bytes = p->bytes;
    return m;
}

static int send_plan(struct apply_job *j, const struct apply_result *r,
                     struct error *e)
{
    const struct plan *p = &r->plan;
    Ocm__Envelope m = OCM__ENVELOPE__INIT;
    Ocm__Plan out = OCM__PLAN__INIT;
    int rc;

    out.digest.data = (uint8_t *)r->digest.b;
    out.facts_digest.data = (uint8_t *)r->facts_digest.b;
    out.digest.len = out.facts_digest.len = ID_LEN;
    out.edit_count = p->edit_count;
    out.warning_count = p->warning_count;
    out.n_edits =
        p->edit_count < PLAN_MAX_EDITS ? p->edit_count : PLAN_MAX_EDITS;
    out.n_warnings = p->warning_count < PLAN_MAX_WARNINGS ? p->warning_count
                                                          : PLAN_MAX_WARNINGS;
    out.n_sections = r->section_count;
    out.edits = mem_array(out.n_edits, sizeof(*out.edits));
    out.warnings = mem_array(out.n_warnings, sizeof(*out.warnings));
    out.sections = mem_array(out.n_sections, sizeof(*out.sections));
    for (size_t i = 0; i < out.n_edits; i++)
        out.edits[i] = pack_edit(&p->edits[i]);
    for (size_t i = 0; i < out.n_warnings; i++)
        out.warnings[i] = pack_warning(&p->warnings[i]);
    for (size_t i = 0; i < out.n_sections; i++)
        out.sections[i] = pack_section(&r->sections[i]);
    m.body_case = OCM__ENVELOPE__BODY_PLAN;
    m.plan = &out;
    rc = stream_send(j->stream, &m, e);
    for (size_t i = 0; i < out.n_edits; i++) {
        free(out.edits[i]->old_value);
        free(out.edits[i]->new_value);
        free(out.edits[i]);
    }
    for (size_t i = 0; i < out.n_warnings; i++)
        free(out.warnings[i]);
    for (size_t i = 0; i < out.n_sections; i++)
        free(out.sections[i]);
    free(out.edits);
    free(out.warnings);
    free(out.sections);
    return rc;
}

int job_plan(struct agent *a, struct stream *s, const Ocm__PlanRequest *req,
             struct error *e)
{
    struct openclaw_conf conf = agent_conf_openclaw(&a->conf);
    struct apply_job j = {.agent = a, .stream = s, .id = req->job};
    struct apply_result result = {0};
    struct adapt_rule *rules = NULL;
    struct apply_options o;
    struct fetch *f = NULL;
    int rc;

    if (!agent_claim(a, req->job))
        return error_set(e, OCM_E_BUSY, "another job runs on this node");
    rc = options_fill(&j, req, &conf, &o, &rules, e);
    if (rc == 0) {
        f = fetch_new(s);
        o.source = fetch_source(f);
        rc = apply_plan(&o, &result, e);
    }
    if (rc == 0)
        rc = send_plan(&j, &result, e);
    apply_result_fini(&result);
    fetch_free(f);
    free(rules);
    agent_release(a);
    return rc;
}

/* ---- apply ---- */

static void keep_result(const struct agent *a, const char *job,
                        const Ocm__Envelope *m);

static int send_result(struct apply_job *j, const struct apply_result *r,
                       struct error *e)
{
    Ocm__Envelope m = OCM__ENVELOPE__INIT;
    Ocm__ApplyResult out = OCM__APPLY_RESULT__INIT;
    Ocm__Check checks[ARRAY_LEN(r->checks)], *list[ARRAY_LEN(r->checks)];

    out.state = (char *)(r->state ? r->state : "unchanged");
    out.reason = r->reason ? r->reason : (char *)"";
    out.n_checks = r->check_count;
    out.checks = list;
    for (size_t i = 0; i < r->check_count; i++) {
        ocm__check__init(&checks[i]);
        checks[i].name = (char *)r->checks[i].name;
        checks[i].ok = r->checks[i].ok;
        checks[i].text = (char *)r->checks[i].text;
        list[i] = &checks[i];
    }
    if (!id_is_zero(&r->safety_snapshot)) {
        out.safety_snapshot.data = (uint8_t *)r->safety_snapshot.b;
        out.safety_snapshot.len = ID_LEN;
    }
    out.kept = r->kept ? r->kept : (char *)"";
    out.gateway_down_ms =
        r->gateway_down_ms > 0 ? (uint64_t)r->gateway_down_ms : 0;
    m.body_case = OCM__ENVELOPE__BODY_APPLY_RESULT;
    m.apply_result = &out;
    keep_result(j->agent, j->id, &m);
    return stream_send(j->stream, &m, e);
}

/* ---- results, kept so that a repeated request gets the same answer ---- */

static char *result_path(const struct agent *a, const char *job)
{
    char *dir = agent_path(a, "results"), *path;

    dir_make(dir, 0700, NULL);
    path = path_join(dir, job);
    free(dir);
    return path;
}

/* The answer as it went out; only the newest few are kept. */
static void keep_result(const struct agent *a, const char *job,
                        const Ocm__Envelope *m)
{
    size_t len = ocm__envelope__get_packed_size(m);
    uint8_t *packed = mem_alloc(len);
    char *path = result_path(a, job);
    struct error e = {0};

    ocm__envelope__pack(m, packed);
    if (file_write(path, packed, len, 0600, &e) < 0)
        log_warn("result of %s not kept: %s", job, e.text);
    files_keep_newest(path, RESULTS_KEPT);
    free(packed);
    free(path);
}

/* 1: it was done before and the answer has been sent again. */
static int send_kept(struct apply_job *j, struct error *e)
{
    char *path = result_path(j->agent, j->id);
    Ocm__Envelope *m = NULL;
    struct buf b = {0};
    int rc = 0;

    if (file_read(path, RESULT_MAX_BYTES, &b, NULL) == 0)
        m = ocm__envelope__unpack(NULL, b.len, b.data);
    if (m) {
        rc = stream_send(j->stream, m, e);
        rc = rc < 0 ? rc : 1;
        ocm__envelope__free_unpacked(m, NULL);
    }
    buf_free(&b);
    free(path);
    return rc;
}

int job_apply(struct agent *a, struct stream *s, const Ocm__ApplyRequest *req,
              struct error *e)
{
    struct openclaw_conf conf = agent_conf_openclaw(&a->conf);
    struct apply_job j = {.agent = a, .stream = s};
    struct apply_result result = {0};
    struct adapt_rule *rules = NULL;
    struct apply_options o;
    struct fetch *f = NULL;
    struct id agreed;
    int rc;

    if (!req->plan || req->digest.len != ID_LEN)
        return error_set(e, OCM_E_PROTOCOL, "apply without a plan");
    memcpy(agreed.b, req->digest.data, ID_LEN);
    j.id = req->plan->job;
    if (!name_is_valid(j.id))
        return error_set(e, OCM_E_PROTOCOL, "apply of a job without an id");
    rc = send_kept(&j, e);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    if (!agent_claim(a, req->plan->job))
        return error_set(e, OCM_E_BUSY, "another job runs on this node");
    rc = options_fill(&j, req->plan, &conf, &o, &rules, e);
    if (rc == 0) {
        f = fetch_new(s);
        o.source = fetch_source(f);
        o.no_start = req->no_start;
        o.no_safety = req->no_safety;
        o.safety = req->no_safety ? NULL : on_safety;
        if (req->health_wait_ms)
            o.health_wait_ms = req->health_wait_ms;
        rc = apply_run(&o, &agreed, &result, e);
    }
    if (rc == 0 || (result.state && strcmp(result.state, "rolled-back") == 0))
        rc = send_result(&j, &result, e);
    apply_result_fini(&result);
    fetch_free(f);
    free(rules);
    agent_release(a);
    return rc;
}
