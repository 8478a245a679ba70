/* SPDX-License-Identifier: MIT */
/* Edits into bytes. Sets and keys are patches already; inserts and removals
 * are laid out per container by the format. The patched text is then parsed
 * again and must hold exactly what the edits ask for. */
#include "agent/adapt/docs/doc_internal.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

void patch_take(struct render *r, size_t start, size_t end, struct buf *b)
{
    struct patch *p;

    r->patches =
        mem_grow(r->patches, &r->cap, r->count + 1, sizeof(*r->patches));
    p = &r->patches[r->count];
    p->start = start;
    p->end = end;
    p->seq = r->count++;
    p->bytes = buf_take(b);
}

void patch_add(struct render *r, size_t start, size_t end, const void *p,
               size_t len)
{
    struct buf b = {0};

    buf_add(&b, p, len);
    patch_take(r, start, end, &b);
}

struct edit *next_insert(struct doc *d, uint32_t node, size_t *i)
{
    while (*i < d->edit_count) {
        struct edit *ed = &d->edits[(*i)++];

        if (!ed->undone && ed->kind == DOC_EDIT_INSERT && ed->node == node)
            return ed;
    }
    return NULL;
}

static int compare_patches(const void *a, const void *b)
{
    const struct patch *x = a, *y = b;

    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    /* what is put in before what is taken out */
    if ((x->start == x->end) != (y->start == y->end))
        return x->start == x->end ? -1 : 1;
    return x->seq < y->seq ? -1 : 1;
}

/* Inner containers first, for both may end on one line; what is still to be
 * made (NONE) last. */
static int compare_ids(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a + 1, y = *(const uint32_t *)b + 1;

    return x > y ? -1 : x < y;
}

/* Every container with inserts or removals, once. */
static int lay_out_all(struct render *r, struct error *e)
{
    struct doc *d = r->d;
    uint32_t *ids = mem_array(d->edit_count + 1, sizeof(*ids)), last = 0;
    size_t count = 0;
    bool any = false;
    int rc = 0;

    for (size_t i = 0; i < d->edit_count; i++) {
        const struct edit *ed = &d->edits[i];

        if (ed->undone)
            continue;
        if (ed->kind == DOC_EDIT_INSERT)
            ids[count++] = ed->node;
        else if (ed->kind == DOC_EDIT_REMOVE)
            ids[count++] = d->nodes[ed->node].parent;
    }
    if (count)
        qsort(ids, count, sizeof(*ids), compare_ids);
    for (size_t i = 0; i < count && rc == 0; i++) {
        if (any && ids[i] == last)
            continue;
        any = true;
        last = ids[i];
        if (last == NONE || !doc_is_gone(d, last))
            rc = d->ops->lay_out(r, last, e);
    }
    free(ids);
    return rc;
}

static int apply(struct render *r, struct buf *out, struct error *e)
{
    const struct doc *d = r->d;
    size_t pos = 0;

    if (r->count)
        qsort(r->patches, r->count, sizeof(*r->patches), compare_patches);
    for (size_t i = 0; i < r->count; i++) {
        const struct patch *p = &r->patches[i];

        /* removals may share blanks at their borders; nothing else overlaps */
        if (p->start < pos && p->bytes.len && p->start != p->end)
            return doc_error_at(d, p->start, e, OCM_E_FAILED,
                                "two edits of one place");
        if (p->start > pos) {
            buf_add(out, d->src + pos, p->start - pos);
            pos = p->start;
        }
        buf_add(out, p->bytes.data, p->bytes.len);
        if (p->end > pos)
            pos = p->end;
    }
    buf_add(out, d->src + pos, d->len - pos);
    return 0;
}

/* --- the check: a document and its edits against what came out ----------- */

static bool same_bytes(const char *a, size_t a_len, const char *b, size_t b_len)
{
    return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0);
}

