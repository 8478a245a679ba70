/* SPDX-License-Identifier: MIT */
/* Requests to the database helper and its answers: numbers as u32, texts as
 * their length and one, 0 for none, then the bytes and a NUL. */
#include <stdlib.h>
#include <string.h>

#include "agent/adapt/database_job.h"
#include "common/base/mem.h"
#include "common/base/secret.h"

#define LIST_MAX 1000000
#define KEY_LEN 32
#define SEED_LEN 16

/* ---- writing ---- */

static void put_number(struct buf *b, int64_t n)
{
    buf_add_u32be(b, (uint32_t)(int32_t)n);
}

static void put_text(struct buf *b, const char *s)
{
    size_t len = s ? strlen(s) : 0;

    buf_add_u32be(b, s ? (uint32_t)len + 1 : 0);
    if (s)
        buf_add(b, s, len + 1);
}

static void put_facts(struct buf *b, const struct facts *f)
{
    size_t count = 0;

    for (size_t i = 0; i < f->count; i++)
        count += !f->items[i].secret;
    put_number(b, (int64_t)count);
    for (size_t i = 0; i < f->count; i++) {
        if (f->items[i].secret)
            continue;
        put_text(b, f->items[i].key);
        put_text(b, f->items[i].value);
    }
}

/* Fresh values of a database come of this, never of the node's key. */
static void put_key(struct buf *b, const struct adapt_options *o)
{
    static const char purpose[] = "databases";
    struct id id = digest_hmac(o->node_key, KEY_LEN, purpose, sizeof(purpose));

    buf_add(b, id.b, KEY_LEN);
    buf_add(b, o->seed, SEED_LEN);
    secret_wipe(&id, sizeof(id));
}

void database_request_pack(const struct adapt *a, const struct adapt_file *f,
                           const char *own, struct buf *out)
{
    const struct adapt_options *o = &a->o;

    put_text(out, f->section);
    put_text(out, f->at);
    put_text(out, f->staged);
    put_number(out, f->kind);
    put_text(out, own);
    put_number(out, o->intention);
    put_number(out, a->source_port);
    put_number(out, a->target_port);
    put_facts(out, o->source);
    put_facts(out, o->target);
    put_number(out, (int64_t)o->rule_count);
    for (size_t i = 0; i < o->rule_count; i++) {
        put_text(out, o->rules[i].from);
        put_text(out, o->rules[i].to);
    }
    put_number(out, (int64_t)o->skip_count);
    for (size_t i = 0; i < o->skip_count; i++)
        put_text(out, o->skip_edits[i]);
    put_number(out, (int64_t)o->row_section_count);
    for (size_t i = 0; i < o->row_section_count; i++)
        put_text(out, o->row_sections[i]);
    put_key(out, o);
}

void database_answer_pack(int rc, const struct error *e, const struct plan *p,
                          struct buf *out)
{
    put_number(out, rc);
    put_text(out, e->text);
    put_number(out, (int64_t)p->edit_count);
    for (size_t i = 0; i < p->edit_count; i++) {
        const struct plan_edit *edit = &p->edits[i];

        put_text(out, edit->place);
        put_text(out, edit->old_value);
        put_text(out, edit->new_value);
        put_text(out, edit->rule);
        put_number(out, edit->secret);
        put_text(out, edit->note);
    }
    put_number(out, (int64_t)p->warning_count);
    for (size_t i = 0; i < p->warning_count; i++) {
        const struct plan_warning *w = &p->warnings[i];

        put_text(out, w->code);
        put_text(out, w->place);
        put_text(out, w->text);
    }
}

/* ---- reading ---- */

struct cursor {
    const uint8_t *p;
    size_t left;
    bool broken;
};

static const uint8_t *take(struct cursor *c, size_t len)
{
    const uint8_t *p = c->p;

    if (c->broken || len > c->left) {
        c->broken = true;
        return NULL;
    }
    c->p += len;
    c->left -= len;
    return p;
}

static int32_t take_number(struct cursor *c)
{
    const uint8_t *p = take(c, 4);

    return p ? (int32_t)read_u32be(p) : 0;
}

static size_t take_count(struct cursor *c)
{
    int32_t n = take_number(c);

    if (n < 0 || n > LIST_MAX)
        c->broken = true;
    return c->broken ? 0 : (size_t)n;
}

/* Borrowed; NULL for none. */
static const char *take_text(struct cursor *c)
{
    size_t len = (size_t)(uint32_t)take_number(c);
    const uint8_t *p = len ? take(c, len) : NULL;

    if (p && memchr(p, 0, len) != p + len - 1)
        c->broken = true;
    return c->broken ? NULL : (const char *)p;
}

