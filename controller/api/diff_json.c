/* SPDX-License-Identifier: MIT */
/* JSON5 is turned into JSON by a scanner that only knows tokens; jansson then
 * judges the whole. Both documents are flattened side by side. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "controller/api/diff.h"
#include "controller/api/mask.h"

#define JSON_MAX_DEPTH 64
#define VALUE_MAX 300

/* ---- JSON5 to JSON ---- */

struct scan {
    const char *p, *end;
    struct buf out;
    size_t comma; /* where in `out` a comma stands that may be a last one */
};

static bool skip_comment(struct scan *s)
{
    if (s->end - s->p < 2 || s->p[0] != '/')
        return false;
    if (s->p[1] == '/') {
        while (s->p < s->end && *s->p != '\n')
            s->p++;
        return true;
    }
    if (s->p[1] != '*')
        return false;
    for (s->p += 2; s->p < s->end; s->p++) {
        if (s->end - s->p >= 2 && s->p[0] == '*' && s->p[1] == '/') {
            s->p += 2;
            return true;
        }
    }
    return true;
}

/* An escape of JSON5 as one of JSON. */
static void take_escape(struct scan *s)
{
    char c = s->p + 1 < s->end ? s->p[1] : '\0';

    s->p += 2;
    if (c == '\n') /* the line goes on */
        return;
    if (c == '\r') {
        if (s->p < s->end && *s->p == '\n')
            s->p++;
        return;
    }
    if (c == 'x' && s->end - s->p >= 2) {
        buf_printf(&s->out, "\\u00%.2s", s->p);
        s->p += 2;
    } else if (c == 'v' || c == '0') {
        buf_add_str(&s->out, c == 'v' ? "\\u000b" : "\\u0000");
    } else if (c == '\'' || !strchr("\"\\/bfnrtu", c)) {
        buf_add_byte(&s->out, (uint8_t)c);
    } else {
        buf_add_byte(&s->out, '\\');
        buf_add_byte(&s->out, (uint8_t)c);
    }
}

static void take_string(struct scan *s)
{
    char quote = *s->p++;

    buf_add_byte(&s->out, '"');
    while (s->p < s->end && *s->p != quote) {
        if (*s->p == '\\' && s->p + 1 < s->end) {
            take_escape(s);
            continue;
        }
        if (*s->p == '"')
            buf_add_byte(&s->out, '\\');
        buf_add_byte(&s->out, (uint8_t)*s->p++);
    }
    if (s->p < s->end)
        s->p++;
    buf_add_byte(&s->out, '"');
}

static bool is_plain_number(const char *w)
{
    if (*w == '-')
        w++;
    if (!isdigit((unsigned char)*w) || (w[0] == '0' && isalnum(w[1])))
        return false;
    w += strspn(w, "0123456789");
    if (*w == '.') {
        if (!isdigit((unsigned char)w[1]))
            return false;
        w += 1 + strspn(w + 1, "0123456789");
    }
    if (*w == 'e' || *w == 'E') {
        w++;
        w += *w == '+' || *w == '-';
        if (!isdigit((unsigned char)*w))
            return false;
        w += strspn(w, "0123456789");
    }
    return *w == '\0';
}

/* A name, a number, true, false, null. */
static void take_word(struct scan *s)
{
    const char *from = s->p, *after;
    char *w;

    while (s->p < s->end && !isspace((unsigned char)*s->p) &&
           !strchr("{}[]:,\"'/", *s->p))
        s->p++;
    if (s->p == from) { /* a stray byte: jansson will say so */
        buf_add_byte(&s->out, (uint8_t)*s->p++);
        return;
    }
    w = mem_strndup(from, (size_t)(s->p - from));
    after = s->p;
    while (after < s->end && isspace((unsigned char)*after))
        after++;
    if ((after >= s->end || *after != ':') &&
        (is_plain_number(w) || strcmp(w, "true") == 0 ||
         strcmp(w, "false") == 0 || strcmp(w, "null") == 0))
        buf_add_str(&s->out, w);
    else
        buf_printf(&s->out, "\"%s\"", w);
    free(w);
}

