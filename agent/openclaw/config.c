/* SPDX-License-Identifier: MIT */
/* openclaw.json: document -> JSON tree -> includes merged -> values. */
#include "agent/openclaw/config.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"

/* ---- document -> tree ---- */

/* doc_each walks containers before what is in them; the open ones stand on a
 * stack, and a value belongs to the deepest whose path begins its own. */
struct builder {
    struct {
        json_t *node;
        char *path;
    } open[DOC_DEPTH_MAX + 2];
    size_t depth;
    json_t *root;
};

static json_t *number_of(const char *text)
{
    char *end;
    long long n;
    double d;

    errno = 0;
    n = strtoll(text, &end, 0);
    if (!errno && end != text && !*end && text[0] != '0')
        return json_integer(n);
    if (!errno && end != text && !*end &&
        (!text[1] || text[1] == 'x' || text[1] == 'X'))
        return json_integer(n);
    d = strtod(text, &end);
    if (end == text || *end || !isfinite(d))
        return json_null();
    return json_real(d);
}

static json_t *scalar_of(const struct doc_value *v)
{
    json_t *s;

    switch (v->type) {
    case DOC_NUMBER:
        return number_of(v->text);
    case DOC_BOOL:
        return json_boolean(v->text[0] == 't' || v->text[0] == 'T' ||
                            v->text[0] == 'y' || v->text[0] == 'Y');
    case DOC_STRING:
        s = json_stringn(v->text, v->len);
        return s ? s : json_null(); /* a lone surrogate */
    default:
        return json_null();
    }
}

static bool is_inside(const char *path, const char *parent)
{
    size_t len = strlen(parent);

    return len == 0 || (strncmp(path, parent, len) == 0 &&
                        (path[len] == '.' || path[len] == '['));
}

static int on_value(void *arg, struct doc *d, const struct doc_value *v)
{
    struct builder *b = arg;
    bool container = v->type == DOC_OBJECT || v->type == DOC_ARRAY;
    json_t *node = !container              ? scalar_of(v)
                   : v->type == DOC_OBJECT ? json_object()
                                           : json_array();
    json_t *parent;

    (void)d;
    while (b->depth > 0 && !is_inside(v->path, b->open[b->depth - 1].path))
        free(b->open[--b->depth].path);
    if (b->depth == 0) {
        if (b->root) { /* a second YAML document */
            json_decref(node);
            return 1;
        }
        b->root = node;
    } else {
        parent = b->open[b->depth - 1].node;
        if (json_is_object(parent))
            json_object_set_new_nocheck(parent, v->key ? v->key : "", node);
        else
            json_array_append_new(parent, node);
    }
    if (container && b->depth < ARRAY_LEN(b->open)) {
        b->open[b->depth].node = node;
        b->open[b->depth++].path = mem_strdup(v->path);
    }
    return 0;
}

int config_parse(enum doc_format format, const void *p, size_t len,
                 json_t **out, struct error *e)
{
    struct builder b = {0};
    struct doc *doc;
    int rc = doc_parse(format, p, len, &doc, e);

    *out = NULL;
    if (rc < 0)
        return rc;
    doc_each(doc, on_value, &b);
    while (b.depth > 0)
        free(b.open[--b.depth].path);
    doc_free(doc);
    if (!b.root)
        return error_set(e, OCM_E_INVALID, "the document is empty");
    *out = b.root;
    return 0;
}

/* ---- includes ---- */

struct loader {
    struct config *c;
    struct buf *notes;
    const char *dir; /* folder of the config */
    int dir_fd;
    const char *chain[CONFIG_INCLUDE_DEPTH + 2]; /* files being read */
    size_t depth;
    size_t loads; /* files read so far: the same one may come many times */
};

static void note(struct loader *l, const char *file, const char *what)
{
    buf_printf(l->notes, "config include %s: %s\n", file, what);
}

/* Objects merge key by key, arrays are joined, anything else is replaced:
 * as OpenClaw merges. */
static void merge_into(json_t *to, const json_t *from)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)from, key, value)
    {
        json_t *had = json_object_get(to, key);

        if (json_is_object(had) && json_is_object(value))
            merge_into(had, value);
        else if (json_is_array(had) && json_is_array(value))
            json_array_extend(had, value);
        else
            json_object_set(to, key, value);
    }
}

static int read_beneath(struct loader *l, const char *rel, struct buf *out,
                        struct error *e)
{
    int fd = open_beneath(l->dir_fd, rel, O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0);
    struct stat st;
    int rc = 0;