static bool same_key(const struct doc *d, const struct doc_node *n,
                     const struct doc_node *m)
{
    const char *key = n->key;
    size_t len = n->key_len;

    /* a key that is an alias shows its anchor, which may have been edited */
    if (n->rekey == NONE && n->target != NONE && !n->alias)
        return m->target != NONE && !m->alias;
    if (n->rekey != NONE) {
        key = d->edits[n->rekey].key;
        len = strlen(key);
    }
    return (key == NULL) == (m->key == NULL) && n->part == m->part &&
           same_bytes(key, len, m->key, m->key_len);
}

static bool same_scalar(const struct doc *d, const struct doc_node *n,
                        const struct doc_node *m)
{
    const struct edit *ed = n->set == NONE ? NULL : &d->edits[n->set];

    if (ed)
        return !m->alias && (!d->ops->typed || m->type == ed->type) &&
               same_bytes(ed->text, ed->len, m->text, m->len);
    return !m->alias && n->type == m->type &&
           same_bytes(n->text, n->len, m->text, m->len);
}

/* An alias shows the text of an anchor, which may have been edited. */
static bool same_alias(const struct doc *d, const struct doc_node *n,
                       const struct doc *got, const struct doc_node *m)
{
    return m->alias &&
           same_bytes((const char *)d->src + n->start, n->end - n->start,
                      (const char *)got->src + m->start, m->end - m->start);
}

static bool same_tree(struct doc *d, uint32_t n, const struct doc *got,
                      uint32_t m);

/* A unit's lists of lines vanish with their last line, and a line with its
 * last word. */
static bool is_skipped(const struct doc *d, uint32_t n)
{
    const struct doc_node *a = &d->nodes[n];

    if (a->gone)
        return true;
    if (d->format != DOC_UNIT || a->first == NONE || a->parent == NONE ||
        a->parent == 0)
        return false;
    for (uint32_t c = a->first; c != NONE; c = d->nodes[c].next) {
        if (!is_skipped(d, c))
            return false;
    }
    return true;
}

/* Children of `want` that an insert brought, from *m on. */
static bool same_insert(const struct edit *ed, const struct doc *d,
                        const struct doc *got, uint32_t *m)
{
    struct doc *w = ed->want;
    const char *key = ed->key;

    if (!d->ops->by_line) {
        if (*m == NONE || !same_tree(w, 0, got, *m))
            return false;
        if (key && !same_bytes(key, strlen(key), got->nodes[*m].key,
                               got->nodes[*m].key_len))
            return false;
        *m = got->nodes[*m].next;
        return true;
    }
    for (uint32_t c = w->nodes[0].first; c != NONE; c = w->nodes[c].next) {
        if (*m == NONE || !same_key(w, &w->nodes[c], &got->nodes[*m]) ||
            !same_tree(w, c, got, *m))
            return false;
        *m = got->nodes[*m].next;
    }
    return true;
}

/* The inserts that belong before child `before` (NONE: at the end). */
static bool same_inserts(struct doc *d, uint32_t n, uint32_t before,
                         const struct doc *got, uint32_t *m)
{
    const struct edit *ed;
    size_t i = 0;

    if (!d->nodes[n].grows || (before != NONE && !d->ops->place) ||
        d->format == DOC_UNIT)
        return true;
    while ((ed = next_insert(d, n, &i)) != NULL) {
        uint32_t place = d->ops->place ? d->ops->place(d, ed) : NONE;

        if (place == before && !same_insert(ed, d, got, m))
            return false;
    }
    return true;
}

/* Depth is that of the documents: DOC_DEPTH_MAX and a little. */
static bool same_tree(struct doc *d, uint32_t n, const struct doc *got,
                      uint32_t m)
{
    const struct doc_node *a = &d->nodes[n], *b = &got->nodes[m];
    uint32_t at = b->first;

    if (a->alias && a->set == NONE)
        return same_alias(d, a, got, b);
    if (a->type != DOC_OBJECT && a->type != DOC_ARRAY)
        return (b->type != DOC_OBJECT && b->type != DOC_ARRAY) &&
               same_scalar(d, a, b);
    if (a->type != b->type || a->alias != b->alias)
        return false;
    for (uint32_t c = a->first; c != NONE; c = d->nodes[c].next) {
        if (!same_inserts(d, n, c, got, &at))
            return false;
        if (is_skipped(d, c))
            continue;
        /* the groups of a unit follow their first line, which may be gone */
        if (d->format == DOC_UNIT && d->nodes[c].key &&
            (at == NONE || !same_key(d, &d->nodes[c], &got->nodes[at])))
            at = doc_child(got, m, d->nodes[c].key, d->nodes[c].key_len);
        if (at == NONE || !same_key(d, &d->nodes[c], &got->nodes[at]) ||
            !same_tree(d, c, got, at))
            return false;
        at = got->nodes[at].next;
    }
    return same_inserts(d, n, NONE, got, &at) &&
           (at == NONE || d->format == DOC_UNIT);
}

