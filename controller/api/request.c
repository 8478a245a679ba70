/* SPDX-License-Identifier: MIT */
/* What a request says: route, parts of the path, query, body; and the plain
 * answers. */
#include "controller/api/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "controller/api/api_internal.h"
#include "controller/api/guard.h"

struct request *request_new(struct api_server *a, const char *target)
{
    struct request *rq = mem_zalloc(sizeof(*rq));

    rq->api = a;
    rq->target = mem_strdup(target);
    rq->next = a->requests;
    rq->link = &a->requests;
    if (rq->next)
        rq->next->link = &rq->next;
    a->requests = rq;
    return rq;
}

void request_free(struct request *rq)
{
    *rq->link = rq->next;
    if (rq->next)
        rq->next->link = rq->link;
    for (size_t i = 0; i < rq->param_count; i++)
        free(rq->params[i]);
    for (size_t i = 0; i < rq->query_count; i++) {
        free(rq->query[i].name);
        free(rq->query[i].value);
    }
    json_decref(rq->json);
    buf_wipe(&rq->body);
    buf_wipe(&rq->out);
    flow_unref(rq->upload);
    flow_unref(rq->sent);
    download_free(rq->download);
    events_free(rq->events);
    free(rq->target);
    free(rq->last_event);
    free(rq->about);
    free(rq->file_name);
    free(rq);
}

/* ---- route and query ---- */

static bool match(struct request *rq, const char *pattern)
{
    const char *t = rq->target;

    rq->param_count = 0;
    while (*pattern && *t && *t != '?') {
        size_t plen = strcspn(pattern + 1, "/") + 1;
        size_t tlen = strcspn(t + 1, "/?") + 1;

        if (pattern[1] == '{') {
            char room[REQUEST_VALUE_MAX];

            if (rq->param_count == REQUEST_MAX_PARAMS || tlen == 1 ||
                !guard_decode(t + 1, tlen - 1, room, sizeof(room)))
                break;
            rq->params[rq->param_count++] = mem_strdup(room);
        } else if (plen != tlen || memcmp(pattern, t, plen) != 0) {
            break;
        }
        pattern += plen;
        t += tlen;
    }
    if (!*pattern && (!*t || *t == '?'))
        return true;
    while (rq->param_count > 0)
        free(rq->params[--rq->param_count]);
    return false;
}

/* Is `name` one of the words of `list`? */
static bool is_listed(const char *list, const char *name)
{
    size_t len = strlen(name);

    if (strchr(name, ' '))
        return false;
    for (const char *at = list; at && len > 0; at++) {
        if (strncmp(at, name, len) == 0 && (at[len] == ' ' || !at[len]))
            return true;
        at = strchr(at, ' ');
        if (!at)
            break;
    }
    return false;
}

static int add_query(struct request *rq, const char *s, size_t len,
                     const char **why)
{
    char name[REQUEST_VALUE_MAX], value[REQUEST_VALUE_MAX] = "";
    const char *eq = memchr(s, '=', len);
    size_t name_len = eq ? (size_t)(eq - s) : len;

    *why = "the query is malformed";
    if (rq->query_count == REQUEST_MAX_QUERY ||
        !guard_decode(s, name_len, name, sizeof(name)) ||
        (eq && !guard_decode(eq + 1, len - name_len - 1, value, sizeof(value))))
        return 400;
    *why = "unknown name in the query";
    if (!is_listed(rq->route->query, name))
        return 400;
    *why = "a name stands twice in the query";
    if (request_query(rq, name))
        return 400;
    rq->query[rq->query_count++] =
        (struct query_item){mem_strdup(name), mem_strdup(value)};
    return 0;
}

static int parse_query(struct request *rq, const char **why)
{
    const char *at = strchr(rq->target, '?');
    int status = 0;

    if (!at)
        return 0;
    for (at++; *at && status == 0;) {
        size_t len = strcspn(at, "&");

        if (len > 0)
            status = add_query(rq, at, len, why);
        at += len + (at[len] == '&');
    }
    return status;
}

int request_route(struct request *rq, const char *method, const char **why)
{
    bool path_known = false;

    for (size_t i = 0; i < route_count; i++) {
        if (!match(rq, route_table[i].path))
            continue;
        path_known = true;
        if (strcmp(route_table[i].method, method) == 0) {
            rq->route = &route_table[i];
            return parse_query(rq, why);
        }
        while (rq->param_count > 0)
            free(rq->params[--rq->param_count]);
    }
    *why = path_known ? "this method is not used here" : "no such path";
    return path_known ? 405 : 404;
}

struct controller *request_controller(struct request *rq)
{
    return rq->api->c;
}

const char *request_owner(const struct request *rq)
{
    return rq->peer.owner;
}

const struct id *request_ca(const struct request *rq)
{
    return &rq->api->ca;
}

const char *request_param(const struct request *rq, size_t n)
{
    return n < rq->param_count ? rq->params[n] : "";
}

const char *request_query(const struct request *rq, const char *name)
{
    for (size_t i = 0; i < rq->query_count; i++) {
        if (strcmp(rq->query[i].name, name) == 0)
            return rq->query[i].value;
    }
    return NULL;
}

bool request_flag(const struct request *rq, const char *name)
{
    const char *v = request_query(rq, name);

    return v && (!*v || strcmp(v, "1") == 0 || strcmp(v, "true") == 0 ||
                 strcmp(v, "yes") == 0);
}

int request_number(const struct request *rq, const char *name, int64_t fallback,
                   int64_t min, int64_t max, int64_t *out, struct error *e)
{
    const char *v = request_query(rq, name);

    *out = fallback;
    if (!v || text_to_i64(v, min, max, out))
        return 0;
    return error_set(e, OCM_E_INVALID, "%s must be a number from %lld to %lld",
                     name, (long long)min, (long long)max);
}

