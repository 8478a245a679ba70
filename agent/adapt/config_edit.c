/* SPDX-License-Identifier: MIT */
/* openclaw.json and its includes, in the spelling of any release: paths and
 * own ports wherever they stand, then in a clone or move the values that
 * belong to the node, then the channels of a clone. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/adapt/adapt_internal.h"
#include "agent/adapt/keys.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/base/text.h"

#define REDACTED "__OPENCLAW_REDACTED__"

/* --- every value --- */

/* Does a URL in `text` name the host `name`, bare or with a domain? */
static bool names_host(const char *text, const char *name)
{
    size_t len = strlen(name);

    for (const char *p = strstr(text, "://"); p; p = strstr(p + 3, "://")) {
        const char *host = p + 3;
        size_t size = strcspn(host, "/?# \"'");
        const char *at = memchr(host, '@', size);

        if (at)
            host = at + 1;
        if (strncasecmp(host, name, len) == 0 &&
            strchr(".:/?# \"'", host[len]) != NULL)
            return true;
    }
    return false;
}

static void warn_host(struct work *w, const struct doc_value *v)
{
    const char *name = facts_get(w->a->o.source, "host.name");
    const char *here = facts_get(w->a->o.target, "host.name");
    size_t len;
    const char *text = doc_text_after(w->d, v, &len);

    if (!adapt_crosses(w->a) || !name || !*name || !text ||
        (here && strcasecmp(name, here) == 0) || !names_host(text, name))
        return;
    plan_warn(w->a->plan, "host-name", false, w->f->section, w->f->at, v->path,
              "the URL names the source's host %s; it stays. If it means the "
              "node itself give a rule %s=%s",
              name, name, here && *here ? here : "NAME");
}

static int own_port(struct work *w, const struct doc_value *v)
{
    int64_t port;
    char raw[16];
    int to;

    if (!text_to_i64(v->text, 1, 65535, &port))
        return 0;
    if (adapt_crosses(w->a) && keys_is_listen_port(v->path)) {
        const char *running = facts_get(w->a->o.target, "gateway.running");

        if ((!running || strcmp(running, "yes") != 0) &&
            !w->a->o.port_is_free(w->a->o.arg, (int)port))
            plan_warn(w->a->plan, "port-taken", false, w->f->section, w->f->at,
                      v->path,
                      "port %d is in use by another program on this node",
                      (int)port);
    }
    if (!keys_is_own_port(v->path) || strcmp(v->path, "gateway.port") == 0)
        return 0;
    to = adapt_port(w->a, port);
    if (!to)
        return 0;
    snprintf(raw, sizeof(raw), "%d", to);
    return v->type == DOC_STRING
               ? edit_string(w, v, raw, strlen(raw), "self-reference", false)
               : edit_raw(w, v, raw, "self-reference");
}

int config_value(struct work *w, const struct doc_value *v)
{
    struct adapt *a = w->a;
    int rc;

    if (v->type == DOC_NUMBER)
        return own_port(w, v);
    if (v->type != DOC_STRING)
        return 0;
    if (strcmp(v->text, REDACTED) == 0) {
        plan_warn(a->plan, "redacted", true, w->f->section, w->f->at, v->path,
                  "the source holds %s instead of a value: this config was "
                  "written from a masked copy. Put the real value into the "
                  "source and back it up again",
                  REDACTED);
        return 0;
    }
    if (keys_is_url_path(v->path))
        return 0;
    if (w->old_token && w->new_token && strcmp(v->text, w->old_token) == 0)
        return edit_string(w, v, w->new_token, strlen(w->new_token),
                           "self-reference", true);
    if (keys_is_own_port(v->path) && own_port(w, v) != 0)
        return w->e ? w->e->code : OCM_E_FAILED;
    rc = edit_value(w, v, keys_is_secret(v->path, v->key, v->text));
    if (rc == 0)
        warn_host(w, v);
    return rc;
}

static int on_value(void *arg, struct doc *d, const struct doc_value *v)
{
    struct work *w = arg;

    (void)d;
    /* these come from the target, member by member */
    if (adapt_crosses(w->a) &&
        (w->a->own.lives ? keys_is_node_owned(v->path)
                         : text_has_prefix(v->path, "gateway.auth")))
        return 0;
    return config_value(w, v);
}

/* --- values of the node --- */

static bool is_literal(const char *text)
{
    return *text && !strstr(text, "${") && text[0] != '$';
}

/* The name in "${NAME}" when that is all of `text`; else NULL. */
static char *sole_variable(const char *text)
{
    size_t len = strlen(text);

    if (len < 4 || text[0] != '$' || text[1] != '{' || text[len - 1] != '}' ||
        strchr(text, '}') != text + len - 1)
        return NULL;
    return mem_strndup(text + 2, len - 3);
}

/* What the gateway's token was and will be, before anything is edited, so
 * that other places of the same token follow it. */
