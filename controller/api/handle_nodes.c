/* SPDX-License-Identifier: MIT */
/* Nodes: list, show, invite, rename, single, remove. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/base/text.h"
#include "common/net/token.h"
#include "controller/api/handlers.h"
#include "controller/api/shapes.h"
#include "controller/controller_conf.h"
#include "controller/nodes.h"

#define TOKEN_TTL_S 900 /* and no longer: the token is a door */
#define TOKEN_TTL_MIN_S 10

int get_nodes(struct request *rq, struct error *e)
{
    struct controller *c = request_controller(rq);
    bool all = request_flag(rq, "all");
    json_t *list;
    struct node *nodes;
    size_t count;
    int rc = catalog_nodes(c->catalog, &nodes, &count, e);

    if (rc < 0)
        return rc;
    list = json_array();
    for (size_t i = 0; i < count; i++) {
        if (all || !nodes[i].revoked)
            json_array_append_new(list, shape_node(c, &nodes[i]));
    }
    free(nodes);
    return request_reply(rq, 200, json_pack("{s:o}", "nodes", list));
}

int get_node(struct request *rq, struct error *e)
{
    struct controller *c = request_controller(rq);
    struct node n;
    int rc = catalog_node_get(c->catalog, request_param(rq, 0), &n, e);

    if (rc < 0)
        return rc;
    return request_reply(rq, 200,
                         json_pack("{s:o}", "node", shape_node(c, &n)));
}

bool join_address(const struct controller *c, char *out, size_t cap)
{
    const char *listen =
        *c->conf->advertise ? c->conf->advertise : c->conf->listen;
    char host[256] = "localhost";
    bool known = strcmp(listen, "0.0.0.0") != 0 && strcmp(listen, "::") != 0;

    if (known)
        snprintf(host, sizeof(host), "%s", listen);
    else
        gethostname(host, sizeof(host) - 1);
    snprintf(out, cap, strchr(host, ':') ? "[%s]:%lld" : "%s:%lld", host,
             (long long)c->conf->join_port);
    return known;
}

int post_node_token(struct request *rq, struct error *e)
{
    struct controller *c = request_controller(rq);
    const char *name = "";
    json_t *ttl = json_object_get(request_body(rq), "ttl_s");
    json_int_t ttl_s = ttl ? json_integer_value(ttl) : TOKEN_TTL_S;
    char text[TOKEN_TEXT_MAX], address[300];
    struct token token;
    int64_t expires;
    char *command;
    int rc = request_body_keys(rq, "name ttl_s", e);

    if (rc == 0)
        rc = request_body_text(rq, "name", NAME_MAX_LEN, &name, e);
    if (rc < 0)
        return rc;
    if (ttl_s < TOKEN_TTL_MIN_S || ttl_s > TOKEN_TTL_S)
        return error_set(e, OCM_E_INVALID, "ttl_s must be from %d to %d",
                         TOKEN_TTL_MIN_S, TOKEN_TTL_S);
    token_make(&token, request_ca(rq));
    expires = clock_now_ns() + ttl_s * 1000000000;
    rc = catalog_token_add(c->catalog, token.secret, name, expires, e);
    if (rc == 0) {
        token_format(&token, text);
        join_address(c, address, sizeof(address));
        /* By standard input: a command line is seen by all users. */
        command = mem_printf("printf '%%s\\n' '%s' | ocm-agent join "
                             "--controller %s%s%s",
                             text, address, name[0] ? " --name " : "", name);
        request_about_node(rq, name);
        rc = request_reply(rq, 201,
                           json_pack("{s:s,s:s,s:o,s:s,s:s}", "token", text,
                                     "name", name, "expires",
                                     shape_time(expires), "controller", address,
                                     "command", command));
        secret_free_str(command);
    }
    secret_wipe(&token, sizeof(token));
    secret_wipe(text, sizeof(text));
    return rc;
}

int post_node_rename(struct request *rq, struct error *e)
{
    struct controller *c = request_controller(rq);
    const char *name = NULL;
    struct node n;
    int rc = request_body_keys(rq, "name", e);

    if (rc == 0)
        rc = request_body_text(rq, "name", NAME_MAX_LEN, &name, e);
    if (rc == 0 && !name)
        rc = error_set(e, OCM_E_INVALID, "'name' is missing");
    if (rc == 0)
        rc = catalog_node_get(c->catalog, request_param(rq, 0), &n, e);
    if (rc == 0) {
        request_about_node(rq, n.name);
        rc = catalog_node_rename(c->catalog, n.id, name, e);
    }
    if (rc == 0)
        rc = catalog_node_get(c->catalog, n.id, &n, e);
    if (rc < 0)
        return rc;
    return request_reply(rq, 200,
                         json_pack("{s:o}", "node", shape_node(c, &n)));
}

/* Its identity runs on one machine again. */
int post_node_single(struct request *rq, struct error *e)
{
    struct controller *c = request_controller(rq);
    struct node n;
    int rc = request_body_keys(rq, "", e);

    if (rc == 0)
        rc = catalog_node_get(c->catalog, request_param(rq, 0), &n, e);
    if (rc < 0)
        return rc;
    request_about_node(rq, n.name);
    rc = catalog_node_single(c->catalog, n.id, e);
    if (rc < 0)
        return rc;
    n.duplicate_ns = 0;
    return request_reply(rq, 200,
                         json_pack("{s:o}", "node", shape_node(c, &n)));
}

/* On the loop: the connection is closed there. */
int delete_node(struct request *rq, struct error *e)
{
    struct controller *c = request_controller(rq);
    struct node n;
    int rc = catalog_node_get(c->catalog, request_param(rq, 0), &n, e);

    if (rc == 0 && n.revoked)
        rc = error_set(e, OCM_E_NOTFOUND, "node '%s' was removed already",
                       n.name);
    if (rc < 0)
        return rc;
    request_about_node(rq, n.name);
    rc = catalog_node_revoke(c->catalog, n.id, e);
    if (rc < 0)
        return rc;
    nodes_close(c->nodes, n.id, "this node was removed");
    n.revoked = true;
    return request_reply(rq, 200,
                         json_pack("{s:o}", "node", shape_node(c, &n)));
}
