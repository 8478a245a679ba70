/* SPDX-License-Identifier: MIT */
/* The ways a gateway is started and stopped. */
#ifndef AGENT_OPENCLAW_CONTROL_H
#define AGENT_OPENCLAW_CONTROL_H

#include "agent/openclaw/openclaw.h"
#include "agent/openclaw/unit.h"

enum control {
    CONTROL_USER_UNIT,   /* systemctl --user */
    CONTROL_SYSTEM_UNIT, /* systemctl */
    CONTROL_CLI,         /* openclaw gateway start|stop */
    CONTROL_EXEC,        /* commands of agent.conf, through /bin/sh -c */
    CONTROL_MANUAL,      /* by a person */
};

/* What agent.conf says; for "auto": a configured command, else the unit that
 * was found (NULL: none), else by hand. */
enum control control_choose(const struct openclaw_conf *conf,
                            const struct unit *u);
const char *control_name(enum control c); /* "user-unit", ... */

#endif
