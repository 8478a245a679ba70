/* SPDX-License-Identifier: MIT */
/* The adaptation as a whole: what is known of both nodes, and each staged
 * file given to the part that understands it. */
#include "agent/adapt/adapt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/adapt/adapt_internal.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/base/text.h"

void text_list_add(struct text_list *l, const char *s)
{
    l->items = mem_grow(l->items, &l->cap, l->count + 1, sizeof(*l->items));
    l->items[l->count++] = mem_strdup(s);
}

bool text_list_has(const struct text_list *l, const char *s)
{
    for (size_t i = 0; i < l->count; i++)
        if (strcmp(l->items[i], s) == 0)
            return true;
    return false;
}

void text_list_free(struct text_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        secret_free_str(l->items[i]);
    free(l->items);
    memset(l, 0, sizeof(*l));
}

bool adapt_crosses(const struct adapt *a)
{
    return a->o.intention != INTENT_RESTORE;
}

const char *file_rel(const struct adapt_file *f)
{
    const char *p = strchr(f->at, '/');

    p = p ? strchr(p + 1, '/') : NULL;
    return p ? p + 1 : f->at;
}

static int fact_port(const struct facts *f)
{
    const char *text = facts_get(f, "gateway.port");
    int64_t port;

    return text && text_to_i64(text, 1, 65535, &port) ? (int)port : 0;
}

/* The port the gateway will have here. */
static void choose_port(struct adapt *a)
{
    int source = fact_port(a->o.source), own = fact_port(a->o.target);
    json_t *value = target_value(a, "gateway.port");

    a->source_port = source ? source : PORT_DEFAULT;
    a->target_port = a->source_port;
    if (!adapt_crosses(a))
        return;
    if (!a->own.lives) {
        a->target_port = fresh_port(a);
        a->port_fresh = true;
        return;
    }
    if (!own && json_is_integer(value) && json_integer_value(value) > 0 &&
        json_integer_value(value) <= 65535)
        own = (int)json_integer_value(value);
    a->target_port = own ? own : PORT_DEFAULT;
}

struct adapt *adapt_new(const struct adapt_options *o, struct plan *plan)
{
    struct adapt *a = mem_zalloc(sizeof(*a));

    a->o = *o;
    a->plan = plan;
    rules_init(&a->rules, o, plan);
    target_read(a);
    choose_port(a);
    return a;
}

void adapt_free(struct adapt *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < a->check_count; i++) {
        free(a->checks[i].section);
        free(a->checks[i].file);
        free(a->checks[i].place);
        free(a->checks[i].path);
    }
    free(a->checks);
    for (size_t i = 0; i < a->env_count; i++) {
        free(a->envs[i].section);
        free(a->envs[i].at);
        free(a->envs[i].staged);
        free(a->envs[i].live);
    }
    free(a->envs);
    text_list_free(&a->restored);
    text_list_free(&a->token_vars);
    text_list_free(&a->channels);
    rules_fini(&a->rules);
    target_fini(a);
    free(a);
}

char *adapt_map_path(const struct adapt *a, const char *path)
{
    return rules_map_path(&a->rules, path, NULL);
}

void adapt_restored_root(struct adapt *a, const char *live)
{
    a->roots_told = true;
    text_list_add(&a->restored, live);
}

int staged_read(const struct adapt_file *f, size_t max, struct buf *out,
                struct error *e)
{
    return file_read(f->staged, max, out, e) == 0
               ? 0
               : error_prefix(e, "%s", f->at);
}

int staged_write(const struct adapt_file *f, const struct buf *b,
                 struct error *e)
{
    int fd = open(f->staged, O_WRONLY | O_NOFOLLOW | O_CLOEXEC), rc;

    if (fd < 0)
        return error_errno(e, "%s: cannot open the staged copy %s", f->at,
                           f->staged);
    rc = ftruncate(fd, 0) == 0 ? fd_write_all(fd, b->data, b->len) : -errno;
    if (close(fd) != 0 && rc == 0)
        rc = -errno;
    if (rc != 0) {
        errno = -rc;
        return error_errno(e, "%s: cannot write the staged copy %s", f->at,
                           f->staged);
    }
    return 0;
}

/* Sections whose files are a person's own: looked at, never rewritten. */
static bool is_user_data(const struct adapt_file *f)
{
    static const char *const names[] = {"workspace", "media", "browser",
                                        "logs",      "other", "extra"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(f->section, names[i]) == 0)
            return true;
    return false;
}

static void defer_env(struct adapt *a, const struct adapt_file *f)
{
    struct deferred *d;

    a->envs = mem_grow(a->envs, &a->env_cap, a->env_count + 1, sizeof(*d));
    d = &a->envs[a->env_count++];
    d->section = mem_strdup(f->section);
    d->at = mem_strdup(f->at);
    d->staged = mem_strdup(f->staged);
    d->live = mem_strdup(f->live);
    d->kind = f->kind;
    d->action = f->action;
}

static int adapt_kind(struct adapt *a, const struct adapt_file *f,
                      struct error *e)
{
    switch (f->kind) {
    case KIND_OPAQUE:
        return 0;
    case KIND_CONFIG:
        return adapt_config(a, f, e);
    case KIND_JSON:
        return adapt_json(a, f, e);
    case KIND_JSONL:
        return adapt_jsonl(a, f, e);
    case KIND_YAML:
        return adapt_yaml(a, f, e);
    case KIND_ENV:
        if (adapt_crosses(a)) {
            defer_env(a, f);
            return 0;
        }
        return adapt_lines(a, f, e);
    case KIND_UNIT:
    case KIND_CRONTAB:
        return adapt_lines(a, f, e);
    case KIND_TEXT:
        return adapt_plain_text(a, f, e);
    case KIND_STATE_DB:
        return adapt_state_db(a, f, e);
    case KIND_AGENT_DB:
    case KIND_OTHER_DB:
        return adapt_other_db(a, f, e);
    }
    return error_set(e, OCM_E_INVALID, "%s: unknown kind of file %d", f->at,
                     (int)f->kind);
}

int adapt_file(struct adapt *a, const struct adapt_file *f, struct error *e)
{
    struct stat st;

    if (f->action == ACTION_KEEP || f->action == ACTION_DROP)
        return 0;
    if (f->live)
        text_list_add(&a->restored, f->live);
    if (strstr(f->at, "/credentials/whatsapp/"))
        a->whatsapp = true;
    if (f->kind == KIND_OPAQUE)
        return 0;
    if (lstat(f->staged, &st) != 0)
        return error_errno(e, "%s: cannot look at the staged copy %s", f->at,
                           f->staged);
    if (!S_ISREG(st.st_mode))
        return 0;
    if (is_user_data(f) && f->kind != KIND_OTHER_DB)
        return adapt_plain_text(a, f, e);
    return adapt_kind(a, f, e);
}