/* Is the line that `ed` brought among those of its key? */
static bool has_line(const struct edit *ed, const struct doc *got)
{
    uint32_t section = ed->want->nodes[0].first;
    uint32_t key = ed->want->nodes[section].first;
    uint32_t line = ed->want->nodes[key].first;
    const struct doc_node *n = &ed->want->nodes[section];

    section = doc_child(got, 0, n->key, n->key_len);
    if (section == NONE)
        return false;
    n = &ed->want->nodes[key];
    key = doc_child(got, section, n->key, n->key_len);
    if (key == NONE)
        return false;
    for (uint32_t c = got->nodes[key].first; c != NONE;
         c = got->nodes[c].next) {
        if (same_tree(ed->want, line, got, c))
            return true;
    }
    return false;
}

/* Lines of the sections of a unit that an edit left there. */
static size_t unit_lines(const struct doc *d)
{
    size_t count = 0;

    for (uint32_t n = 0; n < d->count; n++) {
        const struct doc_node *up;

        if (d->nodes[n].parent == NONE || d->nodes[n].key)
            continue;
        up = &d->nodes[d->nodes[n].parent];
        if (up->parent != NONE && d->nodes[up->parent].parent == 0 &&
            !doc_is_gone(d, n) && !is_skipped(d, n))
            count++;
    }
    return count;
}

static bool same_unit(struct doc *d, const struct doc *got)
{
    size_t lines = unit_lines(d);

    for (size_t i = 0; i < d->edit_count; i++) {
        const struct edit *ed = &d->edits[i];

        if (ed->undone || ed->kind != DOC_EDIT_INSERT ||
            (ed->node != NONE && doc_is_gone(d, ed->node)))
            continue;
        lines++;
        if (!has_line(ed, got))
            return false;
    }
    return lines == unit_lines(got);
}

static int check(struct doc *d, const struct buf *made, struct error *e)
{
    struct doc *got;
    int rc =
        doc_parse_at(d->format, made->data, made->len, d->first_line, &got, e);

    if (rc != 0)
        return error_set(e, OCM_E_FAILED,
                         "the edited text cannot be read back; "
                         "nothing was changed");
    if (!same_tree(d, 0, got, 0) ||
        (d->format == DOC_UNIT && !same_unit(d, got)))
        rc = error_set(e, OCM_E_FAILED,
                       "the edited text does not hold the values asked for; "
                       "nothing was changed");
    doc_free(got);
    return rc;
}

int doc_render(struct doc *d, struct buf *out, struct error *e)
{
    struct render r = {.d = d};
    struct buf made = {0};
    int rc = 0;

    for (size_t i = 0; i < d->edit_count; i++) {
        const struct edit *ed = &d->edits[i];

        if (!ed->undone &&
            (ed->kind == DOC_EDIT_SET || ed->kind == DOC_EDIT_KEY) &&
            !doc_is_gone(d, ed->node))
            patch_add(&r, ed->start, ed->end, ed->bytes.data, ed->bytes.len);
    }
    rc = lay_out_all(&r, e);
    if (rc == 0)
        rc = apply(&r, &made, e);
    if (rc == 0 && r.count)
        rc = check(d, &made, e);
    if (rc == 0)
        buf_add(out, made.data, made.len);
    for (size_t i = 0; i < r.count; i++)
        buf_wipe(&r.patches[i].bytes);
    free(r.patches);
    buf_wipe(&made);
    return rc;
}