static void learn_token(struct work *w)
{
    struct adapt *a = w->a;
    struct doc_value v;
    char fresh[49];
    json_t *own;

    if (!adapt_crosses(a) || !doc_find(w->d, "gateway.auth.token", &v) ||
        v.type != DOC_STRING || !is_literal(v.text))
        return;
    w->old_token = mem_strdup(v.text);
    own = target_value(a, "gateway.auth.token");
    if (a->own.lives) {
        if (json_is_string(own))
            w->new_token = mem_strdup(json_string_value(own));
    } else if (a->o.intention == INTENT_CLONE) {
        fresh_token(a, "gateway.auth.token", fresh);
        w->new_token = mem_strdup(fresh);
        secret_wipe(fresh, sizeof(fresh));
    }
}

static int set_port(struct work *w, const char *rule)
{
    json_t *port = json_integer(w->a->target_port);
    int rc = 0;

    if (w->a->target_port && w->a->target_port != w->a->source_port)
        rc = edit_subtree(w, "gateway.port", port, rule);
    json_decref(port);
    return rc;
}

/* A secret of gateway.auth made anew, however the source wrote it. */
static int fresh_secret(struct work *w, const char *path)
{
    struct adapt *a = w->a;
    struct doc_value v;
    char fresh[49], *name;
    int rc;

    if (!doc_find(w->d, path, &v))
        return 0;
    if (v.type == DOC_OBJECT) {
        plan_warn(a->plan, "shared-secret", false, w->f->section, w->f->at,
                  path,
                  "the gateway's secret is a reference to a secret store: "
                  "this node would use the same one as the source");
        return 0;
    }
    name = v.type == DOC_STRING ? sole_variable(v.text) : NULL;
    if (name) {
        text_list_add(&a->token_vars, name);
        free(name);
        return 0;
    }
    if (v.type != DOC_STRING || !is_literal(v.text))
        return 0;
    fresh_token(a, path, fresh);
    rc = edit_string(w, &v, fresh, strlen(fresh), "fresh", true);
    secret_wipe(fresh, sizeof(fresh));
    return rc;
}

static bool has_include(struct work *w)
{
    struct doc_value v;

    return doc_find(w->d, "$include", &v) ||
           doc_find(w->d, "gateway.$include", &v);
}

/* The included part may hold the token: what stands here wins over it. */
static int cover_include(struct work *w)
{
    char fresh[49];
    json_t *auth;
    struct doc_value v;
    int rc;

    if (!has_include(w) || doc_find(w->d, "gateway.auth", &v))
        return 0;
    fresh_token(w->a, "gateway.auth.token", fresh);
    auth = json_pack("{s:s,s:s}", "mode", "token", "token", fresh);
    secret_wipe(fresh, sizeof(fresh));
    rc = edit_subtree(w, "gateway.auth", auth, "fresh");
    json_decref(auth);
    return rc;
}

/* An address of the source's own network card is none of this node's. */
static int drop_custom_bind(struct work *w)
{
    struct doc_value bind, host;
    int rc;

    if (!doc_find(w->d, "gateway.bind", &bind) ||
        strcmp(bind.text, "custom") != 0)
        return 0;
    rc = edit_string(w, &bind, "loopback", 8, "node-owned", false);
    if (rc == 0 && doc_find(w->d, "gateway.customBindHost", &host)) {
        rc = edit_remove(w, "gateway.customBindHost", host.text, "node-owned",
                         false);
        plan_warn(w->a->plan, "bind", false, w->f->section, w->f->at,
                  "gateway.bind",
                  "the source listened on its own address %s; here the "
                  "gateway listens on loopback until you choose another",
                  host.text);
    }
    return rc;
}

static bool is_loopback_url(const char *text)
{
    const char *host = strstr(text, "://");

    host = host ? host + 3 : text;
    return strncasecmp(host, "127.", 4) == 0 ||
           strncasecmp(host, "localhost", 9) == 0 ||
           strncmp(host, "[::1]", 5) == 0;
}

/* Where browsers reach the source is not where they reach its clone. */
static int drop_public_names(struct work *w)
{
    static const char *const names[] = {"gateway.publicOrigin",
                                        "mcp.apps.sandboxOrigin"};
    struct doc_value v;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(names); i++)
        if (!(w->a->own.lives && keys_is_node_owned(names[i])) &&
            doc_find(w->d, names[i], &v) && !is_loopback_url(v.text))
            rc = edit_remove(w, names[i], v.text, "node-owned", false);
    for (size_t i = 0; rc == 0 && !w->a->own.lives; i++) {
        char *path = mem_printf("gateway.controlUi.allowedOrigins[%zu]", i);
        bool there = doc_find(w->d, path, &v);

        if (there && !is_loopback_url(v.text))
            rc = edit_remove(w, path, v.text, "node-owned", false);
        free(path);
        if (!there)
            break;
    }
    return rc;
}

