/* SPDX-License-Identifier: MIT */
/* The table of sections: what a node consists of, where each part lives in
 * each era, and what a restore, a clone and a move do with it. Measured on
 * real releases. */
#ifndef AGENT_OPENCLAW_SECTIONS_H
#define AGENT_OPENCLAW_SECTIONS_H

#include <stdbool.h>
#include <stddef.h>

enum section_action {
    ACTION_COPY,  /* bytes as they are */
    ACTION_ADAPT, /* copied, then edited for the target */
    ACTION_KEEP,  /* the target's own stays */
    ACTION_MERGE, /* rows of a database brought over into the target's */
    ACTION_DROP,  /* not restored */
};

/* What a file of a section is, for the adaptation. First match wins. */
enum file_kind {
    KIND_OPAQUE, /* copied */
    KIND_CONFIG, /* openclaw.json and its includes: JSON5 */
    KIND_JSON,   /* other JSON with known places */
    KIND_JSONL,
    KIND_YAML,
    KIND_ENV,
    KIND_UNIT,
    KIND_CRONTAB,
    KIND_TEXT,     /* Markdown and scripts: reported, rewritten on request */
    KIND_STATE_DB, /* state/openclaw.sqlite */
    KIND_AGENT_DB, /* openclaw-agent.sqlite */
    KIND_OTHER_DB, /* memory/<id>.sqlite, tasks/runs.sqlite, ... */
};

struct section_def {
    const char
        *name; /* "gateway", "agents", "credentials", "cron", "env", "service",
                          "skills", "state", "sessions", "memory", "workspace",
                          "media", "browser", "logs", "other", "extra" */
    const char *area;  /* "config" | "data" */
    const char *title; /* one line for people */
    enum section_action restore, clone, move;
};

extern const struct section_def section_table[];
extern const size_t section_table_len;

/* Which section a path below the state directory belongs to; NULL: not
 * stored (caches, locks, sockets, what OpenClaw rebuilds). By name alone: the
 * config may say otherwise (a workspace, an include file, a secrets file);
 * the roots of openclaw_detect know that. `rel` has no slash at its ends.
 * What nobody knows is "other", so that no file of a person is lost. */
const struct section_def *section_of(int era, const char *rel, bool is_dir);

/* Is it a folder whose entries belong to several sections ("agents",
 * "agents/main", "agents/main/agent", "cron")? section_of says "other". */
bool section_is_shared(int era, const char *rel);

/* Is a path that is stored a SQLite database by its name? */
bool section_is_database(const char *rel);

/* Does only a restore of the same node bring the file at `at` back? A clone
 * and a move drop it, whatever the action of its section: old copies of the
 * config, keys of this node, what OpenClaw writes anew for its host. */
bool section_restore_only(int era, const char *at);

/* What the file at `at` ("config/gateway/openclaw.json") is. */
enum file_kind section_file_kind(int era, const char *at);

#endif
