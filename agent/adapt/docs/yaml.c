/* SPDX-License-Identifier: MIT */
/* YAML through libyaml's events. An alias is a value of its own that shows
 * the text of its anchor; nothing is expanded, so nothing can explode. The
 * marks of libyaml 0.2.5 count characters behind the BOM, not bytes: a table
 * turns them into offsets. */
#include "agent/adapt/docs/doc_internal.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "common/base/mem.h"

/* Lookups are linear; no file written by people comes near. */
#define YAML_ANCHORS_MAX 1024
#define YAML_ALIASES_MAX 65536

#define STEP 256 /* characters per entry of the table */

struct reader {
    struct doc *d;
    yaml_parser_t parser;
    size_t *steps; /* offset of character STEP * i; NULL: all ASCII */
    size_t step_count;
    uint32_t up;      /* container being filled, NONE */
    uint32_t pending; /* member whose key has been read, NONE */
    size_t aliases;
    struct error *e;
};

static void make_steps(struct reader *r)
{
    const struct doc *d = r->d;
    size_t cap = 0, chars = 0;
    bool wide = false;

    for (size_t i = d->body; i < d->len && !wide; i++)
        wide = d->src[i] >= 0x80;
    if (!wide)
        return;
    for (size_t i = d->body; i <= d->len; i++) {
        if ((d->src[i] & 0xc0) == 0x80)
            continue;
        if (chars++ % STEP == 0) {
            r->steps =
                mem_grow(r->steps, &cap, r->step_count + 1, sizeof(size_t));
            r->steps[r->step_count++] = i;
        }
    }
}

static size_t offset_of(const struct reader *r, const yaml_mark_t *mark)
{
    const struct doc *d = r->d;
    size_t step = mark->index / STEP, left = mark->index % STEP, at;

    if (!r->steps)
        return mark->index + d->body < d->len ? mark->index + d->body : d->len;
    if (step >= r->step_count)
        return d->len;
    for (at = r->steps[step]; left > 0 && at < d->len; left--) {
        at++;
        while ((d->src[at] & 0xc0) == 0x80)
            at++;
    }
    return at;
}

static int fail(struct reader *r, size_t off, const char *what)
{
    return doc_error_at(r->d, off, r->e, OCM_E_INVALID, "%s", what);
}

static int parser_failed(struct reader *r)
{
    const yaml_parser_t *p = &r->parser;

    if (p->error == YAML_SCANNER_ERROR || p->error == YAML_PARSER_ERROR)
        return fail(r, offset_of(r, &p->problem_mark),
                    p->problem ? p->problem : "no valid YAML");
    if (p->error == YAML_READER_ERROR)
        return fail(r, r->d->body + p->problem_offset,
                    p->problem ? p->problem : "no valid character");
    return error_set(r->e, OCM_E_INVALID, "no valid YAML");
}

static enum doc_type type_of_tag(const char *tag)
{
    static const char core[] = "tag:yaml.org,2002:";
    const char *t;

    if (strncmp(tag, core, sizeof(core) - 1) != 0)
        return DOC_STRING;
    t = tag + sizeof(core) - 1;
    if (strcmp(t, "int") == 0 || strcmp(t, "float") == 0)
        return DOC_NUMBER;
    if (strcmp(t, "bool") == 0)
        return DOC_BOOL;
    if (strcmp(t, "null") == 0)
        return DOC_NULL;
    return DOC_STRING;
}

/* --- building -------------------------------------------------------------- */

/* The anchor of an alias; the last of that name counts. */
static const struct anchor *anchor_find(struct reader *r,
                                        const yaml_event_t *ev)
{
    const char *name = (const char *)ev->data.alias.anchor;
    size_t off = offset_of(r, &ev->start_mark);

    if (++r->aliases > YAML_ALIASES_MAX) {
        error_set(r->e, OCM_E_LIMIT, "more than %d aliases", YAML_ALIASES_MAX);
        return NULL;
    }
    for (size_t i = r->d->anchor_count; i-- > 0;) {
        if (strcmp(r->d->anchors[i].name, name) == 0)
            return &r->d->anchors[i];
    }
    fail(r, off, "an alias without an anchor");
    return NULL;
}

