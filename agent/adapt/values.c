/* SPDX-License-Identifier: MIT */
/* One value at a time: the rules on a text, and an edit that is recorded in
 * the plan exactly when it is done in the document. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/adapt/adapt_internal.h"
#include "agent/adapt/keys.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/base/text.h"

int adapt_port(const struct adapt *a, int64_t port)
{
    int64_t off = port - a->source_port;

    if (a->source_port == a->target_port || a->target_port == 0)
        return 0;
    /* base, browser control, CDP: docs gateway/multiple-gateways */
    if (off == 0 || off == 2 || (off >= 11 && off <= 110)) {
        int64_t to = a->target_port + off;

        return to <= 65535 ? (int)to : 0;
    }
    return 0;
}

static bool is_word_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

/* "127.0.0.1:", "localhost:" ... at text[at], as a whole host: its length. */
static size_t loopback_at(const char *text, size_t len, size_t at)
{
    static const char *const hosts[] = {
        "127.0.0.1:", "localhost:", "[::1]:", "0.0.0.0:"};

    if (at > 0 && (is_word_byte(text[at - 1]) || text[at - 1] == '@'))
        if (text[at - 1] != '@')
            return 0;
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        size_t n = strlen(hosts[i]);

        if (n <= len - at && strncasecmp(text + at, hosts[i], n) == 0)
            return n;
    }
    return 0;
}

/* Append `text` with the ports of loopback URLs that mean this gateway. */
static bool rewrite_ports(const struct adapt *a, const char *text, size_t len,
                          struct buf *out)
{
    size_t done = 0;
    bool changed = false;

    for (size_t at = 0; at < len; at++) {
        size_t host = loopback_at(text, len, at), end;
        int64_t port = 0;
        int to;

        if (!host)
            continue;
        end = at + host;
        while (end < len && text[end] >= '0' && text[end] <= '9' &&
               port <= 65535)
            port = port * 10 + (text[end++] - '0');
        to = end < len && is_word_byte(text[end]) && text[end] != '.'
                 ? 0
                 : adapt_port(a, port);
        if (to) {
            buf_add(out, text + done, at + host - done);
            buf_printf(out, "%d", to);
            done = end;
            changed = true;
        }
        at = end - 1;
    }
    buf_add(out, text + done, len - done);
    return changed;
}

const char *adapt_text(const struct adapt *a, const char *text, size_t len,
                       struct buf *out)
{
    struct buf paths = {0};
    const char *rule = rules_rewrite(&a->rules, text, len, false, &paths);

    if (rewrite_ports(a, (const char *)paths.data, paths.len, out) && !rule)
        rule = "self-reference";
    buf_wipe(&paths);
    return rule;
}

char *adapt_path_value(const struct adapt *a, const char *text,
                       const char **rule)
{
    return rules_map_path(&a->rules, text, rule);
}

bool edit_wanted(struct work *w, const char *place, const char *rule)
{
    const struct adapt_options *o = &w->a->o;
    char id[20];

    if (o->skip_count == 0)
        return true;
    plan_edit_id(w->f->section, w->f->at, place, rule, id);
    for (size_t i = 0; i < o->skip_count; i++) {
        if (strcmp(o->skip_edits[i], id) != 0)
            continue;
        plan_warn(
            w->a->plan, "edit-skipped", false, w->f->section, w->f->at, place,
            "edit %s (%s) is switched off: the source's value stays", id, rule);
        return false;
    }
    return true;
}

static char *full_place(const struct work *w, const char *path)
{
    return mem_printf("%s%s", w->place_prefix ? w->place_prefix : "", path);
}

/* Record an edit that was done; or say why it could not be. */
static int edit_done(struct work *w, int rc, const char *place,
                     const char *old_value, const char *new_value,
                     const char *rule, bool secret)
{
    if (rc == OCM_E_UNSUPPORTED) {
        plan_warn(w->a->plan, "not-edited", false, w->f->section, w->f->at,
                  place, "%s; change it by hand",
                  w->e && w->e->text[0] ? w->e->text
                                        : "this value cannot be written");
        if (w->e)
            memset(w->e, 0, sizeof(*w->e));
        return 0;
    }
    if (rc == 0)
        plan_add_edit(w->a->plan, w->f->section, w->f->at, place, old_value,
                      new_value, rule, secret);
    return rc;
}

int edit_string(struct work *w, const struct doc_value *v, const char *text,
                size_t len, const char *rule, bool secret)
{
    char *place = full_place(w, v->path), *new_value;
    int rc = 0;

    if (edit_wanted(w, place, rule)) {
        new_value = mem_strndup(text, len);
        rc = edit_done(w, doc_set_string(w->d, v, text, len, w->e), place,
                       v->text, new_value, rule, secret);
        secret_free_str(new_value);
    }
    free(place);
    return rc;
}

