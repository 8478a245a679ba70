/* SPDX-License-Identifier: MIT */
/* The folder of agents: one static program for each architecture, and their
 * checksums. */
#ifndef CONTROLLER_BOOTSTRAP_AGENTS_H
#define CONTROLLER_BOOTSTRAP_AGENTS_H

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/data/digest.h"

#define AGENT_FILE_MAX (256u * 1024 * 1024)

/* Read <dir>/ocm-agent-<arch> and hold it against <dir>/SHA256SUMS.
 * OCM_E_NOTFOUND: none for that architecture; OCM_E_DAMAGED: it is not what
 * the sums say. */
int agents_read(const char *dir, const char *arch, struct buf *out,
                char sha256[ID_HEX_LEN + 1], struct error *e);

#endif
