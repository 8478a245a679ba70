/* SPDX-License-Identifier: MIT */
/* User cron jobs of a node, counted from its files and databases. */
#ifndef AGENT_OPENCLAW_CRON_H
#define AGENT_OPENCLAW_CRON_H

#include <stdint.h>

#include "agent/openclaw/config.h"

/* The jobs people made (not those OpenClaw declares by itself) that a gateway
 * started on this state would run; -1: cannot be told. In the state database
 * jobs hang on the absolute path of the state directory; jobs of another path
 * are invisible to the gateway, not counted and said in `notes`. */
int64_t cron_count(const char *state_dir, int era, const struct config *c,
                   struct buf *notes);

#endif