int request_after(const struct request *rq, int64_t *after, struct error *e)
{
    /* A browser that comes back says it by the header. */
    if (rq->last_event && text_to_i64(rq->last_event, 0, INT64_MAX, after))
        return 0;
    return request_number(rq, "after", 0, 0, INT64_MAX, after, e);
}

/* ---- body ---- */

int request_parse_body(struct request *rq, struct error *e)
{
    json_error_t je;

    if (!(rq->route->flags & ROUTE_BODY))
        return rq->body.len == 0
                   ? 0
                   : error_set(e, OCM_E_INVALID, "this request takes no body");
    if (rq->body.len == 0) {
        rq->json = json_object();
        return 0;
    }
    rq->json = json_loadb((const char *)rq->body.data, rq->body.len,
                          JSON_REJECT_DUPLICATES, &je);
    buf_wipe(&rq->body);
    if (!rq->json)
        return error_set(e, OCM_E_INVALID, "the body is no JSON: line %d: %s",
                         je.line, je.text);
    if (!json_is_object(rq->json))
        return error_set(e, OCM_E_INVALID, "the body must be a JSON object");
    return 0;
}

const json_t *request_body(const struct request *rq)
{
    return rq->json;
}

int request_body_keys(const struct request *rq, const char *names,
                      struct error *e)
{
    const char *key;
    json_t *value;

    json_object_foreach(rq->json, key, value)
    {
        if (!is_listed(names, key))
            return error_set(e, OCM_E_INVALID,
                             "unknown key '%.60s': known are %s", key, names);
    }
    return 0;
}

int request_body_text(const struct request *rq, const char *key, size_t max,
                      const char **out, struct error *e)
{
    const json_t *v = json_object_get(rq->json, key);

    if (!v)
        return 0;
    if (!json_is_string(v) || json_string_length(v) > max ||
        strlen(json_string_value(v)) != json_string_length(v))
        return error_set(e, OCM_E_INVALID,
                         "'%s' must be text of at most %zu bytes", key, max);
    *out = json_string_value(v);
    return 0;
}

int request_body_flag(const struct request *rq, const char *key, bool *out,
                      struct error *e)
{
    const json_t *v = json_object_get(rq->json, key);

    if (!v)
        return 0;
    if (!json_is_boolean(v))
        return error_set(e, OCM_E_INVALID, "'%s' must be true or false", key);
    *out = json_is_true(v);
    return 0;
}

int request_body_list(const struct request *rq, const char *key, size_t max,
                      const json_t **out, struct error *e)
{
    const json_t *v = json_object_get(rq->json, key);

    *out = NULL;
    if (!v)
        return 0;
    if (!json_is_array(v) || json_array_size(v) > max)
        return error_set(e, OCM_E_INVALID, "'%s' must be a list of at most %zu",
                         key, max);
    for (size_t i = 0; i < json_array_size(v); i++) {
        const json_t *s = json_array_get(v, i);

        if (!json_is_string(s) || json_string_length(s) > 4096 ||
            strlen(json_string_value(s)) != json_string_length(s))
            return error_set(e, OCM_E_INVALID, "'%s' must be a list of texts",
                             key);
    }
    *out = v;
    return 0;
}

void request_about_node(struct request *rq, const char *node)
{
    free(rq->about);
    rq->about = mem_strdup(node);
}

ssize_t request_upload(struct request *rq, void *p, size_t max, struct error *e)
{
    return flow_take(rq->upload, p, max, e);
}

/* ---- answers ---- */

int request_reply(struct request *rq, int status, json_t *body)
{
    json_t *all = json_object();
    char *text;

    json_object_set_new(all, "schemaVersion", json_integer(API_SCHEMA_VERSION));
    json_object_update(all, body);
    json_decref(body);
    text = json_dumps(all, JSON_COMPACT);
    json_decref(all);
    rq->kind = ANSWER_BYTES;
    rq->status = status;
    rq->type = "application/json";
    buf_clear(&rq->out);
    buf_add_str(&rq->out, text);
    buf_add_byte(&rq->out, '\n');
    free(text);
    return 0;
}

int request_reply_bytes(struct request *rq, const char *type, const void *p,
                        size_t len)
{
    rq->kind = ANSWER_BYTES;
    rq->status = 200;
    rq->type = type;
    buf_clear(&rq->out);
    buf_add(&rq->out, p, len);
    return 0;
}

static const struct {
    int code, status;
} statuses[] = {
    {OCM_E_INVALID, 400},     {OCM_E_LIMIT, 413},   {OCM_E_BUSY, 503},
    {OCM_E_LOCKED, 409},      {OCM_E_EXISTS, 409},  {OCM_E_NOTFOUND, 404},
    {OCM_E_CHANGED, 409},     {OCM_E_DENIED, 403},  {OCM_E_AUTH, 403},
    {OCM_E_UNSUPPORTED, 501}, {OCM_E_SPACE, 507},   {OCM_E_OFFLINE, 503},
    {OCM_E_CLOSED, 503},      {OCM_E_TIMEOUT, 504}, {OCM_E_VERSION, 409},
};

int status_of_code(int code)
{
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        if (statuses[i].code == code)
            return statuses[i].status;
    }
    return 500;
}

void request_fail(struct request *rq, int status, const char *code,
                  const char *text)
{
    json_t *said = json_string(text);

    if (!said)
        said = json_string("(the reason is not UTF-8)");
    request_reply(
        rq, status,
        json_pack("{s:{s:s,s:o}}", "error", "code", code, "text", said));
}
