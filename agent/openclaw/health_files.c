/* SPDX-License-Identifier: MIT */
/* What files alone tell of a node's health. */
#include "agent/openclaw/health_internal.h"

#include <stdlib.h>
#include <string.h>

#include "agent/openclaw/config.h"
#include "agent/openclaw/database.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"

/* agent.<id>.workspace of the facts: how many there are, the first missing. */
static int64_t count_agents(const struct health *h, const char **missing)
{
    const struct facts *f = &h->now.facts;
    int64_t n = 0;

    *missing = NULL;
    for (size_t i = 0; i < f->count; i++) {
        if (!text_has_prefix(f->items[i].key, "agent.") ||
            !text_has_suffix(f->items[i].key, ".workspace"))
            continue;
        n++;
        if (!*missing && !dir_exists(f->items[i].value))
            *missing = f->items[i].value;
    }
    return n;
}

void health_workspaces(struct health *h)
{
    const char *missing;
    int64_t n = count_agents(h, &missing);

    if (missing)
        health_add(h, "workspaces", false, "%s does not exist", missing);
    else
        health_add(h, "workspaces", true, "%lld, all there", (long long)n);
}

void health_agent_count(struct health *h, int64_t n, const char *how)
{
    int64_t want = h->expect->agents;

    if (want >= 0 && n != want)
        health_add(h, "agents", false, "%lld%s, expected %lld", (long long)n,
                   how, (long long)want);
    else
        health_add(h, "agents", n > 0, "%lld%s", (long long)n, how);
}

void health_cron_count(struct health *h, int64_t n, const char *how)
{
    int64_t want = h->expect->cron_jobs;

    if (n < 0)
        health_add(h, "cron", want <= 0, "the jobs cannot be counted%s", how);
    else if (want >= 0 && n != want)
        health_add(h, "cron", false, "%lld user jobs%s, expected %lld",
                   (long long)n, how, (long long)want);
    else
        health_add(h, "cron", true, "%lld user jobs%s", (long long)n, how);
}

void health_config_file(struct health *h)
{
    struct config c = {0};
    struct buf notes = {0};
    struct error e = {0};
    int rc =
        config_load(h->now.config_path, h->now.era == ERA_YAML, &c, &notes, &e);

    if (rc < 0)
        health_add(h, "config", false, "%s", e.text);
    else if (notes.len)
        health_add(h, "config", false, "%.*s",
                   (int)strcspn(buf_str(&notes), "\n"), (char *)notes.data);
    else
        health_add(h, "config", true, "parses (only the file was looked at)");
    config_fini(&c);
    buf_free(&notes);
}

static bool check_database(struct health *h, const char *path, size_t *count)
{
    struct error e = {0};

    if (!file_exists(path))
        return true;
    (*count)++;
    if (database_verify(path, &e) == 0)
        return true;
    health_add(h, "databases", false, "%s", e.text);
    return false;
}

static void check_databases(struct health *h)
{
    const struct facts *f = &h->now.facts;
    char *path = path_join(h->now.state_dir, "state/openclaw.sqlite");
    size_t count = 0;
    bool ok = check_database(h, path, &count);

    free(path);
    for (size_t i = 0; i < f->count && ok; i++) {
        if (!text_has_prefix(f->items[i].key, "agent.") ||
            !text_has_suffix(f->items[i].key, ".dir"))
            continue;
        path = path_join(f->items[i].value, "openclaw-agent.sqlite");
        ok = check_database(h, path, &count);
        free(path);
    }
    if (ok)
        health_add(h, "databases", true, "%zu, sound", count);
}

static int64_t cron_fact(const struct health *h)
{
    const char *text = facts_get(&h->now.facts, "cron.jobs");
    int64_t n;

    return text && text_to_i64(text, 0, INT64_MAX, &n) ? n : -1;
}

void health_offline(struct health *h)
{
    const char *missing;
    const char *how = h->g->install.bin ? " (by its files)"
                                        : " (by its files, no OpenClaw here)";

    health_config_file(h);
    health_workspaces(h);
    health_agent_count(h, count_agents(h, &missing), how);
    health_cron_count(h, cron_fact(h), how);
    check_databases(h);
}