static int anchor_add(struct reader *r, const yaml_char_t *name, uint32_t owner,
                      bool on_key)
{
    struct doc *d = r->d;
    struct anchor *a;

    if (!name)
        return 0;
    if (d->anchor_count >= YAML_ANCHORS_MAX)
        return error_set(r->e, OCM_E_LIMIT, "more than %d anchors",
                         YAML_ANCHORS_MAX);
    d->anchors = mem_grow(d->anchors, &d->anchor_cap, d->anchor_count + 1,
                          sizeof(*d->anchors));
    a = &d->anchors[d->anchor_count++];
    a->name = doc_keep(d, name, strlen((const char *)name));
    a->owner = owner;
    a->on_key = on_key;
    a->type = (uint8_t)(on_key ? DOC_STRING : d->nodes[owner].type);
    a->text = on_key ? d->nodes[owner].key : d->nodes[owner].text;
    a->len = on_key ? d->nodes[owner].key_len : d->nodes[owner].len;
    return 0;
}

/* The node for the value of an event that begins at `from`. */
static int begin_node(struct reader *r, size_t from, uint32_t *id)
{
    struct doc *d = r->d;

    if (r->pending != NONE) {
        *id = r->pending;
        r->pending = NONE;
        return 0;
    }
    *id = doc_add(d, r->up, r->e);
    if (*id == NONE)
        return OCM_E_LIMIT;
    d->nodes[*id].from = (uint32_t)from;
    d->nodes[*id].line = doc_line_at(d, from);
    return 0;
}

static bool is_key(const struct reader *r)
{
    return r->up != NONE && r->d->nodes[r->up].type == DOC_OBJECT &&
           r->pending == NONE;
}

/* A block scalar without the empty lines behind it, unless they count. */
static size_t trim_block(const struct doc *d, size_t start, size_t end)
{
    size_t head = line_end(d, start), at = end, sign = start + 1;
    size_t first = line_next(d, start), indent;
    bool keep;

    while (d->src[sign] >= '1' && d->src[sign] <= '9')
        sign++;
    keep = d->src[sign] == '+';
    /* blanks beyond the indentation are text */
    while (first < end && skip_blanks(d, first) == line_end(d, first))
        first = line_next(d, first);
    indent =
        first < end && sign == start + 1 ? skip_blanks(d, first) - first : 0;

    if (at > start && d->src[at - 1] == '\n')
        at -= at > start + 1 && d->src[at - 2] == '\r' ? 2 : 1;
    if (keep)
        return at > head ? at : head;
    while (at > head) {
        size_t line = line_start(d, at);

        if (line <= head || skip_blanks(d, line) < at || at - line > indent)
            break;
        at = line - 1;
        if (at > head && d->src[at - 1] == '\r')
            at--;
    }
    return at > head ? at : head;
}

static enum style style_of(yaml_scalar_style_t style)
{
    switch (style) {
    case YAML_SINGLE_QUOTED_SCALAR_STYLE:
        return STYLE_SINGLE;
    case YAML_DOUBLE_QUOTED_SCALAR_STYLE:
        return STYLE_DOUBLE;
    case YAML_LITERAL_SCALAR_STYLE:
        return STYLE_LITERAL;
    case YAML_FOLDED_SCALAR_STYLE:
        return STYLE_FOLDED;
    default:
        return STYLE_BARE;
    }
}

/* Start and end of a scalar's own bytes, and its style. */
static enum style scalar_span(struct reader *r, const yaml_event_t *ev,
                              size_t *start, size_t *end)
{
    struct doc *d = r->d;
    enum style style = style_of(ev->data.scalar.style);

    *start = offset_of(r, &ev->start_mark);
    *end = offset_of(r, &ev->end_mark);
    *start = yaml_skip_properties(d, *start, *end);
    if (style == STYLE_LITERAL || style == STYLE_FOLDED)
        *end = trim_block(d, *start, *end);
    if (style == STYLE_BARE && ev->data.scalar.length == 0)
        *start = *end;
    if (*start == *end)
        return STYLE_EMPTY;
    return style;
}

