/* SPDX-License-Identifier: MIT */
/* From facts to path rules, and those on whole paths and in free text. */
#include "agent/adapt/rules.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"

/* Facts of the host itself; each maps to the target's fact of that name. */
static const char *const host_facts[] = {
    "state.dir",        "state.config",  "user.home",
    "openclaw.package", "openclaw.node", "openclaw.bin",
};

static bool is_name_byte(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.' ||
           c == '+' || c == '~' || c == '%' || c == '@';
}

/* The code point at `p`, 0 when it is not UTF-8. */
static uint32_t code_point(const unsigned char *p, size_t len, size_t *size)
{
    size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc0 ? 2 : 0;
    uint32_t cp;

    *size = 1;
    if (n == 0 || n > len)
        return 0;
    cp = p[0] & (n == 4 ? 0x07u : n == 3 ? 0x0fu : 0x1fu);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        cp = cp << 6 | (p[i] & 0x3fu);
    }
    *size = n;
    return cp;
}

/* Scripts written without blanks, and punctuation: a path ends there. */
static bool ends_path(uint32_t cp)
{
    return cp == 0xa0 || cp == 0xab || cp == 0xbb ||
           (cp >= 0x2000 && cp <= 0x206f) || (cp >= 0x2e80 && cp <= 0x9fff) ||
           (cp >= 0xac00 && cp <= 0xd7af) || (cp >= 0xf900 && cp <= 0xfaff) ||
           (cp >= 0xff00 && cp <= 0xffef) || (cp >= 0x1f000 && cp <= 0x3ffff);
}

/* No part of a name in any script. */
static bool is_wide_punctuation(uint32_t cp)
{
    return cp == 0xa0 || cp == 0xab || cp == 0xbb ||
           (cp >= 0x2010 && cp <= 0x206f) || (cp >= 0x3000 && cp <= 0x3020) ||
           (cp >= 0xff01 && cp <= 0xff0f) || (cp >= 0xff1a && cp <= 0xff20) ||
           (cp >= 0xff3b && cp <= 0xff40) || (cp >= 0xff5b && cp <= 0xff65);
}

/* May a path end before text[at]? */
static bool right_boundary(const char *text, size_t len, size_t at)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t size;

    if (at >= len || p[at] == '/')
        return true;
    if (p[at] >= 0x80)
        return ends_path(code_point(p + at, len - at, &size));
    if (p[at] == '.') {
        /* the full stop of a sentence, or a longer name? */
        while (at < len && p[at] == '.')
            at++;
        return at >= len ||
               (!is_name_byte(p[at]) && p[at] < 0x80 && p[at] != '/') ||
               (p[at] >= 0x80 &&
                ends_path(code_point(p + at, len - at, &size)));
    }
    if (p[at] == '\\') /* "/home/jo\ old": a blank within the name */
        return at + 1 >= len || p[at + 1] != ' ';
    return !is_name_byte(p[at]);
}

/* A blank, quote or bracket before a word: where an option may begin. */
static bool is_word_start(const char *text, size_t at)
{
    return at == 0 || strchr(" \t\r\n\"'`([{,;|&", text[at - 1]) != NULL;
}

/* May a path begin at text[at]? Walks back over what could be an earlier
 * part of the same path. */
static bool left_boundary(const char *text, size_t at)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t i = at, size;

    if (at == 0)
        return true;
    if (p[at - 1] == '/')
        return at >= 7 && memcmp(text + at - 7, "file://", 7) == 0 &&
               text[at] == '/';
    /* -I/home/jo/include */
    if (at >= 2 && ((p[at - 1] | 0x20) >= 'a' && (p[at - 1] | 0x20) <= 'z') &&
        p[at - 2] == '-' && is_word_start(text, at - 2))
        return true;
    /* ${X}/home/jo and $(pwd)/home/jo are longer paths */
    if (p[at - 1] == '}' || p[at - 1] == ')')
        return false;
    if (p[at - 1] < 0x80)
        return !is_name_byte(p[at - 1]) && p[at - 1] != '\\';
    /* text without a blank before it: part of a path only if, back over
     * everything a name may hold, a slash leads it */
    while (i > 0 && (p[i - 1] & 0xc0) == 0x80)
        i--;
    if (i > 0 && is_wide_punctuation(code_point(p + i - 1, at - i + 1, &size)))
        return true;
    while (i > 0 && (p[i - 1] >= 0x80 || is_name_byte(p[i - 1])))
        i--;
    return i == 0 || (p[i - 1] != '/' && p[i - 1] != '\\');
}

/* A rule's name that is no path ("gw-1"): whole words. */
static bool word_boundary(const char *text, size_t at)
{
    unsigned char c;

    if (at == 0)
        return true;
    c = (unsigned char)text[at - 1];
    return c == '@' || (!is_name_byte(c) && c < 0x80) || c >= 0x80;
}