/* The target has no config: values of the source that cannot be its own. */
static int values_for_new_node(struct work *w)
{
    bool clone = w->a->o.intention == INTENT_CLONE;
    int rc = set_port(w, "fresh");

    if (rc == 0)
        rc = drop_custom_bind(w);
    if (rc == 0 && clone)
        rc = fresh_secret(w, "gateway.auth.token");
    if (rc == 0 && clone)
        rc = fresh_secret(w, "gateway.auth.password");
    if (rc == 0 && clone)
        rc = cover_include(w);
    return rc;
}

/* `gateway` is not there at all: one insert for what the target has. */
static int insert_gateway(struct work *w)
{
    json_t *own = target_value(w->a, "gateway"), *members;
    int rc = 0;

    members = json_object();
    for (size_t i = 0; i < keys_node_owned_len; i++) {
        const char *path = keys_node_owned[i];
        json_t *value = target_value(w->a, path);

        if (own && value && text_has_prefix(path, "gateway.") &&
            !strchr(path + 8, '.'))
            json_object_set(members, path + 8, value);
    }
    if (json_object_size(members) > 0)
        rc = edit_subtree(w, "gateway", members, "node-owned");
    json_decref(members);
    return rc;
}

static int values_of_target(struct work *w)
{
    struct doc_value v;
    bool gateway = doc_find(w->d, "gateway", &v);
    int rc = gateway ? 0 : insert_gateway(w);

    for (size_t i = 0; rc == 0 && i < keys_node_owned_len; i++) {
        const char *path = keys_node_owned[i];

        if (!gateway && text_has_prefix(path, "gateway."))
            continue;
        rc = edit_subtree(w, path, target_value(w->a, path), "node-owned");
    }
    return rc;
}

/* --- channels --- */

static int switch_off(struct work *w, const char *path, bool insert)
{
    char *key = mem_printf("%s.enabled", path);
    struct doc_value v;
    int rc = 0;

    if (doc_find(w->d, key, &v)) {
        if (v.type != DOC_BOOL || strcmp(v.text, "true") == 0)
            rc = edit_raw(w, &v, "false", "channel");
    } else if (insert) {
        rc = edit_insert(w, path, "enabled", key, "false", "channel", false);
    }
    free(key);
    return rc;
}

static int on_channel(void *arg, struct doc *d, const struct doc_value *v)
{
    struct work *w = arg;

    (void)d;
    if (v->type != DOC_OBJECT)
        return 0;
    if (doc_pattern_match("channels.*", v->path)) {
        /* tables about channels, not channels */
        if (!v->key || strcmp(v->key, "defaults") == 0 ||
            strcmp(v->key, "modelByChannel") == 0)
            return 0;
        text_list_add(&w->a->channels, v->key);
        return switch_off(w, v->path, true);
    }
    if (doc_pattern_match("channels.*.accounts.*", v->path))
        return switch_off(w, v->path, false);
    return 0;
}

/* --- the file --- */

static bool is_main_config(const struct adapt *a, const struct adapt_file *f)
{
    const char *rel = file_rel(f), *config, *slash;

    if (strchr(rel, '/'))
        return false;
    config = facts_get(a->o.source, "state.config");
    slash = config ? strrchr(config, '/') : NULL;
    return (slash && strcmp(slash + 1, rel) == 0) ||
           strcmp(rel, "openclaw.json") == 0 ||
           strcmp(rel, "clawdbot.json") == 0 ||
           strcmp(rel, "moltbot.json") == 0;
}

static int edit_main(struct work *w)
{
    struct adapt *a = w->a;
    int rc;

    if (!adapt_crosses(a))
        return 0;
    rc = a->own.lives ? values_of_target(w) : values_for_new_node(w);
    if (rc == 0 && a->o.intention == INTENT_CLONE)
        rc = drop_public_names(w);
    if (rc == 0 && a->o.intention == INTENT_CLONE && !a->o.channels_on)
        rc = doc_each(w->d, on_channel, w);
    return rc;
}

int adapt_config(struct adapt *a, const struct adapt_file *f, struct error *e)
{
    struct work w = {.a = a, .f = f, .e = e};
    struct error why = {0};
    struct buf b = {0};
    int rc = staged_read(f, STAGED_MAX_BYTES, &b, e);

    if (rc != 0)
        goto out;
    if (doc_parse(DOC_JSON5, b.data, b.len, &w.d, &why) != 0) {
        plan_warn(
            a->plan, "config-invalid", adapt_crosses(a), f->section, f->at, "",
            "%s, so it %s. Repair it on the source and back it up again",
            why.text,
            adapt_crosses(a) ? "cannot be adapted" : "is restored as it is");
        report_foreign(a, f, (const char *)b.data, b.len, NULL);
        goto out;
    }
    if (is_main_config(a, f))
        learn_token(&w);
    rc = doc_each(w.d, on_value, &w);
    if (rc == 0 && is_main_config(a, f))
        rc = edit_main(&w);
    if (rc == 0)
        rc = work_save(&w, &b, true);
    else
        error_prefix(e, "%s", f->at);
out:
    secret_free_str(w.old_token);
    secret_free_str(w.new_token);
    doc_free(w.d);
    buf_wipe(&b);
    return rc;
}
