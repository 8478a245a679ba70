/* SPDX-License-Identifier: MIT */
/* Taking this agent off the machine: as far as our user may, in an order that
 * can be cut anywhere and done again; keys and identity go last. What belongs
 * to OpenClaw is not looked at. */
#ifndef AGENT_UNINSTALL_H
#define AGENT_UNINSTALL_H

#include "agent/agent_conf.h"

struct uninstall_list {
    char **lines;
    size_t count, cap;
};

struct uninstall_report {
    struct uninstall_list removed;
    struct uninstall_list left; /* what a person has to do, a command if any */
};

/* `config` is the path of agent.conf; NULL: none. Refuses with OCM_E_BUSY
 * while an interrupted restore is not settled. Blocking. */
int uninstall(const struct agent_conf *conf, const char *config,
              struct uninstall_report *out, struct error *e);
void uninstall_report_fini(struct uninstall_report *r);

#endif