static const struct rule *match_at(const struct rules *r, const char *text,
                                   size_t len, size_t at, bool only_user)
{
    for (size_t i = 0; i < r->count; i++) {
        const struct rule *rule = &r->items[i];
        bool path = rule->from[0] == '/' || rule->tilde;

        if (only_user && strcmp(rule->kind, "user") != 0)
            continue;
        if (rule->from_len > len - at ||
            memcmp(text + at, rule->from, rule->from_len) != 0)
            continue;
        if (!right_boundary(text, len, at + rule->from_len))
            continue;
        if (path ? left_boundary(text, at) : word_boundary(text, at))
            return rule;
    }
    return NULL;
}

static bool rule_changes(const struct rule *rule)
{
    return strcmp(rule->from, rule->to) != 0;
}

bool rules_active(const struct rules *r)
{
    for (size_t i = 0; i < r->count; i++)
        if (rule_changes(&r->items[i]))
            return true;
    return false;
}

const char *rules_rewrite(const struct rules *r, const char *text, size_t len,
                          bool only_user, struct buf *out)
{
    const char *kind = NULL;
    size_t done = 0;

    for (size_t at = 0; at < len;) {
        const struct rule *rule;

        if (!r->starts[(unsigned char)text[at]] ||
            !(rule = match_at(r, text, len, at, only_user))) {
            at++;
            continue;
        }
        buf_add(out, text + done, at - done);
        buf_add(out, rule->to, rule->to_len);
        at += rule->from_len;
        done = at;
        if (!kind && rule_changes(rule))
            kind = rule->kind;
    }
    buf_add(out, text + done, len - done);
    return kind;
}

/* Is there a target's path at `at`? Its length, 0 if not. */
static size_t target_at(const struct rules *r, const char *text, size_t len,
                        size_t at)
{
    size_t best = 0;

    for (size_t i = 0; i < r->count; i++) {
        const struct rule *rule = &r->items[i];

        if (rule->to_len > best && rule->to_len <= len - at &&
            memcmp(text + at, rule->to, rule->to_len) == 0 &&
            right_boundary(text, len, at + rule->to_len) &&
            left_boundary(text, at))
            best = rule->to_len;
    }
    return best;
}

bool rules_find_foreign(const struct rules *r, const char *text, size_t len,
                        size_t *at, size_t *start)
{
    for (size_t i = *at; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        const struct rule *rule;
        size_t ours;

        if (!r->starts[c] && !r->to_starts[c])
            continue;
        rule = match_at(r, text, len, i, false);
        ours = target_at(r, text, len, i);
        if (rule && rule_changes(rule) && rule->from_len > ours) {
            *start = i;
            *at = i + rule->from_len;
            return true;
        }
        if (ours)
            i += ours - 1;
    }
    *at = len;
    return false;
}

static char *map_absolute(const struct rules *r, const char *path,
                          const char **kind)
{
    for (size_t i = 0; i < r->count; i++) {
        const struct rule *rule = &r->items[i];

        if (rule->from[0] != '/' || !path_is_below(path, rule->from))
            continue;
        if (!rule_changes(rule))
            return NULL;
        if (kind)
            *kind = rule->kind;
        return mem_printf("%s%s", rule->to, path + rule->from_len);
    }
    return NULL;
}

char *rules_map_path(const struct rules *r, const char *path, const char **kind)
{
    char *clean, *mapped, *full;

    if (path[0] == '/') {
        if (!strstr(path, "//") && !strstr(path, "/."))
            return map_absolute(r, path, kind);
        /* a detour through ".." must not hide where it ends */
        clean = path_clean(path);
        mapped = clean ? map_absolute(r, clean, kind) : NULL;
        free(clean);
        return mapped;
    }
    if (path[0] != '~' || (path[1] && path[1] != '/') || !r->source_home)
        return NULL;
    full = mem_printf("%s%s", r->source_home, path + 1);
    mapped = map_absolute(r, full, kind);
    free(full);
    if (mapped && r->target_home && path_is_below(mapped, r->target_home) &&
        strcmp(mapped + strlen(r->target_home), path + 1) == 0) {
        free(mapped);
        return NULL; /* "~" is the target's home there: the text stays */
    }
    return mapped;
}

static void rule_add(struct rules *r, const char *from, const char *to,
                     const char *kind, bool tilde)
{
    struct rule *rule;

    for (size_t i = 0; i < r->count; i++)
        if (strcmp(r->items[i].from, from) == 0)
            return; /* the first one stands: user's before facts' */
    r->items = mem_grow(r->items, &r->cap, r->count + 1, sizeof(*r->items));
    rule = &r->items[r->count++];
    rule->from = mem_strdup(from);
    rule->to = mem_strdup(to);
    rule->from_len = strlen(from);
    rule->to_len = strlen(to);
    rule->kind = kind;
    rule->tilde = tilde;
}

