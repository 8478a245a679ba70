/* SPDX-License-Identifier: MIT */
/* Crontabs (crontab(5) of Vixie cron): env lines, and jobs of a schedule, a
 * user (system crontabs) and a command in which % is a newline and \% is %. */
#include "agent/adapt/docs/doc_internal.h"

#include <string.h>

static size_t skip_word(const struct doc *d, size_t at, size_t end)
{
    while (at < end && d->src[at] != ' ' && d->src[at] != '\t')
        at++;
    return at;
}

static int add_part(struct doc *d, enum part part, size_t start, size_t end,
                    uint32_t line, size_t from, struct error *e)
{
    uint32_t id = doc_add(d, 0, e);
    struct doc_node *n;

    if (id == NONE)
        return OCM_E_LIMIT;
    n = &d->nodes[id];
    n->type = DOC_STRING;
    n->part = (uint8_t)part;
    n->from = (uint32_t)from;
    n->line = line;
    n->start = (uint32_t)start;
    n->end = (uint32_t)end;
    doc_node_text(d, id, d->src + start, end - start);
    return 0;
}

/* The command as the shell gets it; what is behind the first newline goes to
 * its input. */
static void decode_command(struct doc *d, uint32_t id)
{
    const struct doc_node *n = &d->nodes[id];
    struct buf b = {0};

    for (size_t i = n->start; i < n->end; i++) {
        uint8_t c = d->src[i];

        if (c == '\\' && i + 1 < n->end && d->src[i + 1] == '%') {
            buf_add_byte(&b, '%');
            i++;
        } else {
            buf_add_byte(&b, c == '%' ? '\n' : c);
        }
    }
    doc_node_text(d, id, b.data, b.len);
    buf_wipe(&b);
}

/* The end of the schedule at `at`, 0: that is none. */
static size_t schedule_end(const struct doc *d, size_t at, size_t end)
{
    size_t stop = at;

    if (at < end && d->src[at] == '@')
        return skip_word(d, at, end);
    for (int field = 0; field < 5; field++) {
        at = skip_blanks(d, stop);
        if (at >= end)
            return 0;
        stop = skip_word(d, at, end);
        for (size_t i = at; i < stop; i++) {
            uint8_t c = d->src[i];

            if (!((c | 32) >= 'a' && (c | 32) <= 'z') &&
                !(c >= '0' && c <= '9') && !strchr("*,-/~", c))
                return 0;
        }
    }
    return stop;
}

static int parse_job(struct doc *d, size_t from, size_t at, size_t end,
                     uint32_t line, struct error *e)
{
    size_t stop = schedule_end(d, at, end), user = 0, user_end = 0, command;
    int rc;

    command = stop ? skip_blanks(d, stop) : end;
    if (stop && d->format == DOC_CRONTAB_SYSTEM && command < end) {
        user = command;
        user_end = skip_word(d, user, end);
        command = skip_blanks(d, user_end);
    }
    if (command >= end)
        return doc_error_at(d, at, e, OCM_E_INVALID,
                            "neither NAME=value nor a job");
    rc = add_part(d, PART_SCHEDULE, at, stop, line, from, e);
    if (rc == 0 && user)
        rc = add_part(d, PART_USER, user, user_end, line, from, e);
    if (rc == 0)
        rc = add_part(d, PART_LINE, command, end, line, from, e);
    if (rc == 0)
        decode_command(d, (uint32_t)d->count - 1);
    return rc;
}

/* NAME = value, both with quotes or without: the offset of the value, 0. */
static size_t env_value(const struct doc *d, size_t at, size_t end,
                        size_t *name, size_t *name_end)
{
    uint8_t quote = d->src[at];

    *name = at;
    if (quote == '"' || quote == '\'') {
        const uint8_t *close = memchr(d->src + at + 1, quote, end - at - 1);

        if (!close)
            return 0;
        *name = at + 1;
        *name_end = (size_t)(close - d->src);
        at = *name_end + 1;
    } else {
        while (at < end && !strchr(" \t=\"'", d->src[at]))
            at++;
        *name_end = at;
    }
    at = skip_blanks(d, at);
    if (*name_end == *name || at >= end || d->src[at] != '=')
        return 0;
    at = skip_blanks(d, at + 1);
    return at < end ? at : end;
}

static int parse_env(struct doc *d, size_t from, size_t value, size_t end,
                     size_t name, size_t name_end, uint32_t line,
                     struct error *e)
{
    int rc = add_part(d, PART_ENV, value, end, line, from, e);
    uint32_t id = (uint32_t)d->count - 1;
    uint8_t quote = d->src[value];

    if (rc != 0)
        return rc;
    doc_node_key(d, id, d->src + name, name_end - name);
    d->nodes[id].style = STYLE_BARE;
    if (end - value >= 2 && (quote == '"' || quote == '\'') &&
        d->src[end - 1] == quote) {
        d->nodes[id].style = quote == '"' ? STYLE_DOUBLE : STYLE_SINGLE;
        doc_node_text(d, id, d->src + value + 1, end - value - 2);
    }
    return 0;
}

