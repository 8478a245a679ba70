/* SPDX-License-Identifier: MIT */
/* Edits of systemd units: words and values spelled, lines and sections put in
 * and taken out. */
#include "agent/adapt/docs/unit_internal.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

/* Is the % or $ at `p` (before `end`) a live one of the old value? */
static bool stays(const struct doc *d, const struct doc_node *n, const char *p,
                  const char *end)
{
    if (p + 1 >= end)
        return false;
    for (size_t i = n->start; i + 1 < n->end; i++) {
        if (d->src[i] != (uint8_t)*p)
            continue;
        if (d->src[i + 1] == d->src[i])
            i++;
        else if (*p == '$' || d->src[i + 1] == (uint8_t)p[1])
            return true;
    }
    return false;
}

/* The text with % and $ doubled where they are meant as themselves. */
static void double_signs(const struct doc *d, const struct doc_node *n,
                         bool exec, const char *p, size_t len, struct buf *b)
{
    for (size_t i = 0; i < len; i++) {
        buf_add_byte(b, (uint8_t)p[i]);
        if ((p[i] == '%' || (exec && p[i] == '$')) &&
            !(n && stays(d, n, p + i, p + len)))
            buf_add_byte(b, (uint8_t)p[i]);
    }
}

static void put_word(enum style style, const char *p, size_t len, struct buf *b)
{
    char quote = style == STYLE_SINGLE ? '\'' : '"';
    /* on a line of its own it could be a comment, and a lone ; ends a command */
    bool bare = style == STYLE_BARE && len > 0 && *p != '#' && *p != ';';

    for (size_t i = 0; i < len; i++)
        bare = bare && (unsigned char)p[i] > ' ' && p[i] != 0x7f &&
               !strchr("\"'\\", p[i]);
    if (bare) {
        buf_add(b, p, len);
        return;
    }
    buf_add_byte(b, (uint8_t)quote);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)p[i];

        if (c == (unsigned char)quote || c == '\\')
            buf_add_byte(b, '\\');
        if (c == '\n')
            buf_add_str(b, "\\n");
        else if (c < ' ' || c == 0x7f)
            buf_printf(b, "\\x%02x", c);
        else
            buf_add_byte(b, c);
    }
    buf_add_byte(b, (uint8_t)quote);
}

int unit_encode(struct doc *d, const struct doc_node *n, struct edit *ed,
                struct error *e)
{
    const struct doc_node *up = &d->nodes[n->parent];
    /* section / key / line / word: a line's parent has a key itself */
    bool word = up->key == NULL;
    enum words kind = WORDS_NONE;
    struct buf text = {0};

    ed->start = n->start;
    ed->end = n->end;
    if (word)
        kind = unit_words(d->nodes[up->parent].key);
    /* it would be read as a sign, quoted or not */
    if (ed->len &&
        (word ? unit_sign_len(kind, ed->text, n->index) != 0
              : strcmp(up->key, "EnvironmentFile") == 0 && *ed->text == '-'))
        return error_set(e, OCM_E_UNSUPPORTED,
                         "line %u: this value may not begin with '%c'", n->line,
                         *ed->text);
    if (word && n->key)
        buf_printf(&text, "%s=", n->key);
    double_signs(d, n, kind == WORDS_EXEC, ed->text, ed->len, &text);
    if (word) {
        put_word((enum style)n->style, (const char *)text.data, text.len,
                 &ed->bytes);
    } else if (text.len && (strcspn(buf_str(&text), "\r\n") < text.len ||
                            strchr(" \t", text.data[0]) ||
                            strchr(" \t\\", text.data[text.len - 1]))) {
        buf_wipe(&text);
        return error_set(e, OCM_E_UNSUPPORTED,
                         "line %u: a unit has no way to write this value",
                         n->line);
    } else {
        buf_add(&ed->bytes, text.data, text.len);
    }
    buf_wipe(&text);
    return 0;
}

/* The words of an inserted array, or NAME=value ones of an object. */
static int add_json_words(const struct doc *json, bool exec, struct buf *b,
                          struct error *e)
{
    const struct doc_node *root = &json->nodes[0];

    for (uint32_t c = root->first; c != NONE; c = json->nodes[c].next) {
        const struct doc_node *n = &json->nodes[c];
        struct buf word = {0};

        if (n->type == DOC_OBJECT || n->type == DOC_ARRAY ||
            memchr(n->text, 0, n->len))
            return error_set(e, OCM_E_INVALID, "a word must be a text");
        if (c != root->first)
            buf_add_byte(b, ' ');
        if (n->key)
            buf_printf(&word, "%s=", n->key);
        double_signs(json, NULL, exec, n->text, n->len, &word);
        put_word(STYLE_BARE, (const char *)word.data, word.len, b);
        buf_wipe(&word);
    }
    return 0;
}

