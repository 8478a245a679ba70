/* SPDX-License-Identifier: MIT */
/* The layout of plain YAML files (gateway.yaml, agents.yaml, cron/...): the
 * same rules, and the few values of gateway.yaml that belong to a node. */
#include <stdlib.h>
#include <string.h>

#include "agent/adapt/adapt_internal.h"
#include "agent/adapt/keys.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/base/text.h"

static const char *const port_places[] = {
    "port", "gateway.port", "server.port", "http.port", "listen.port",
};

static const char *const token_places[] = {
    "token",         "gateway.token",
    "auth.token",    "gateway.auth.token",
    "server.token",  "gateway.auth.password",
    "auth.password",
};

static const char *const other_places[] = {
    "bind",         "gateway.bind",       "host",
    "gateway.host", "server.host",        "server.bind",
    "server.name",  "gateway.name",       "tls",
    "gateway.tls",  "server.tls",         "public_url",
    "publicUrl",    "gateway.public_url", "gateway.publicUrl",
};

static bool is_place(const char *const *places, size_t count, const char *path)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(places[i], path) == 0)
            return true;
    return false;
}

static bool is_gateway_file(const struct adapt_file *f)
{
    const char *rel = file_rel(f);

    return strcmp(rel, "gateway.yaml") == 0 || strcmp(rel, "gateway.yml") == 0;
}

/* Is this one of the values that node_values() sets? */
static bool is_node_value(const char *path)
{
    return is_place(port_places, ARRAY_LEN(port_places), path) ||
           is_place(token_places, ARRAY_LEN(token_places), path) ||
           is_place(other_places, ARRAY_LEN(other_places), path);
}

static int on_yaml(void *arg, struct doc *d, const struct doc_value *v)
{
    struct work *w = arg;
    json_t *own;

    (void)d;
    if (v->alias)
        return 0;
    if (adapt_crosses(w->a) && is_gateway_file(w->f) &&
        is_node_value(v->path)) {
        own = target_value(w->a, v->path);
        if (own || v->type == DOC_OBJECT || v->type == DOC_ARRAY ||
            is_place(port_places, ARRAY_LEN(port_places), v->path) ||
            is_place(token_places, ARRAY_LEN(token_places), v->path))
            return 0;
    }
    return config_value(w, v);
}

static int one_value(struct work *w, const char *path)
{
    struct adapt *a = w->a;
    json_t *own = target_value(a, path);
    struct doc_value v;
    int64_t port;
    char text[49];
    int rc;

    if (!doc_find(w->d, path, &v))
        return 0;
    if (own)
        return edit_subtree(w, path, own, "node-owned");
    if (is_place(port_places, ARRAY_LEN(port_places), path)) {
        if (!text_to_i64(v.text, 1, 65535, &port) || port != a->source_port ||
            a->target_port == 0 || a->target_port == a->source_port)
            return 0;
        snprintf(text, sizeof(text), "%d", a->target_port);
        return v.type == DOC_STRING
                   ? edit_string(w, &v, text, strlen(text), "fresh", false)
                   : edit_raw(w, &v, text, "fresh");
    }
    if (a->o.intention != INTENT_CLONE || a->own.lives ||
        v.type != DOC_STRING || strstr(v.text, "${") ||
        !is_place(token_places, ARRAY_LEN(token_places), path))
        return 0;
    fresh_token(a, "gateway.auth.token", text);
    rc = edit_string(w, &v, text, strlen(text), "fresh", true);
    secret_wipe(text, sizeof(text));
    return rc;
}

static int node_values(struct work *w)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(port_places); i++)
        rc = one_value(w, port_places[i]);
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(token_places); i++)
        rc = one_value(w, token_places[i]);
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(other_places); i++)
        rc = one_value(w, other_places[i]);
    return rc;
}

/* A clone's channels are silent: `enabled` below `channels`. */
static int on_channel(void *arg, struct doc *d, const struct doc_value *v)
{
    struct work *w = arg;
    struct doc_value enabled;
    char *key;
    int rc = 0;

    if (v->type != DOC_OBJECT || v->alias ||
        !(doc_pattern_match("channels.*", v->path) ||
          doc_pattern_match("gateway.channels.*", v->path)))
        return 0;
    key = mem_printf("%s.enabled", v->path);
    if (!doc_find(d, key, &enabled))
        rc = edit_insert(w, v->path, "enabled", key, "false", "channel", false);
    else if (strcmp(enabled.text, "false") != 0)
        rc = edit_raw(w, &enabled, "false", "channel");
    free(key);
    return rc;
}

int adapt_yaml(struct adapt *a, const struct adapt_file *f, struct error *e)
{
    struct work w = {.a = a, .f = f, .e = e};
    struct error why = {0};
    struct buf b = {0};
    int rc = staged_read(f, STAGED_MAX_BYTES, &b, e);

    if (rc != 0)
        goto out;
    if (doc_parse(DOC_YAML, b.data, b.len, &w.d, &why) != 0) {
        plan_warn(a->plan, "config-invalid",
                  adapt_crosses(a) && is_gateway_file(f), f->section, f->at, "",
                  "%s: it is placed as it is", why.text);
        report_foreign(a, f, (const char *)b.data, b.len, NULL);
        goto out;
    }
    rc = doc_each(w.d, on_yaml, &w);
    if (rc == 0 && adapt_crosses(a) && is_gateway_file(f))
        rc = node_values(&w);
    if (rc == 0 && a->o.intention == INTENT_CLONE && !a->o.channels_on &&
        strcmp(f->section, "gateway") == 0)
        rc = doc_each(w.d, on_channel, &w);
    rc = rc == 0 ? work_save(&w, &b, true) : error_prefix(e, "%s", f->at);
out:
    doc_free(w.d);
    buf_wipe(&b);
    return rc;
}
