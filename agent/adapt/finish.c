/* SPDX-License-Identifier: MIT */
/* What spans files: versions, ports, channels, and paths of the finished
 * configuration that will not be there. Then the plan is put in order. */
#include <stdlib.h>
#include <string.h>

#include "agent/adapt/adapt_internal.h"
#include "common/base/mem.h"
#include "common/base/text.h"

/* --- versions --- */

/* "2026.9.6" and "2026.9.6-beta.1" as numbers; false when it is neither. */
static bool version_parse(const char *text, int64_t out[3])
{
    for (int i = 0; i < 3; i++) {
        char *end;
        long n = strtol(text, &end, 10);

        if (end == text || n < 0 || n > 100000)
            return false;
        out[i] = n;
        if (i < 2 && *end != '.')
            return false;
        text = end + 1;
    }
    return true;
}

int adapt_version_compare(const char *a, const char *b)
{
    int64_t x[3], y[3];

    if (!a || !b || !version_parse(a, x) || !version_parse(b, y))
        return 0;
    for (int i = 0; i < 3; i++)
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    return 0;
}

const char *adapt_source_version(const struct facts *source)
{
    const char *state = facts_get(source, "state.version");
    const char *ran = facts_get(source, "openclaw.version");

    return !state || (ran && adapt_version_compare(ran, state) > 0) ? ran
                                                                    : state;
}

static bool schema_newer(const char *state, const char *supported)
{
    int64_t x, y;

    return state && supported && text_to_i64(state, 0, INT32_MAX, &x) &&
           text_to_i64(supported, 0, INT32_MAX, &y) && x > y;
}

static void check_versions(struct adapt *a)
{
    const struct facts *s = a->o.source, *t = a->o.target;
    const char *here = facts_get(t, "openclaw.version");
    const char *schema = facts_get(s, "state.schema");
    const char *supported = facts_get(t, "openclaw.schema.state");
    const char *came = adapt_source_version(s);

    if (a->o.source_era == ERA_YAML)
        return; /* no OpenClaw release wrote this layout */
    if (!here) {
        plan_warn(a->plan, "no-openclaw", false, "", "", "",
                  "no OpenClaw is installed on this node: the state is put in "
                  "place and the gateway is not started. Install the same "
                  "version (npm install -g openclaw@%s), or let it be done: "
                  "--install-openclaw",
                  came ? came : "VERSION");
        return;
    }
    if (adapt_version_compare(came, here) > 0)
        plan_warn(a->plan, "version", true, "", "", "",
                  "the state was written by OpenClaw %s, this node has %s, "
                  "which would refuse it. Install OpenClaw %s here first (npm "
                  "install -g openclaw@%s), or let it be done: "
                  "--install-openclaw",
                  came, here, came, came);
    else if (schema_newer(schema, supported))
        plan_warn(
            a->plan, "version", true, "", "", "",
            "the state database has schema %s, OpenClaw %s of this node "
            "reads up to %s. Install OpenClaw %s here first, or let it be "
            "done: --install-openclaw",
            schema, here, supported, came ? came : "of the source");
    else if (adapt_version_compare(came, here) < 0 && a->o.upgrade_state)
        plan_add_edit(a->plan, "", "", "state", came, here, "upgrade", false)
            ->note = mem_strdup("by `openclaw doctor --fix`, with the gateway "
                                "down; it rewrites config, agents' files and "
                                "databases");
    else if (adapt_version_compare(came, here) < 0)
        plan_warn(a->plan, "version", false, "", "", "",
                  "the state was written by OpenClaw %s, this node has %s. "
                  "OpenClaw's own upgrade (openclaw doctor --fix) rewrites the "
                  "state for good: say --upgrade-state to have it done after "
                  "the swap, or --install-openclaw to keep %s",
                  came, here, came);
}

/* --- ports and channels --- */