int unit_insert(struct doc *d, struct edit *ed, struct doc **json,
                struct error *e)
{
    const char *section = ed->section ? ed->section : d->nodes[ed->node].key;
    const struct doc_node *v = &(*json)->nodes[0];
    struct buf whole = {0};
    int rc = 0;

    if (!section || !*section || section[strcspn(section, "[].\"\r\n")] ||
        (ed->node != NONE && d->nodes[ed->node].parent != 0))
        return error_set(e, OCM_E_NOTFOUND,
                         "a unit takes new keys in a section");
    if (!ed->key || !*ed->key || ed->key[strcspn(ed->key, "=\r\n [#;")])
        return error_set(e, OCM_E_INVALID, "'%s' is no key of a unit",
                         ed->key ? ed->key : "");
    buf_printf(&ed->bytes, "%s=", ed->key);
    if (v->type == DOC_OBJECT || v->type == DOC_ARRAY)
        rc = add_json_words(*json, unit_words(ed->key) == WORDS_EXEC,
                            &ed->bytes, e);
    else if (v->type != DOC_NULL)
        buf_add(&ed->bytes, v->text, v->len);
    if (rc == 0 && (memchr(ed->bytes.data, '\n', ed->bytes.len) ||
                    memchr(ed->bytes.data, '\r', ed->bytes.len) ||
                    memchr(ed->bytes.data, 0, ed->bytes.len) ||
                    ed->bytes.data[ed->bytes.len - 1] == '\\'))
        rc = error_set(e, OCM_E_UNSUPPORTED,
                       "a unit has no way to write this line");
    if (rc == 0) {
        buf_printf(&whole, "[%s]\n", section);
        buf_add(&whole, ed->bytes.data, ed->bytes.len);
        rc = doc_parse(DOC_UNIT, whole.data, whole.len, &ed->want, e);
    }
    buf_wipe(&whole);
    return rc;
}

/* --- layout ---------------------------------------------------------------- */

static void remove_line(struct render *r, uint32_t line)
{
    const struct doc *d = r->d;

    patch_add(r, line_start(d, d->nodes[line].from), d->nodes[line].behind,
              NULL, 0);
}

static void remove_list(struct render *r, uint32_t list)
{
    for (uint32_t c = r->d->nodes[list].first; c != NONE;
         c = r->d->nodes[c].next)
        remove_line(r, c);
}

/* Every part of the file under a header of this name. */
static void remove_section(struct render *r, uint32_t section)
{
    const struct doc *d = r->d;
    const struct doc_node *n = &d->nodes[section];
    struct logical l = {0};
    bool inside = false;
    size_t from = 0, at = d->body;

    for (; at < d->len; at = l.next) {
        if (!unit_read_entry(d, at, &l) || l.text.data[0] != '[')
            continue;
        if (inside)
            patch_add(r, from, at, NULL, 0);
        inside = l.text.len == n->key_len + 2 &&
                 memcmp(l.text.data + 1, n->key, n->key_len) == 0;
        from = at;
    }
    if (inside)
        patch_add(r, from, d->len, NULL, 0);
    free(l.from);
    buf_wipe(&l.text);
}

/* The word that ends there is the last of its line from now on, where a blank
 * behind a backslash would be cut off and the backslash carry on. */
static void spell_last_blank(struct render *r, size_t end)
{
    const uint8_t *p = r->d->src;

    if (end < 2 || p[end - 2] != '\\')
        return;
    if (p[end - 1] == ' ')
        patch_add(r, end - 2, end, "\\x5c\\x20", 8);
    else if (p[end - 1] == '\t')
        patch_add(r, end - 2, end, "\\x5c\\x09", 8);
}

