/* SPDX-License-Identifier: MIT */
/* The table of sections, and the rules that put each path of a state
 * directory into one of them: pattern by pattern, the first that fits wins.
 *
 * Patterns are segments divided by '/'; in a segment `*` is any text. A final
 * slash and two stars ("x/" followed by "**") is x and all below it; a leading
 * pair of stars is any depth. */
#include "agent/openclaw/sections.h"

#include <string.h>

#include "agent/openclaw/openclaw.h"
#include "common/base/mem.h"
#include "common/base/text.h"

const struct section_def section_table[] = {
    {"gateway", "config", "gateway settings: openclaw.json and its includes",
     ACTION_ADAPT, ACTION_ADAPT, ACTION_ADAPT},
    {"agents", "config", "settings of the agents", ACTION_ADAPT, ACTION_ADAPT,
     ACTION_ADAPT},
    {"credentials", "config", "logins of models and channels, secrets",
     ACTION_ADAPT, ACTION_ADAPT, ACTION_ADAPT},
    {"cron", "config", "cron jobs", ACTION_ADAPT, ACTION_ADAPT, ACTION_ADAPT},
    {"env", "config", "environment variables", ACTION_ADAPT, ACTION_ADAPT,
     ACTION_ADAPT},
    {"service", "config", "the service unit (recorded, never restored)",
     ACTION_KEEP, ACTION_KEEP, ACTION_KEEP},
    {"skills", "config", "skills, hooks, local plugins", ACTION_COPY,
     ACTION_ADAPT, ACTION_ADAPT},
    {"state", "config", "control database, approvals, devices, identity",
     ACTION_ADAPT, ACTION_MERGE, ACTION_MERGE},
    {"sessions", "data", "sessions, transcripts, run history", ACTION_ADAPT,
     ACTION_ADAPT, ACTION_ADAPT},
    {"memory", "data", "memory index", ACTION_COPY, ACTION_COPY, ACTION_COPY},
    {"workspace", "data", "workspaces of the agents", ACTION_COPY, ACTION_ADAPT,
     ACTION_ADAPT},
    {"media", "data", "attachments", ACTION_COPY, ACTION_COPY, ACTION_COPY},
    {"browser", "data", "browser profiles", ACTION_COPY, ACTION_COPY,
     ACTION_COPY},
    {"logs", "data", "logs", ACTION_COPY, ACTION_DROP, ACTION_DROP},
    {"other", "data", "everything else in the state directory", ACTION_COPY,
     ACTION_COPY, ACTION_COPY},
    {"extra", "data", "further folders named in agent.conf", ACTION_COPY,
     ACTION_COPY, ACTION_COPY},
};
const size_t section_table_len = ARRAY_LEN(section_table);

struct rule {
    const char *pattern;
    const char *section; /* NULL: not stored */
};

/* OpenClaw's own layouts. Sources: releases 2026.2.12, 2026.5.28, 2026.9.6,
 * run and listed. Names of all eras stand together: an upgraded node keeps
 * files of older ones. */