static void check_port(struct adapt *a)
{
    const char *running = facts_get(a->o.target, "gateway.running");
    const char *own = facts_get(a->o.target, "gateway.port");
    char port[16];

    if (a->target_port == 0) {
        plan_warn(a->plan, "port-taken", true, "gateway", "", "gateway.port",
                  "no free port was found for the gateway, searched from %d "
                  "in steps of 120",
                  a->source_port);
        return;
    }
    if (a->port_fresh || (a->o.source_era == ERA_YAML &&
                          !facts_get(a->o.source, "gateway.port")))
        return;
    snprintf(port, sizeof(port), "%d", a->target_port);
    if (running && strcmp(running, "yes") == 0 &&
        (!own || strcmp(own, port) == 0))
        return; /* it is our own gateway that listens there */
    if (!a->o.port_is_free(a->o.arg, a->target_port))
        plan_warn(a->plan, "port-taken", true, "gateway", "", "gateway.port",
                  "port %s, which the gateway will use, is taken by another "
                  "program on this node; stop that program or change the "
                  "node's own gateway.port first",
                  port);
}

static bool names(const char *list, const char *name)
{
    size_t len = strlen(name);

    for (const char *p = list; p && *p;) {
        size_t n;

        p += strspn(p, ", ");
        n = strcspn(p, ", ");
        if (n == len && strncmp(p, name, len) == 0)
            return true;
        p += n;
    }
    return false;
}

static void check_channels(struct adapt *a)
{
    const char *live = facts_get(a->o.source, "channels.enabled");
    bool whatsapp = a->whatsapp || names(live, "whatsapp");

    if (a->o.intention == INTENT_CLONE && a->o.channels_on && live && *live)
        plan_warn(a->plan, "live-channel", false, "gateway", "", "channels",
                  "the channels %s stay on in this clone while the source "
                  "uses them too: two nodes with one login fight over it",
                  live);
    if (whatsapp && a->o.intention == INTENT_CLONE)
        plan_warn(a->plan, "whatsapp", false, "credentials", "", "",
                  "the WhatsApp session belongs to one node only: used on "
                  "two, both are logged out. Link this node anew before you "
                  "turn that channel on");
    if (whatsapp && a->o.intention == INTENT_RESTORE)
        plan_warn(a->plan, "whatsapp", false, "credentials", "", "",
                  "the WhatsApp session goes back to the time of the backup; "
                  "messages since then may not decrypt, and the link may have "
                  "to be made anew");
    if (whatsapp && a->o.intention == INTENT_MOVE)
        plan_warn(a->plan, "whatsapp", false, "credentials", "", "",
                  "the WhatsApp session moves along: the source must never be "
                  "started again with it");
}

/* Without a unit to stand in, a fence is a file that only agents look at. */
static void check_fence(struct adapt *a)
{
    const struct facts *s = a->o.source;
    const char *control = facts_get(s, "gateway.control");

    if (a->o.intention == INTENT_MOVE && control &&
        !facts_get(s, "gateway.unit"))
        plan_warn(a->plan, "fence", false, "service", "", "",
                  "the source's gateway has no systemd unit (control = %s): "
                  "its fence binds only starts through the agent. Whatever "
                  "else starts it there (a script, cron, a container) must be "
                  "switched off by you, or two gateways use one identity",
                  control);
}

/* Plugins of npm are in no backup. */
static void check_plugins(struct adapt *a)
{
    const char *theirs = facts_get(a->o.source, "plugins.npm");
    const char *ours = facts_get(a->o.target, "plugins.npm");
    struct buf missing = {0};

    for (const char *p = theirs; p && *p; p += *p == ',') {
        size_t len = strcspn(p, ",");
        char *name = mem_strndup(p, len);

        if (!names(ours, name))
            buf_printf(&missing, " %s", name);
        free(name);
        p += len;
    }
    if (missing.len)
        plan_warn(a->plan, "plugins", false, "skills", "", "",
                  "plugins that npm had installed on the source are not on "
                  "this node and in no backup; afterwards run for each: "
                  "openclaw plugins install:%s",
                  buf_str(&missing));
    buf_free(&missing);
}

/* --- paths --- */

static bool will_exist(const struct adapt *a, const char *path)
{
    const char *dir = a->o.target_state_dir
                          ? a->o.target_state_dir
                          : facts_get(a->o.target, "state.dir");

    if (!a->roots_told && dir && path_is_below(path, dir))
        return true;
    for (size_t i = 0; i < a->restored.count; i++)
        if (path_is_below(path, a->restored.items[i]) ||
            path_is_below(a->restored.items[i], path))
            return true;
    return a->o.path_exists(a->o.arg, path);
}