    if (fd < 0)
        return error_set(e, fd, "%s",
                         fd == -ELOOP ? "it is behind a symbolic link"
                                      : strerror(-fd));
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        rc = error_set(e, OCM_E_INVALID, "no regular file");
    else if (st.st_size > CONFIG_FILE_MAX)
        rc = error_set(e, OCM_E_LIMIT, "larger than %u bytes", CONFIG_FILE_MAX);
    else {
        size_t len = (size_t)st.st_size;

        rc = fd_pread_all(fd, buf_reserve(out, len + 1), len, 0);
        if (rc == 0)
            out->len += len;
        else
            error_set(e, rc, "changed while it was read");
    }
    close(fd);
    return rc;
}

static json_t *resolve_includes(struct loader *l, json_t *node,
                                const char *base);

/* Each once. */
static void remember(const char *path, char ***list, size_t *count)
{
    for (size_t i = 0; i < *count; i++) {
        if (strcmp((*list)[i], path) == 0)
            return;
    }
    *list = mem_realloc(*list, (*count + 1) * sizeof(char *));
    (*list)[(*count)++] = mem_strdup(path);
}

/* Why an include may not be followed, or NULL. */
static const char *include_fault(const struct loader *l, const char *path)
{
    if (!path_is_below(path, l->dir) || strcmp(path, l->dir) == 0)
        return "outside the folder of the config, not followed";
    if (l->depth > CONFIG_INCLUDE_DEPTH)
        return "more than 10 levels deep";
    for (size_t i = 0; i < l->depth; i++) {
        if (strcmp(l->chain[i], path) == 0)
            return "includes itself";
    }
    return NULL;
}

/* One included file as a tree, or NULL after a note. */
static json_t *load_include(struct loader *l, const char *name,
                            const char *base)
{
    char *joined = name[0] == '/' ? mem_strdup(name) : path_join(base, name);
    char *path = path_clean(joined), *dir;
    const char *fault = include_fault(l, path);
    struct error e = {0};
    struct buf text = {0};
    json_t *tree = NULL;
    int rc;

    free(joined);
    if (!fault && l->loads++ >= CONFIG_INCLUDES_MAX)
        fault = "too many includes";
    if (fault) {
        note(l, path, fault);
        if (!path_is_below(path, l->dir) && file_exists(path))
            remember(path, &l->c->strays, &l->c->stray_count);
        free(path);
        return NULL;
    }
    rc = read_beneath(l, path + strlen(l->dir) + (l->dir[1] != 0), &text, &e);
    if (rc == 0) {
        remember(path, &l->c->includes,
                 &l->c->include_count); /* backed up even if it is broken */
        rc = config_parse(DOC_JSON5, text.data, text.len, &tree, &e);
    }
    if (rc < 0) {
        note(l, path, e.text);
    } else {
        dir = mem_strdup(path);
        *strrchr(dir, '/') = 0;
        l->chain[l->depth++] = path;
        tree = resolve_includes(l, tree, *dir ? dir : "/");
        l->depth--;
        free(dir);
    }
    buf_wipe(&text);
    free(path);
    return tree;
}

/* The `$include` of one object: what it names, merged in order. */
static json_t *load_all(struct loader *l, const json_t *what, const char *base)
{
    json_t *merged = NULL;
    size_t count = json_is_array(what) ? json_array_size(what) : 1;

    for (size_t i = 0; i < count; i++) {
        const json_t *name =
            json_is_array(what) ? json_array_get(what, i) : what;
        json_t *tree;

        if (!json_is_string(name)) {
            note(l, l->chain[l->depth - 1], "$include is no text");
            continue;
        }
        tree = load_include(l, json_string_value(name), base);
        if (!tree)
            continue;
        if (json_is_object(merged) && json_is_object(tree)) {
            merge_into(merged, tree);
            json_decref(tree);
        } else {
            json_decref(merged);
            merged = tree;
        }
    }
    return merged;
}

/* Replaces the includes below `node`; takes it and returns what stands in its
 * place. Depth is that of the documents, bounded by the parser. */
