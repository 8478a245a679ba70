/* SPDX-License-Identifier: MIT */
/* Back up one node. A connection that breaks is given time to come back: the
 * next attempt need not send again what became durable. */
#include "controller/jobs/kinds.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "controller/nodes.h"
#include "controller/repo/repo.h"

#define BACKUP_ATTEMPTS 3
#define RECONNECT_WAIT_MS 90000 /* an agent's longest wait, and some more */
#define RECONNECT_POLL_MS 200

const char **kinds_strings(const json_t *params, const char *key, size_t *count)
{
    const json_t *list = json_object_get(params, key);
    const char **out;

    *count = json_array_size(list);
    if (*count == 0)
        return NULL;
    out = mem_array(*count, sizeof(*out));
    for (size_t i = 0; i < *count; i++) {
        const char *s = json_string_value(json_array_get(list, i));

        out[i] = s ? s : "";
    }
    return out;
}

static void cancel_stream(void *arg)
{
    stream_cancel(arg);
}

static int attempt(struct job *j, const struct node *node,
                   const struct backup_order *order, struct backup_outcome *out,
                   struct error *e)
{
    struct controller *c = job_context(j);
    struct stream *s = nodes_open_stream(c->nodes, node->id, e);
    int rc;

    if (!s)
        return e->code;
    job_on_cancel(j, cancel_stream, s);
    rc = handle_backup(c, s, node, order, j, out, e);
    job_on_cancel(j, NULL, NULL);
    if (rc < 0 && rc != OCM_E_CLOSED)
        stream_send_error(s, e);
    stream_end(s, NULL);
    stream_close(s);
    return rc;
}

/* Did the agent come back in time? There is no event to wait on from here
 * that would not tie jobs to sessions; a look five times a second is cheap. */
static bool wait_for_node(struct job *j, const struct node *node)
{
    struct controller *c = job_context(j);
    int64_t until = clock_monotonic_ms() + RECONNECT_WAIT_MS;

    while (clock_monotonic_ms() < until && !atomic_load(job_cancelled(j))) {
        if (nodes_connected(c->nodes, node->id))
            return true;
        uv_sleep(RECONNECT_POLL_MS);
    }
    return false;
}

int kinds_backup(struct job *j, const struct node *node,
                 const struct backup_order *order, struct backup_outcome *out,
                 struct error *e)
{
    struct controller *c = job_context(j);
    int rc = repo_lock(c->repo, false, e);

    if (rc < 0)
        return rc;
    for (int tries = 1;; tries++) {
        rc = repo_refresh(c->repo, e);
        if (rc == 0)
            rc = attempt(j, node, order, out, e);
        if (rc != OCM_E_CLOSED || tries == BACKUP_ATTEMPTS ||
            atomic_load(job_cancelled(j)))
            break;
        job_log(j, "warn", "%s: %s; waiting for the node to come back",
                node->name, e->text);
        if (!wait_for_node(j, node))
            break;
    }
    repo_unlock(c->repo);
    return rc;
}

static int run(struct job *j, const json_t *params, json_t *result,
               struct error *e)
{
    struct controller *c = job_context(j);
    const char *name = json_string_value(json_object_get(params, "node"));
    struct backup_order order = {
        .job = job_id(j),
        .no_data = json_is_true(json_object_get(params, "no_data")),
        .reread = json_is_true(json_object_get(params, "reread")),
    };
    struct backup_outcome out = {0};
    const char *claim[1];
    struct node node;
    int rc;

    rc = catalog_node_get(c->catalog, name ? name : "", &node, e);
    if (rc < 0)
        return rc;
    claim[0] = node.id;
    rc = job_claim_nodes(j, claim, 1, e);
    /* another backup may have moved on the node's last root meanwhile */
    if (rc == 0)
        rc = catalog_node_get(c->catalog, node.id, &node, e);
    if (rc < 0)
        return rc;
    order.sections = kinds_strings(params, "sections", &order.section_count);
    rc = kinds_backup(j, &node, &order, &out, e);
    free((void *)order.sections);
    if (rc < 0)
        return rc;
    json_object_update(result, out.report);
    json_decref(out.report);
    if (out.partial)
        return error_set(e, OCM_E_PARTIAL,
                         "%s: not everything could be captured; see problems",
                         node.name);
    return 0;
}

const struct job_kind job_backup = {.name = "backup", .run = run};
