/* SPDX-License-Identifier: MIT */
/* The catalog: what the controller knows besides the backups themselves.
 * SQLite (WAL, synchronous=FULL) in <state>/catalog.sqlite; schema versions by
 * user_version, newer ones refused. One connection under a mutex: callable
 * from any thread, short calls only. */
#ifndef CONTROLLER_CATALOG_CATALOG_H
#define CONTROLLER_CATALOG_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/data/digest.h"

struct catalog;

int catalog_open(const char *path, struct catalog **out, struct error *e);
void catalog_close(struct catalog *c);
/* Nothing here grows for ever: the newest 20,000 jobs are kept with their
 * events, tokens and plans until a day after they ended. The audit log is
 * kept. catalog_open does it; who runs for long does it now and then. */
int catalog_forget_old(struct catalog *c, struct error *e);

/* ---- join tokens: stored as SHA-256, one use, short-lived ---- */
int catalog_token_add(struct catalog *c, const char *secret,
                      const char *node_name, /* "" : any */
                      int64_t expires_ns, struct error *e);
/* Take it: exactly one caller wins. OCM_E_AUTH (unknown, used or expired:
 * the text says which only to the operator's log). */
int catalog_token_take(struct catalog *c, const char *secret, int64_t now_ns,
                       char node_name[64], struct error *e);

/* ---- nodes ---- */
struct node {
    char id[40];   /* 32 hex digits, random */
    char name[64]; /* unique, name_is_valid */
    char hostname[128];
    char agent_version[32];
    char platform[32];
    char openclaw_version[32];
    bool revoked;
    int64_t created_ns, last_seen_ns;
    int64_t last_backup_ns;     /* last committed; 0 never */
    char last_backup_state[16]; /* "complete", "partial", "failed", "" */
    char last_snapshot[ID_HEX_LEN + 1];
    char last_root[ID_HEX_LEN + 1];
    int64_t cert_not_after; /* seconds since 1970 */
    int64_t duplicate_ns;   /* since when its identity is known to run twice; 0:
                               it is not */
};
/* Create with a unique name (a suffix -2, -3 is added when it is taken). */
int catalog_node_add(struct catalog *c, const char *wanted_name,
                     const char *hostname, struct node *out, struct error *e);
/* By id or by name; OCM_E_NOTFOUND. */
int catalog_node_get(struct catalog *c, const char *id_or_name,
                     struct node *out, struct error *e);
int catalog_nodes(struct catalog *c, struct node **out, size_t *count,
                  struct error *e); /* by name; caller frees */
int catalog_node_seen(struct catalog *c, const char *id,
                      const char *agent_version, const char *platform,
                      const char *hostname, int64_t now_ns, struct error *e);
int catalog_node_openclaw(struct catalog *c, const char *id,
                          const char *version, struct error *e);
int catalog_node_backup(struct catalog *c, const char *id, int64_t when_ns,
                        const char *state, const char *snapshot_hex,
                        const char *root_hex, struct error *e);
int catalog_node_rename(struct catalog *c, const char *id, const char *name,
                        struct error *e);
/* Revoke: all its certificates count no more. Its backups stay. */
int catalog_node_revoke(struct catalog *c, const char *id, struct error *e);

/* ---- one identity, one machine (catalog_instances.c) ---- */
#define CATALOG_INSTANCE_LEN 16
struct instance_verdict {
    bool refuse; /* another machine with this identity is connected */
    bool fresh;  /* found out just now */
};
/* An agent with the node's certificate says that it is the process `instance`;
 * `connected`: the node has a connection already. One that is let in counts
 * as the node's process from now on. */
int catalog_node_instance(struct catalog *c, const char *id,
                          const uint8_t instance[CATALOG_INSTANCE_LEN],
                          bool connected, int64_t now_ns,
                          struct instance_verdict *out, struct error *e);
/* A person says that the identity runs once again. */
int catalog_node_single(struct catalog *c, const char *id, struct error *e);
/* OCM_E_DENIED when it does not: nothing may be changed on the node then, as
 * it could be the wrong one. */
