/* SPDX-License-Identifier: MIT */
/* Members put into and taken out of YAML's block containers (flow ones:
 * flow.c), and what may not be. */
#include "agent/adapt/docs/doc_internal.h"

#include <string.h>

/* `? key`, whose ':' is on a line of its own or missing: parsed, its value
 * editable, but left where it is. */
static bool is_explicit(const struct doc *d, uint32_t n)
{
    size_t before;

    if (n == NONE || d->nodes[n].key_start == NONE)
        return false;
    if (d->nodes[d->nodes[n].parent].style == STYLE_BLOCK &&
        d->src[skip_blanks(d, d->nodes[n].key_end)] != ':')
        return true;
    before = d->nodes[n].from;
    while (before > d->body && strchr(" \t\r\n", d->src[before - 1]))
        before--;
    return before > d->body && d->src[before - 1] == '?';
}

/* A block scalar at the end of a file without a last line end: one more line
 * would give its text a newline. */
static bool ends_in_block(const struct doc *d)
{
    uint8_t last = d->len ? d->src[d->len - 1] : '\n';

    for (size_t i = 0; i < d->count && last != '\n'; i++) {
        const struct doc_node *n = &d->nodes[i];

        if ((n->style == STYLE_LITERAL || n->style == STYLE_FOLDED) &&
            n->end == d->len)
            return true;
    }
    return false;
}

int yaml_insert(struct doc *d, struct edit *ed, struct doc **json,
                struct error *e)
{
    const struct doc_node *n = &d->nodes[ed->node];

    if (n->style != STYLE_BLOCK && n->style != STYLE_FLOW)
        return error_set(e, OCM_E_UNSUPPORTED,
                         "a YAML stream takes no new documents");
    if (n->style == STYLE_FLOW && d->src[n->start] != '{' &&
        d->src[n->start] != '[')
        return error_set(e, OCM_E_UNSUPPORTED,
                         "line %u: a pair without braces takes no new member",
                         n->line);
    if (is_explicit(d, n->first) || is_explicit(d, n->last))
        return error_set(e, OCM_E_UNSUPPORTED,
                         "line %u: no new members beside a key with '?'",
                         n->line);
    if (n->style == STYLE_BLOCK && ends_in_block(d))
        return error_set(e, OCM_E_UNSUPPORTED,
                         "the file ends in a text without a line end");
    ed->want = *json;
    *json = NULL;
    return 0;
}

static bool is_below(const struct doc *d, uint32_t n, uint32_t top)
{
    while (n != NONE && n != top)
        n = d->nodes[n].parent;
    return n == top;
}

int yaml_may_remove(struct doc *d, uint32_t id, struct error *e)
{
    const struct doc_node *up = &d->nodes[d->nodes[id].parent];

    if (up->style != STYLE_BLOCK && up->style != STYLE_FLOW)
        return error_set(e, OCM_E_UNSUPPORTED,
                         "a document of a YAML stream stays as it is");
    if (up->style == STYLE_FLOW && d->src[up->start] != '{' &&
        d->src[up->start] != '[')
        return error_set(e, OCM_E_UNSUPPORTED,
                         "line %u: a pair without braces stays as it is",
                         up->line);
    if (is_explicit(d, id))
        return error_set(e, OCM_E_UNSUPPORTED,
                         "line %u: a key with '?' stays where it is",
                         d->nodes[id].line);
    for (uint32_t n = 0; n < d->count; n++) {
        if (d->nodes[n].target != NONE && is_below(d, d->nodes[n].target, id) &&
            !is_below(d, n, id) && !doc_is_gone(d, n))
            return error_set(e, OCM_E_INVALID,
                             "line %u: an alias in line %u needs this",
                             d->nodes[id].line, d->nodes[n].line);
    }
    return 0;
}

/* --- new values ------------------------------------------------------------ */

static void put_spaces(struct buf *b, size_t count)
{
    for (; count > 0; count--)
        buf_add_byte(b, ' ');
}

/* A value behind `key:` or `-` of a line indented by `indent`. */
static void put_block(struct buf *b, const struct doc *d, const struct doc *w,
                      uint32_t id, size_t indent)
{
    const struct doc_node *n = &w->nodes[id];
    const char *unit = indent_unit(d);
    size_t step = *unit == '\t' ? 2 : strlen(unit);

    /* what stands in a list stays on its line */
    if (n->first == NONE ||
        (n->parent != NONE && w->nodes[n->parent].type == DOC_ARRAY)) {
        buf_add_byte(b, ' ');
        if (n->type == DOC_OBJECT || n->type == DOC_ARRAY)
            yaml_flow_value(b, w, id);
        else
            yaml_scalar(b, n, false);
        return;
    }
    for (uint32_t c = n->first; c != NONE; c = w->nodes[c].next) {
        buf_add_str(b, d->eol);
        put_spaces(b, indent + step);
        if (n->type == DOC_OBJECT) {
            yaml_key(b, w->nodes[c].key, w->nodes[c].key_len, false);
            buf_add_byte(b, ':');
        } else {
            buf_add_byte(b, '-');
        }
        put_block(b, d, w, c, indent + step);
    }
}

