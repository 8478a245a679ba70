/* SPDX-License-Identifier: MIT */
/* JSON of a state in files: cron jobs, session indexes, approvals, logins,
 * the identity of the device; and JSON Lines, which are history. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/adapt/adapt_internal.h"
#include "agent/adapt/keys.h"
#include "agent/openclaw/config.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/base/text.h"

/* Of a session index only these are read again; the rest (snapshots of
 * skills and prompts) is made anew at the next turn. */
static const char *const session_keys[] = {
    "*.sessionFile",
    "*.workspaceDir",
    "*.cwd",
    "*.acp.cwd",
    "*.transcriptPath",
    "*.acp.runtimeOptions.cwd",
    "*.spawnedWorkspaceDir",
    "*.worktree.path",
};

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static bool is_session_index(const struct adapt_file *f)
{
    return strcmp(base_name(f->at), "sessions.json") == 0;
}

static int on_json(void *arg, struct doc *d, const struct doc_value *v)
{
    struct work *w = arg;

    (void)d;
    if (v->type != DOC_STRING || is_apart(w, v->path))
        return 0;
    if (is_session_index(w->f)) {
        bool known = false;

        for (size_t i = 0; i < ARRAY_LEN(session_keys) && !known; i++)
            known = doc_pattern_match(session_keys[i], v->path);
        if (!known)
            return 0;
    }
    return edit_value(w, v, keys_is_secret(v->path, v->key, v->text));
}

/* --- exec-approvals.json --- */

static json_t *live_json(const struct adapt_file *f)
{
    struct buf b = {0};
    json_t *root = NULL;

    if (f->live && file_read(f->live, DOC_CONFIG_MAX_BYTES, &b, NULL) == 0 &&
        config_parse(DOC_JSON5, b.data, b.len, &root, NULL) != 0)
        root = NULL;
    buf_wipe(&b);
    return root;
}

/* The socket between gateway and helper is this node's own. */
static int own_socket(struct work *w, json_t *socket)
{
    struct doc_value v;
    char fresh[49];
    int rc = 0;

    if (socket) {
        rc = edit_subtree(w, "socket", socket, "node-owned");
    } else if (w->a->o.intention == INTENT_CLONE &&
               doc_find(w->d, "socket.token", &v) && v.type == DOC_STRING) {
        fresh_token(w->a, "exec-approvals.socket.token", fresh);
        rc = edit_string(w, &v, fresh, 32, "fresh", true);
        secret_wipe(fresh, sizeof(fresh));
    }
    return rc;
}

static int edit_approvals(struct work *w)
{
    json_t *live = live_json(w->f), *socket = json_object_get(live, "socket");
    int rc;

    if (!json_is_object(socket))
        socket = NULL;
    w->apart = socket ? "socket" : NULL;
    rc = doc_each(w->d, on_json, w);
    if (rc == 0)
        rc = own_socket(w, socket);
    json_decref(live);
    return rc;
}

/* --- identity --- */

static bool is_identity(const char *rel)
{
    return text_has_prefix(rel, "identity/") ||
           text_has_prefix(rel, "devices/") || text_has_prefix(rel, "nodes/");
}

static int keep_live_bytes(struct work *w)
{
    struct buf own = {0}, staged = {0};
    int rc = file_read(w->f->live, DOC_CONFIG_MAX_BYTES, &own, w->e);

    if (rc == 0)
        rc = staged_read(w->f, DOC_CONFIG_MAX_BYTES, &staged, w->e);
    if (rc == 0 && (own.len != staged.len ||
                    memcmp(own.data, staged.data, own.len) != 0)) {
        rc = staged_write(w->f, &own, w->e);
        if (rc == 0)
            plan_add_edit(w->a->plan, w->f->section, w->f->at, "",
                          "(the source's)", "(the target's own stays)",
                          "identity", false);
    }
    buf_wipe(&own);
    buf_wipe(&staged);
    return rc;
}

static int drop_staged(struct work *w, const char *rule, const char *what)
{
    if (unlink(w->f->staged) != 0 && errno != ENOENT)
        return error_errno(w->e, "%s: cannot remove the staged copy", w->f->at);
    plan_add_edit(w->a->plan, w->f->section, w->f->at, "", "(the source's)",
                  what, rule, false);
    return 0;
}

