/* SPDX-License-Identifier: MIT */
/* The table of sections: each known path of each release, by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "agent/openclaw/openclaw.h"
#include "agent/openclaw/sections.h"
#include "common/base/mem.h"

struct row {
    const char *rel, *section; /* NULL: not stored */
};

static const struct row openclaw_rows[] = {
    {"openclaw.json", "gateway"},
    {"openclaw.json.bak", "gateway"},
    {"openclaw.json.bak.4", "gateway"},
    {"openclaw.json.rejected.1795367", "gateway"},
    {"openclaw.json.last-good", NULL},
    {"clawdbot.json", "gateway"},
    {".env", "env"},
    {"gateway.systemd.env", "env"},
    {"secrets.json", "credentials"},
    {"credentials/whatsapp/default/creds.json", "credentials"},
    {"credentials/telegram-allowFrom.json", "credentials"},
    {"config-journal-fingerprint.key", "state"},
    {"state/openclaw.sqlite", "state"},
    {"state/openclaw.sqlite-wal", NULL},
    {"state/openclaw.sqlite-shm", NULL},
    {"state/openclaw-quarantine.sqlite", NULL},
    {"agents/main/agent/openclaw-agent.sqlite", "sessions"},
    {"agents/main/agent/openclaw-agent.sqlite-wal", NULL},
    {"agents/main/agent/openclaw-agent.sqlite.generation-lock.sqlite", NULL},
    {"agents/main/agent/openclaw-agent.sqlite.generation-writer.sqlite", NULL},
    {"agents/main/agent/openclaw-agent.sqlite.reindex-lock.sqlite", NULL},
    {"agents/main/agent/models.json", "agents"},
    {"agents/main/agent/auth-profiles.json", "credentials"},
    {"agents/main/agent/auth-profiles.json.migrated-1-x", "credentials"},
    {"agents/main/agent/codex-home/auth.json", "credentials"},
    {"agents/main/agent/prompts/notes.md", "agents"},
    {"agents/main/sessions/sessions.json", "sessions"},
    {"agents/main/sessions/u-u-i-d.jsonl", "sessions"},
    {"agents/main/sessions/u-u-i-d.jsonl.lock", NULL},
    {"agents/main/sessions/cold/abc.jsonl.zst", "sessions"},
    {"agents/main/session-sqlite-import-archive/x.imported-1", "sessions"},
    {"agents/main/something.txt", "other"},
    {"session-sqlite-migration-runs/x.json", "other"},
    {"cron/jobs.json", "cron"},
    {"cron/jobs.json.bak", "cron"},
    {"cron/jobs-state.json", "cron"},
    {"cron/runs/01.jsonl", "sessions"},
    {"tasks/runs.sqlite", "sessions"},
    {"tasks/runs.sqlite-wal", NULL},
    {"subagents/runs.json", "sessions"},
    {"plugin-state/state.sqlite", "state"},
    {"identity/device.json", "state"},
    {"devices/paired.json", "state"},
    {"exec-approvals.json", "state"},
    {"exec-approvals.sock", NULL},
    {"memory/main.sqlite", "memory"},
    {"skills/notes/SKILL.md", "skills"},
    {"skills/notes/node_modules/x/index.js", "skills"},
    {"hooks/transforms/a.js", "skills"},
    {"extensions/mine/index.js", "skills"},
    {"extensions/mine/yarn.lock", "skills"},
    {"extensions/mine/node_modules/x/index.js", NULL},
    {"extensions/mine/deep/node_modules/x/y/z.js", NULL},
    {"plugins/installs.json", "skills"},
    {"plugin-skills/canvas", NULL},
    {"npm/projects/discord/node_modules/a.js", NULL},
    {"cache/control-ui-assets/x.js", NULL},
    {"tmp/openclaw-0/gateway.state.lock", NULL},
    {"tools/node-runtime/lib/a", NULL},
    {"completions/openclaw.bash", NULL},
    {"update-check.json", NULL},
    {"media/inbound/a.png", "media"},
    {"browser/openclaw/user-data/SingletonLock", NULL},
    {"browser/openclaw/user-data/SingletonCookie", NULL},
    {"browser/openclaw/user-data/Default/Preferences", "browser"},
    {"logs/gateway.log", "logs"},
    {"logs/stability/a.json", NULL},
    {"workspace/MEMORY.md", "workspace"},
    {"workspace-ops/MEMORY.md", "workspace"},
    {"worktrees/a/b", "other"},
    {"my-own-notes.txt", "other"},
    {"canvas/index.html", "other"},
    {"package.lock", NULL},
    {".ocm-stage-7/x", NULL},
    {"agents/.ocm-old-7/main/x", NULL},
};

static const struct row yaml_rows[] = {
    {"gateway.yaml", "gateway"},
    {"agents.yaml", "agents"},
    {"agents/main.yaml", "agents"},
    {"credentials/telegram.json", "credentials"},
    {"cron/daily.yaml", "cron"},
    {"cron/crontab", "cron"},
    {"crontab", "cron"},
    {".env", "env"},
    {"env", "env"},
    {"sessions/a.jsonl", "sessions"},
    {"memory/main.md", "memory"},
    {"skills/x/SKILL.md", "skills"},
    {"node_modules/x/y.js", NULL},
    {"gateway.pid", NULL},
    {"dist/index.js", "other"},
    {"README", "other"},
};