int node_check_single(const struct node *n, struct error *e);

/* ---- certificates: the allow-list by fingerprint ---- */
int catalog_cert_add(struct catalog *c, const char *node_id,
                     const struct id *fingerprint, int64_t not_after,
                     struct error *e);
/* The node that may use this certificate now: OCM_E_AUTH otherwise. */
int catalog_cert_check(struct catalog *c, const struct id *fingerprint,
                       const char *node_id, struct node *out, struct error *e);

/* ---- connections: how `ocmctl node add` reached a node by SSH ----
 * A JSON object each (API's Connection), encrypted by libsodium's secretbox
 * with the 32 bytes of catalog.key, a file of mode 0600 beside the catalog that
 * is made at the first use. Without it connections are lost, and nothing
 * else. They go when their node is revoked. */
int catalog_connection_put(struct catalog *c, const char *node_id,
                           const char *json, struct error *e);
/* OCM_E_NOTFOUND; OCM_E_DAMAGED when catalog.key does not open it. Caller
 * frees. */
int catalog_connection_get(struct catalog *c, const char *node_id, char **json,
                           struct error *e);
/* All of live nodes that can be opened, by node name. `fn` runs with the lock
 * held: no call of the catalog in it. */
int catalog_connections(struct catalog *c,
                        void (*fn)(void *arg, const char *node_id,
                                   const char *node_name, const char *json),
                        void *arg, struct error *e);

/* ---- jobs ---- */
struct job_row {
    char id[24];    /* time-ordered: "j" + 13 base32 digits */
    char kind[16];  /* "backup", "plan", "migrate", "restore", "verify", ... */
    char node[64];  /* name of the main node, or "" */
    char owner[64]; /* "uid 0 (root)" */
    char state
        [16]; /* "queued", "running", "done", "partial", "failed", "cancelled" */
    int64_t created_ns, started_ns, ended_ns;
    char *params; /* JSON object; caller frees through job_row_fini */
    char *result; /* JSON object or NULL */
    char *error;  /* one line or NULL */
    char error_code[24];
};
void job_row_fini(struct job_row *j);
int catalog_job_put(struct catalog *c, const struct job_row *j,
                    struct error *e); /* insert or update */
int catalog_job_get(struct catalog *c, const char *id, struct job_row *out,
                    struct error *e); /* full id or unique prefix */
int catalog_jobs(struct catalog *c, const char *node, size_t limit,
                 struct job_row **out, size_t *count, struct error *e);
/* At start: jobs that were queued or running end as failed ("the controller
 * was restarted"), with their last event. */
int catalog_jobs_interrupted(struct catalog *c, size_t *count, struct error *e);
/* Events of a job (state, step, progress at most 1/s, log lines), numbered
 * from 1 without gaps: what SSE clients replay after a reload. */
int catalog_event_add(struct catalog *c, const char *job, int64_t seq,
                      int64_t when_ns, const char *type, const char *json,
                      struct error *e);
int catalog_events(struct catalog *c, const char *job, int64_t after_seq,
                   int (*fn)(void *arg, int64_t seq, const char *type,
                             const char *json),
                   void *arg, struct error *e);

/* ---- plans: what was agreed to, kept for `migrate --apply PLAN` ---- */
int catalog_plan_put(struct catalog *c, const char *id, const char *json,
                     int64_t expires_ns, struct error *e);
int catalog_plan_get(struct catalog *c, const char *id, char **json,
                     struct error *e);

/* ---- audit: append-only, hash-chained ---- */
int catalog_audit(struct catalog *c, const char *who, const char *what,
                  const char *node, const char *result, struct error *e);
/* For what a peer can bring about as often as it likes: the same `what` with
 * the same `result` is written once an hour. */
int catalog_audit_rare(struct catalog *c, const char *who, const char *what,
                       const char *node, const char *result, struct error *e);
/* Check the whole chain: how many lines are sound, and OCM_E_DAMAGED naming
 * the first that was changed or is missing. */
int catalog_audit_verify(struct catalog *c, int64_t *lines, struct error *e);

#endif
