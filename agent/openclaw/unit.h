/* SPDX-License-Identifier: MIT */
/* The systemd unit that runs a gateway, read from its files (unit, drop-ins,
 * environment files), without asking systemd. */
#ifndef AGENT_OPENCLAW_UNIT_H
#define AGENT_OPENCLAW_UNIT_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/openclaw/env.h"

#define UNIT_MAX_DROPINS 64
#define UNIT_MAX_WORDS 64

struct unit {
    char *name;   /* "openclaw-gateway.service" */
    char *path;   /* of the unit file */
    char *dir;    /* "<path>.d": drop-ins, may be absent */
    bool system;  /* of the system manager, not of a user's */
    char *user;   /* User= of a system unit, or NULL */
    char *home;   /* HOME of what it starts */
    char **words; /* ExecStart, unquoted, %h resolved */
    size_t word_count;
    struct env env; /* what it gives its process; secrets */
};

/* Where units of the system manager are looked for; ends with NULL. Tests set
 * it. */
extern const char *const *unit_system_dirs;

/* Find the gateway's unit. `name` with or without ".service"; "": the known
 * names of OpenClaw, and then only a unit whose state directory is
 * `state_dir` (unless that is "") counts, so that no neighbour's gateway is
 * ever taken for this one. A user's unit goes before a system one; of the
 * system's only those that run as the owner of `home` count. False: none. */
bool unit_find(const char *name, const char *home, const char *state_dir,
               struct unit *out);
void unit_fini(struct unit *u);

/* The state directory OpenClaw uses in an environment: OPENCLAW_STATE_DIR,
 * else by OPENCLAW_HOME or `home` and the profile. `words` (may be NULL) are
 * its command line. Caller frees. */
char *state_dir_of(const struct env *env, const char *home, char *const *words,
                   size_t word_count);

/* "~" and "~/x" below `home`, relative paths too. Cleaned. Caller frees. */
char *path_of_user(const char *path, const char *home);

/* The value behind "--name" or "--name=value" in a command line, or NULL. */
const char *word_option(char *const *words, size_t count, const char *name);

#endif