/* Borrowed; never NULL. */
static const char *need_text(struct cursor *c)
{
    const char *s = take_text(c);

    c->broken = c->broken || !s;
    return s ? s : "";
}

static void take_facts(struct cursor *c, struct facts *out)
{
    for (size_t n = take_count(c); n > 0 && !c->broken; n--) {
        const char *key = need_text(c), *value = need_text(c);

        facts_set(out, key, value);
    }
}

/* Texts; the list is the caller's. */
static const char **take_texts(struct cursor *c, size_t *count)
{
    const char **list;

    *count = take_count(c);
    list = mem_array(*count, sizeof(*list));
    for (size_t i = 0; i < *count; i++)
        list[i] = need_text(c);
    return list;
}

static void take_lists(struct cursor *c, struct adapt_options *o)
{
    struct adapt_rule *rules;

    o->rule_count = take_count(c);
    rules = mem_array(o->rule_count, sizeof(*rules));
    for (size_t i = 0; i < o->rule_count; i++) {
        rules[i].from = need_text(c);
        rules[i].to = need_text(c);
    }
    o->rules = rules;
    o->skip_edits = take_texts(c, &o->skip_count);
    o->row_sections = take_texts(c, &o->row_section_count);
}

int database_request_unpack(const struct buf *b, struct database_request *out,
                            struct error *e)
{
    struct cursor c = {.p = b->data, .left = b->len};
    struct adapt_options *o = &out->a.o;

    *out = (struct database_request){0};
    out->f.section = need_text(&c);
    out->f.at = need_text(&c);
    out->f.staged = need_text(&c);
    out->f.kind = (enum file_kind)take_number(&c);
    out->own = take_text(&c);
    o->intention = (enum intention)take_number(&c);
    out->a.source_port = take_number(&c);
    out->a.target_port = take_number(&c);
    take_facts(&c, &out->source);
    take_facts(&c, &out->target);
    o->source = &out->source;
    o->target = &out->target;
    take_lists(&c, o);
    o->node_key = take(&c, KEY_LEN);
    o->seed = take(&c, SEED_LEN);
    if (c.broken || c.left > 0)
        return error_set(e, OCM_E_PROTOCOL, "the request is not understood");
    return 0;
}

void database_request_fini(struct database_request *r)
{
    free((void *)(uintptr_t)r->a.o.rules);
    free((void *)(uintptr_t)r->a.o.skip_edits);
    free((void *)(uintptr_t)r->a.o.row_sections);
    facts_fini(&r->source);
    facts_fini(&r->target);
}

/* The rules of edits and codes of warnings that databases have. */
static const char *word_of(struct cursor *c)
{
    static const char *const words[] = {
        "path", "node-owned", "identity",      "self-reference",
        "user", "fresh",      "merge",         "edit-skipped",
        "rows", "not-edited", "database-rows", "foreign-path",
    };
    const char *text = need_text(c);

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcmp(words[i], text) == 0)
            return words[i];
    c->broken = true;
    return NULL;
}

static void take_edit(struct cursor *c, const struct adapt_file *f,
                      struct plan *p)
{
    const char *place = need_text(c), *was = need_text(c), *now = need_text(c);
    const char *rule = word_of(c);
    bool secret = take_number(c) != 0;
    const char *note = take_text(c);

    if (!c->broken)
        plan_add_edit(p, f->section, f->at, place, was, now, rule, secret)
            ->note = mem_strdup(note);
}

static void take_warning(struct cursor *c, const struct adapt_file *f,
                         struct plan *p)
{
    const char *code = word_of(c), *place = need_text(c), *text = need_text(c);

    if (!c->broken)
        plan_warn(p, code, false, f->section, f->at, place, "%s", text);
}

int database_answer_unpack(const struct buf *b, const struct adapt_file *f,
                           struct plan *p, struct error *e)
{
    struct cursor c = {.p = b->data, .left = b->len};
    int rc = take_number(&c);
    const char *text = need_text(&c);

    for (size_t n = take_count(&c); n > 0 && !c.broken; n--)
        take_edit(&c, f, p);
    for (size_t n = take_count(&c); n > 0 && !c.broken; n--)
        take_warning(&c, f, p);
    if (c.broken || c.left > 0 || rc > 0)
        return error_set(e, OCM_E_DAMAGED,
                         "%s: the process that reads it gave no sensible "
                         "answer",
                         f->at);
    return rc == 0 ? 0 : error_set(e, rc, "%s", text);
}