static const struct rule openclaw_rules[] = {
    {"**/.ocm-stage-*/**", NULL}, /* our own: being staged, */
    {"**/.ocm-old-*/**", NULL},   /* replaced and kept */
    /* the config and its copies */
    {"openclaw.json.last-good", NULL},
    {"openclaw.json*.tmp", NULL},
    {"openclaw.json*", "gateway"},
    {"clawdbot.json*", "gateway"},
    {"moltbot.json*", "gateway"},
    {".env", "env"},
    {"gateway.systemd.env", "env"},
    {"node.systemd.env", "env"},
    {"secrets.json", "credentials"},
    {"oauth.json", "credentials"},

    /* what OpenClaw rebuilds by itself */
    {"plugin-skills/**", NULL},
    {"npm/**", NULL},
    {"npm-runtime/**", NULL},
    {"cache/**", NULL},
    {"tmp/**", NULL},
    {"tools/**", NULL},
    {"git/**", NULL},
    {"dev/**", NULL},
    {"completions/**", NULL},
    {"node_modules/**", NULL},
    {"logs/stability/**", NULL},
    {"logs/support/**", NULL},
    {"update-check.json", NULL},
    {"*.sock", NULL},
    {"*.pid", NULL},
    {"*.lock", NULL},
    {"*.tmp", NULL},

    /* databases: their write-ahead parts never alone, their locks never */
    {"**/*.sqlite-wal", NULL},
    {"**/*.sqlite-shm", NULL},
    {"**/*.sqlite-journal", NULL},
    {"**/*.db-wal", NULL},
    {"**/*.db-shm", NULL},
    {"**/*.db-journal", NULL},
    {"**/*.lock.sqlite", NULL},
    {"**/*generation-lock.sqlite", NULL},
    {"**/*generation-writer.sqlite", NULL},
    {"**/*reindex-lock.sqlite", NULL},
    {"state/openclaw-quarantine.sqlite", NULL},
    {"state/*.lock", NULL},
    {"state/**", "state"},
    {"plugin-state/**", "state"},
    {"exec-approvals.json", "state"},
    {"identity/**", "state"},
    {"devices/**", "state"},
    {"nodes/**", "state"},
    {"bindings/**", "state"},
    {"settings/**", "state"},
    {"config-journal-fingerprint.key", "state"},

    {"agents/*/agent/*.lock", NULL},
    {"agents/*/agent/openclaw-agent.sqlite", "sessions"},
    {"agents/*/agent/auth-profiles.json*", "credentials"},
    {"agents/*/agent/auth-state.json*", "credentials"},
    {"agents/*/agent/auth.json*", "credentials"},
    {"agents/*/agent/oauth*.json", "credentials"},
    {"agents/*/agent/codex-home/**", "credentials"},
    {"agents/*/agent/**", "agents"},
    {"agents/*/sessions/*.lock", NULL},
    {"agents/*/sessions/*.tmp", NULL},
    {"agents/*/sessions/**", "sessions"},
    {"agents/*/session-sqlite-import-archive/**", "sessions"},
    {"agents/*/qmd/**", "memory"},
    {"sessions/**", "sessions"},
    {"subagents/**", "sessions"},
    {"tasks/**", "sessions"},
    {"cron/runs/**", "sessions"},
    {"cron/*.lock", NULL},
    {"cron/*.tmp", NULL},
    {"cron/**", "cron"},

    {"credentials/**/*.lock", NULL},
    {"credentials/**", "credentials"},
    {"extensions/**/node_modules/**", NULL},
    {"extensions/**", "skills"},
    {"plugins/**", "skills"},
    {"skills/**", "skills"},
    {"hooks/**", "skills"},
    {"memory/**", "memory"},
    {"workspace/**", "workspace"},
    {"workspace-*/**", "workspace"},
    {"media/**", "media"},
    {"browser/**/Singleton*", NULL},
    {"browser/**", "browser"},
    {"logs/**", "logs"},
};

/* The declared layout of the first OCM: gateway.yaml and plain files. */
static const struct rule yaml_rules[] = {
    {"gateway.yaml", "gateway"},
    {"gateway.yml", "gateway"},
    {"gateway.yaml.*", "gateway"},
    {"agents.yaml", "agents"},
    {"agents.yml", "agents"},
    {"agents/**", "agents"},
    {"credentials.yaml", "credentials"},
    {"credentials.yml", "credentials"},
    {"credentials/**", "credentials"},
    {"cron.yaml", "cron"},
    {"cron.yml", "cron"},
    {"crontab", "cron"},
    {"cron/**", "cron"},
    {".env", "env"},
    {"env", "env"},
    {"*.env", "env"},
    {"env/**", "env"},
    {"node_modules/**", NULL},
    {"tmp/**", NULL},
    {"cache/**", NULL},
    {"*.sock", NULL},
    {"*.pid", NULL},
    {"*.lock", NULL},
    {"**/.ocm-stage-*/**", NULL},
    {"**/.ocm-old-*/**", NULL},
    {"**/*.sqlite-wal", NULL},
    {"**/*.sqlite-shm", NULL},
    {"**/*.sqlite-journal", NULL},
    {"**/*.db-wal", NULL},
    {"**/*.db-shm", NULL},
    {"**/*.db-journal", NULL},
    {"skills/**", "skills"},
    {"plugins/**", "skills"},
    {"hooks/**", "skills"},
    {"extensions/**", "skills"},
    {"sessions/**", "sessions"},
    {"memory/**", "memory"},
    {"workspace/**", "workspace"},
    {"workspace-*/**", "workspace"},
    {"media/**", "media"},
    {"browser/**", "browser"},
    {"logs/**", "logs"},
};

