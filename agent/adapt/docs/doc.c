/* SPDX-License-Identifier: MIT */
/* Documents as trees of nodes: building, walking, finding. */
#include "agent/adapt/docs/doc_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/secret.h"

#define ARENA_BYTES ((size_t)64 * 1024)

struct arena {
    struct arena *next;
    size_t used, cap;
    char bytes[];
};

static const struct doc_ops *ops_of(enum doc_format format)
{
    switch (format) {
    case DOC_JSON5:
        return &json5_ops;
    case DOC_JSONL:
        return &jsonl_ops;
    case DOC_YAML:
        return &yaml_ops;
    case DOC_ENV:
        return &env_ops;
    case DOC_ENV_SYSTEMD:
        return &env_systemd_ops;
    case DOC_UNIT:
        return &unit_ops;
    case DOC_CRONTAB:
        return &crontab_ops;
    case DOC_CRONTAB_SYSTEM:
        return &crontab_system_ops;
    case DOC_TEXT:
        return &text_ops;
    }
    return &text_ops;
}

static int check_bytes(const struct doc *d, struct error *e)
{
    const uint8_t *nul = memchr(d->src, 0, d->len);
    uint32_t cp;

    if (nul && !d->ops->binary)
        return doc_error_at(d, (size_t)(nul - d->src), e, OCM_E_INVALID,
                            "a NUL byte");
    for (size_t at = d->body; at < d->len && d->ops->utf8;) {
        size_t n = utf8_take(d->src + at, d->len - at, &cp);

        if (n == 0 || (cp >= 0xd800 && cp < 0xe000))
            return doc_error_at(d, at, e, OCM_E_INVALID, "no valid UTF-8");
        at += n;
    }
    return 0;
}

static const char *first_eol(const struct doc *d)
{
    size_t end = line_end(d, d->body);

    if (line_next(d, end) - end == 2)
        return "\r\n";
    return end < d->len && d->src[end] == '\r' ? "\r" : "\n";
}

int doc_parse_at(enum doc_format format, const void *bytes, size_t len,
                 uint64_t first_line, struct doc **out, struct error *e)
{
    const struct doc_ops *ops = ops_of(format);
    struct doc *d;
    int rc;

    *out = NULL;
    if (len > ops->max)
        return error_set(e, OCM_E_LIMIT, "%zu bytes; %s may have %zu", len,
                         ops->name, ops->max);
    d = mem_zalloc(sizeof(*d));
    d->format = format;
    d->ops = ops;
    d->first_line = first_line;
    d->src = mem_alloc(len + 1);
    if (len)
        memcpy(d->src, bytes, len);
    d->src[len] = 0;
    d->len = len;
    if (len >= 3 && memcmp(d->src, "\xef\xbb\xbf", 3) == 0)
        d->body = 3;
    d->line_pos = d->body;
    d->line_no = 1;
    d->eol = first_eol(d);
    rc = check_bytes(d, e);
    if (rc == 0)
        rc = ops->parse(d, e);
    if (rc != 0) {
        doc_free(d);
        return rc;
    }
    *out = d;
    return 0;
}

int doc_parse(enum doc_format format, const void *bytes, size_t len,
              struct doc **out, struct error *e)
{
    return doc_parse_at(format, bytes, len, 0, out, e);
}

void doc_free(struct doc *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < d->edit_count; i++)
        edit_fini(&d->edits[i]);
    free(d->edits);
    while (d->arena) {
        struct arena *next = d->arena->next;

        secret_wipe(d->arena->bytes, d->arena->used);
        free(d->arena);
        d->arena = next;
    }
    if (d->src)
        secret_wipe(d->src, d->len);
    free(d->src);
    free(d->nodes);
    free(d->problems);
    free(d->anchors);
    free(d);
}

enum doc_format doc_format_of(const struct doc *d)
{
    return d->format;
}

