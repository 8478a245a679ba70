/* SPDX-License-Identifier: MIT */
/* Edits: asked for one by one, kept as a list, made into bytes by render.c. */
#include "agent/adapt/docs/doc_internal.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/secret.h"

void edit_fini(struct edit *ed)
{
    free(ed->path);
    secret_free_str(ed->section);
    secret_free_str(ed->key);
    if (ed->text)
        secret_wipe(ed->text, ed->len);
    free(ed->text);
    buf_wipe(&ed->bytes);
    doc_free(ed->want);
}

static char *path_text(const struct doc *d, uint32_t n)
{
    struct buf path = {0};

    path_of(d, n, &path);
    return buf_str(&path); /* the buffer becomes the string */
}

static void keep_edit(struct doc *d, struct edit *ed)
{
    d->edits =
        mem_grow(d->edits, &d->edit_cap, d->edit_count + 1, sizeof(*d->edits));
    d->edits[d->edit_count++] = *ed;
}

static struct edit *edit_at(const struct doc *d, uint32_t i)
{
    return i == NONE ? NULL : &d->edits[i];
}

bool doc_is_gone(const struct doc *d, uint32_t n)
{
    for (; n != NONE; n = d->nodes[n].parent) {
        if (d->nodes[n].gone)
            return true;
    }
    return false;
}

/* A line of a crontab comes and goes as a whole. */
static void mark_gone(struct doc *d, uint32_t n, bool gone)
{
    uint32_t line = d->nodes[n].line;

    d->nodes[n].gone = gone;
    if (d->nodes[n].part == PART_NONE)
        return;
    for (uint32_t c = d->nodes[0].first; c != NONE; c = d->nodes[c].next) {
        if (d->nodes[c].line == line)
            d->nodes[c].gone = gone;
    }
}

static int check_scalar(const struct doc *d, const struct doc_value *v,
                        struct error *e)
{
    const struct doc_node *n;

    if (v->id >= d->count)
        return error_set(e, OCM_E_INVALID, "not a value of this document");
    n = &d->nodes[v->id];
    if (n->type == DOC_OBJECT || n->type == DOC_ARRAY)
        return error_set(e, OCM_E_INVALID, "line %u: '%s' is no single value",
                         n->line, v->path);
    if (doc_is_gone(d, v->id))
        return error_set(e, OCM_E_INVALID, "line %u: '%s' is to be removed",
                         n->line, v->path);
    return 0;
}

static int set_text(struct doc *d, const struct doc_value *v, const char *text,
                    size_t len, enum doc_type type, struct error *e)
{
    struct edit ed = {.kind = DOC_EDIT_SET, .node = v->id, .type = type};
    struct edit *before;
    int rc = check_scalar(d, v, e);

    if (rc != 0)
        return rc;
    if (len > d->ops->max)
        return error_set(e, OCM_E_LIMIT, "a text of %zu bytes", len);
    if (d->ops->typed && !utf8_all(text, len))
        return error_set(e, OCM_E_INVALID, "the new text is no valid UTF-8");
    if (!d->ops->typed && !d->ops->binary && memchr(text, 0, len))
        return error_set(e, OCM_E_UNSUPPORTED, "a NUL byte in the new text");
    ed.text = mem_strndup(text, len);
    ed.len = len;
    rc = d->ops->encode(d, &d->nodes[v->id], &ed, e);
    if (rc != 0) {
        edit_fini(&ed);
        return rc;
    }
    ed.path = path_text(d, v->id);
    before = edit_at(d, d->nodes[v->id].set);
    if (before)
        before->undone = true;
    d->nodes[v->id].set = (uint32_t)d->edit_count;
    keep_edit(d, &ed);
    return 0;
}

int doc_set_string(struct doc *d, const struct doc_value *v, const char *text,
                   size_t len, struct error *e)
{
    return set_text(d, v, text, len, DOC_STRING, e);
}

int doc_set_raw(struct doc *d, const struct doc_value *v, const char *raw,
                struct error *e)
{
    enum doc_type type;

    if (!json_is_raw(raw, &type))
        return error_set(e, OCM_E_INVALID,
                         "'%s' is no JSON number, true, false or null", raw);
    return set_text(d, v, raw, strlen(raw), d->ops->typed ? type : DOC_STRING,
                    e);
}