static int take_key(struct reader *r, const yaml_event_t *ev)
{
    struct doc *d = r->d;
    size_t from = offset_of(r, &ev->start_mark), start, end;
    const struct anchor *a;
    uint32_t id;
    int rc;

    if (ev->type != YAML_SCALAR_EVENT && ev->type != YAML_ALIAS_EVENT)
        return doc_error_at(d, from, r->e, OCM_E_UNSUPPORTED,
                            "a key that is a list or a mapping");
    rc = begin_node(r, from, &id);
    if (rc != 0)
        return rc;
    r->pending = id;
    if (ev->type == YAML_ALIAS_EVENT) {
        a = anchor_find(r, ev);
        if (!a)
            return OCM_E_INVALID;
        d->nodes[id].key_style = STYLE_FLOW; /* no style of a scalar */
        start = from;
        end = offset_of(r, &ev->end_mark);
        d->nodes[id].target = a->owner;
        doc_node_key(d, id, a->text, a->len);
    } else {
        d->nodes[id].key_style = (uint8_t)scalar_span(r, ev, &start, &end);
        doc_node_key(d, id, ev->data.scalar.value, ev->data.scalar.length);
        rc = anchor_add(r, ev->data.scalar.anchor, id, true);
    }
    d->nodes[id].key_start = (uint32_t)start;
    d->nodes[id].key_end = (uint32_t)end;
    return rc;
}

static int take_scalar(struct reader *r, const yaml_event_t *ev)
{
    struct doc *d = r->d;
    const char *text = (const char *)ev->data.scalar.value;
    size_t len = ev->data.scalar.length, start, end;
    enum style style = scalar_span(r, ev, &start, &end);
    enum doc_type type = DOC_STRING;
    uint32_t id;
    bool old;
    int rc = begin_node(r, offset_of(r, &ev->start_mark), &id);

    if (rc != 0)
        return rc;
    d->nodes[id].tagged = ev->data.scalar.tag != NULL;
    if (ev->data.scalar.tag)
        type = type_of_tag((const char *)ev->data.scalar.tag);
    else if (style == STYLE_BARE || style == STYLE_EMPTY)
        type = yaml_plain_type(text, len, &old);
    d->nodes[id].type = (uint8_t)type;
    d->nodes[id].style = (uint8_t)style;
    d->nodes[id].start = (uint32_t)start;
    d->nodes[id].end = (uint32_t)end;
    doc_node_text(d, id, text, len);
    return anchor_add(r, ev->data.scalar.anchor, id, false);
}

static int take_alias(struct reader *r, const yaml_event_t *ev)
{
    struct doc *d = r->d;
    size_t start = offset_of(r, &ev->start_mark);
    const struct anchor *a = anchor_find(r, ev);
    struct doc_node *n;
    uint32_t id;
    int rc;

    if (!a)
        return OCM_E_INVALID;
    /* libyaml reads no further than events, it cannot know */
    for (uint32_t up = r->up; up != NONE; up = d->nodes[up].parent) {
        if (up == a->owner && !a->on_key)
            return fail(r, start, "an alias inside its own anchor");
    }
    rc = begin_node(r, start, &id);
    if (rc != 0)
        return rc;
    n = &d->nodes[id];
    n->alias = true;
    n->target = a->owner;
    n->type = a->type;
    n->start = (uint32_t)start;
    n->end = (uint32_t)offset_of(r, &ev->end_mark);
    n->text = a->text; /* shared, not copied */
    n->len = a->len;
    return 0;
}

static int open_container(struct reader *r, const yaml_event_t *ev)
{
    struct doc *d = r->d;
    bool map = ev->type == YAML_MAPPING_START_EVENT;
    bool flow = map ? ev->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE
                    : ev->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE;
    const yaml_char_t *anchor =
        map ? ev->data.mapping_start.anchor : ev->data.sequence_start.anchor;
    size_t from = offset_of(r, &ev->start_mark);
    struct doc_node *n;
    uint32_t id;
    int rc;

    if (d->depth++ >= DOC_DEPTH_MAX)
        return doc_error_at(d, from, r->e, OCM_E_LIMIT, "nested deeper than %d",
                            DOC_DEPTH_MAX);
    rc = begin_node(r, from, &id);
    if (rc != 0)
        return rc;
    n = &d->nodes[id];
    n->type = map ? DOC_OBJECT : DOC_ARRAY;
    n->style = flow ? STYLE_FLOW : STYLE_BLOCK;
    n->start = (uint32_t)yaml_skip_properties(d, from, d->len);
    n->end = n->start;
    r->up = id;
    return anchor_add(r, anchor, id, false);
}

