/* SPDX-License-Identifier: MIT */
/* How nodes were reached by SSH: kept for upgrades and for their host keys. */
#include <stdlib.h>
#include <string.h>

#include "common/base/text.h"
#include "controller/api/handlers.h"
#include "controller/catalog/catalog.h"

#define VALUE_MAX 4096
#define HOST_KEY_MAX 32768

static const char *const texts[] = {"host", "user", "identity", "jump"};

/* The body as it is kept: every value there, nothing else. */
static int take_body(struct request *rq, json_t **out, struct error *e)
{
    json_t *c = json_object();
    const json_t *port = json_object_get(request_body(rq), "port");
    const char *value;
    int rc = request_body_keys(rq, "host port user identity jump host_key", e);

    for (size_t i = 0; i < 4 && rc == 0; i++) {
        value = "";
        rc = request_body_text(rq, texts[i], VALUE_MAX, &value, e);
        json_object_set_new(c, texts[i], json_string(value));
    }
    value = "";
    if (rc == 0)
        rc = request_body_text(rq, "host_key", HOST_KEY_MAX, &value, e);
    json_object_set_new(c, "host_key", json_string(value));
    json_object_set_new(c, "port", json_integer(json_integer_value(port)));
    if (rc == 0 && !*json_string_value(json_object_get(c, "host")))
        rc = error_set(e, OCM_E_INVALID, "'host' is missing");
    if (rc == 0 && port &&
        (!json_is_integer(port) || json_integer_value(port) < 0 ||
         json_integer_value(port) > 65535))
        rc = error_set(e, OCM_E_INVALID, "'port' must be from 0 to 65535");
    if (rc < 0)
        json_decref(c);
    else
        *out = c;
    return rc;
}

static json_t *shape_connection(const char *node_id, const char *node_name,
                                const char *json)
{
    json_t *c = json_loads(json, 0, NULL);

    if (!c)
        return NULL;
    json_object_set_new(c, "node_id", json_string(node_id));
    json_object_set_new(c, "node", json_string(node_name));
    return c;
}

int post_connection(struct request *rq, struct error *e)
{
    struct controller *c = request_controller(rq);
    json_t *body = NULL;
    struct node n;
    char *json;
    int rc = take_body(rq, &body, e);

    if (rc == 0)
        rc = catalog_node_get(c->catalog, request_param(rq, 0), &n, e);
    if (rc == 0 && n.revoked)
        rc = error_set(e, OCM_E_NOTFOUND, "node '%s' was removed", n.name);
    if (rc < 0) {
        json_decref(body);
        return rc;
    }
    request_about_node(rq, n.name);
    json = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    rc = catalog_connection_put(c->catalog, n.id, json, e);
    if (rc == 0)
        rc = request_reply(rq, 200,
                           json_pack("{s:o}", "connection",
                                     shape_connection(n.id, n.name, json)));
    free(json);
    return rc;
}

int get_connection(struct request *rq, struct error *e)
{
    struct controller *c = request_controller(rq);
    char *json = NULL;
    struct node n;
    int rc = catalog_node_get(c->catalog, request_param(rq, 0), &n, e);

    if (rc == 0)
        rc = catalog_connection_get(c->catalog, n.id, &json, e);
    if (rc == 0)
        rc = request_reply(rq, 200,
                           json_pack("{s:o}", "connection",
                                     shape_connection(n.id, n.name, json)));
    free(json);
    return rc;
}

static void add_connection(void *arg, const char *node_id,
                           const char *node_name, const char *json)
{
    json_array_append_new(arg, shape_connection(node_id, node_name, json));
}

int get_connections(struct request *rq, struct error *e)
{
    struct controller *c = request_controller(rq);
    json_t *list = json_array();
    int rc = catalog_connections(c->catalog, add_connection, list, e);

    if (rc < 0) {
        json_decref(list);
        return rc;
    }
    return request_reply(rq, 200, json_pack("{s:o}", "connections", list));
}
