/* SPDX-License-Identifier: MIT */
/* Files of lines: env files, units and crontabs are rewritten; Markdown and
 * scripts are a person's own and only reported, unless the person gave rules. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/adapt/adapt_internal.h"
#include "agent/adapt/keys.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/base/text.h"

/* --- what is left of the source --- */

/* How far a path at `text` goes. What follows on the line may be a secret. */
static size_t path_length(const char *text, size_t len)
{
    size_t n = 0;

    while (n < len && n < FOREIGN_SHOWN_MAX && text[n] &&
           !strchr(" \t\r\n\"'`,;:|&()<>[]{}=?#", text[n]))
        n++;
    return n;
}

void report_foreign(struct adapt *a, const struct adapt_file *f,
                    const char *text, size_t len, const char *place)
{
    size_t at = 0, start, counted = 0, line = 1, told = 0, last = 0;
    bool data = text_has_prefix(f->at, "data/");

    while (rules_find_foreign(&a->rules, text, len, &at, &start)) {
        char where[32];

        for (; counted < start; counted++)
            line += text[counted] == '\n';
        if (line == last)
            continue;
        last = line;
        told++;
        if (data && ++a->foreign_data > FOREIGN_DATA_MAX) {
            a->foreign_untold++;
            continue;
        }
        if (told > FOREIGN_LINES_MAX)
            continue;
        snprintf(where, sizeof(where), "line %zu", line);
        plan_warn(a->plan, "foreign-path", false, f->section, f->at,
                  place ? place : where, "a path of the source stays: %.*s",
                  (int)path_length(text + start, len - start), text + start);
    }
    if (told > FOREIGN_LINES_MAX && !(data && a->foreign_untold))
        plan_warn(a->plan, "foreign-path", false, f->section, f->at, "",
                  "%zu more lines with paths of the source",
                  told - FOREIGN_LINES_MAX);
}

uint64_t count_foreign(const struct adapt *a, const char *staged)
{
    int fd = open(staged, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    size_t at = 0, start = 0, len;
    uint64_t lines = 0;
    struct stat st;
    const char *text;

    if (fd < 0)
        return 0;
    if (fstat(fd, &st) != 0 || st.st_size <= 0) {
        close(fd);
        return 0;
    }
    len = (size_t)st.st_size;
    text = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (text == MAP_FAILED)
        return 0;
    while (at < len && rules_find_foreign(&a->rules, text, len, &at, &start)) {
        const char *end = memchr(text + at, '\n', len - at);

        lines++;
        at = end ? (size_t)(end - text) + 1 : len;
    }
    munmap((void *)(uintptr_t)text, len);
    return lines;
}

/* --- env, unit, crontab --- */

struct lines {
    struct work w;
    char *last_word;       /* of an Exec line */
    struct text_list seen; /* variables that were dealt with whole */
};

/* A variable that belongs to the node, or holds its token. */
static bool is_own_variable(const struct adapt *a, const char *name)
{
    return keys_env_is_node_owned(name) || text_list_has(&a->own.vars, name) ||
           text_list_has(&a->token_vars, name);
}

static bool is_port_name(const char *name)
{
    return text_has_suffix(name, "_PORT");
}

static int set_port_text(struct work *w, const struct doc_value *v)
{
    int64_t port;
    char text[16];
    int to = text_to_i64(v->text, 1, 65535, &port) ? adapt_port(w->a, port) : 0;

    if (!to)
        return 0;
    snprintf(text, sizeof(text), "%d", to);
    return edit_string(w, v, text, strlen(text), "self-reference", false);
}

static int own_variable(struct lines *l, const struct doc_value *v)
{
    struct adapt *a = l->w.a;
    const char *name = v->key;
    bool secret = !is_port_name(name);
    char fresh[49];
    json_t *own;
    int rc;

    if (a->own.lives) {
        own = json_object_get(a->own.env, name);
        if (json_is_string(own) && strcmp(json_string_value(own), v->text) != 0)
            return edit_string(&l->w, v, json_string_value(own),
                               json_string_length(own), "node-owned", secret);
        /* a variable that only the target's values use may come from its
         * unit; those of the node itself must not come from the source */
        if (!own && keys_env_is_node_owned(name) &&
            !text_list_has(&l->seen, name)) {
            text_list_add(&l->seen, name);
            return edit_remove(&l->w, v->path, v->text, "node-owned", secret);
        }
        return 0;
    }
    if (is_port_name(name))
        return set_port_text(&l->w, v);
    if (a->o.intention != INTENT_CLONE ||
        (!strstr(name, "TOKEN") && !strstr(name, "PASSWORD") &&
         !text_list_has(&a->token_vars, name)))
        return 0;
    fresh_token(a,
                strstr(name, "PASSWORD") ? "gateway.auth.password"
                                         : "gateway.auth.token",
                fresh);
    rc = edit_string(&l->w, v, fresh, strlen(fresh), "fresh", true);
    secret_wipe(fresh, sizeof(fresh));
    return rc;
}

/* TELEGRAM_BOT_TOKEN and the like bring a channel to life on their own,
 * unless the config names that channel (and it was switched off there). */
static int channel_variable(struct lines *l, const struct doc_value *v)
{
    struct adapt *a = l->w.a;
    char *name, *off;
    int rc = 0;

    name = mem_strndup(v->key, strcspn(v->key, "_"));
    for (char *p = name; *p; p++)
        *p = (char)(*p | 0x20);
    if (!text_list_has(&a->channels, name) &&
        edit_wanted(&l->w, v->path, "channel")) {
        off = mem_printf("OCM_OFF_%s", v->key);
        rc = doc_set_key(l->w.d, v, off, l->w.e);
        if (rc == 0)
            plan_add_edit(a->plan, l->w.f->section, l->w.f->at, v->path, v->key,
                          off, "channel", false)
                ->note = mem_strdup("the variable is renamed, its value kept");
        free(off);
    }
    free(name);
    return rc;
}

static int on_line_value(void *arg, struct doc *d, const struct doc_value *v)
{
    struct lines *l = arg;
    bool after_port = l->last_word && strcmp(l->last_word, "--port") == 0;
    bool cross = adapt_crosses(l->w.a);

    (void)d;
    if (v->type != DOC_STRING)
        return 0;
    if (l->w.f->kind == KIND_UNIT) {
        free(l->last_word);
        l->last_word = mem_strdup(v->text);
        if (after_port || (v->key && is_port_name(v->key)))
            return set_port_text(&l->w, v);
    }
    if (v->key && cross && l->w.f->kind == KIND_ENV) {
        if (is_own_variable(l->w.a, v->key))
            return own_variable(l, v);
        if (keys_env_is_channel(v->key) && !l->w.a->o.channels_on &&
            l->w.a->o.intention == INTENT_CLONE)
            return channel_variable(l, v);
    }
    return edit_value(&l->w, v,
                      v->key && keys_is_secret(v->path, v->key, v->text));
}

/* What the target's own values refer to must be there. */
static int insert_own_variables(struct lines *l)
{
    struct adapt *a = l->w.a;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < a->own.vars.count; i++) {
        const char *name = a->own.vars.items[i];
        json_t *own = json_object_get(a->own.env, name);
        struct doc_value v;
        char *json;

        if (!json_is_string(own) || doc_find(l->w.d, name, &v))
            continue;
        json = json_dumps(own, JSON_ENCODE_ANY);
        rc = edit_insert(&l->w, "", name, name, json ? json : "\"\"",
                         "node-owned", true);
        secret_free_str(json);
    }
    return rc;
}