/* Without adapt_restored_root: workspaces come as a section of their own. */
static bool is_workspace(const struct adapt *a, const char *path)
{
    for (size_t i = 0; !a->roots_told && i < a->o.source->count; i++) {
        const struct fact *fact = &a->o.source->items[i];
        char *mapped;
        bool below;

        if (!text_has_prefix(fact->key, "agent."))
            continue;
        mapped = rules_map_path(&a->rules, fact->value, NULL);
        below = path_is_below(path, mapped ? mapped : fact->value);
        free(mapped);
        if (below)
            return true;
    }
    return false;
}

static void check_paths(struct adapt *a)
{
    for (size_t i = 0; i < a->check_count; i++) {
        const struct path_check *c = &a->checks[i];

        if (will_exist(a, c->path) || is_workspace(a, c->path))
            continue;
        if (c->program)
            plan_warn(a->plan, "missing-binary", false, c->section, c->file,
                      c->place,
                      "the program %s is not on this node: install it, or "
                      "give a rule for its path",
                      c->path);
        else
            plan_warn(a->plan, "missing-path", false, c->section, c->file,
                      c->place,
                      "%s is not on this node and no part of this backup: "
                      "bring it over, or give a rule for its path",
                      c->path);
    }
}

static void check_history(struct adapt *a)
{
    if (a->history_files)
        plan_warn(a->plan, "history", false, "sessions", "", "",
                  "%zu histories mention paths of the source in %llu places; "
                  "they tell what was and are left alone",
                  a->history_files, (unsigned long long)a->history_lines);
    if (a->foreign_untold)
        plan_warn(a->plan, "foreign-path", false, "workspace", "", "",
                  "%zu more lines in users' files mention paths of the source",
                  a->foreign_untold);
}

/* --- order --- */

struct keyed {
    const char *section, *file;
    size_t index;
};

static int by_file(const void *x, const void *y)
{
    const struct keyed *a = x, *b = y;
    int c = strcmp(a->section, b->section);

    c = c ? c : strcmp(a->file, b->file);
    return c ? c : a->index < b->index ? -1 : a->index > b->index;
}

/* By section and file; within a file as they were made, which is the order of
 * the document. So the order in which files came does not matter. */
static void sort_plan(struct plan *p)
{
    size_t most =
        p->edit_count > p->warning_count ? p->edit_count : p->warning_count;
    struct keyed *keys = mem_array(most + 1, sizeof(*keys));
    struct plan_edit *edits = mem_array(p->edit_count + 1, sizeof(*edits));
    struct plan_warning *warnings =
        mem_array(p->warning_count + 1, sizeof(*warnings));

    for (size_t i = 0; i < p->edit_count; i++)
        keys[i] = (struct keyed){p->edits[i].section, p->edits[i].file, i};
    qsort(keys, p->edit_count, sizeof(*keys), by_file);
    for (size_t i = 0; i < p->edit_count; i++)
        edits[i] = p->edits[keys[i].index];
    for (size_t i = 0; i < p->warning_count; i++)
        keys[i] =
            (struct keyed){p->warnings[i].section, p->warnings[i].file, i};
    qsort(keys, p->warning_count, sizeof(*keys), by_file);
    for (size_t i = 0; i < p->warning_count; i++)
        warnings[i] = p->warnings[keys[i].index];
    free(p->edits);
    free(p->warnings);
    free(keys);
    p->edits = edits;
    p->edit_cap = p->edit_count + 1;
    p->warnings = warnings;
    p->warning_cap = p->warning_count + 1;
}

int adapt_finish(struct adapt *a, struct error *e)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < a->env_count; i++) {
        const struct deferred *d = &a->envs[i];
        struct adapt_file f = {d->section, d->at,   d->staged,
                               d->live,    d->kind, d->action};

        rc = adapt_lines(a, &f, e);
    }
    if (rc != 0)
        return rc;
    check_versions(a);
    check_port(a);
    check_channels(a);
    check_fence(a);
    check_plugins(a);
    check_paths(a);
    check_history(a);
    sort_plan(a->plan);
    return 0;
}
