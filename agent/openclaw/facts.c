/* SPDX-License-Identifier: MIT */
/* Facts: a sorted list of keys and values, its digest, and its JSON. */
#include "agent/openclaw/facts.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/base/text.h"

#define FACTS_MAX 4096
#define FACT_KEY_MAX 256
#define FACT_VALUE_MAX 8192
#define FACTS_JSON_MAX (4u * 1024 * 1024)

/* Where `key` stands or would stand. */
static size_t position(const struct facts *f, const char *key, bool *found)
{
    size_t lo = 0, hi = f->count;

    *found = false;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = strcmp(f->items[mid].key, key);

        if (c == 0) {
            *found = true;
            return mid;
        }
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static void put(struct facts *f, const char *key, const char *value,
                bool secret)
{
    bool found;
    size_t i = position(f, key, &found);

    if (!found) {
        f->items = mem_grow(f->items, &f->cap, f->count + 1, sizeof(*f->items));
        memmove(&f->items[i + 1], &f->items[i],
                (f->count - i) * sizeof(*f->items));
        f->items[i] = (struct fact){.key = mem_strdup(key)};
        f->count++;
    }
    secret_free_str(f->items[i].value);
    f->items[i].value = mem_strdup(value);
    f->items[i].secret = secret;
}

void facts_set(struct facts *f, const char *key, const char *value)
{
    put(f, key, value, false);
}

void facts_set_secret(struct facts *f, const char *key, const char *value)
{
    put(f, key, value, true);
}

const char *facts_get(const struct facts *f, const char *key)
{
    bool found;
    size_t i = position(f, key, &found);

    return found ? f->items[i].value : NULL;
}

void facts_fini(struct facts *f)
{
    for (size_t i = 0; i < f->count; i++) {
        free(f->items[i].key);
        secret_free_str(f->items[i].value);
    }
    free(f->items);
    *f = (struct facts){0};
}

/* The digest leaves the node beside every other fact, so a secret may add
 * only as much as shows that it changed: 16 bits, too few to guess it by. */
static void add_secret(struct digest *d, const char *value)
{
    static const char label[] = "ocm fact";
    struct id id = digest_hmac(label, sizeof(label) - 1, value, strlen(value));

    digest_add(d, id.b, 2);
}

struct id facts_digest(const struct facts *f)
{
    struct digest d;

    digest_init(&d);
    for (size_t i = 0; i < f->count; i++) {
        const struct fact *fact = &f->items[i];

        if (strcmp(fact->key, "gateway.running") == 0)
            continue;
        digest_add(&d, fact->key, strlen(fact->key) + 1);
        if (fact->secret)
            add_secret(&d, fact->value);
        else
            digest_add(&d, fact->value, strlen(fact->value));
        digest_add(&d, "", 1);
    }
    return digest_end(&d);
}

char *facts_fingerprint(const char *secret, const uint8_t key[32])
{
    char hex[ID_HEX_LEN + 1];
    struct id id;

    /* of facts read from JSON: it is one already */
    if (text_has_prefix(secret, "hmac:") && strlen(secret) == 21)
        return mem_strdup(secret);
    id = digest_hmac(key, 32, secret, strlen(secret));
    id_hex(&id, hex);
    return mem_printf("hmac:%.16s", hex);
}

/* A value that is not UTF-8 (a path can be) cannot stand in JSON: its odd
 * bytes become "?", which matches no path and so rewrites none. */
static json_t *text_value(const char *value)
{
    json_t *v = json_string(value);
    char *copy;

    if (v)
        return v;
    copy = mem_strdup(value);
    for (char *c = copy; *c; c++) {
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    }
    v = json_string(copy);
    free(copy);
    return v;
}

void facts_to_json(const struct facts *f, const uint8_t key[32],
                   struct buf *out)
{
    json_t *object = json_object();
    char *text;

    for (size_t i = 0; i < f->count; i++) {
        const struct fact *fact = &f->items[i];
        char *print = fact->secret ? facts_fingerprint(fact->value, key) : NULL;

        json_object_set_new(object, fact->key,
                            text_value(print ? print : fact->value));
        free(print);
    }
    text = json_dumps(object, JSON_COMPACT);
    if (!text)
        abort(); /* out of memory */
    buf_add_str(out, text);
    free(text);
    json_decref(object);
}

int facts_from_json(const void *p, size_t len, struct facts *out,
                    struct error *e)
{
    json_error_t why;
    json_t *object, *value;
    const char *key;
    int rc = 0;

    *out = (struct facts){0};
    if (len > FACTS_JSON_MAX)
        return error_set(e, OCM_E_LIMIT, "facts of %zu bytes", len);
    object = json_loadb(p, len, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(object)) {
        rc = error_set(e, OCM_E_DAMAGED, "facts are no JSON object: %s",
                       object ? "another type" : why.text);
        json_decref(object);
        return rc;
    }
    if (json_object_size(object) > FACTS_MAX)
        rc = error_set(e, OCM_E_LIMIT, "%zu facts", json_object_size(object));
    json_object_foreach(object, key, value)
    {
        const char *s = json_string_value(value);

        if (rc)
            break;
        if (!s || strlen(key) > FACT_KEY_MAX || strlen(s) > FACT_VALUE_MAX)
            rc = error_set(e, OCM_E_DAMAGED, "fact '%.40s' is no short text",
                           key);
        else
            put(out, key, s, text_has_prefix(s, "hmac:"));
    }
    json_decref(object);
    if (rc)
        facts_fini(out);
    return rc;
}
