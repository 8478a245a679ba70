/* SPDX-License-Identifier: MIT */
/* Nodes, the tokens they join with and the certificates they may use. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/base/text.h"
#include "controller/catalog/catalog_internal.h"

#define NODE_COLUMNS                                                           \
    "id, name, hostname, agent_version, platform, openclaw_version, revoked, " \
    "created_ns, last_seen_ns, last_backup_ns, last_backup_state, "            \
    "last_snapshot, last_root, cert_not_after, duplicate_ns"
#define NODE_SUFFIX_MAX 1000

int catalog_token_add(struct catalog *c, const char *secret,
                      const char *node_name, int64_t expires_ns,
                      struct error *e)
{
    struct id hash = digest_of(secret, strlen(secret));
    int rc;

    if (node_name[0] && !name_is_valid(node_name))
        return error_set(e, OCM_E_INVALID,
                         "'%s' is not a node name: use a-z, "
                         "0-9 and '-', at most %d characters",
                         node_name, NAME_MAX_LEN);
    catalog_lock(c);
    rc = catalog_exec(c, e,
                      "INSERT INTO tokens(hash, node_name, expires_ns) "
                      "VALUES(?, ?, ?)",
                      "dsi", &hash, node_name, expires_ns);
    catalog_unlock(c);
    return rc;
}

/* Why a token was not taken: for the log of the operator only. */
static int token_refused(struct catalog *c, const struct id *hash,
                         struct error *e)
{
    sqlite3_stmt *st = NULL;
    const char *why = "unknown";
    int rc = catalog_prepare(
        c, &st, e, "SELECT used_ns FROM tokens WHERE hash = ?", "d", hash);

    if (rc == 0 && catalog_step(c, st, e) == 1)
        why = sqlite3_column_int64(st, 0) ? "used already" : "expired";
    sqlite3_finalize(st);
    return error_set(e, OCM_E_AUTH, "join token: %s", why);
}

int catalog_token_take(struct catalog *c, const char *secret, int64_t now_ns,
                       char node_name[64], struct error *e)
{
    struct id hash = digest_of(secret, strlen(secret));
    sqlite3_stmt *st = NULL;
    int rc;

    catalog_lock(c);
    rc = catalog_prepare(c, &st, e,
                         "UPDATE tokens SET used_ns = ?1 WHERE hash = ?2 AND "
                         "used_ns = 0 AND expires_ns > ?1 RETURNING node_name",
                         "id", now_ns, &hash);
    if (rc == 0)
        rc = catalog_step(c, st, e);
    if (rc == 1) {
        column_copy(st, 0, node_name, 64);
        /* The statement's own commit happens at its end. */
        rc = catalog_step(c, st, e);
    } else if (rc == 0) {
        rc = token_refused(c, &hash, e);
    }
    sqlite3_finalize(st);
    catalog_unlock(c);
    return rc;
}

static void node_of_row(sqlite3_stmt *st, struct node *n)
{
    memset(n, 0, sizeof(*n));
    column_copy(st, 0, n->id, sizeof(n->id));
    column_copy(st, 1, n->name, sizeof(n->name));
    column_copy(st, 2, n->hostname, sizeof(n->hostname));
    column_copy(st, 3, n->agent_version, sizeof(n->agent_version));
    column_copy(st, 4, n->platform, sizeof(n->platform));
    column_copy(st, 5, n->openclaw_version, sizeof(n->openclaw_version));
    n->revoked = sqlite3_column_int(st, 6) != 0;
    n->created_ns = sqlite3_column_int64(st, 7);
    n->last_seen_ns = sqlite3_column_int64(st, 8);
    n->last_backup_ns = sqlite3_column_int64(st, 9);
    column_copy(st, 10, n->last_backup_state, sizeof(n->last_backup_state));
    column_copy(st, 11, n->last_snapshot, sizeof(n->last_snapshot));
    column_copy(st, 12, n->last_root, sizeof(n->last_root));
    n->cert_not_after = sqlite3_column_int64(st, 13);
    n->duplicate_ns = sqlite3_column_int64(st, 14);
}

/* The live node of a name comes before revoked ones that had it. */
static int node_get(struct catalog *c, const char *id_or_name, struct node *out,
                    struct error *e)
{
    sqlite3_stmt *st = NULL;
    int rc = catalog_prepare(c, &st, e,
                             "SELECT " NODE_COLUMNS " FROM nodes WHERE id = ?1 "
                             "OR name = ?1 ORDER BY id = ?1 DESC, revoked, "
                             "created_ns DESC LIMIT 1",
                             "s", id_or_name);

