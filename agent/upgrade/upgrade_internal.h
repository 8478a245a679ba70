/* SPDX-License-Identifier: MIT */
/* Shared by the files of this box. */
#ifndef AGENT_UPGRADE_UPGRADE_INTERNAL_H
#define AGENT_UPGRADE_UPGRADE_INTERNAL_H

#include "agent/upgrade/state.h"
#include "agent/upgrade/upgrade.h"

/* a binary that is coming, in bin */
#define UPGRADE_INCOMING "incoming"

/* <state_dir>/bin, or a file in it. Caller frees. */
char *upgrade_path(const char *state_dir, const char *name);

/* The copy that this process is, "" when it is the installed one. Caller
 * frees. */
char *upgrade_own_name(const char *state_dir);

/* SHA-256 of a file. */
int upgrade_hash(const char *path, struct id *out, struct error *e);

/* Does somebody start us again when we end? */
bool upgrade_is_managed(void);

#endif
