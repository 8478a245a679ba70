/* SPDX-License-Identifier: MIT */
/* openclaw.json as OpenClaw understands it: JSON5, `$include` files merged in,
 * ${VAR} resolved when a value is asked for. Read only. Holds secrets. */
#ifndef AGENT_OPENCLAW_CONFIG_H
#define AGENT_OPENCLAW_CONFIG_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/adapt/docs/doc.h"
#include "agent/openclaw/env.h"
#include "common/base/buf.h"
#include "common/base/error.h"

/* OpenClaw's own limits. */
#define CONFIG_INCLUDE_DEPTH 10
#define CONFIG_FILE_MAX (2u * 1024 * 1024)
#define CONFIG_INCLUDES_MAX 256 /* ours: files altogether */

struct config {
    json_t *root;    /* merged; strings as written. NULL: nothing read */
    char **includes; /* absolute, each once, below the config's folder */
    size_t include_count;
    char **strays; /* included files that are there and may not be followed:
                      absolute */
    size_t stray_count;
    struct env env; /* what ${VAR} means; filled by the caller */
};

/* Read `path`. What cannot be used of it becomes a line of `notes`: an include
 * that is missing, broken, in a cycle, too deep, behind a symbolic link or
 * outside the config's folder is left out and the rest counts. A config that
 * itself does not parse is OCM_E_INVALID; a missing one -ENOENT; `out` is
 * then empty but valid. `yaml`: a gateway.yaml, no includes. */
int config_load(const char *path, bool yaml, struct config *out,
                struct buf *notes, struct error *e);
void config_fini(struct config *c);

/* The value at a path of plain keys divided by '.', or NULL. Borrowed. */
const json_t *config_get(const struct config *c, const char *path);

/* A string with ${VAR} resolved from `c->env` ($${ is a literal ${, a missing
 * variable stays as it is). NULL when it is no string. Caller frees. */
char *config_string(const struct config *c, const char *path);
char *config_resolve(const struct config *c, const char *text);

/* A whole number, or a string of one (after ${VAR}). */
bool config_number(const struct config *c, const char *path, int64_t *out);

/* Any document as a JSON tree, e.g. a JSON5 text. Integers beyond 64 bits and
 * NaN become null. Caller decrefs. */
int config_parse(enum doc_format format, const void *p, size_t len,
                 json_t **out, struct error *e);

#endif
