/* SPDX-License-Identifier: MIT */
/* From what a host says to what will be done on it. */
#ifndef CONTROLLER_BOOTSTRAP_PLAN_H
#define CONTROLLER_BOOTSTRAP_PLAN_H

#include "controller/bootstrap/bootstrap.h"

/* Are we root there, or can become it? Then detection is worth a second look
 * as root. */
bool plan_wants_sudo(const struct bootstrap_order *o, const struct remote *r);

/* Fill mode and items; `agent_sha256` is the one to be installed.
 * OCM_E_NOTFOUND: no OpenClaw there, and no user was named. */
int plan_make(const struct bootstrap_order *o, const struct remote *r,
              const char *agent_sha256, struct bootstrap_plan *plan,
              struct error *e);

#endif
