/* SPDX-License-Identifier: MIT */
/* One OpenClaw state on this machine: found from agent.conf and what is on
 * disk, without running anything. Its sections say what a backup holds; its
 * facts say what depends on this machine. */
#ifndef AGENT_OPENCLAW_OPENCLAW_H
#define AGENT_OPENCLAW_OPENCLAW_H

#include "agent/capture/capture.h"
#include "agent/openclaw/facts.h"
#include "common/base/conf.h"
#include "common/base/error.h"

/* Ours on a node: guards and fences of gateways, below OpenClaw's home, and
 * the drop-in of a unit that minds them. No backup holds them, no restore
 * replaces them. */
#define OPENCLAW_OCM_DIR ".config/ocm"
#define OPENCLAW_GUARD_DROPIN "ocm-guard.conf"

enum openclaw_era {
    ERA_NONE,   /* no state here */
    ERA_FILES,  /* state in files (2026.2 ... 2026.5) */
    ERA_MIXED,  /* state database, sessions still in files */
    ERA_SQLITE, /* state and sessions in SQLite (2026.7.2 and newer) */
    ERA_YAML, /* declared layout: gateway.yaml, agents.yaml, ... plain files */
};

/* [openclaw], [extra], [exclude] and [gateway] of agent.conf. Strings are
 * borrowed. */
struct openclaw_conf {
    const char *state_dir;         /* "" : $OPENCLAW_STATE_DIR of the unit, else
                                <home>/.openclaw */
    const char *config_path;       /* "" : <state_dir>/openclaw.json */
    const char *home;              /* HOME of OpenClaw's user */
    const char *layout;            /* "auto", "openclaw", "yaml" */
    const char *bin;               /* openclaw command; "" : look for it */
    const struct conf_list *extra; /* "name=/abs/path" */
    const struct conf_list
        *exclude; /* glob on snapshot paths, "data/other/big/" */
    const char *
        control; /* "auto", "user-unit", "system-unit", "cli", "exec", "manual" */
    const char *unit; /* unit name; "" : openclaw-gateway */
    const char *exec_start, *exec_stop, *exec_status; /* for "exec" */
};

struct openclaw {
    enum openclaw_era era;
    char *state_dir, *config_path, *home;
    struct facts facts;
    /* sections in the order of the table; see sections.h */
    struct capture_section *sections;
    size_t section_count;
    void *memory; /* what the sections point into */
};

/* Look at the node. An absent state is success with ERA_NONE (facts still say
 * what is known). A config that does not parse is a warning in `notes` (one
 * line each), not an error: its backup is still wanted. */
int openclaw_detect(const struct openclaw_conf *conf, struct openclaw *out,
                    struct buf *notes, struct error *e);
void openclaw_fini(struct openclaw *o);

/* Mark all but the named sections as skipped (count 0: all wanted; with
 * no_data the data area is skipped). OCM_E_INVALID names an unknown one and
 * lists those that exist. */
int openclaw_choose(struct openclaw *o, char *const *names, size_t count,
                    bool no_data, struct error *e);

/* Key of the section table by name; NULL when unknown. */
struct section_def;
const struct section_def *section_find(const char *name);

#endif