static int crontab_parse(struct doc *d, struct error *e)
{
    uint32_t root = doc_add(d, NONE, e), line = 0;
    int rc = 0;

    d->nodes[root].type = DOC_OBJECT;
    d->nodes[root].end = (uint32_t)d->len;
    d->nodes[root].line = 1;
    for (size_t at = d->body; at < d->len && rc == 0; at = line_next(d, at)) {
        size_t text = skip_blanks(d, at), name, name_end, value;
        size_t end = skip_blanks_back(d, line_end(d, at));

        line++;
        if (text >= end || d->src[text] == '#')
            continue;
        value = env_value(d, text, end, &name, &name_end);
        rc = value ? parse_env(d, at, value, end, name, name_end, line, e)
                   : parse_job(d, at, text, end, line, e);
    }
    return rc;
}

/* Commands: `%` and newlines swap their spelling. */
static void encode_command(const struct edit *ed, struct buf *b)
{
    for (size_t i = 0; i < ed->len; i++) {
        if (ed->text[i] == '%')
            buf_add_byte(b, '\\');
        buf_add_byte(b, (uint8_t)(ed->text[i] == '\n' ? '%' : ed->text[i]));
    }
}

static void encode_env(const struct doc_node *n, const struct edit *ed,
                       struct buf *b)
{
    char quote = n->style == STYLE_SINGLE ? '\'' : '"';
    bool edge = ed->len == 0 || strchr(" \t\"'", ed->text[0]) ||
                strchr(" \t", ed->text[ed->len - 1]);

    if (n->style == STYLE_BARE && !edge) {
        buf_add(b, ed->text, ed->len);
        return;
    }
    if (memchr(ed->text, quote, ed->len))
        quote = quote == '"' ? '\'' : '"';
    buf_add_byte(b, (uint8_t)quote);
    buf_add(b, ed->text, ed->len);
    buf_add_byte(b, (uint8_t)quote);
}

/* Reads the line again with the new bytes in it: is the part what it should
 * be? */
static bool reads_back(struct doc *d, const struct doc_node *n,
                       const struct edit *ed)
{
    struct doc *line = NULL;
    struct buf b = {0};
    bool same = false;

    buf_add(&b, d->src + n->from, n->start - n->from);
    buf_add(&b, ed->bytes.data, ed->bytes.len);
    buf_add(&b, d->src + n->end, line_end(d, n->end) - n->end);
    if (doc_parse(d->format, b.data, b.len, &line, NULL) == 0) {
        for (uint32_t c = line->nodes[0].first; c != NONE;
             c = line->nodes[c].next) {
            const struct doc_node *m = &line->nodes[c];

            if (m->part == n->part && m->line == 1 && m->len == ed->len &&
                memcmp(m->text, ed->text, ed->len) == 0)
                same = true;
        }
        same = same && line->problem_count == 0;
    }
    doc_free(line);
    buf_wipe(&b);
    return same;
}

static int crontab_encode(struct doc *d, const struct doc_node *n,
                          struct edit *ed, struct error *e)
{
    ed->start = n->start;
    ed->end = n->end;
    if (n->part == PART_LINE)
        encode_command(ed, &ed->bytes);
    else if (n->part == PART_ENV)
        encode_env(n, ed, &ed->bytes);
    else
        buf_add(&ed->bytes, ed->text, ed->len);
    if (!reads_back(d, n, ed))
        return error_set(e, OCM_E_UNSUPPORTED,
                         "line %u: a crontab has no way to write this value",
                         n->line);
    return 0;
}

static int crontab_insert(struct doc *d, struct edit *ed, struct doc **json,
                          struct error *e)
{
    struct doc_node none = {.style = STYLE_BARE};
    struct edit value = {0};
    struct buf line = {0};
    const char *text;
    size_t len;
    int rc = lines_scalar(*json, &text, &len, e);

    if (rc != 0)
        return rc;
    if (memchr(text, '\n', len) || memchr(text, '\r', len) ||
        (ed->key && ed->key[strcspn(ed->key, " \t=\"'#\r\n.[]")]))
        return error_set(e, OCM_E_UNSUPPORTED,
                         "a crontab has no way to write this line");
    if (ed->key) {
        value.text = (char *)text;
        value.len = len;
        buf_printf(&line, "%s=", ed->key);
        encode_env(&none, &value, &line);
    } else {
        buf_add(&line, text, len);
    }
    rc = lines_insert(d, ed, (const char *)line.data, line.len, e);
    buf_wipe(&line);
    return rc;
}

/* An env line counts for the jobs behind it: it goes before the first. */
static uint32_t crontab_place(const struct doc *d, const struct edit *ed)
{
    uint32_t c = d->nodes[0].first;

    if (!ed->key)
        return NONE;
    while (c != NONE && d->nodes[c].part == PART_ENV)
        c = d->nodes[c].next;
    return c;
}

const struct doc_ops crontab_ops = {
    .name = "a crontab",
    .by_line = true,
    .max = DOC_CONFIG_MAX_BYTES,
    .parse = crontab_parse,
    .encode = crontab_encode,
    .insert = crontab_insert,
    .lay_out = lines_lay_out,
    .place = crontab_place,
};

const struct doc_ops crontab_system_ops = {
    .name = "a crontab",
    .by_line = true,
    .max = DOC_CONFIG_MAX_BYTES,
    .parse = crontab_parse,
    .encode = crontab_encode,
    .insert = crontab_insert,
    .lay_out = lines_lay_out,
    .place = crontab_place,
};
