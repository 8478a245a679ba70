/* SPDX-License-Identifier: MIT */
/* One verb to a node's gateway: how it is, start, stop, fence, unfence. */
#include <stdlib.h>
#include <string.h>

#include "controller/jobs/kinds.h"
#include "controller/nodes.h"

#define GATEWAY_MS (10 * 60 * 1000) /* a hanging channel takes minutes */

static void cancel_stream(void *arg)
{
    stream_cancel(arg);
}

/* The verb, and its answer on `s`. */
static int ask(struct job *j, struct stream *s, const struct node *node,
               const char *verb, json_t *result, struct error *e)
{
    Ocm__Envelope m = OCM__ENVELOPE__INIT, *reply = NULL;
    Ocm__GatewayRequest req = OCM__GATEWAY_REQUEST__INIT;
    const Ocm__GatewayReply *r;
    int rc;

    req.verb = (char *)verb;
    m.body_case = OCM__ENVELOPE__BODY_GATEWAY_REQUEST;
    m.gateway_request = &req;
    rc = stream_send(s, &m, e);
    if (rc == 0)
        rc = stream_expect(s, OCM__ENVELOPE__BODY_GATEWAY_REPLY, GATEWAY_MS,
                           &reply, e);
    if (rc == 0) {
        r = reply->gateway_reply;
        job_log(j, "info", "%s: gateway %s%s", node->name, r->state,
                r->fenced ? ", fenced" : "");
        if (result) {
            json_object_set_new(result, "state", json_string(r->state));
            json_object_set_new(result, "fenced", json_boolean(r->fenced));
            json_object_set_new(result, "text", json_string(r->text));
        }
    }
    stream_message_free(reply);
    return rc;
}

static int converse(struct job *j, const struct node *node, const char *verb,
                    bool cancels, json_t *result, struct error *e)
{
    struct controller *c = job_context(j);
    struct stream *s = nodes_open_stream(c->nodes, node->id, e);
    int rc;

    if (!s)
        return error_prefix(e, "%s", node->name);
    if (cancels)
        job_on_cancel(j, cancel_stream, s);
    rc = ask(j, s, node, verb, result, e);
    if (cancels)
        job_on_cancel(j, NULL, NULL);
    stream_end(s, NULL);
    stream_close(s);
    return rc;
}

int kinds_gateway(struct job *j, const struct node *node, const char *verb,
                  json_t *result, struct error *e)
{
    return converse(j, node, verb, false, result, e);
}

static int run(struct job *j, const json_t *params, json_t *result,
               struct error *e)
{
    struct controller *c = job_context(j);
    const char *name = json_string_value(json_object_get(params, "node"));
    const char *verb = json_string_value(json_object_get(params, "verb"));
    const char *claim[1];
    struct node node;
    int rc = catalog_node_get(c->catalog, name ? name : "", &node, e);

    claim[0] = node.id;
    if (rc == 0)
        rc = job_claim_nodes(j, claim, 1, e);
    if (rc == 0 && verb && strcmp(verb, "status") != 0)
        rc = node_check_single(&node, e);
    if (rc == 0)
        rc = converse(j, &node, verb ? verb : "status", true, result, e);
    return rc;
}

const struct job_kind job_gateway = {.name = "gateway", .run = run};