static json_t *resolve_includes(struct loader *l, json_t *node,
                                const char *base)
{
    json_t *value, *include, *merged;
    const char *key;
    void *next;
    size_t i;

    if (json_is_array(node)) {
        json_array_foreach(node, i, value)
        {
            json_incref(value);
            json_array_set_new(node, i, resolve_includes(l, value, base));
        }
        return node;
    }
    if (!json_is_object(node))
        return node;
    json_object_foreach_safe(node, next, key, value)
    {
        if (strcmp(key, "$include") == 0)
            continue;
        json_incref(value);
        json_object_set_new(node, key, resolve_includes(l, value, base));
    }
    include = json_object_get(node, "$include");
    if (!include)
        return node;
    json_incref(include);
    json_object_del(node, "$include");
    merged = load_all(l, include, base);
    json_decref(include);
    if (json_is_object(merged)) {
        merge_into(merged, node); /* keys beside $include win */
    } else if (merged && json_object_size(node) > 0) {
        json_decref(merged);
        return node;
    }
    if (!merged)
        return node;
    json_decref(node);
    return merged;
}

/* ---- loading ---- */

int config_load(const char *path, bool yaml, struct config *out,
                struct buf *notes, struct error *e)
{
    struct loader l = {.c = out, .notes = notes, .dir_fd = -1};
    struct buf text = {0};
    char *dir = path_clean(path), *slash;
    int rc;

    *out = (struct config){0};
    if (!dir)
        return error_set(e, OCM_E_INVALID, "'%s' is not absolute", path);
    slash = strrchr(dir, '/');
    slash[slash == dir] = 0;
    rc = file_read(path, CONFIG_FILE_MAX, &text, e);
    if (rc == 0) {
        rc = config_parse(yaml ? DOC_YAML : DOC_JSON5, text.data, text.len,
                          &out->root, e);
        if (rc < 0)
            error_prefix(e, "%s", path);
    }
    if (rc == 0 && !yaml) {
        l.dir = dir;
        l.dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
        l.chain[l.depth++] = path;
        out->root = resolve_includes(&l, out->root, dir);
        if (l.dir_fd >= 0)
            close(l.dir_fd);
    }
    buf_wipe(&text);
    free(dir);
    return rc;
}

void config_fini(struct config *c)
{
    json_decref(c->root);
    for (size_t i = 0; i < c->include_count; i++)
        free(c->includes[i]);
    free(c->includes);
    for (size_t i = 0; i < c->stray_count; i++)
        free(c->strays[i]);
    free(c->strays);
    env_fini(&c->env);
    *c = (struct config){0};
}

/* ---- values ---- */

const json_t *config_get(const struct config *c, const char *path)
{
    const json_t *at = c->root;

    while (at && *path) {
        size_t len = strcspn(path, ".");
        char key[128];

        if (len >= sizeof(key))
            return NULL;
        memcpy(key, path, len);
        key[len] = 0;
        at = json_object_get(at, key);
        path += len + (path[len] == '.');
    }
    return at;
}

static bool is_var_name(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!((s[i] >= 'A' && s[i] <= 'Z') || s[i] == '_' ||
              (i > 0 && s[i] >= '0' && s[i] <= '9')))
            return false;
    }
    return len > 0 && len < 200;
}

char *config_resolve(const struct config *c, const char *text)
{
    struct buf out = {0};

    while (*text) {
        const char *end;
        char name[200];
        const char *value;
        size_t len;

        if (text_has_prefix(text, "$${")) {
            buf_add_str(&out, "${");
            text += 3;
            continue;
        }
        end = text_has_prefix(text, "${") ? strchr(text, '}') : NULL;
        len = end ? (size_t)(end - text) - 2 : 0;
        if (!end || !is_var_name(text + 2, len)) {
            buf_add_byte(&out, (uint8_t)*text++);
            continue;
        }
        memcpy(name, text + 2, len);
        name[len] = 0;
        value = env_get(&c->env, name);
        if (value)
            buf_add_str(&out, value);
        else
            buf_add(&out, text, len + 3);
        text = end + 1;
    }
    buf_str(&out);
    return (char *)out.data; /* handed over; `out` has no other owner */
}

char *config_string(const struct config *c, const char *path)
{
    const json_t *v = config_get(c, path);

    return json_is_string(v) ? config_resolve(c, json_string_value(v)) : NULL;
}

bool config_number(const struct config *c, const char *path, int64_t *out)
{
    const json_t *v = config_get(c, path);
    char *text;
    bool ok;

    if (json_is_integer(v)) {
        *out = json_integer_value(v);
        return true;
    }
    text = config_string(c, path);
    ok = text && text_to_i64(text, INT64_MIN, INT64_MAX, out);
    free(text);
    return ok;
}