    if (rc == 0)
        rc = catalog_step(c, st, e);
    if (rc == 1) {
        node_of_row(st, out);
        rc = 0;
    } else if (rc == 0) {
        rc = error_set(e, OCM_E_NOTFOUND, "no node '%s'", id_or_name);
    }
    sqlite3_finalize(st);
    return rc;
}

int catalog_node_get(struct catalog *c, const char *id_or_name,
                     struct node *out, struct error *e)
{
    int rc;

    catalog_lock(c);
    rc = node_get(c, id_or_name, out, e);
    catalog_unlock(c);
    return rc;
}

static bool name_is_taken(struct catalog *c, const char *name, int *rc,
                          struct error *e)
{
    sqlite3_stmt *st = NULL;
    int got;

    got = catalog_prepare(c, &st, e,
                          "SELECT 1 FROM nodes WHERE name = ? AND revoked = 0",
                          "s", name);
    if (got == 0)
        got = catalog_step(c, st, e);
    sqlite3_finalize(st);
    if (got < 0)
        *rc = got;
    return got == 1;
}

static int free_name(struct catalog *c, const char *wanted, char out[64],
                     struct error *e)
{
    int rc = 0;

    snprintf(out, 64, "%s", wanted);
    for (int i = 2; name_is_taken(c, out, &rc, e) && rc == 0; i++) {
        char suffix[16];
        int room;

        if (i > NODE_SUFFIX_MAX)
            return error_set(e, OCM_E_EXISTS, "too many nodes named '%s'",
                             wanted);
        snprintf(suffix, sizeof(suffix), "-%d", i);
        room = NAME_MAX_LEN - (int)strlen(suffix);
        snprintf(out, 64, "%.*s%s", room, wanted, suffix);
    }
    return rc;
}

int catalog_node_add(struct catalog *c, const char *wanted_name,
                     const char *hostname, struct node *out, struct error *e)
{
    uint8_t random[16];
    int rc;

    if (!name_is_valid(wanted_name))
        return error_set(e, OCM_E_INVALID, "'%s' is not a node name",
                         wanted_name);
    memset(out, 0, sizeof(*out));
    secret_random(random, sizeof(random));
    hex_encode(random, sizeof(random), out->id);
    out->created_ns = clock_now_ns();
    snprintf(out->hostname, sizeof(out->hostname), "%s", hostname);
    catalog_lock(c);
    rc = catalog_begin(c, e);
    if (rc == 0) {
        rc = free_name(c, wanted_name, out->name, e);
        if (rc == 0)
            rc = catalog_exec(c, e,
                              "INSERT INTO nodes(id, name, hostname, "
                              "created_ns) VALUES(?, ?, ?, ?)",
                              "sssi", out->id, out->name, out->hostname,
                              out->created_ns);
        rc = catalog_end(c, rc, e);
    }
    catalog_unlock(c);
    return rc;
}

int catalog_nodes(struct catalog *c, struct node **out, size_t *count,
                  struct error *e)
{
    sqlite3_stmt *st = NULL;
    struct node *nodes = NULL;
    size_t n = 0, cap = 0;
    int rc;

    catalog_lock(c);
    rc = catalog_prepare(c, &st, e,
                         "SELECT " NODE_COLUMNS " FROM nodes "
                         "ORDER BY name, revoked, created_ns DESC",
                         "");
    while (rc == 0 && (rc = catalog_step(c, st, e)) == 1) {
        nodes = mem_grow(nodes, &cap, n + 1, sizeof(*nodes));
        node_of_row(st, &nodes[n++]);
        rc = 0;
    }
    sqlite3_finalize(st);
    catalog_unlock(c);
    if (rc < 0) {
        free(nodes);
        return rc;
    }
    *out = nodes;
    *count = n;
    return 0;
}

/* An update of one node: no row changed means there is no such node. */
static int updated_one(struct catalog *c, int rc, const char *id,
                       struct error *e)
{
    if (rc == 0 && catalog_changes(c) == 0)
        rc = error_set(e, OCM_E_NOTFOUND, "no node '%s'", id);
    catalog_unlock(c);
    return rc;
}