char *doc_keep(struct doc *d, const void *p, size_t len)
{
    char *at;

    if (!d->arena || d->arena->cap - d->arena->used < len + 1) {
        size_t cap = len + 1 > ARENA_BYTES / 4 ? len + 1 : ARENA_BYTES;
        struct arena *a;

        /* documents of one line are many: start small */
        if (!d->arena && cap > 2 * d->len + 256)
            cap = 2 * d->len + 256;
        a = mem_alloc(sizeof(*a) + cap);
        a->used = 0;
        a->cap = cap;
        a->next = d->arena;
        d->arena = a;
    }
    at = d->arena->bytes + d->arena->used;
    if (len)
        memcpy(at, p, len);
    at[len] = 0;
    d->arena->used += len + 1;
    return at;
}

uint32_t doc_add(struct doc *d, uint32_t parent, struct error *e)
{
    struct doc_node *n;
    uint32_t id = (uint32_t)d->count;

    if (d->count >= DOC_VALUES_MAX) {
        error_set(e, OCM_E_LIMIT, "more than %zu values", DOC_VALUES_MAX);
        return NONE;
    }
    d->nodes = mem_grow(d->nodes, &d->cap, d->count + 1, sizeof(*d->nodes));
    n = &d->nodes[d->count++];
    *n = (struct doc_node){.parent = parent,
                           .next = NONE,
                           .first = NONE,
                           .last = NONE,
                           .key_start = NONE,
                           .key_end = NONE,
                           .comma = NONE,
                           .target = NONE,
                           .set = NONE,
                           .rekey = NONE,
                           .text = "",
                           .part = PART_NONE};
    if (parent != NONE) {
        struct doc_node *up = &d->nodes[parent];

        n->index = up->count++;
        if (up->last == NONE)
            up->first = id;
        else
            d->nodes[up->last].next = id;
        up->last = id;
    }
    return id;
}

void doc_node_text(struct doc *d, uint32_t n, const void *p, size_t len)
{
    d->nodes[n].text = doc_keep(d, p, len);
    d->nodes[n].len = (uint32_t)len;
}

void doc_node_key(struct doc *d, uint32_t n, const void *p, size_t len)
{
    d->nodes[n].key = doc_keep(d, p, len);
    d->nodes[n].key_len = (uint32_t)len;
}

void doc_add_problem(struct doc *d, size_t line, const char *text)
{
    d->problems = mem_grow(d->problems, &d->problem_cap, d->problem_count + 1,
                           sizeof(*d->problems));
    d->problems[d->problem_count].line = line;
    d->problems[d->problem_count++].text = doc_keep(d, text, strlen(text));
}

size_t doc_problem_count(const struct doc *d)
{
    return d->problem_count;
}

struct doc_problem doc_problem_at(const struct doc *d, size_t i)
{
    return d->problems[i];
}

uint32_t doc_line_at(struct doc *d, size_t off)
{
    if (off < d->line_pos) {
        d->line_pos = d->body;
        d->line_no = 1;
    }
    for (; d->line_pos < off; d->line_pos++) {
        uint8_t c = d->src[d->line_pos];

        /* \r\n counts at its \n */
        if (c == '\n' || (c == '\r' && d->src[d->line_pos + 1] != '\n'))
            d->line_no++;
    }
    return (uint32_t)(d->line_no + d->first_line);
}

int doc_error_at(const struct doc *d, size_t off, struct error *e, int code,
                 const char *fmt, ...)
{
    char what[ERROR_TEXT_MAX];
    size_t line = 1, column = 1, at = d->body;
    va_list ap;

    /* from the cursor on, or broken lines without end take quadratic time */
    if (d->line_pos <= off) {
        at = d->line_pos;
        line = d->line_no;
    }
    for (; at < off && at < d->len; at++) {
        uint8_t c = d->src[at];

        if (c == '\n' || (c == '\r' && d->src[at + 1] != '\n'))
            line++;
    }
    for (at = line_start(d, off); at < off && at < d->len; at++)
        column += (d->src[at] & 0xc0) != 0x80;
    va_start(ap, fmt);
    vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    return error_set(e, code, "line %zu, column %zu: %s",
                     line + (size_t)d->first_line, column, what);
}

