/* SPDX-License-Identifier: MIT */
/* What a bootstrap needs of the controller, by its API; and of people. The
 * client of the API is one for all threads: one request at a time. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "controller/cli/add.h"

#define HEARD_MS 60000
#define POLL_MS 100

/* ---- requests ---- */

/* The failure of a request as an error, and not on the terminal. */
static json_t *request(struct add_host *h, const char *method, json_t *body,
                       struct error *e, const char *target)
{
    struct cli *c = h->add->c;
    json_t *doc;
    int code = 0;

    pthread_mutex_lock(&h->add->lock);
    c->failure = e;
    doc = body || strcmp(method, "GET") != 0
              ? client_send(c, &code, method, body, "%s", target)
              : client_get(c, &code, "%s", target);
    c->failure = NULL;
    pthread_mutex_unlock(&h->add->lock);
    if (!doc && e && e->code == 0)
        error_set(e, cli_interrupted ? OCM_E_CANCELLED : OCM_E_FAILED,
                  cli_interrupted ? "interrupted" : "the controller refuses");
    return doc;
}

static json_t *request_node(struct add_host *h, const char *method,
                            json_t *body, struct error *e, const char *node,
                            const char *verb)
{
    char *target = mem_printf("/api/v1/nodes/%s%s", node, verb);
    json_t *doc = request(h, method, body, e, target);

    free(target);
    return doc;
}

/* ---- hooks ---- */

static void on_step(void *arg, const char *text)
{
    add_line(arg, false, "%s", text);
}

static void on_would(void *arg, const char *command)
{
    add_line(arg, true, "would run: %s", command);
}

static int knows(void *arg, const char *node_id, bool *known, struct error *e)
{
    struct error why = {0};
    json_t *doc;

    for (const char *p = node_id; *p; p++) {
        if (!strchr("0123456789abcdef", *p)) {
            *known = false; /* no controller gives such an id */
            return 0;
        }
    }
    doc = request_node(arg, "GET", NULL, &why, node_id, "");
    if (!doc && why.code != OCM_E_NOTFOUND) {
        if (e)
            *e = why;
        return why.code;
    }
    *known = doc && !json_is_true(json_object_get(json_object_get(doc, "node"),
                                                  "revoked"));
    json_decref(doc);
    return 0;
}

static int address(void *arg, char *out, size_t cap, bool *advertised,
                   struct error *e)
{
    json_t *doc = request(arg, "GET", NULL, e, "/api/v1/status");
    const json_t *join = json_object_get(doc, "join");

    if (!doc)
        return e->code;
    snprintf(out, cap, "%s", text_of(join, "address"));
    *advertised = json_is_true(json_object_get(join, "advertised"));
    json_decref(doc);
    return 0;
}

static int take_token(void *arg, const char *name, char *token, size_t cap,
                      struct error *e)
{
    json_t *doc = request(arg, "POST", json_pack("{s:s}", "name", name), e,
                          "/api/v1/nodes/token");

    if (!doc)
        return e->code;
    snprintf(token, cap, "%s", text_of(doc, "token"));
    json_decref(doc);
    return 0;
}

static void forget(void *arg, const char *node_id)
{
    struct error e = {0};

    json_decref(request_node(arg, "DELETE", NULL, &e, node_id, ""));
}

static int pause_a_little(struct error *e)
{
    if (cli_interrupted)
        return error_set(e, OCM_E_CANCELLED, "interrupted");
    usleep(POLL_MS * 1000);
    return 0;
}

static int heard(void *arg, const char *node_id, struct error *e)
{
    int64_t until = clock_monotonic_ms() + HEARD_MS;
    bool up = false;
    int rc = 0;

    while (rc == 0 && !up) {
        json_t *doc = request_node(arg, "GET", NULL, e, node_id, "");

        if (!doc)
            return e->code;
        up = json_is_true(
            json_object_get(json_object_get(doc, "node"), "connected"));
        json_decref(doc);
        if (!up && clock_monotonic_ms() > until)
            return error_set(e, OCM_E_TIMEOUT,
                             "the agent is installed, but the controller does "
                             "not hear it: is its port for agents open to the "
                             "host?");
        if (!up)
            rc = pause_a_little(e);
    }
    return rc;
}

static void describe_backup(const json_t *r, char *out, size_t cap)
{
    snprintf(out, cap, "%s, %s files, %s", text_of(r, "state"),
             count_text(number_of(r, "files")),
             bytes_text(number_of(r, "bytes")));
}

/* A job's end; the rooms of the texts are shared, hence the lock. */
static int take_end(struct add_host *h, const json_t *job, char *out,
                    size_t cap, struct error *e)
{
    const char *state = text_of(job, "state");
    const json_t *error = json_object_get(job, "error");

    if (strcmp(state, "done") == 0 || strcmp(state, "partial") == 0) {
        pthread_mutex_lock(&h->add->lock);
        describe_backup(json_object_get(job, "result"), out, cap);
        pthread_mutex_unlock(&h->add->lock);
        return 0;
    }
    return error_set(e, error_code_of_name(text_of(error, "code")),
                     "the agent runs, but the backup failed: %s",
                     *text_of(error, "text") ? text_of(error, "text") : state);
}

static int backup(void *arg, const char *node_id, char *out, size_t cap,
                  struct error *e)
{
    json_t *doc = request(arg, "POST", json_pack("{s:[s]}", "nodes", node_id),
                          e, "/api/v1/backups");
    char *target;
    int rc = 0;