static int close_container(struct reader *r, const yaml_event_t *ev)
{
    struct doc *d = r->d;
    struct doc_node *n = &d->nodes[r->up];
    uint32_t id = r->up;

    /* a block's end mark is where the next thing begins */
    if (n->style == STYLE_FLOW)
        n->end = (uint32_t)offset_of(r, &ev->end_mark);
    else
        n->end = n->last == NONE ? n->start : d->nodes[n->last].end;
    if (n->end < n->start)
        n->end = n->start;
    d->depth--;
    r->up = n->parent;
    return n->type == DOC_OBJECT ? doc_check_keys(d, id, r->e) : 0;
}

static int take_event(struct reader *r, const yaml_event_t *ev)
{
    switch (ev->type) {
    case YAML_DOCUMENT_START_EVENT:
        r->d->anchor_count = 0; /* anchors are of one document */
        return 0;
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        return close_container(r, ev);
    case YAML_SCALAR_EVENT:
        return is_key(r) ? take_key(r, ev) : take_scalar(r, ev);
    case YAML_ALIAS_EVENT:
        return is_key(r) ? take_key(r, ev) : take_alias(r, ev);
    case YAML_MAPPING_START_EVENT:
    case YAML_SEQUENCE_START_EVENT:
        return is_key(r) ? take_key(r, ev) : open_container(r, ev);
    default:
        return 0;
    }
}

static int read_events(struct reader *r)
{
    bool more = true;
    int rc = 0;

    while (more && rc == 0) {
        yaml_event_t ev;

        if (!yaml_parser_parse(&r->parser, &ev))
            return parser_failed(r);
        more = ev.type != YAML_STREAM_END_EVENT;
        rc = take_event(r, &ev);
        yaml_event_delete(&ev);
    }
    return rc;
}

/* No document at all is a null. */
static int settle_empty(struct doc *d, struct error *e)
{
    uint32_t id = doc_add(d, 0, e);

    d->nodes[id].type = DOC_NULL;
    d->nodes[id].style = STYLE_EMPTY;
    d->nodes[id].from = d->nodes[id].start = d->nodes[id].end =
        (uint32_t)d->len;
    d->nodes[id].line = 1;
    return 0;
}

/* Nodes are built below an array of documents; of a single one the array is
 * taken away again, so that ids and paths begin at its root. */
static void drop_root(struct doc *d)
{
    memmove(d->nodes, d->nodes + 1, (d->count - 1) * sizeof(*d->nodes));
    d->count--;
    for (size_t i = 0; i < d->count; i++) {
        struct doc_node *n = &d->nodes[i];

        n->parent = i == 0 ? NONE : n->parent - 1;
        n->next -= n->next != NONE;
        n->first -= n->first != NONE;
        n->last -= n->last != NONE;
        n->target -= n->target != NONE;
    }
}

static int yaml_parse(struct doc *d, struct error *e)
{
    struct reader r = {.d = d, .up = 0, .pending = NONE, .e = e};
    uint32_t root = doc_add(d, NONE, e);
    int rc;

    d->nodes[root].type = DOC_ARRAY;
    d->nodes[root].end = (uint32_t)d->len;
    d->nodes[root].line = 1;
    if (!yaml_parser_initialize(&r.parser))
        return error_set(e, OCM_E_FAILED, "libyaml cannot start");
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, d->src + d->body, d->len - d->body);
    make_steps(&r);
    rc = read_events(&r);
    if (rc == 0 && d->count == 1)
        rc = settle_empty(d, e);
    if (rc == 0 && d->nodes[0].count == 1)
        drop_root(d);
    yaml_parser_delete(&r.parser);
    free(r.steps);
    return rc;
}

const struct doc_ops yaml_ops = {
    .name = "a YAML document",
    .utf8 = true,
    .typed = true,
    .max = DOC_CONFIG_MAX_BYTES,
    .parse = yaml_parse,
    .encode = yaml_encode,
    .encode_key = yaml_encode_key,
    .may_remove = yaml_may_remove,
    .insert = yaml_insert,
    .lay_out = yaml_lay_out,
};