static int compare_keys(const void *a, const void *b, void *arg)
{
    const struct doc *d = arg;
    const struct doc_node *x = &d->nodes[*(const uint32_t *)a];
    const struct doc_node *y = &d->nodes[*(const uint32_t *)b];
    size_t len = x->key_len < y->key_len ? x->key_len : y->key_len;
    int rc = memcmp(x->key, y->key, len);

    if (rc == 0 && x->key_len != y->key_len)
        return x->key_len < y->key_len ? -1 : 1;
    return rc;
}

/* Sorted rather than hashed: no key an enemy chooses makes it slow. */
int doc_check_keys(struct doc *d, uint32_t container, struct error *e)
{
    size_t count = d->nodes[container].count, i = 0;
    uint32_t *ids, twice = NONE;

    if (count < 2)
        return 0;
    ids = mem_array(count, sizeof(*ids));
    for (uint32_t c = d->nodes[container].first; c != NONE;
         c = d->nodes[c].next)
        ids[i++] = c;
    qsort_r(ids, count, sizeof(*ids), compare_keys, d);
    for (i = 1; i < count; i++) {
        if (compare_keys(&ids[i - 1], &ids[i], d) == 0) {
            uint32_t later = ids[i - 1] > ids[i] ? ids[i - 1] : ids[i];

            twice = later < twice ? later : twice;
        }
    }
    free(ids);
    if (twice == NONE)
        return 0;
    return doc_error_at(d, d->nodes[twice].key_start, e, OCM_E_INVALID,
                        "the key '%.100s' stands there twice",
                        d->nodes[twice].key);
}

uint32_t doc_child(const struct doc *d, uint32_t parent, const char *key,
                   size_t len)
{
    for (uint32_t c = d->nodes[parent].first; c != NONE; c = d->nodes[c].next) {
        const struct doc_node *n = &d->nodes[c];

        if (n->key && n->key_len == len && memcmp(n->key, key, len) == 0)
            return c;
    }
    return NONE;
}

/* All but the path. */
static void fill_value(const struct doc *d, uint32_t id, struct doc_value *v)
{
    const struct doc_node *n = &d->nodes[id];

    v->key = n->key;
    v->type = (enum doc_type)n->type;
    v->text = n->text;
    v->len = n->len;
    v->start = n->start;
    v->end = n->end;
    v->line = n->line;
    v->alias = n->alias;
    v->id = id;
}

int doc_each(struct doc *d, doc_each_fn *fn, void *arg)
{
    size_t lens[DOC_DEPTH_MAX + 8]; /* of the path at each depth */
    size_t depth = 0;
    struct buf path = {0};
    uint32_t n = 0;
    int rc = 0;

    for (;;) {
        struct doc_value v;

        lens[depth] = path.len;
        path_add(d, n, &path);
        fill_value(d, n, &v);
        v.path = buf_str(&path);
        rc = fn(arg, d, &v);
        if (rc != 0)
            break;
        if (d->nodes[n].first != NONE) {
            n = d->nodes[n].first;
            depth++;
            continue;
        }
        while (n != NONE && d->nodes[n].next == NONE) {
            n = d->nodes[n].parent;
            if (n != NONE)
                depth--;
        }
        if (n == NONE)
            break;
        n = d->nodes[n].next;
        path.len = lens[depth];
    }
    buf_wipe(&path);
    return rc;
}

bool doc_find(struct doc *d, const char *path, struct doc_value *out)
{
    uint32_t n = path_find(d, path);
    struct buf own = {0};

    if (n == NONE)
        return false;
    fill_value(d, n, out);
    path_of(d, n, &own);
    out->path = doc_keep(d, own.data, own.len);
    buf_wipe(&own);
    return true;
}