int edit_raw(struct work *w, const struct doc_value *v, const char *raw,
             const char *rule)
{
    char *place = full_place(w, v->path);
    int rc = 0;

    if (edit_wanted(w, place, rule))
        rc = edit_done(w, doc_set_raw(w->d, v, raw, w->e), place, v->text, raw,
                       rule, false);
    free(place);
    return rc;
}

int edit_insert(struct work *w, const char *parent, const char *key,
                const char *place, const char *json, const char *rule,
                bool secret)
{
    char *full = full_place(w, place);
    int rc = 0;

    if (edit_wanted(w, full, rule))
        rc = edit_done(w, doc_insert(w->d, parent, key, json, w->e), full, "",
                       json, rule, secret);
    free(full);
    return rc;
}

int edit_remove(struct work *w, const char *path, const char *old_value,
                const char *rule, bool secret)
{
    char *full = full_place(w, path);
    int rc = 0;

    if (edit_wanted(w, full, rule))
        rc = edit_done(w, doc_remove(w->d, path, w->e), full, old_value, "",
                       rule, secret);
    free(full);
    return rc;
}

void check_path(struct work *w, const char *place, const char *text,
                bool program)
{
    struct adapt *a = w->a;
    struct path_check *c;
    char *path = NULL;

    if (strstr(text, "${") || strstr(text, "://"))
        return;
    if (text[0] == '/')
        path = path_clean(text);
    else if (text[0] == '~' && text[1] == '/' && a->rules.target_home)
        path = mem_printf("%s%s", a->rules.target_home, text + 1);
    if (!path)
        return;
    a->checks =
        mem_grow(a->checks, &a->check_cap, a->check_count + 1, sizeof(*c));
    c = &a->checks[a->check_count++];
    c->section = mem_strdup(w->f->section);
    c->file = mem_strdup(w->f->at);
    c->place = full_place(w, place);
    c->path = path;
    c->program = program;
}

/* "host:container[:mode]" of a bind: the host's part. */
static char *bind_host_part(const char *text)
{
    return mem_strndup(text, strcspn(text, ":"));
}

/* What will stand at a key that names a path is looked for at the end. */
static void check_value(struct work *w, const char *key_path, const char *text)
{
    char *part;

    if (keys_is_program(key_path)) {
        check_path(w, key_path, text, true);
    } else if (doc_pattern_match("**.binds[]", key_path)) {
        part = bind_host_part(text);
        check_path(w, key_path, part, false);
        free(part);
    } else if (keys_is_output(key_path)) {
        part = mem_strdup(text);
        if (strrchr(part, '/') && strrchr(part, '/') != part)
            *strrchr(part, '/') = '\0';
        check_path(w, key_path, part, false);
        free(part);
    } else if (keys_is_path(key_path)) {
        check_path(w, key_path, text, false);
    }
}

bool is_apart(const struct work *w, const char *path)
{
    size_t len = w->apart ? strlen(w->apart) : 0;

    return w->apart && strncmp(path, w->apart, len) == 0 &&
           (path[len] == '\0' || path[len] == '.' || path[len] == '[');
}

int edit_value(struct work *w, const struct doc_value *v, bool secret)
{
    bool path_key = keys_is_path(v->path) || keys_is_output(v->path) ||
                    keys_is_program(v->path);
    const char *rule = NULL;
    struct buf out = {0};
    char *mapped = NULL;
    int rc = 0;

    if (v->alias || memchr(v->text, '\0', v->len))
        return 0;
    if (path_key)
        mapped = adapt_path_value(w->a, v->text, &rule);
    if (mapped)
        buf_add_str(&out, mapped);
    else
        rule = adapt_text(w->a, v->text, v->len, &out);
    if (rule)
        rc = edit_string(w, v, buf_str(&out), out.len, rule,
                         secret || keys_text_has_secret(v->text));
    if (path_key && rc == 0) {
        size_t len;
        const char *now = doc_text_after(w->d, v, &len);

        if (now)
            check_value(w, v->path, now);
    }
    free(mapped);
    buf_wipe(&out);
    return rc;
}

int work_save(struct work *w, const struct buf *before, bool report)
{
    struct buf after = {0};
    int rc = 0;

    if (doc_edit_count(w->d) > 0) {
        rc = doc_render(w->d, &after, w->e);
        if (rc != 0)
            error_prefix(w->e, "%s", w->f->at);
        else if (after.len != before->len ||
                 memcmp(after.data, before->data, after.len) != 0)
            rc = staged_write(w->f, &after, w->e);
    }
    if (rc == 0 && report) {
        const struct buf *now = doc_edit_count(w->d) ? &after : before;

        report_foreign(w->a, w->f, (const char *)now->data, now->len, NULL);
    }
    buf_wipe(&after);
    return rc;
}