static void check_rows(int era, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct section_def *def = section_of(era, rows[i].rel, false);
        const char *got = def ? def->name : "(not stored)";
        const char *want = rows[i].section ? rows[i].section : "(not stored)";

        if (strcmp(got, want) != 0)
            fail_msg("%s is in %s, expected %s", rows[i].rel, got, want);
    }
}

static void known_paths_have_their_section(void **state)
{
    (void)state;
    check_rows(ERA_FILES, openclaw_rows, ARRAY_LEN(openclaw_rows));
    check_rows(ERA_MIXED, openclaw_rows, ARRAY_LEN(openclaw_rows));
    check_rows(ERA_SQLITE, openclaw_rows, ARRAY_LEN(openclaw_rows));
    check_rows(ERA_YAML, yaml_rows, ARRAY_LEN(yaml_rows));
}

static void folders_follow_their_content(void **state)
{
    (void)state;
    assert_null(section_of(ERA_SQLITE, "cache", true));
    assert_null(section_of(ERA_SQLITE, "extensions/x/node_modules", true));
    assert_string_equal(section_of(ERA_SQLITE, "media", true)->name, "media");
    assert_string_equal(section_of(ERA_SQLITE, "cron/runs", true)->name,
                        "sessions");
    assert_true(section_is_shared(ERA_SQLITE, "agents"));
    assert_true(section_is_shared(ERA_SQLITE, "agents/main"));
    assert_true(section_is_shared(ERA_SQLITE, "agents/main/agent"));
    assert_true(section_is_shared(ERA_FILES, "cron"));
    assert_false(section_is_shared(ERA_FILES, "agents/main/sessions"));
    assert_false(section_is_shared(ERA_FILES, "agents/main/agent/codex-home"));
    assert_false(section_is_shared(ERA_YAML, "agents"));
}

static void kinds_say_how_to_adapt(void **state)
{
    static const struct {
        const char *at;
        enum file_kind kind;
    } rows[] = {
        {"config/gateway/openclaw.json", KIND_CONFIG},
        {"config/gateway/parts/channels.json5", KIND_CONFIG},
        {"config/gateway/openclaw.json.bak.1", KIND_OPAQUE},
        {"config/gateway/gateway.yaml", KIND_YAML},
        {"config/agents/agents.yaml", KIND_YAML},
        {"config/env/.env", KIND_ENV},
        {"config/service/openclaw-gateway.service", KIND_UNIT},
        {"config/service/openclaw-gateway.service.d/a.conf", KIND_UNIT},
        {"config/service/crontab", KIND_CRONTAB},
        {"config/cron/cron/crontab", KIND_CRONTAB},
        {"config/cron/cron/jobs.json", KIND_JSON},
        {"config/cron/rows/cron_jobs.jsonl", KIND_OPAQUE},
        {"config/state/state/openclaw.sqlite", KIND_STATE_DB},
        {"data/sessions/agents/main/agent/openclaw-agent.sqlite",
         KIND_AGENT_DB},
        {"data/sessions/dirs/main/openclaw-agent.sqlite", KIND_AGENT_DB},
        {"data/memory/memory/main.sqlite", KIND_OTHER_DB},
        {"data/sessions/tasks/runs.sqlite", KIND_OTHER_DB},
        {"config/credentials/credentials/whatsapp/default/creds.json",
         KIND_OPAQUE},
        {"config/credentials/agents/main/agent/auth-profiles.json", KIND_JSON},
        {"config/state/exec-approvals.json", KIND_JSON},
        {"data/sessions/agents/main/sessions/sessions.json", KIND_JSON},
        {"data/sessions/agents/main/sessions/u.jsonl", KIND_JSONL},
        {"data/workspace/main/MEMORY.md", KIND_TEXT},
        {"data/workspace/main/a.png", KIND_OPAQUE},
        {"config/skills/skills/x/SKILL.md", KIND_TEXT},
        {"data/media/media/inbound/a.json", KIND_OPAQUE},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (section_file_kind(ERA_SQLITE, rows[i].at) != rows[i].kind)
            fail_msg("%s is of kind %d", rows[i].at,
                     section_file_kind(ERA_SQLITE, rows[i].at));
    }
}

static void some_files_are_for_a_restore_only(void **state)
{
    (void)state;
    assert_true(
        section_restore_only(ERA_FILES, "config/gateway/openclaw.json.bak"));
    assert_true(
        section_restore_only(ERA_FILES, "config/gateway/openclaw.json.bak.2"));
    assert_false(
        section_restore_only(ERA_FILES, "config/gateway/openclaw.json"));
    assert_true(
        section_restore_only(ERA_FILES, "config/env/gateway.systemd.env"));
    assert_false(section_restore_only(ERA_FILES, "config/env/.env"));
    /* a key of the device that an upgrade has put aside */
    assert_true(section_restore_only(
        ERA_SQLITE, "config/state/identity/device.json.migrated-1-x"));
    assert_true(section_restore_only(ERA_FILES,
                                     "config/state/devices/paired.json.bak"));
    assert_false(
        section_restore_only(ERA_FILES, "config/state/identity/device.json"));
    assert_true(section_restore_only(
        ERA_FILES, "config/agents/agents/main/agent/models.json"));
    assert_false(section_restore_only(
        ERA_FILES, "data/sessions/agents/main/sessions/a.jsonl"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_paths_have_their_section),
        cmocka_unit_test(folders_follow_their_content),
        cmocka_unit_test(kinds_say_how_to_adapt),
        cmocka_unit_test(some_files_are_for_a_restore_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
