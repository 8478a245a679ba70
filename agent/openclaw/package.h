/* SPDX-License-Identifier: MIT */
/* OpenClaw as a package: where it may be put on this node, getting it through
 * npm, and its own upgrade of a state. npm is given only the package's name:
 * the registry is the setting of OpenClaw's user, as whom the agent runs. */
#ifndef AGENT_OPENCLAW_PACKAGE_H
#define AGENT_OPENCLAW_PACKAGE_H

#include <stdatomic.h>

#include "agent/openclaw/gateway.h"

struct package_site {
    char *package; /* "<prefix>/lib/node_modules/openclaw" */
    char *command; /* "<prefix>/bin/openclaw", or NULL: it is there already */
    char *node, *npm;
};

/* Where OpenClaw is, when it is the user's own to replace, else below the
 * prefix of the command that agent.conf names, else below ~/.npm-global.
 * OCM_E_NOTFOUND: no Node or npm. OCM_E_DENIED: its folder or its user is
 * not ours. */
int package_site(const struct openclaw_conf *conf, const struct openclaw *o,
                 struct package_site *out, struct error *e);
void package_site_fini(struct package_site *s);

/* "2026.9.6": what may be asked of npm. */
bool package_version_is_valid(const char *version);

/* npm installs that version below the empty folder `prefix`. Minutes. */
int gateway_install(struct gateway *g, const struct package_site *s,
                    const char *version, const char *prefix,
                    const atomic_bool *cancelled, struct error *e);

/* OpenClaw's own upgrade of the state (`openclaw doctor --fix`), the gateway
 * being down. `said` gets its last words in one line. */
int gateway_upgrade(struct gateway *g, const atomic_bool *cancelled,
                    struct buf *said, struct error *e);

#endif
