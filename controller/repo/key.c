/* SPDX-License-Identifier: MIT */
/* Key files: the master key, sealed with a key that scrypt makes of a
 * password. A repository may have several; any of them opens it. */
#include "controller/repo/repo_internal.h"

#include <jansson.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/secret.h"

#define KEY_N 32768
#define KEY_R 8
#define KEY_P 4
#define KEY_SALT_LEN 64
/* What a key file may ask for: 1 GiB of memory, and a bounded time. */
#define KEY_MEMORY_MAX (1ull << 30)
#define KEY_P_MAX 64
#define KEY_FILES_MAX 100

static json_t *base64(const void *p, size_t len)
{
    size_t cap = sodium_base64_encoded_len(len, sodium_base64_VARIANT_ORIGINAL);
    char *text = mem_alloc(cap);
    json_t *j;

    sodium_bin2base64(text, cap, p, len, sodium_base64_VARIANT_ORIGINAL);
    j = json_string(text);
    secret_wipe(text, cap);
    free(text);
    return j;
}

/* The bytes of the base64 string `key` of `j`; false when it is none. */
static bool unbase64(const json_t *j, const char *key, struct buf *out)
{
    const char *text = json_string_value(json_object_get(j, key));
    size_t len = text ? strlen(text) : 0, n;

    if (!text)
        return false;
    buf_clear(out);
    buf_reserve(out, len);
    if (sodium_base642bin(out->data, out->cap, text, len, NULL, &n, NULL,
                          sodium_base64_VARIANT_ORIGINAL) != 0)
        return false;
    out->len = n;
    return true;
}

static bool unbase64_exact(const json_t *j, const char *key, uint8_t *out,
                           size_t len)
{
    struct buf b = {0};
    bool ok = unbase64(j, key, &b) && b.len == len;

    if (ok)
        memcpy(out, b.data, len);
    buf_wipe(&b);
    return ok;
}

static int derive(const char *password, const struct buf *salt, uint64_t n,
                  uint32_t r, uint32_t p, struct seal_secret *out)
{
    uint8_t key[sizeof(*out)];
    int rc = crypto_pwhash_scryptsalsa208sha256_ll(
        (const uint8_t *)password, strlen(password), salt->data, salt->len, n,
        r, p, key, sizeof(key));

    if (rc == 0) {
        memcpy(out->enc, key, 32);
        memcpy(out->mac_k, key + 32, 16);
        memcpy(out->mac_r, key + 48, 16);
    }
    secret_wipe(key, sizeof(key));
    return rc == 0 ? 0 : OCM_E_FAILED;
}

/* {"mac":{"k","r"},"encrypt"} */
static char *master_text(const struct seal_secret *m)
{
    json_t *j = json_pack("{s:{s:o,s:o},s:o}", "mac", "k",
                          base64(m->mac_k, sizeof(m->mac_k)), "r",
                          base64(m->mac_r, sizeof(m->mac_r)), "encrypt",
                          base64(m->enc, sizeof(m->enc)));
    char *text = json_dumps(j, JSON_COMPACT);

    json_decref(j);
    return text;
}

static bool master_parse(const void *p, size_t len, struct seal_secret *m)
{
    json_t *j = json_loadb(p, len, JSON_REJECT_DUPLICATES, NULL);
    json_t *mac = json_object_get(j, "mac");
    bool ok = unbase64_exact(j, "encrypt", m->enc, sizeof(m->enc)) &&
              unbase64_exact(mac, "k", m->mac_k, sizeof(m->mac_k)) &&
              unbase64_exact(mac, "r", m->mac_r, sizeof(m->mac_r));

    json_decref(j);
    return ok;
}

static char *key_text(const struct buf *salt, const struct buf *data)
{
    char now[CLOCK_TEXT_MAX], host[LOCK_HOST_MAX], user[LOCK_USER_MAX];
    json_t *j;
    char *text;

    clock_format(clock_now_ns(), now);
    host_name(host);
    user_name(user);
    j = json_pack("{s:s,s:s,s:s,s:s,s:i,s:i,s:i,s:o,s:o}", "created", now,
                  "username", user, "hostname", host, "kdf", "scrypt", "N",
                  KEY_N, "r", KEY_R, "p", KEY_P, "salt",
                  base64(salt->data, salt->len), "data",
                  base64(data->data, data->len));
    text = json_dumps(j, JSON_COMPACT);
    json_decref(j);
    return text;
}

int key_create(struct store *s, const char *password,
               struct seal_secret *master, struct error *e)
{
    struct seal_secret user = {0};
    struct seal seal;
    struct buf salt = {0}, data = {0};
    char name[REPO_NAME_MAX + 1], *text = NULL;
    struct id id;
    int rc;