/* Does another member of n's container have this key, now or by an edit? */
static bool key_taken(const struct doc *d, uint32_t container, uint32_t self,
                      const char *key)
{
    uint32_t c = doc_child(d, container, key, strlen(key));

    if (c != NONE && c != self && !doc_is_gone(d, c) &&
        d->nodes[c].rekey == NONE)
        return true;
    for (size_t i = 0; i < d->edit_count; i++) {
        const struct edit *ed = &d->edits[i];
        uint32_t in = ed->node;

        if (ed->undone || !ed->key || in == NONE || in == self)
            continue;
        if (ed->kind == DOC_EDIT_KEY)
            in = d->nodes[in].parent;
        if (in == container && strcmp(ed->key, key) == 0)
            return true;
    }
    return false;
}

int doc_set_key(struct doc *d, const struct doc_value *v, const char *key,
                struct error *e)
{
    struct edit ed = {.kind = DOC_EDIT_KEY, .node = v->id, .type = DOC_STRING};
    const struct doc_node *n;
    struct edit *before;
    int rc;

    if (v->id >= d->count || !d->ops->encode_key ||
        d->nodes[v->id].key_start == NONE)
        return error_set(e, OCM_E_UNSUPPORTED, "'%s' has no key to change",
                         v->path);
    n = &d->nodes[v->id];
    if (doc_is_gone(d, v->id))
        return error_set(e, OCM_E_INVALID, "'%s' is to be removed", v->path);
    if (key_taken(d, n->parent, v->id, key))
        return error_set(e, OCM_E_EXISTS, "the key '%s' is there already", key);
    if (d->ops->typed && !utf8_all(key, strlen(key)))
        return error_set(e, OCM_E_INVALID, "the new key is no valid UTF-8");
    ed.key = mem_strdup(key);
    rc = d->ops->encode_key(d, n, &ed, e);
    if (rc != 0) {
        edit_fini(&ed);
        return rc;
    }
    ed.path = path_text(d, v->id);
    before = edit_at(d, d->nodes[v->id].rekey);
    if (before)
        before->undone = true;
    d->nodes[v->id].rekey = (uint32_t)d->edit_count;
    keep_edit(d, &ed);
    return 0;
}

/* The path an inserted member will have. */
static char *insert_path(const struct doc *d, const struct edit *ed,
                         const char *path)
{
    struct buf b = {0};

    buf_add_str(&b, path);
    if (ed->key)
        path_add_key(&b, ed->key, strlen(ed->key));
    else if (ed->node != NONE && !d->ops->by_line)
        buf_printf(&b, "[%u]", d->nodes[ed->node].count);
    return buf_str(&b);
}

static int check_container(struct doc *d, const struct edit *ed,
                           const char *path, struct error *e)
{
    const struct doc_node *n;

    if (ed->node == NONE)
        return error_set(e, OCM_E_NOTFOUND, "there is no '%s'", path);
    n = &d->nodes[ed->node];
    if ((n->type != DOC_OBJECT && n->type != DOC_ARRAY) || n->alias)
        return error_set(e, OCM_E_NOTFOUND, "line %u: '%s' has no members",
                         n->line, path);
    if (doc_is_gone(d, ed->node))
        return error_set(e, OCM_E_INVALID, "'%s' is to be removed", path);
    if (d->ops->typed && (n->type == DOC_OBJECT) != (ed->key != NULL))
        return error_set(e, OCM_E_INVALID, "line %u: '%s' is %s", n->line, path,
                         ed->key ? "an array, it takes no key"
                                 : "an object, it takes a key");
    if (ed->key && d->format != DOC_UNIT &&
        key_taken(d, ed->node, NONE, ed->key))
        return error_set(e, OCM_E_EXISTS, "'%s' has the key '%s' already", path,
                         ed->key);
    return 0;
}

/* JSON5 is read, but what only JSON5 can say would be copied into JSON. */
static int parse_value(const char *json, struct doc **out, struct error *e)
{
    int rc = doc_parse(DOC_JSON5, json, strlen(json), out, e);
    enum doc_type type;

    for (size_t i = 0; rc == 0 && i < (*out)->count; i++) {
        const struct doc_node *n = &(*out)->nodes[i];

        if (n->type == DOC_NUMBER && !json_is_raw(n->text, &type))
            rc = error_set(e, OCM_E_INVALID, "'%s' is no JSON number", n->text);
    }
    if (rc == 0)
        return 0;
    doc_free(*out);
    *out = NULL;
    error_prefix(e, "the new value");
    return rc;
}

