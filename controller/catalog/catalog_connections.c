/* SPDX-License-Identifier: MIT */
/* Connections of nodes, sealed: a copy of the catalog alone tells nobody where
 * the nodes are and how to get there. A box opens for its own node only. */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/files.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "controller/catalog/catalog_internal.h"

#define KEY_LEN crypto_secretbox_KEYBYTES
#define NONCE_LEN crypto_secretbox_NONCEBYTES
#define SEAL_LEN (NONCE_LEN + crypto_secretbox_MACBYTES)
#define CONNECTION_MAX (64u * 1024)

/* The key, made when `make` and there is none. */
static int load_key(struct catalog *c, bool make, uint8_t key[KEY_LEN],
                    struct error *e)
{
    struct buf b = {0};
    int rc = file_read(c->key_path, KEY_LEN, &b, e);

    if (rc == -ENOENT && make) {
        secret_random(key, KEY_LEN);
        rc = file_write(c->key_path, key, KEY_LEN, 0600, e);
    } else if (rc == 0 && b.len != KEY_LEN) {
        rc = error_set(e, OCM_E_DAMAGED, "%s: %zu bytes, expected %u",
                       c->key_path, b.len, (unsigned)KEY_LEN);
    } else if (rc == 0) {
        memcpy(key, b.data, KEY_LEN);
    }
    buf_wipe(&b);
    return rc;
}

/* What is sealed: the node's id, a NUL, the JSON. */
static void seal(const uint8_t key[KEY_LEN], const char *node_id,
                 const char *json, struct buf *box)
{
    struct buf plain = {0};
    uint8_t *out;

    buf_add(&plain, node_id, strlen(node_id) + 1);
    buf_add_str(&plain, json);
    out = buf_reserve(box, SEAL_LEN + plain.len);
    secret_random(out, NONCE_LEN);
    crypto_secretbox_easy(out + NONCE_LEN, plain.data, plain.len, out, key);
    box->len += SEAL_LEN + plain.len;
    buf_wipe(&plain);
}

static char *open_box(const uint8_t key[KEY_LEN], const char *node_id,
                      const uint8_t *box, size_t len)
{
    size_t plain_len = len - SEAL_LEN, id_len = strlen(node_id) + 1;
    char *json = NULL;
    uint8_t *plain;

    if (len < SEAL_LEN + id_len || len > CONNECTION_MAX)
        return NULL;
    plain = mem_alloc(plain_len);
    if (crypto_secretbox_open_easy(plain, box + NONCE_LEN, len - NONCE_LEN, box,
                                   key) == 0 &&
        memcmp(plain, node_id, id_len) == 0)
        json = mem_strndup((char *)plain + id_len, plain_len - id_len);
    secret_wipe(plain, plain_len);
    free(plain);
    return json;
}

static int put(struct catalog *c, const char *node_id, const struct buf *box,
               struct error *e)
{
    sqlite3_stmt *st = NULL;
    int rc = catalog_prepare(c, &st, e,
                             "INSERT INTO connections(node_id, box) "
                             "VALUES(?1, ?2) ON CONFLICT(node_id) DO UPDATE "
                             "SET box = ?2",
                             "s", node_id);

    if (rc == 0) {
        sqlite3_bind_blob(st, 2, box->data, (int)box->len, SQLITE_STATIC);
        rc = catalog_step(c, st, e);
    }
    sqlite3_finalize(st);
    return rc;
}

int catalog_connection_put(struct catalog *c, const char *node_id,
                           const char *json, struct error *e)
{
    uint8_t key[KEY_LEN];
    struct buf box = {0};
    int rc;

    if (strlen(json) > CONNECTION_MAX - 1024)
        return error_set(e, OCM_E_LIMIT, "the connection is too long");
    catalog_lock(c);
    rc = load_key(c, true, key, e);
    if (rc == 0) {
        seal(key, node_id, json, &box);
        rc = put(c, node_id, &box, e);
    }
    catalog_unlock(c);
    secret_wipe(key, sizeof(key));
    buf_free(&box);
    return rc;
}

int catalog_connection_get(struct catalog *c, const char *node_id, char **json,
                           struct error *e)
{
    sqlite3_stmt *st = NULL;
    uint8_t key[KEY_LEN];
    int rc;

    catalog_lock(c);
    rc = catalog_prepare(c, &st, e,
                         "SELECT box FROM connections WHERE node_id = ?", "s",
                         node_id);
    if (rc == 0)
        rc = catalog_step(c, st, e);
    if (rc == 0)
        rc = error_set(e, OCM_E_NOTFOUND,
                       "no connection is kept for this node: it was not added "
                       "by ocmctl node add");
    else if (rc == 1)
        rc = load_key(c, false, key, e);
    if (rc == 0) {
        *json = open_box(key, node_id, sqlite3_column_blob(st, 0),
                         (size_t)sqlite3_column_bytes(st, 0));
        if (!*json)
            rc = error_set(e, OCM_E_DAMAGED,
                           "%s does not open the connection of this node: add "
                           "the node again",
                           c->key_path);
    }
    sqlite3_finalize(st);
    catalog_unlock(c);
    secret_wipe(key, sizeof(key));
    return rc;
}

int catalog_connections(struct catalog *c,
                        void (*fn)(void *arg, const char *node_id,
                                   const char *node_name, const char *json),
                        void *arg, struct error *e)
{
    sqlite3_stmt *st = NULL;
    uint8_t key[KEY_LEN];
    int rc;

    catalog_lock(c);
    rc = load_key(c, false, key, NULL);
    if (rc < 0) { /* none was kept yet, or they are lost */
        catalog_unlock(c);
        return 0;
    }
    rc = catalog_prepare(c, &st, e,
                         "SELECT n.id, n.name, k.box FROM connections k JOIN "
                         "nodes n ON n.id = k.node_id WHERE n.revoked = 0 "
                         "ORDER BY n.name",
                         "");
    while (rc == 0 && (rc = catalog_step(c, st, e)) == 1) {
        char id[40], name[64], *json;

        column_copy(st, 0, id, sizeof(id));
        column_copy(st, 1, name, sizeof(name));
        json = open_box(key, id, sqlite3_column_blob(st, 2),
                        (size_t)sqlite3_column_bytes(st, 2));
        if (json)
            fn(arg, id, name, json);
        else
            log_warn("catalog.key does not open the connection of node=%s",
                     name);
        free(json);
        rc = 0;
    }
    sqlite3_finalize(st);
    catalog_unlock(c);
    secret_wipe(key, sizeof(key));
    return rc;
}
