/* SPDX-License-Identifier: MIT */
/* A plan: every edit and every warning of a restore, clone or move, made on
 * the target from the staged files. Secrets are in it in clear only in
 * memory; what leaves the node is masked. */
#ifndef AGENT_ADAPT_PLAN_H
#define AGENT_ADAPT_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/data/digest.h"

enum intention { INTENT_RESTORE = 1, INTENT_CLONE = 2, INTENT_MOVE = 3 };

struct plan_edit {
    char id[20]; /* hex of a digest over section, file, place, rule */
    char *section, *file, *place; /* file as in the snapshot */
    char *old_value, *new_value;  /* clear; masked by plan_mask */
    const char *rule; /* "path", "node-owned", "identity", "self-reference",
                          "user", "channel", "fresh", "merge" (rows brought
                          into the target's database), "install" and
                          "upgrade" (of OpenClaw); a static string */
    bool secret;
    char *note; /* or NULL */
};

/* Codes, stable:
 *   foreign-path missing-path missing-binary host-name history
 *   port-taken bind live-channel fence plugins whatsapp collision shared-secret
 *   version no-openclaw install upgrade config-invalid target-config redacted
 *   edit-skipped not-edited database-rows database-damaged */
struct plan_warning {
    const char *code; /* static string */
    char *section, *file, *place, *text;
    bool blocking;
};

struct plan {
    struct plan_edit *edits;
    size_t edit_count, edit_cap;
    struct plan_warning *warnings;
    size_t warning_count, warning_cap;
};

/* The id an edit of that section, file, place and rule has. */
void plan_edit_id(const char *section, const char *file, const char *place,
                  const char *rule, char out[20]);

/* Copies all but `rule`. The result is borrowed until the next edit. */
struct plan_edit *plan_add_edit(struct plan *p, const char *section,
                                const char *file, const char *place,
                                const char *old_value, const char *new_value,
                                const char *rule, bool secret);
void plan_warn(struct plan *p, const char *code, bool blocking,
               const char *section, const char *file, const char *place,
               const char *fmt, ...) __attribute__((format(printf, 7, 8)));
void plan_fini(struct plan *p); /* wipes */

/* Over all edits and blocking warnings, in order, secrets included. */
struct id plan_digest(const struct plan *p);

/* "sk-a…(24 characters)": what people may see of a secret. Caller frees. */
char *plan_mask(const char *secret);

#endif