int doc_insert(struct doc *d, const char *path, const char *key,
               const char *json, struct error *e)
{
    struct edit ed = {.kind = DOC_EDIT_INSERT};
    struct doc *value;
    int rc = parse_value(json, &value, e);

    if (rc != 0)
        return rc;
    if (key && d->ops->typed && !utf8_all(key, strlen(key))) {
        doc_free(value);
        return error_set(e, OCM_E_INVALID, "the new key is no valid UTF-8");
    }
    ed.node = path_find(d, path);
    ed.key = mem_strdup(key);
    ed.text = mem_strdup(json);
    ed.len = strlen(json);
    /* a section of a unit need not be there yet */
    if (d->format == DOC_UNIT && ed.node == NONE)
        ed.section = mem_strdup(path);
    else
        rc = check_container(d, &ed, path, e);
    if (rc == 0)
        rc = d->ops->insert(d, &ed, &value, e);
    doc_free(value);
    if (rc != 0) {
        edit_fini(&ed);
        return rc;
    }
    ed.path = insert_path(d, &ed, path);
    if (ed.node != NONE)
        d->nodes[ed.node].grows = true;
    keep_edit(d, &ed);
    return 0;
}

static void remove_node(struct doc *d, uint32_t n)
{
    struct edit ed = {.kind = DOC_EDIT_REMOVE, .node = n};

    ed.path = path_text(d, n);
    mark_gone(d, n, true);
    keep_edit(d, &ed);
}

int doc_remove(struct doc *d, const char *path, struct error *e)
{
    uint32_t n = path_find(d, path);
    uint32_t up;

    if (n == NONE || doc_is_gone(d, n))
        return error_set(e, OCM_E_NOTFOUND, "there is no '%s'", path);
    if (n == 0)
        return error_set(e, OCM_E_INVALID,
                         "the document itself cannot be removed");
    if (d->ops->may_remove) {
        int rc = d->ops->may_remove(d, n, e);

        if (rc != 0)
            return rc;
    }
    if (d->format != DOC_ENV && d->format != DOC_ENV_SYSTEMD) {
        remove_node(d, n);
        return 0;
    }
    /* a repeated name: each of its lines */
    up = d->nodes[n].parent;
    for (uint32_t c = d->nodes[up].first; c != NONE; c = d->nodes[c].next) {
        if (d->nodes[c].key_len == d->nodes[n].key_len &&
            memcmp(d->nodes[c].key, d->nodes[n].key, d->nodes[n].key_len) ==
                0 &&
            !doc_is_gone(d, c))
            remove_node(d, c);
    }
    return 0;
}

const char *doc_text_after(const struct doc *d, const struct doc_value *v,
                           size_t *len)
{
    const struct edit *ed;

    *len = 0;
    if (v->id >= d->count || doc_is_gone(d, v->id))
        return NULL;
    ed = edit_at(d, d->nodes[v->id].set);
    *len = ed ? ed->len : d->nodes[v->id].len;
    return ed ? ed->text : d->nodes[v->id].text;
}

size_t doc_edit_count(const struct doc *d)
{
    return d->edit_count;
}

void doc_edit_at(struct doc *d, size_t i, struct doc_edit *out)
{
    const struct edit *ed = &d->edits[i];

    out->kind = ed->kind;
    out->path = ed->path;
    out->undone = ed->undone;
    out->line = 0;
    out->old_text = "";
    out->new_text = "";
    if (ed->kind != DOC_EDIT_INSERT) {
        out->line = d->nodes[ed->node].line;
        out->old_text = d->nodes[ed->node].text;
    }
    if (ed->kind == DOC_EDIT_KEY) {
        out->old_text = d->nodes[ed->node].key;
        out->new_text = ed->key;
    } else if (ed->text) {
        out->new_text = ed->text;
    }
}

void doc_edit_undo(struct doc *d, size_t i)
{
    struct edit *ed = &d->edits[i];

    if (ed->undone)
        return;
    ed->undone = true;
    if (ed->kind == DOC_EDIT_SET)
        d->nodes[ed->node].set = NONE;
    else if (ed->kind == DOC_EDIT_KEY)
        d->nodes[ed->node].rekey = NONE;
    else if (ed->kind == DOC_EDIT_REMOVE)
        mark_gone(d, ed->node, false);
}
