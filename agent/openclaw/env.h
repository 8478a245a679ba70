/* SPDX-License-Identifier: MIT */
/* Variables as OpenClaw's process would see them: several sources, the first
 * one that names a variable wins. Holds secrets; wiped. */
#ifndef AGENT_OPENCLAW_ENV_H
#define AGENT_OPENCLAW_ENV_H

#include <stddef.h>

#include "agent/adapt/docs/doc.h"
#include "common/base/error.h"

struct env_var {
    char *name, *value;
};

struct env {
    struct env_var *vars;
    size_t count, cap;
};

/* Add unless `name` is there already. Copies. */
void env_add(struct env *v, const char *name, const char *value);
const char *env_get(const struct env *v, const char *name); /* or NULL */
/* All of a .env file (DOC_ENV) or an EnvironmentFile (DOC_ENV_SYSTEMD). A
 * missing file is -ENOENT. */
int env_add_file(struct env *v, const char *path, enum doc_format format,
                 struct error *e);
/* The environment of a process of ours; -errno when it may not be read. */
int env_add_process(struct env *v, int pid);
void env_fini(struct env *v);

#endif