    secret_random(master, sizeof(*master));
    secret_random(buf_reserve(&salt, KEY_SALT_LEN), KEY_SALT_LEN);
    salt.len = KEY_SALT_LEN;
    rc = derive(password, &salt, KEY_N, KEY_R, KEY_P, &user);
    if (rc < 0) {
        error_set(e, rc, "scrypt failed: not enough memory");
        goto out;
    }
    seal_init(&seal, &user);
    text = master_text(master);
    seal_add(&seal, &data, text, strlen(text));
    secret_free_str(text);
    text = key_text(&salt, &data);
    id = digest_of(text, strlen(text));
    object_name("keys", &id, name);
    rc = store_put(s, name, text, strlen(text), e);
out:
    free(text);
    buf_free(&salt);
    buf_free(&data);
    secret_wipe(&user, sizeof(user));
    secret_wipe(&seal, sizeof(seal));
    return rc;
}

/* OCM_E_AUTH: a whole key file, of another password. */
static int try_text(const json_t *j, const char *password,
                    struct seal_secret *master)
{
    const char *kdf = json_string_value(json_object_get(j, "kdf"));
    json_int_t n = json_integer_value(json_object_get(j, "N"));
    json_int_t r = json_integer_value(json_object_get(j, "r"));
    json_int_t p = json_integer_value(json_object_get(j, "p"));
    struct buf salt = {0}, data = {0};
    struct seal_secret user = {0};
    struct seal seal;
    int rc = OCM_E_DAMAGED;

    if (!kdf || strcmp(kdf, "scrypt") != 0 || n < 2 || (n & (n - 1)) || r < 1 ||
        r > 1024 || p < 1 || p > KEY_P_MAX || n > (1 << 24) ||
        (uint64_t)n * (uint64_t)r * 128 > KEY_MEMORY_MAX)
        goto out;
    if (!unbase64(j, "salt", &salt) || !unbase64(j, "data", &data) ||
        data.len < SEAL_OVERHEAD)
        goto out;
    rc = derive(password, &salt, (uint64_t)n, (uint32_t)r, (uint32_t)p, &user);
    if (rc < 0)
        goto out;
    seal_init(&seal, &user);
    rc = seal_open(&seal, data.data, data.len) ? OCM_E_AUTH : 0;
    if (rc == 0 && !master_parse(data.data + SEAL_NONCE_LEN,
                                 data.len - SEAL_OVERHEAD, master))
        rc = OCM_E_DAMAGED;
out:
    buf_free(&salt);
    buf_wipe(&data);
    secret_wipe(&user, sizeof(user));
    secret_wipe(&seal, sizeof(seal));
    return rc;
}

static int try_file(struct store *s, const char *name, const char *password,
                    struct seal_secret *master, struct error *e)
{
    char path[REPO_NAME_MAX + 1];
    struct buf text = {0};
    struct id id, found;
    json_t *j = NULL;
    int rc;

    id_parse(name, &id);
    object_name("keys", &id, path);
    rc = store_get(s, path, REPO_SMALL_MAX, &text, e);
    if (rc < 0)
        goto out;
    found = digest_of(text.data, text.len);
    if (id_equal(&id, &found))
        j = json_loadb((char *)text.data, text.len, JSON_REJECT_DUPLICATES,
                       NULL);
    rc = j ? try_text(j, password, master) : OCM_E_DAMAGED;
    if (rc == OCM_E_DAMAGED)
        error_set(e, rc, "%s/%s is damaged", store_place(s), path);
    else if (rc == OCM_E_FAILED)
        error_set(e, rc, "%s/%s: scrypt failed: not enough memory",
                  store_place(s), path);
out:
    json_decref(j);
    buf_free(&text);
    return rc;
}

struct key_search {
    struct store *store;
    const char *password;
    struct seal_secret *master;
    unsigned files, broken;
    struct error first; /* of the broken ones */
};

/* 1: found, ends the listing. A broken file must not hide a good one. */
static int on_key(void *arg, const char *name)
{
    struct key_search *k = arg;
    struct error e = {0};
    int rc;

    if (k->files++ >= KEY_FILES_MAX)
        return 0;
    rc = try_file(k->store, name, k->password, k->master, &e);
    if (rc == 0)
        return 1;
    if (rc != OCM_E_AUTH) {
        log_warn("repository key unusable: %s", e.text);
        if (k->broken++ == 0)
            k->first = e;
    }
    return 0;
}

int key_open(struct store *s, const char *password, struct seal_secret *master,
             struct error *e)
{
    struct key_search k = {.store = s, .password = password, .master = master};
    int rc = store_list(s, "keys", false, on_key, &k, e);

    if (rc == 1)
        return 0;
    if (rc < 0)
        return rc;
    if (k.files == 0)
        return error_set(e, OCM_E_DAMAGED,
                         "%s/keys is empty: without a key file nothing can be "
                         "read",
                         store_place(s));
    if (k.broken)
        return error_set(e, k.first.code, "%s, and no other key fits",
                         k.first.text);
    return error_set(e, OCM_E_AUTH, "%s: wrong password", store_place(s));
}
