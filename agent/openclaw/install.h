/* SPDX-License-Identifier: MIT */
/* The OpenClaw program of a node, found without running it: its package tells
 * version and schemas. */
#ifndef AGENT_OPENCLAW_INSTALL_H
#define AGENT_OPENCLAW_INSTALL_H

#include <stdint.h>

#include "agent/openclaw/unit.h"

struct install {
    char *bin;     /* command to run; NULL: OpenClaw is not installed */
    char *package; /* npm package root, or NULL */
    char *node;    /* Node binary, or NULL */
    char *version; /* or NULL */
    int64_t schema_state, schema_agent; /* -1: the package does not say */
};

/* Where it looks, first found counts: `bin` (of agent.conf, may be ""), the
 * unit's ExecStart (may be NULL), PATH of the unit, our PATH, the usual
 * places. When the unit runs a package, that package is the answer, whatever
 * `openclaw` on the PATH may be. */
void install_find(const char *bin, const struct unit *u, const char *home,
                  struct install *out);
void install_fini(struct install *i);

/* A program of our PATH or of the usual places of a user's own installations
 * ("node", "npm"), or NULL. Caller frees. */
char *install_program(const char *home, const char *name);

#endif