    if (!doc)
        return e->code;
    target = mem_printf(
        "/api/v1/jobs/%s",
        text_of(json_array_get(json_object_get(doc, "jobs"), 0), "job"));
    json_decref(doc);
    for (bool ended = false; rc == 0 && !ended;) {
        const char *state;

        doc = request(arg, "GET", NULL, e, target);
        if (!doc) {
            rc = e->code;
            break;
        }
        state = text_of(json_object_get(doc, "job"), "state");
        ended = strcmp(state, "queued") != 0 && strcmp(state, "running") != 0;
        if (ended)
            rc = take_end(arg, json_object_get(doc, "job"), out, cap, e);
        json_decref(doc);
        if (!ended)
            rc = pause_a_little(e);
    }
    free(target);
    return rc;
}

static int keep(void *arg, const char *node_id,
                const struct bootstrap_connection *k, struct error *e)
{
    json_t *body =
        json_pack("{s:s,s:I,s:s,s:s,s:s,s:s}", "host", k->host, "port",
                  (json_int_t)k->port, "user", k->user, "identity", k->identity,
                  "jump", k->jump, "host_key", k->host_key);
    json_t *doc =
        body ? request_node(arg, "POST", body, e, node_id, "/connection")
             : NULL;

    if (!doc)
        return e->code
                   ? e->code
                   : error_set(e, OCM_E_INVALID, "the connection is not UTF-8");
    json_decref(doc);
    return 0;
}

/* ---- the plan ---- */

static const char *mode_text(const char *mode)
{
    return strcmp(mode, "system") == 0 ? "a system service"
           : strcmp(mode, "user") == 0 ? "a service of the user"
                                       : "a cron job at boot";
}

static void describe_item(struct buf *b, const struct bootstrap_plan *plan,
                          const struct bootstrap_item *it)
{
    const struct remote_state *s = &it->state;

    buf_printf(b, "  %s the agent for %s as %s, ",
               bootstrap_action_text(it->action), s->user,
               mode_text(plan->mode));
    if (!s->dir[0])
        buf_add_str(b, "who has no OpenClaw yet");
    else
        buf_printf(b, "OpenClaw %s in %s",
                   s->version[0] ? s->version : "(version unknown)", s->dir);
    if (it->join)
        buf_printf(b, "; joins as %s\n", it->node);
    else
        buf_printf(b, "; keeps its identity\n");
}

static void describe(struct buf *b, const struct add_host *h,
                     const struct bootstrap_plan *plan)
{
    const struct remote *r = plan->remote;

    buf_printf(b, "%s: %s (%s, %s, %s)%s\n", h->text, r->host,
               r->os[0] ? r->os : "unknown system", r->arch, r->init,
               plan->sudo ? ", root by sudo" : "");
    if (plan->host_key[0])
        buf_printf(b, "  host key %s\n", plan->host_key);
    for (size_t i = 0; i < plan->item_count; i++)
        describe_item(b, plan, &plan->items[i]);
    buf_printf(b, "  controller for the node: %s\n", plan->controller);
}

static bool approve(void *arg, const struct bootstrap_plan *plan)
{
    struct add_host *h = arg;
    struct buf b = {0};
    char answer[16] = "";
    bool ok;

    describe(&b, h, plan);
    if (!h->add->c->quiet)
        add_lines(h, buf_str(&b));
    buf_clear(&b);
    buf_printf(&b, "%s: go on? [y]es, [N]o, [a]ll: ", h->text);
    ok = h->add->yes || arg_flag(h->add->c, "dry-run") ||
         add_ask(h, buf_str(&b), answer, sizeof(answer));
    if (ok && answer[0])
        ok = strchr("yYaA", answer[0]) != NULL;
    else if (ok && !h->add->yes && !arg_flag(h->add->c, "dry-run"))
        ok = false; /* just Enter */
    if (answer[0] == 'a' || answer[0] == 'A')
        h->add->yes = true;
    buf_free(&b);
    return ok;
}

const struct bootstrap_hooks add_hooks = {
    .step = on_step,
    .would = on_would,
    .approve = approve,
    .knows = knows,
    .address = address,
    .token = take_token,
    .forget = forget,
    .heard = heard,
    .backup = backup,
    .keep = keep,
};

/* ---- what is known from before ---- */

static void replace(char **to, const char *text)
{
    free(*to);
    *to = mem_strdup(text);
}

/* A host that is given as the name of a node is reached as it was before. */
static void take_connection(struct add *a, const json_t *k)
{
    buf_add_str(&a->known_hosts, text_of(k, "host_key"));
    for (size_t i = 0; i < a->count; i++) {
        struct add_host *h = &a->hosts[i];

        if (strcmp(h->host, text_of(k, "node")) != 0 || *h->user || h->port ||
            *h->jump || *h->identity)
            continue;
        replace(&h->host, text_of(k, "host"));
        replace(&h->user, text_of(k, "user"));
        replace(&h->identity, text_of(k, "identity"));
        replace(&h->jump, text_of(k, "jump"));
        h->port = number_of(k, "port");
    }
}

int add_load_connections(struct add *a)
{
    int code = 0;
    json_t *doc = client_get(a->c, &code, "/api/v1/connections");
    json_t *k;
    size_t i;

    if (!doc)
        return code;
    json_array_foreach(json_object_get(doc, "connections"), i, k)
    {
        take_connection(a, k);
    }
    json_decref(doc);
    return 0;
}
