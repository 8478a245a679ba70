/* SPDX-License-Identifier: MIT */
/* Which agent is to run: <state_dir>/upgrade.conf, replaced as one. Launchers
 * of every later version read it, so its keys stay as they are. */
#ifndef AGENT_UPGRADE_STATE_H
#define AGENT_UPGRADE_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"

/* Strings are owned and never NULL after upgrade_state_load. A copy is a file
 * name in <state_dir>/bin; "" is the installed agent. */
struct upgrade_state {
    char *current;           /* the copy that is to run */
    char *version, *sha256;  /* of it */
    char *previous;          /* the copy to go back to */
    char *previous_version;  /* of it, "" when that is the installed one */
    char *previous_sha256;   /* likewise */
    char *installed_version; /* of the installed one, when `current` came */
    bool trial;              /* `current` has not been heard yet */
    int64_t attempts;        /* how often it was executed on trial */
    char *undone;            /* why the last one was put back; untold */
};

/* All empty when there is no such file yet. */
int upgrade_state_load(const char *state_dir, struct upgrade_state *out,
                       struct error *e);
int upgrade_state_save(const char *state_dir, const struct upgrade_state *s,
                       struct error *e);
void upgrade_state_fini(struct upgrade_state *s);
/* Replace one string by a copy of `value`. */
void upgrade_state_set(char **field, const char *value);

/* The installed agent runs from now on: no file, `s` all empty. */
void upgrade_state_forget(const char *state_dir, struct upgrade_state *s);

/* Make `previous` the current one again and keep "VERSION: why" to be told.
 * Saves. When it cannot be saved, nothing has changed on disk. */
int upgrade_state_undo(const char *state_dir, struct upgrade_state *s,
                       const char *why, struct error *e);

#endif