/* Folders that several sections share, of OpenClaw's layouts. */
static const char *const shared_folders[] = {
    "agents",
    "agents/*",
    "agents/*/agent",
    "cron",
};

/* One segment of each: does the pattern's fit the path's? `*` is the only
 * wildcard. */
static bool segment_fits(const char *pat, size_t pat_len, const char *path,
                         size_t path_len)
{
    const char *pat_end = pat + pat_len, *end = path + path_len;
    const char *star = NULL, *resume = NULL; /* where the last star gives way */

    while (path < end) {
        if (pat < pat_end && *pat == '*') {
            star = ++pat;
            resume = path;
        } else if (pat < pat_end && *pat == *path) {
            pat++;
            path++;
        } else if (star) {
            pat = star;
            path = ++resume;
        } else {
            return false;
        }
    }
    while (pat < pat_end && *pat == '*')
        pat++;
    return pat == pat_end;
}

/* See the head of this file. Depth is bounded by the pattern's stars. */
static bool fits(const char *pat, const char *path)
{
    for (;;) {
        size_t n, m;

        if (*pat != '*' && *pat != *path)
            return false; /* nearly all: this runs for every path of a backup */
        n = strcspn(pat, "/");
        m = strcspn(path, "/");
        if (n == 2 && pat[0] == '*' && pat[1] == '*') {
            if (!pat[2])
                return true;
            for (; !fits(pat + 3, path); path += m + 1) {
                m = strcspn(path, "/");
                if (!path[m])
                    return false;
            }
            return true;
        }
        if ((!pat[n] && path[m]) || !segment_fits(pat, n, path, m))
            return false;
        pat += n;
        path += m;
        if (!*path)
            return !*pat || strcmp(pat, "/**") == 0;
        if (!*pat)
            return false;
        pat++;
        path++;
    }
}

const struct section_def *section_find(const char *name)
{
    for (size_t i = 0; i < section_table_len; i++) {
        if (strcmp(section_table[i].name, name) == 0)
            return &section_table[i];
    }
    return NULL;
}

const struct section_def *section_of(int era, const char *rel, bool is_dir)
{
    const struct rule *rules = openclaw_rules;
    size_t count = ARRAY_LEN(openclaw_rules);

    if (era == ERA_YAML) {
        rules = yaml_rules;
        count = ARRAY_LEN(yaml_rules);
    }
    if (is_dir && section_is_shared(era, rel))
        return section_find("other");
    for (size_t i = 0; i < count; i++) {
        if (!fits(rules[i].pattern, rel))
            continue;
        return rules[i].section ? section_find(rules[i].section) : NULL;
    }
    return section_find("other");
}

bool section_is_shared(int era, const char *rel)
{
    if (era == ERA_YAML)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(shared_folders); i++) {
        if (fits(shared_folders[i], rel))
            return true;
    }
    return false;
}

bool section_is_database(const char *rel)
{
    return text_has_suffix(rel, ".sqlite") ||
           text_has_suffix(rel, ".sqlite3") || text_has_suffix(rel, ".db") ||
           text_has_suffix(rel, ".sqlite.migrated");
}

