/* SPDX-License-Identifier: MIT */
/* From a node to the sections that capture takes: which root stands where in
 * the snapshot, who owns which path, which rows are kept beside a database. */
#ifndef AGENT_OPENCLAW_ROOTS_H
#define AGENT_OPENCLAW_ROOTS_H

#include "agent/openclaw/agents.h"
#include "agent/openclaw/openclaw.h"
#include "agent/openclaw/unit.h"

struct roots_input {
    const struct openclaw_conf *conf;
    const struct agents *agents;
    const struct config *config;
    const struct unit *unit; /* or NULL */
};

/* Fill sections, section_count and memory of `o` (era, state_dir,
 * config_path, home are set). Roots:
 *
 *   <area>/<section>            the state directory, with what of it belongs
 *                               to the section
 *   config/gateway/openclaw.json, config/gateway/<include>
 *                               when the config lies elsewhere
 *   config/service/<unit>[.d]   the unit file and its drop-ins
 *   config/service/crontab      the user's crontab, if it names openclaw
 *   config/credentials/files/<provider>   a secrets file outside the state
 *   data/workspace/<agent>      each workspace, once
 *   data/sessions/dirs/<agent>  an agent's folder outside the state
 *   data/extra/<name>           [extra] of agent.conf
 *   config/<section>/rows/...   rows, never a file of the node
 *
 * A path that is a root of its own is left out of every root around it. A
 * section without anything on disk has no roots. Malformed [extra] lines are
 * OCM_E_INVALID. */
int roots_build(struct openclaw *o, const struct roots_input *in,
                struct buf *notes, struct error *e);
void roots_free(void *memory); /* NULL is fine */

#endif