int catalog_node_seen(struct catalog *c, const char *id,
                      const char *agent_version, const char *platform,
                      const char *hostname, int64_t now_ns, struct error *e)
{
    int rc;

    catalog_lock(c);
    rc = catalog_exec(c, e,
                      "UPDATE nodes SET agent_version = ?, platform = ?, "
                      "hostname = ?, last_seen_ns = ? WHERE id = ?",
                      "sssis", agent_version, platform, hostname, now_ns, id);
    return updated_one(c, rc, id, e);
}

int catalog_node_openclaw(struct catalog *c, const char *id,
                          const char *version, struct error *e)
{
    int rc;

    catalog_lock(c);
    rc =
        catalog_exec(c, e, "UPDATE nodes SET openclaw_version = ? WHERE id = ?",
                     "ss", version, id);
    return updated_one(c, rc, id, e);
}

int catalog_node_backup(struct catalog *c, const char *id, int64_t when_ns,
                        const char *state, const char *snapshot_hex,
                        const char *root_hex, struct error *e)
{
    int rc;

    catalog_lock(c);
    rc = catalog_exec(c, e,
                      "UPDATE nodes SET last_backup_ns = ?, "
                      "last_backup_state = ?, last_snapshot = ?, "
                      "last_root = ? WHERE id = ?",
                      "issss", when_ns, state, snapshot_hex, root_hex, id);
    return updated_one(c, rc, id, e);
}

int catalog_node_rename(struct catalog *c, const char *id, const char *name,
                        struct error *e)
{
    int rc;

    if (!name_is_valid(name))
        return error_set(e, OCM_E_INVALID,
                         "'%s' is not a node name: use a-z, "
                         "0-9 and '-', at most %d characters",
                         name, NAME_MAX_LEN);
    catalog_lock(c);
    rc = catalog_exec(c, e, "UPDATE nodes SET name = ? WHERE id = ?", "ss",
                      name, id);
    if (rc == OCM_E_EXISTS)
        error_set(e, rc, "another node is named '%s' already", name);
    return updated_one(c, rc, id, e);
}

int catalog_node_revoke(struct catalog *c, const char *id, struct error *e)
{
    int rc;

    catalog_lock(c);
    rc = catalog_exec(c, e, "DELETE FROM connections WHERE node_id = ?", "s",
                      id);
    if (rc == 0)
        rc = catalog_exec(c, e, "UPDATE nodes SET revoked = 1 WHERE id = ?",
                          "s", id);
    return updated_one(c, rc, id, e);
}

int catalog_cert_add(struct catalog *c, const char *node_id,
                     const struct id *fingerprint, int64_t not_after,
                     struct error *e)
{
    int rc;

    catalog_lock(c);
    rc = catalog_begin(c, e);
    if (rc == 0) {
        rc = catalog_exec(c, e,
                          "INSERT INTO certs(fingerprint, node_id, not_after) "
                          "VALUES(?, ?, ?)",
                          "dsi", fingerprint, node_id, not_after);
        if (rc == 0)
            rc = catalog_exec(c, e,
                              "UPDATE nodes SET cert_not_after = ? "
                              "WHERE id = ?",
                              "is", not_after, node_id);
        rc = catalog_end(c, rc, e);
    }
    catalog_unlock(c);
    return rc;
}

int catalog_cert_check(struct catalog *c, const struct id *fingerprint,
                       const char *node_id, struct node *out, struct error *e)
{
    sqlite3_stmt *st = NULL;
    int64_t not_after = 0;
    int rc;

    catalog_lock(c);
    rc = catalog_prepare(c, &st, e,
                         "SELECT not_after FROM certs WHERE fingerprint = ? "
                         "AND node_id = ?",
                         "ds", fingerprint, node_id);
    if (rc == 0)
        rc = catalog_step(c, st, e);
    if (rc == 1) {
        not_after = sqlite3_column_int64(st, 0);
        rc = node_get(c, node_id, out, e);
    } else if (rc == 0) {
        rc = error_set(e, OCM_E_AUTH,
                       "certificate is not on the list of "
                       "node '%s'",
                       node_id);
    }
    sqlite3_finalize(st);
    catalog_unlock(c);
    if (rc == 0 && out->revoked)
        rc = error_set(e, OCM_E_AUTH, "node '%s' was removed", out->name);
    if (rc == 0 && not_after <= clock_now_ns() / 1000000000)
        rc = error_set(e, OCM_E_AUTH, "certificate of node '%s' has expired",
                       out->name);
    return rc;
}