bool section_restore_only(int era, const char *at)
{
    static const char *const patterns[] = {
        "config/gateway/openclaw.json.*",
        "config/gateway/clawdbot.json.*",
        "config/gateway/moltbot.json.*",
        "config/gateway/gateway.yaml.*",
        "config/env/*.systemd.env",
        "config/cron/cron/*.bak",
        "config/cron/cron/*.migrated",
        "config/state/config-journal-fingerprint.key",
        "config/state/identity/*.json.*",
        "config/state/devices/*.json.*",
        "config/agents/agents/*/agent/models.json",
        "config/credentials/agents/*/agent/*.migrated-*",
        "data/sessions/agents/*/session-sqlite-import-archive/**",
        "data/other/session-sqlite-migration-runs/**",
        "data/other/migration/**",
        "data/other/backups/**",
    };

    (void)era; /* the names do not collide between the layouts */
    for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
        if (fits(patterns[i], at))
            return true;
    }
    return false;
}

struct kind_rule {
    const char *pattern;
    enum file_kind kind;
};

static const struct kind_rule kind_rules[] = {
    {"*/*/rows/**", KIND_OPAQUE}, /* rows of a database, never a file */
    {"config/gateway/*.json.*", KIND_OPAQUE},
    {"config/gateway/*.yaml.*", KIND_OPAQUE},
    {"config/gateway/**/*.json", KIND_CONFIG},
    {"config/gateway/**/*.json5", KIND_CONFIG},
    {"config/gateway/**/*.yaml", KIND_YAML},
    {"config/gateway/**/*.yml", KIND_YAML},
    {"config/gateway/**", KIND_CONFIG}, /* an include may have any name */
    {"config/env/**", KIND_ENV},
    {"config/service/crontab", KIND_CRONTAB},
    {"config/service/**", KIND_UNIT},
    {"config/state/state/openclaw.sqlite", KIND_STATE_DB},
    {"data/**/openclaw-agent.sqlite", KIND_AGENT_DB},
    {"**/*.sqlite", KIND_OTHER_DB},
    {"config/credentials/credentials/whatsapp/**", KIND_OPAQUE},
    {"config/cron/**/crontab", KIND_CRONTAB},
    {"config/cron/**/*.crontab", KIND_CRONTAB},
    {"config/skills/plugins/*.json", KIND_JSON},
    {"config/skills/**", KIND_TEXT},
    {"config/**/*.json", KIND_JSON},
    {"config/**/*.jsonl", KIND_JSONL},
    {"config/**/*.yaml", KIND_YAML},
    {"config/**/*.yml", KIND_YAML},
    {"config/**/*.md", KIND_TEXT},
    {"data/sessions/**/*.json", KIND_JSON},
    {"data/sessions/**/*.jsonl", KIND_JSONL},
};

/* Text by its ending: what a person or an agent wrote and may hold paths. */
static bool looks_like_text(const char *at)
{
    static const char *const endings[] = {
        ".md",  ".txt",  ".sh",   ".bash",    ".py",   ".js",  ".mjs",
        ".ts",  ".json", ".yaml", ".yml",     ".toml", ".ini", ".conf",
        ".env", ".csv",  ".html", ".service", ".rst",  ".rb",  ".pl",
    };

    for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
        if (text_has_suffix(at, endings[i]))
            return true;
    }
    return false;
}

enum file_kind section_file_kind(int era, const char *at)
{
    (void)era; /* the names do not collide between the layouts */
    for (size_t i = 0; i < ARRAY_LEN(kind_rules); i++) {
        if (!fits(kind_rules[i].pattern, at))
            continue;
        if (kind_rules[i].kind == KIND_TEXT && !looks_like_text(at))
            return KIND_OPAQUE;
        return kind_rules[i].kind;
    }
    if ((text_has_prefix(at, "data/workspace/") ||
         text_has_prefix(at, "data/extra/")) &&
        looks_like_text(at))
        return KIND_TEXT;
    return KIND_OPAQUE;
}