static enum doc_format lines_format(const struct adapt_file *f)
{
    if (f->kind == KIND_UNIT)
        return DOC_UNIT;
    if (f->kind == KIND_CRONTAB)
        return strstr(f->at, "cron.d/") ? DOC_CRONTAB_SYSTEM : DOC_CRONTAB;
    return text_has_suffix(f->at, ".systemd.env") ? DOC_ENV_SYSTEMD : DOC_ENV;
}

int adapt_lines(struct adapt *a, const struct adapt_file *f, struct error *e)
{
    struct lines l = {.w = {.a = a, .f = f, .e = e}};
    struct error why = {0};
    struct buf b = {0};
    int rc = staged_read(f, STAGED_MAX_BYTES, &b, e);

    if (rc != 0)
        goto out;
    if (doc_parse(lines_format(f), b.data, b.len, &l.w.d, &why) != 0) {
        plan_warn(a->plan, "not-edited", false, f->section, f->at, "",
                  "%s: it is placed as it is", why.text);
        report_foreign(a, f, (const char *)b.data, b.len, NULL);
        goto out;
    }
    rc = doc_each(l.w.d, on_line_value, &l);
    if (rc == 0 && f->kind == KIND_ENV && strcmp(file_rel(f), ".env") == 0)
        rc = insert_own_variables(&l);
    rc = rc == 0 ? work_save(&l.w, &b, true) : error_prefix(e, "%s", f->at);
out:
    free(l.last_word);
    text_list_free(&l.seen);
    doc_free(l.w.d);
    buf_wipe(&b);
    return rc;
}

/* --- text of people --- */

static bool has_user_rule(const struct adapt *a)
{
    return a->o.rule_count > 0;
}

/* Rewrite by the person's own rules, a line at a time. */
static bool rewrite_lines(struct work *w, const struct buf *b, struct buf *out)
{
    const char *text = (const char *)b->data;
    bool changed = false;
    size_t line = 0;

    for (size_t at = 0; at < b->len;) {
        const char *end = memchr(text + at, '\n', b->len - at);
        size_t len = end ? (size_t)(end - (text + at)) : b->len - at;
        struct buf now = {0};
        char place[32];

        snprintf(place, sizeof(place), "line %zu", ++line);
        if (rules_rewrite(&w->a->rules, text + at, len, true, &now) &&
            edit_wanted(w, place, "user")) {
            char *old_line = mem_strndup(text + at, len);

            plan_add_edit(w->a->plan, w->f->section, w->f->at, place, old_line,
                          buf_str(&now), "user",
                          keys_text_has_secret(old_line));
            free(old_line);
            buf_add(out, now.data, now.len);
            changed = true;
        } else {
            buf_add(out, text + at, len);
        }
        if (end)
            buf_add_byte(out, '\n');
        buf_free(&now);
        at += len + (end != NULL);
    }
    return changed;
}

int adapt_plain_text(struct adapt *a, const struct adapt_file *f,
                     struct error *e)
{
    struct work w = {.a = a, .f = f, .e = e};
    struct buf b = {0}, out = {0};
    struct stat st;
    int rc;

    if (!rules_active(&a->rules) || stat(f->staged, &st) != 0 ||
        st.st_size > (off_t)STAGED_MAX_BYTES)
        return 0;
    rc = staged_read(f, STAGED_MAX_BYTES, &b, e);
    if (rc != 0)
        return rc;
    if (b.len && !memchr(b.data, 0, b.len < 8192 ? b.len : 8192)) {
        if (has_user_rule(a) && rewrite_lines(&w, &b, &out))
            rc = staged_write(f, &out, e);
        if (rc == 0)
            report_foreign(a, f, (const char *)(out.len ? out.data : b.data),
                           out.len ? out.len : b.len, NULL);
    }
    buf_wipe(&b);
    buf_wipe(&out);
    return rc;
}