/* A usable absolute path of a fact: clean and more than "/". */
static char *usable_path(const char *fact)
{
    char *path = fact ? path_clean(fact) : NULL;

    if (path && strlen(path) < 2) {
        free(path);
        return NULL;
    }
    return path;
}

static void add_fact_rule(struct rules *r, const struct adapt_options *o,
                          const char *key)
{
    char *from = usable_path(facts_get(o->source, key));
    char *to = usable_path(facts_get(o->target, key));

    if (from && to)
        rule_add(r, from, to, "path", false);
    free(from);
    free(to);
}

/* Another rule that is not about `from` itself but ends at the same place? */
static const struct rule *collision(const struct rules *r, const char *from,
                                    const char *to)
{
    for (size_t i = 0; i < r->count; i++) {
        const struct rule *rule = &r->items[i];

        if (rule->from[0] == '/' && strcmp(rule->from, from) != 0 &&
            strcmp(rule->to, to) == 0)
            return rule;
    }
    return NULL;
}

/* Workspaces and agent folders: the target's own place of that agent. */
static void add_agent_rule(struct rules *r, const struct adapt_options *o,
                           const char *key, struct plan *plan)
{
    char *from = usable_path(facts_get(o->source, key));
    char *to = usable_path(facts_get(o->target, key));
    const struct rule *other = from && to ? collision(r, from, to) : NULL;

    if (other)
        plan_warn(plan, "collision", false, "", "", key,
                  "%s and %s of the source would both become %s; %s is "
                  "mapped by its parent folder instead. Give a rule %s=PATH "
                  "for another place",
                  other->from, from, to, from, from);
    else if (from && to)
        rule_add(r, from, to, "path", false);
    free(from);
    free(to);
}

/* "~/x" of the source is "~/x" of the target, unless a rule says that the
 * folder is elsewhere there. */
static void add_tilde_rules(struct rules *r)
{
    size_t count = r->count;

    if (!r->source_home || !r->target_home)
        return;
    for (size_t i = 0; i < count; i++) {
        const char *from = r->items[i].from, *to = r->items[i].to;
        size_t home = strlen(r->source_home);
        char *written, *there;

        if (!path_is_below(from, r->source_home) || !from[home])
            continue;
        written = mem_printf("~%s", from + home);
        there = mem_printf("%s%s", r->target_home, from + home);
        rule_add(r, written, strcmp(there, to) == 0 ? written : to,
                 r->items[i].kind, true);
        free(written);
        free(there);
    }
}

static int by_trial(const void *a, const void *b)
{
    const struct rule *x = a, *y = b;
    bool x_user = strcmp(x->kind, "user") == 0;
    bool y_user = strcmp(y->kind, "user") == 0;

    if (x_user != y_user)
        return x_user ? -1 : 1;
    if (x->from_len != y->from_len)
        return x->from_len > y->from_len ? -1 : 1;
    return strcmp(x->from, y->from);
}

static bool is_agent_fact(const char *key)
{
    return text_has_prefix(key, "agent.") &&
           (text_has_suffix(key, ".workspace") || text_has_suffix(key, ".dir"));
}

/* `from` without slashes at its end, so that "/a/" and "/a" are one rule. */
static char *trimmed(const char *s)
{
    size_t len = strlen(s);

    while (len > 1 && s[len - 1] == '/')
        len--;
    return mem_strndup(s, len);
}

void rules_init(struct rules *r, const struct adapt_options *o,
                struct plan *plan)
{
    memset(r, 0, sizeof(*r));
    r->source_home = usable_path(facts_get(o->source, "user.home"));
    r->target_home = usable_path(facts_get(o->target, "user.home"));
    for (size_t i = 0; i < o->rule_count; i++) {
        char *from = trimmed(o->rules[i].from), *to = trimmed(o->rules[i].to);

        if (from[0] && strcmp(from, "/") != 0)
            rule_add(r, from, to, "user", false);
        free(from);
        free(to);
    }
    for (size_t i = 0; i < ARRAY_LEN(host_facts); i++)
        add_fact_rule(r, o, host_facts[i]);
    for (size_t i = 0; i < o->source->count; i++) {
        const char *key = o->source->items[i].key;

        if (text_has_prefix(key, "layout."))
            add_fact_rule(r, o, key);
        else if (o->intention != INTENT_RESTORE && is_agent_fact(key))
            add_agent_rule(r, o, key, plan);
    }
    add_tilde_rules(r);
    if (r->count)
        qsort(r->items, r->count, sizeof(*r->items), by_trial);
    for (size_t i = 0; i < r->count; i++) {
        r->starts[(unsigned char)r->items[i].from[0]] = true;
        r->to_starts[(unsigned char)r->items[i].to[0]] = true;
    }
}

void rules_fini(struct rules *r)
{
    for (size_t i = 0; i < r->count; i++) {
        free(r->items[i].from);
        free(r->items[i].to);
    }
    free(r->items);
    free(r->source_home);
    free(r->target_home);
    memset(r, 0, sizeof(*r));
}