static int adapt_identity_file(struct adapt *a, const struct adapt_file *f,
                               struct error *e)
{
    struct work w = {.a = a, .f = f, .e = e};
    bool in_database = a->own.lives && (a->o.target_era == ERA_MIXED ||
                                        a->o.target_era == ERA_SQLITE);

    if (!edit_wanted(&w, "", "identity"))
        return 0;
    if (f->live && file_exists(f->live))
        return keep_live_bytes(&w);
    if (in_database)
        return drop_staged(&w, "identity", "(the target's own stays)");
    if (a->o.intention == INTENT_CLONE)
        return drop_staged(&w, "identity", "(made anew at the first start)");
    return 0; /* a move to an empty node takes the identity along */
}

/* --- files too large for a document --- */

static bool is_plain_in_json(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == '"' || *s == '\\')
            return false;
    return true;
}

/* A large session index: paths stand in it as they are, and what replaces
 * them needs no escapes, so the bytes can be rewritten without a parse. */
static int rewrite_raw(struct work *w, const struct buf *b)
{
    struct buf out = {0};
    const char *rule = NULL;
    bool plain = true;
    int rc = 0;

    for (size_t i = 0; i < w->a->rules.count; i++)
        plain = plain && is_plain_in_json(w->a->rules.items[i].to);
    if (plain)
        rule = rules_rewrite(&w->a->rules, (const char *)b->data, b->len, false,
                             &out);
    if (!plain)
        plan_warn(w->a->plan, "not-edited", true, w->f->section, w->f->at, "",
                  "the file is too large to be edited value by value, and the "
                  "target's paths need escapes");
    else if (rule && edit_wanted(w, "", rule)) {
        rc = staged_write(w->f, &out, w->e);
        if (rc == 0)
            plan_add_edit(w->a->plan, w->f->section, w->f->at, "",
                          "(paths of the source)", "(paths of the target)",
                          rule, false);
    }
    buf_wipe(&out);
    return rc;
}

/* --- the file --- */

static int edit_document(struct work *w, const struct buf *b)
{
    struct error why = {0};
    int rc;

    if (doc_parse(DOC_JSON5, b->data, b->len, &w->d, &why) != 0) {
        plan_warn(w->a->plan, "not-edited", false, w->f->section, w->f->at, "",
                  "%s: it is placed as it is", why.text);
        report_foreign(w->a, w->f, (const char *)b->data, b->len, NULL);
        return 0;
    }
    rc = adapt_crosses(w->a) &&
                 strcmp(base_name(w->f->at), "exec-approvals.json") == 0
             ? edit_approvals(w)
             : doc_each(w->d, on_json, w);
    if (rc != 0)
        return error_prefix(w->e, "%s", w->f->at);
    return work_save(w, b, !is_session_index(w->f));
}

int adapt_json(struct adapt *a, const struct adapt_file *f, struct error *e)
{
    struct work w = {.a = a, .f = f, .e = e};
    const char *rel = file_rel(f);
    struct buf b = {0};
    int rc;

    if (adapt_crosses(a) && is_identity(rel))
        return adapt_identity_file(a, f, e);
    if (adapt_crosses(a) && strcmp(base_name(rel), "models.json") == 0 &&
        text_has_prefix(rel, "agents/"))
        return edit_wanted(&w, "", "node-owned")
                   ? drop_staged(&w, "node-owned",
                                 "(made anew from the configuration)")
                   : 0;
    if (!adapt_crosses(a) && !rules_active(&a->rules))
        return 0;
    rc = staged_read(f, STAGED_MAX_BYTES, &b, e);
    if (rc == 0)
        rc = b.len > DOC_CONFIG_MAX_BYTES ? rewrite_raw(&w, &b)
                                          : edit_document(&w, &b);
    doc_free(w.d);
    buf_wipe(&b);
    return rc;
}

int adapt_jsonl(struct adapt *a, const struct adapt_file *f, struct error *e)
{
    uint64_t lines;

    (void)e;
    if (!rules_active(&a->rules))
        return 0;
    lines = count_foreign(a, f->staged);
    a->history_files += lines > 0;
    a->history_lines += lines;
    return 0;
}
