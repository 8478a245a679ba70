/* SPDX-License-Identifier: MIT */
/* agent.conf, and the identity that joining leaves in the state folder. */
#ifndef AGENT_AGENT_CONF_H
#define AGENT_AGENT_CONF_H

#include "agent/openclaw/openclaw.h"
#include "common/base/conf.h"

#define AGENT_CONF_DEFAULT "/etc/ocm/agent.conf"

/* One struct per file; strings are owned, "" when not set. */
struct agent_conf {
    char *state_dir; /* ours: identity, cache, journals */
    char *log_level;
    int64_t reconnect_max_ms, upgrade_wait_ms;
    int64_t database_ms, wal_growth;
    int64_t health_wait_ms, stop_bound_ms;
    char *oc_state_dir, *oc_config, *oc_home, *oc_layout, *oc_bin;
    struct conf_list extra, exclude;
    char *control, *unit, *exec_start, *exec_stop, *exec_status;
};

/* The built-in values when `path` is NULL. An unknown key is an error with
 * its line. */
int agent_conf_load(const char *path, struct agent_conf *out, struct error *e);
void agent_conf_free(struct agent_conf *c);

/* The keys, in the order of the manual page. */
const struct conf_key *agent_conf_keys(size_t *count);

/* The OpenClaw part, borrowed from `c`. */
struct openclaw_conf agent_conf_openclaw(const struct agent_conf *c);

/* Who we are and where our controller is. <state_dir>/identity.conf. */
struct identity {
    char *node_id, *node_name;
    char *host; /* where to dial */
    int64_t port;
    char *controller; /* the name its certificate must have */
};
int identity_load(const char *state_dir, struct identity *out, struct error *e);
int identity_save(const char *state_dir, const struct identity *id,
                  struct error *e);
void identity_free(struct identity *id);

/* A random file of `len` bytes in the state folder, made at first use: the
 * node's key for fingerprints, the machine's mark. */
int agent_secret_file(const char *state_dir, const char *name, uint8_t *out,
                      size_t len, struct error *e);

#endif
