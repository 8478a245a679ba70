/* SPDX-License-Identifier: MIT */
/* A snapshot as the JSON that restic stores; apart, so that a fuzzer reaches
 * it. Unknown keys are ignored. */
#ifndef CONTROLLER_REPO_SNAPSHOT_JSON_H
#define CONTROLLER_REPO_SNAPSHOT_JSON_H

#include <stddef.h>

#include "controller/repo/repo.h"

/* malloc'ed text; NULL when a name is not UTF-8. */
char *snapshot_encode(const struct snapshot *s);
/* Fills all but `id`. OCM_E_DAMAGED leaves *out empty. */
int snapshot_decode(const void *p, size_t len, struct snapshot *out,
                    struct error *e);

#endif