/* --- layout of block containers --------------------------------------------- */

/* Where a member begins: its key, or the dash of an item, which stands
 * behind the item before (`prev`, NONE for the first). */
static size_t member_from(const struct doc *d, uint32_t c, uint32_t prev)
{
    const struct doc_node *up = &d->nodes[d->nodes[c].parent];

    if (up->type == DOC_OBJECT)
        return d->nodes[c].from;
    return prev == NONE ? up->start : yaml_skip(d, d->nodes[prev].end);
}

static uint32_t child_before(const struct doc *d, uint32_t c)
{
    uint32_t prev = NONE, i = d->nodes[d->nodes[c].parent].first;

    for (; i != c; i = d->nodes[i].next)
        prev = i;
    return prev;
}

static size_t column_of(const struct doc *d, size_t off)
{
    size_t column = 0;

    for (size_t i = line_start(d, off); i < off; i++)
        column += (d->src[i] & 0xc0) != 0x80;
    return column;
}

static void add_member(struct buf *b, const struct doc *d,
                       const struct edit *ed, size_t column)
{
    if (ed->key) {
        yaml_key(b, ed->key, strlen(ed->key), false);
        buf_add_byte(b, ':');
        put_block(b, d, ed->want, 0, column);
        return;
    }
    buf_add_str(b, "- ");
    yaml_flow_value(b, ed->want, 0);
}

/* All members gone, none new: {} or [] in their place, beside the key where
 * there is one. */
static void collapse(struct render *r, uint32_t container)
{
    const struct doc *d = r->d;
    const struct doc_node *n = &d->nodes[container];
    const char *empty = n->type == DOC_OBJECT ? "{}" : "[]";
    size_t first = member_from(d, n->first, NONE), head, next;

    if (n->key_start == NONE || !is_first_on_line(d, first)) {
        patch_add(r, first, n->end, empty, 2);
        return;
    }
    head = yaml_skip(d, n->key_end) + 1;
    for (;;) {
        next = yaml_skip(d, head);
        if (d->src[next] != '&' && d->src[next] != '!')
            break;
        head = yaml_property_end(d, next);
    }
    patch_add(r, head, head, n->type == DOC_OBJECT ? " {}" : " []", 3);
    patch_add(r, line_start(d, first), line_next(d, n->end), NULL, 0);
}

/* Members that go, all but `slot`. The first one may stand behind a dash on
 * the line: what follows moves up to its place. */
static void remove_members(struct render *r, uint32_t container, uint32_t slot)
{
    const struct doc *d = r->d;
    uint32_t c = d->nodes[container].first, prev = NONE;
    size_t from = member_from(d, c, NONE);

    if (d->nodes[c].gone && c != slot && !is_first_on_line(d, from)) {
        for (; d->nodes[c].gone && c != slot; c = d->nodes[c].next)
            prev = c;
        patch_add(r, from, member_from(d, c, prev), NULL, 0);
    }
    for (; c != NONE; prev = c, c = d->nodes[c].next) {
        if (!d->nodes[c].gone || c == slot)
            continue;
        from = member_from(d, c, prev);
        patch_add(r, line_start(d, from), line_next(d, d->nodes[c].end), NULL,
                  0);
    }
}

static void lay_out_block(struct render *r, uint32_t container)
{
    struct doc *d = r->d;
    const struct doc_node *n = &d->nodes[container];
    uint32_t like = NONE, slot = NONE;
    struct edit *ed;
    struct buf b = {0};
    size_t i = 0, column = column_of(d, member_from(d, n->first, NONE));

    for (uint32_t c = n->first; c != NONE; c = d->nodes[c].next)
        like = d->nodes[c].gone ? like : c;
    ed = next_insert(d, container, &i);
    if (like == NONE && !ed) {
        collapse(r, container);
        return;
    }
    if (like == NONE)
        like = slot = n->last;
    remove_members(r, container, slot);
    if (slot != NONE) {
        add_member(&b, d, ed, column);
        patch_take(r, member_from(d, slot, child_before(d, slot)),
                   d->nodes[slot].end, &b);
        ed = next_insert(d, container, &i);
    }
    for (; ed; ed = next_insert(d, container, &i)) {
        if (b.len)
            buf_add_str(&b, d->eol);
        put_spaces(&b, column);
        add_member(&b, d, ed, column);
    }
    if (b.len)
        lines_put(r, d->nodes[like].end, &b);
}

int yaml_lay_out(struct render *r, uint32_t container, struct error *e)
{
    const struct doc_node *n = &r->d->nodes[container];

    if (n->style == STYLE_FLOW)
        return flow_lay_out(r, container, true);
    (void)e;
    lay_out_block(r, container);
    return 0;
}