static void remove_words(struct render *r, uint32_t line)
{
    const struct doc *d = r->d;
    bool any = false, kept = false, edited = false, cut = false;
    size_t last = 0;

    for (uint32_t c = d->nodes[line].first; c != NONE; c = d->nodes[c].next)
        any = any || !d->nodes[c].gone;
    if (!any) { /* an empty value would reset the lines before */
        remove_line(r, line);
        return;
    }
    for (uint32_t c = d->nodes[line].first; c != NONE; c = d->nodes[c].next) {
        size_t a = d->nodes[c].from, b = d->nodes[c].end;

        if (!d->nodes[c].gone) {
            kept = true;
            edited = d->nodes[c].set != NONE;
            cut = false;
            last = b;
            continue;
        }
        cut = true;
        if (kept) /* a blank behind a backslash is the last word's */
            a = skip_blanks_back(d, a) > last ? skip_blanks_back(d, a) : last;
        else
            b = skip_blanks(d, b);
        patch_add(r, a, b, NULL, 0);
    }
    if (cut && kept && !edited)
        spell_last_blank(r, last);
}

static uint32_t last_line(const struct doc *d, uint32_t list)
{
    uint32_t last = NONE;

    for (uint32_t c = d->nodes[list].first; c != NONE; c = d->nodes[c].next) {
        if (!doc_is_gone(d, c))
            last = c;
    }
    return last;
}

/* The line a new one of `key` goes behind: the last of that key, else the
 * last of the section; NONE: its header. */
static uint32_t line_before(const struct doc *d, uint32_t section,
                            const char *key)
{
    uint32_t list = doc_child(d, section, key, strlen(key)), best = NONE;

    if (list != NONE)
        best = last_line(d, list);
    if (best != NONE)
        return best;
    for (uint32_t c = d->nodes[section].first; c != NONE;
         c = d->nodes[c].next) {
        uint32_t last = last_line(d, c);

        if (last != NONE &&
            (best == NONE || d->nodes[last].from > d->nodes[best].from))
            best = last;
    }
    return best;
}

static void put_line(struct render *r, size_t behind, const struct edit *ed)
{
    struct buf b = {0};

    buf_add(&b, ed->bytes.data, ed->bytes.len);
    lines_put(r, behind, &b);
}

/* Sections that are not there yet, at the end. */
static void put_sections(struct render *r)
{
    struct doc *d = r->d;
    const char *section = NULL;
    const struct edit *ed;
    struct buf b = {0};
    size_t i = 0;

    if (d->len > d->body && d->src[d->len - 1] != '\n' &&
        d->src[d->len - 1] != '\r')
        buf_add_str(&b, d->eol);
    while ((ed = next_insert(d, NONE, &i)) != NULL) {
        if (!section || strcmp(section, ed->section) != 0) {
            if (section || d->len > d->body)
                buf_add_str(&b, d->eol);
            buf_printf(&b, "[%s]%s", ed->section, d->eol);
        }
        section = ed->section;
        buf_add(&b, ed->bytes.data, ed->bytes.len);
        buf_add_str(&b, d->eol);
    }
    patch_take(r, d->len, d->len, &b);
}

int unit_may_remove(struct doc *d, uint32_t id, struct error *e)
{
    const struct doc_node *n = &d->nodes[id], *up = &d->nodes[n->parent];

    if (up->key == NULL && up->parent != NONE && n->index == 0 &&
        up->count > 1 && unit_words(d->nodes[up->parent].key) == WORDS_EXEC)
        return error_set(e, OCM_E_UNSUPPORTED,
                         "line %u: the program of a command cannot be removed",
                         n->line);
    /* the next word would begin a line, as a comment */
    if (up->key == NULL && n->next != NONE && is_first_on_line(d, n->from) &&
        strchr("#;", d->src[d->nodes[n->next].from]))
        return error_set(e, OCM_E_UNSUPPORTED,
                         "line %u: the rest would be a comment without this",
                         n->line);
    return 0;
}

int unit_lay_out(struct render *r, uint32_t container, struct error *e)
{
    struct doc *d = r->d;
    const struct edit *ed;
    size_t i = 0;
    bool words;

    (void)e;
    if (container == NONE) {
        put_sections(r);
        return 0;
    }
    words = container != 0 && d->nodes[container].key == NULL;
    if (words) {
        remove_words(r, container);
        return 0;
    }
    for (uint32_t c = d->nodes[container].first; c != NONE;
         c = d->nodes[c].next) {
        if (!d->nodes[c].gone)
            continue;
        if (container == 0)
            remove_section(r, c);
        else if (d->nodes[container].parent == 0)
            remove_list(r, c);
        else
            remove_line(r, c);
    }
    while ((ed = next_insert(d, container, &i)) != NULL) {
        uint32_t before = line_before(d, container, ed->key);

        put_line(r,
                 before == NONE ? d->nodes[container].end
                                : d->nodes[before].behind - 1,
                 ed);
    }
    return 0;
}