json_t *diff_parse_json5(const char *p, size_t len)
{
    struct scan s = {.p = p, .end = p + len, .comma = SIZE_MAX};
    json_t *v;

    while (s.p < s.end) {
        if (isspace((unsigned char)*s.p)) {
            s.p++;
        } else if (skip_comment(&s)) {
            continue;
        } else if (*s.p == ',') {
            s.comma = s.out.len;
            buf_add_byte(&s.out, (uint8_t)*s.p++);
        } else if (*s.p == '}' || *s.p == ']') {
            if (s.comma != SIZE_MAX && s.comma + 1 == s.out.len)
                s.out.len = s.comma;
            buf_add_byte(&s.out, (uint8_t)*s.p++);
        } else if (*s.p == '{' || *s.p == '[' || *s.p == ':') {
            buf_add_byte(&s.out, (uint8_t)*s.p++);
        } else if (*s.p == '"' || *s.p == '\'') {
            take_string(&s);
        } else {
            take_word(&s);
        }
    }
    v = json_loadb(s.out.data ? (const char *)s.out.data : "", s.out.len,
                   JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    buf_wipe(&s.out);
    return v;
}

/* ---- by key ---- */

struct keys {
    json_t *out;
    struct buf path;
    int depth;
};

/* "a.b", "a[3]" */
static size_t push_key(struct keys *k, const char *key)
{
    size_t before = k->path.len;

    if (before > 0)
        buf_add_byte(&k->path, '.');
    buf_add_str(&k->path, key);
    return before;
}

static json_t *shown(const json_t *v)
{
    char *text;
    json_t *out;

    if (!v)
        return json_null();
    text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
    if (!text)
        return json_null();
    if (strlen(text) > VALUE_MAX)
        strcpy(text + VALUE_MAX - 3, "...");
    out = json_string(text);
    if (!out) /* cut within a character */
        out = json_string("...");
    free(text);
    return out;
}

/* Does the value hold anything that must not be seen? Numbers and flags under
 * a secret's name ("maxTokens") may. */
static bool hides(const json_t *v, bool secret_key, int depth)
{
    const char *key;
    json_t *item;
    size_t i;

    if (!v || depth > JSON_MAX_DEPTH)
        return v != NULL;
    if (json_is_string(v))
        return secret_key || mask_looks_secret(json_string_value(v));
    json_array_foreach(v, i, item)
    {
        if (hides(item, secret_key, depth + 1))
            return true;
    }
    json_object_foreach((json_t *)v, key, item)
    {
        if (hides(item, secret_key || mask_is_secret_key(key), depth + 1))
            return true;
    }
    return false;
}

static void report(struct keys *k, const json_t *a, const json_t *b,
                   bool secret_key)
{
    const char *change = !a ? "added" : !b ? "removed" : "changed";
    json_t *entry;

    if (json_array_size(k->out) >= DIFF_MAX_KEYS)
        return;
    entry = json_pack("{s:s,s:s}", "key", buf_str(&k->path), "change", change);
    if (!entry)
        return;
    if (hides(a, secret_key, 0) || hides(b, secret_key, 0)) {
        json_object_set_new(entry, "secret", json_true());
    } else {
        json_object_set_new(entry, "old", shown(a));
        json_object_set_new(entry, "new", shown(b));
    }
    json_array_append_new(k->out, entry);
}

static void compare(struct keys *k, const json_t *a, const json_t *b,
                    bool secret_key);

static void compare_objects(struct keys *k, json_t *a, json_t *b,
                            bool secret_key)
{
    const char *key;
    json_t *v;

    json_object_foreach(a, key, v)
    {
        size_t before = push_key(k, key);

        compare(k, v, json_object_get(b, key),
                secret_key || mask_is_secret_key(key));
        k->path.len = before;
    }
    json_object_foreach(b, key, v)
    {
        size_t before;

        if (json_object_get(a, key))
            continue;
        before = push_key(k, key);
        report(k, NULL, v, secret_key || mask_is_secret_key(key));
        k->path.len = before;
    }
}

static void compare_arrays(struct keys *k, const json_t *a, const json_t *b,
                           bool secret_key)
{
    size_t na = json_array_size(a), nb = json_array_size(b);

    for (size_t i = 0; i < na || i < nb; i++) {
        size_t before = k->path.len;

        buf_printf(&k->path, "[%zu]", i);
        compare(k, json_array_get(a, i), json_array_get(b, i), secret_key);
        k->path.len = before;
    }
}

static void compare(struct keys *k, const json_t *a, const json_t *b,
                    bool secret_key)
{
    if (a && b && json_equal(a, b))
        return;
    if (k->depth < JSON_MAX_DEPTH && json_is_object(a) && json_is_object(b)) {
        k->depth++;
        compare_objects(k, (json_t *)a, (json_t *)b, secret_key);
        k->depth--;
    } else if (k->depth < JSON_MAX_DEPTH && json_is_array(a) &&
               json_is_array(b)) {
        k->depth++;
        compare_arrays(k, a, b, secret_key);
        k->depth--;
    } else {
        report(k, a, b, secret_key);
    }
}

json_t *diff_json(const char *a, size_t a_len, const char *b, size_t b_len)
{
    json_t *va = diff_parse_json5(a, a_len), *vb = diff_parse_json5(b, b_len);
    struct keys k = {.out = NULL};

    if (va && vb) {
        k.out = json_array();
        compare(&k, va, vb, false);
    }
    buf_free(&k.path);
    json_decref(va);
    json_decref(vb);
    return k.out;
}
