/* SPDX-License-Identifier: MIT */
/* The agents a config names, with their folders as OpenClaw resolves them. */
#ifndef AGENT_OPENCLAW_AGENTS_H
#define AGENT_OPENCLAW_AGENTS_H

#include <stddef.h>

#include "agent/openclaw/config.h"

#define AGENTS_MAX 512

struct agent_place {
    char *id;        /* [a-z0-9_-]+ */
    char *workspace; /* absolute */
    char *dir;       /* absolute: "<state_dir>/agents/<id>/agent" if not set */
};

struct agents {
    struct agent_place *items; /* in the order of the config */
    size_t count;
};

/* Of `agents.list[]` or `agents.entries.<id>`; without any there is "main".
 * The workspace of the default agent is agents.defaults.workspace or
 * <home>/.openclaw/workspace[-<profile>]; that of another one <default's>/<id>
 * where that exists (new releases), else <state_dir>/workspace-<id>. */
void agents_list(const struct config *c, const char *state_dir,
                 const char *home, struct agents *out);

/* Of the gateway.yaml layout: `agents` in agents.yaml, a list or a map of
 * things with `id` or `name` and `workspace`; else "main" with
 * <state_dir>/workspace. */
void agents_list_yaml(const struct config *c, const char *state_dir,
                      struct agents *out);

void agents_fini(struct agents *a);

#endif
