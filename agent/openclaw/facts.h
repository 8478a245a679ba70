/* SPDX-License-Identifier: MIT */
/* Facts: what a node says of itself, as a flat list of keys and values. They
 * stand in /meta.json of each backup and are asked live before a plan. The
 * rules of an adaptation map the source's facts to the target's. */
#ifndef AGENT_OPENCLAW_FACTS_H
#define AGENT_OPENCLAW_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/data/digest.h"

/* Keys. <id> is an agent's id as the config names it.
 *   host.name host.arch host.os            "gw-1", "x86_64", "Debian GNU/Linux 12"
 *   user.name user.uid user.home
 *   openclaw.version                       "2026.9.6": of the installed binary; absent: none
 *   openclaw.bin openclaw.package openclaw.node   binary, npm package root, node binary
 *   openclaw.schema.state openclaw.schema.agent   what the binary supports
 *   state.dir state.config                 absolute paths
 *   state.version                          meta.lastTouchedVersion
 *   state.era                              "files", "mixed", "sqlite", "yaml" (gateway.yaml layout)
 *   state.schema                           PRAGMA user_version of the state database
 *   agent.<id>.workspace agent.<id>.dir    absolute, resolved
 *   gateway.port gateway.bind gateway.token (secret)
 *   gateway.control                        "user-unit", "system-unit", "cli", "exec", "manual"
 *   gateway.unit                           name of the unit
 *   gateway.running                        "yes", "no"
 *   cron.jobs                              number of user cron jobs
 *   channels.enabled                       comma-separated names
 *   plugins.npm                            the same, of plugins installed through npm
 *   layout.<name>                          further roots: `extra` paths of agent.conf
 */
struct fact {
    char *key;
    char *value;
    bool secret; /* value is the real secret in memory; never leaves the node:
                    outside it is a keyed fingerprint */
};

struct facts {
    struct fact *items; /* sorted by key */
    size_t count, cap;
};

void facts_set(struct facts *f, const char *key, const char *value);
void facts_set_secret(struct facts *f, const char *key, const char *value);
const char *facts_get(const struct facts *f, const char *key); /* or NULL */
void facts_fini(struct facts *f);                              /* wipes */

/* What a backup made on this node would need to be restored onto: digest over
 * keys and values (secrets as fingerprints). Volatile facts (gateway.running)
 * are left out. */
struct id facts_digest(const struct facts *f);

/* "hmac:<16 hex>": what may leave the node of a secret. Caller frees. */
char *facts_fingerprint(const char *secret, const uint8_t key[32]);

/* As the "facts" object of /meta.json and back. Secrets are written as
 * "hmac:<16 hex>" keyed with `key` (32 bytes of this node). */
void facts_to_json(const struct facts *f, const uint8_t key[32],
                   struct buf *out);
int facts_from_json(const void *p, size_t len, struct facts *out,
                    struct error *e);

#endif
