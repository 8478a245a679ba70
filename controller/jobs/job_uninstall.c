/* SPDX-License-Identifier: MIT */
/* Take the agent off one node. Its certificates are revoked by whoever asked,
 * once this is done. */
#include "controller/jobs/kinds.h"
#include "controller/nodes.h"

#define UNINSTALL_MS 120000

static json_t *lines(char **list, size_t count)
{
    json_t *v = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(v, json_string(list[i]));
    return v;
}

static int ask(struct job *j, const struct node *node, json_t *result,
               struct error *e)
{
    struct controller *c = job_context(j);
    Ocm__Envelope m = OCM__ENVELOPE__INIT, *reply = NULL;
    Ocm__UninstallRequest req = OCM__UNINSTALL_REQUEST__INIT;
    struct stream *s = nodes_open_stream(c->nodes, node->id, e);
    const Ocm__UninstallReply *r;
    int rc;

    if (!s)
        return e->code;
    req.job = (char *)job_id(j);
    m.body_case = OCM__ENVELOPE__BODY_UNINSTALL_REQUEST;
    m.uninstall_request = &req;
    rc = stream_send(s, &m, e);
    if (rc == 0)
        rc = stream_expect(s, OCM__ENVELOPE__BODY_UNINSTALL_REPLY, UNINSTALL_MS,
                           &reply, e);
    if (rc == 0) {
        r = reply->uninstall_reply;
        json_object_set_new(result, "removed", lines(r->removed, r->n_removed));
        json_object_set_new(result, "left", lines(r->left, r->n_left));
    }
    stream_message_free(reply);
    stream_end(s, NULL);
    stream_close(s);
    return rc;
}

static int run(struct job *j, const json_t *params, json_t *result,
               struct error *e)
{
    struct controller *c = job_context(j);
    const char *name = json_string_value(json_object_get(params, "node"));
    const char *claim[1];
    struct node_link link;
    struct node node;
    int rc = catalog_node_get(c->catalog, name ? name : "", &node, e);

    claim[0] = node.id;
    if (rc == 0)
        rc = job_claim_nodes(j, claim, 1, e);
    if (rc == 0 && nodes_link(c->nodes, node.id, &link) && !link.can_uninstall)
        rc = error_set(e, OCM_E_UNSUPPORTED,
                       "agent %s does not know how to uninstall itself",
                       link.agent_version);
    if (rc == 0)
        rc = ask(j, &node, result, e);
    catalog_audit(c->catalog, job_owner(j), "agent uninstalled", node.name,
                  rc < 0 ? e->text : "ok", NULL);
    return rc;
}

const struct job_kind job_uninstall = {.name = "uninstall", .run = run};
