/* SPDX-License-Identifier: MIT */
/* What the target has of its own: read from its live config and .env, and
 * put into the staged config member by member, so that everything else keeps
 * its bytes. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "agent/adapt/adapt_internal.h"
#include "agent/adapt/keys.h"
#include "agent/openclaw/config.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"

/* --- reading --- */

/* The ${NAME}s in the strings of `value`. */
static void collect_vars(json_t *value, struct text_list *out)
{
    const char *key, *p;
    json_t *child;
    size_t i;

    if (json_is_object(value)) {
        json_object_foreach(value, key, child) collect_vars(child, out);
    } else if (json_is_array(value)) {
        json_array_foreach(value, i, child) collect_vars(child, out);
    } else if (json_is_string(value)) {
        for (p = strstr(json_string_value(value), "${"); p;
             p = strstr(p + 2, "${")) {
            size_t len = strcspn(p + 2, "}");
            char *name = mem_strndup(p + 2, len);

            if (p[2 + len] == '}' && !text_list_has(out, name))
                text_list_add(out, name);
            free(name);
        }
    }
}

json_t *target_value(const struct adapt *a, const char *path)
{
    json_t *at = a->own.conf;

    while (at && *path) {
        size_t len = strcspn(path, ".");
        char *key = mem_strndup(path, len);

        at = json_object_get(at, key);
        free(key);
        path += len + (path[len] == '.');
    }
    return at;
}

/* With what its includes say; strings as they are written. */
static void read_config(struct adapt *a, const char *dir)
{
    const char *known = facts_get(a->o.target, "state.config");
    bool yaml = a->o.target_era == ERA_YAML;
    struct config config;
    struct error e = {0};
    struct buf notes = {0};
    char *path = yaml    ? path_join(dir, "gateway.yaml")
                 : known ? mem_strdup(known)
                         : path_join(dir, "openclaw.json");
    int rc = config_load(path, yaml, &config, &notes, &e);

    if (rc == 0 && config.root)
        a->own.conf = json_incref(config.root);
    else if (rc != -ENOENT)
        plan_warn(a->plan, "target-config", true, "gateway", "", path,
                  "the target's own config cannot be read, so its port, token "
                  "and addresses are not known; repair it or move it away "
                  "first: %s",
                  e.text);
    config_fini(&config);
    buf_wipe(&notes);
    free(path);
}

void target_read(struct adapt *a)
{
    const char *dir = a->o.target_state_dir;
    struct buf env = {0};
    char *path;

    if (!adapt_crosses(a) || a->o.target_era == ERA_NONE || !dir)
        return;
    read_config(a, dir);
    path = path_join(dir, ".env");
    if (file_read(path, DOC_CONFIG_MAX_BYTES, &env, NULL) == 0)
        config_parse(DOC_ENV, env.data, env.len, &a->own.env, NULL);
    buf_wipe(&env);
    free(path);
    a->own.lives = a->own.conf != NULL;
    for (size_t i = 0; a->own.conf && i < keys_node_owned_len; i++)
        collect_vars(target_value(a, keys_node_owned[i]), &a->own.vars);
}

void target_fini(struct adapt *a)
{
    json_decref(a->own.conf);
    json_decref(a->own.env);
    text_list_free(&a->own.vars);
}

/* --- writing --- */

static char *child_path(const char *parent, const char *key)
{
    struct buf b = {0};
    const char *dot = *parent ? "." : "";

    if (*key && !strpbrk(key, ".[]\"*\\ \t\r\n")) {
        buf_printf(&b, "%s%s%s", parent, dot, key);
        return buf_str(&b);
    }
    buf_printf(&b, "%s[\"", parent);
    for (; *key; key++) {
        if (*key == '"' || *key == '\\')
            buf_add_byte(&b, '\\');
        buf_add_byte(&b, (uint8_t)*key);
    }
    buf_add_str(&b, "\"]");
    return buf_str(&b);
}

/* A value as the plan shows it. */
static const char *shown(const struct doc_value *v)
{
    return v->type == DOC_ARRAY    ? "[...]"
           : v->type == DOC_OBJECT ? "{...}"
                                   : v->text;
}

struct children {
    const char *parent;
    struct text_list keys, paths, texts;
};

static int on_child(void *arg, struct doc *d, const struct doc_value *v)
{
    struct children *c = arg;
    size_t len = strlen(c->parent);
    const char *rest;

    (void)d;
    if (strncmp(v->path, c->parent, len) != 0 || !v->path[len] || !v->key)
        return 0;
    rest = v->path + len;
    if (len && rest[0] != '.' && rest[0] != '[')
        return 0;
    /* a direct member: its path is the parent's and one key */
    char *direct = child_path(c->parent, v->key);
    if (strcmp(direct, v->path) == 0) {
        text_list_add(&c->keys, v->key);
        text_list_add(&c->paths, v->path);
        text_list_add(&c->texts, shown(v));
    }
    free(direct);
    return 0;
}

static void children_free(struct children *c)
{
    text_list_free(&c->keys);
    text_list_free(&c->paths);
    text_list_free(&c->texts);
}

static bool is_secret_place(const char *path)
{
    const char *dot = strrchr(path, '.');

    return keys_is_secret(path, dot ? dot + 1 : path, NULL);
}

/* Does any member below say a secret? Then the whole inserted text is one. */
static bool json_has_secret(json_t *value, const char *path)
{
    const char *key;
    json_t *child;

    if (!json_is_object(value))
        return is_secret_place(path);
    json_object_foreach(value, key, child)
    {
        char *below = child_path(path, key);
        bool secret = json_has_secret(child, below);

        free(below);
        if (secret)
            return true;
    }
    return false;
}

static int insert_json(struct work *w, const char *parent, const char *key,
                       const char *place, json_t *value, const char *rule)
{
    char *json = json_dumps(value, JSON_ENCODE_ANY);
    int rc;

    if (!json)
        return error_set(w->e, OCM_E_FAILED, "%s: cannot write %s", w->f->at,
                         place);
    rc = edit_insert(w, parent, key, place, json, rule,
                     json_has_secret(value, place));
    free(json);
    return rc;
}

/* `path` is not there: insert it, with the objects above that are missing. */
static int insert_missing(struct work *w, const char *path, json_t *want,
                          const char *rule)
{
    char *parent = mem_strdup(path), *dot = strrchr(parent, '.');
    const char *key = dot ? dot + 1 : path;
    struct doc_value found;
    json_t *outer;
    int rc;

    if (dot)
        *dot = '\0';
    if (!dot || doc_find(w->d, parent, &found)) {
        rc = insert_json(w, dot ? parent : "", key, path, want, rule);
    } else {
        outer = json_object();
        json_object_set(outer, key, want);
        rc = insert_missing(w, parent, outer, rule);
        json_decref(outer);
    }
    free(parent);
    return rc;
}

static int edit_members(struct work *w, const char *path, json_t *want,
                        const char *rule)
{
    struct children c = {.parent = path};
    const char *key;
    json_t *child;
    int rc;

    doc_each(w->d, on_child, &c);
    rc = 0;
    for (size_t i = 0; rc == 0 && i < c.keys.count; i++)
        if (!json_object_get(want, c.keys.items[i]))
            rc = edit_remove(w, c.paths.items[i], c.texts.items[i], rule,
                             is_secret_place(c.paths.items[i]));
    json_object_foreach(want, key, child)
    {
        char *below;

        if (rc != 0)
            break;
        below = child_path(path, key);
        if (text_list_has(&c.keys, key))
            rc = edit_subtree(w, below, child, rule);
        else
            rc = insert_json(w, path, key, below, child, rule);
        free(below);
    }
    children_free(&c);
    return rc;
}

static int edit_elements(struct work *w, const char *path, json_t *want,
                         const char *rule)
{
    size_t count = 0;
    int rc = 0;

    for (;; count++) {
        char *below = mem_printf("%s[%zu]", path, count);
        struct doc_value v;
        bool there = doc_find(w->d, below, &v);

        if (there && count < json_array_size(want))
            rc = edit_subtree(w, below, json_array_get(want, count), rule);
        else if (there)
            rc = edit_remove(w, below, v.text, rule, is_secret_place(path));
        free(below);
        if (!there || rc != 0)
            break;
    }
    for (; rc == 0 && count < json_array_size(want); count++) {
        char *below = mem_printf("%s[%zu]", path, count);

        rc = insert_json(w, path, NULL, below, json_array_get(want, count),
                         rule);
        free(below);
    }
    return rc;
}

static json_t *scalar_to_json(const struct doc_value *v)
{
    char *end;
    double real;
    int64_t i;

    switch (v->type) {
    case DOC_NUMBER:
        if (text_to_i64(v->text, INT64_MIN, INT64_MAX, &i))
            return json_integer(i);
        real = strtod(v->text, &end);
        /* Infinity and hexadecimal numbers are none of JSON's */
        return *end || !isfinite(real) ? json_string(v->text) : json_real(real);
    case DOC_BOOL:
        return json_boolean(strcmp(v->text, "true") == 0);
    case DOC_NULL:
        return json_null();
    default:
        return json_stringn(v->text, v->len);
    }
}

static int edit_scalar(struct work *w, const struct doc_value *v, json_t *want,
                       const char *rule)
{
    json_t *have = scalar_to_json(v);
    bool same = have && json_equal(have, want);
    char *raw;
    int rc;

    json_decref(have);
    if (same)
        return 0;
    if (json_is_string(want))
        return edit_string(w, v, json_string_value(want),
                           json_string_length(want), rule,
                           keys_is_secret(v->path, v->key, NULL));
    raw = json_dumps(want, JSON_ENCODE_ANY);
    rc = edit_raw(w, v, raw ? raw : "null", rule);
    free(raw);
    return rc;
}

int edit_subtree(struct work *w, const char *path, json_t *want,
                 const char *rule)
{
    struct doc_value v;
    bool container;

    if (!doc_find(w->d, path, &v))
        return want ? insert_missing(w, path, want, rule) : 0;
    container = v.type == DOC_OBJECT || v.type == DOC_ARRAY;
    if (!want)
        return edit_remove(w, path, shown(&v), rule, is_secret_place(path));
    if (v.type == DOC_OBJECT && json_is_object(want))
        return edit_members(w, path, want, rule);
    if (v.type == DOC_ARRAY && json_is_array(want))
        return edit_elements(w, path, want, rule);
    if (!container && !json_is_object(want) && !json_is_array(want))
        return edit_scalar(w, &v, want, rule);
    /* another shape: a member of the parent is taken out and put in anew */
    int rc = edit_remove(w, path, shown(&v), rule, is_secret_place(path));
    return rc ? rc : insert_missing(w, path, want, rule);
}
