/* SPDX-License-Identifier: MIT */
/* The repository's config, and OCM's own facts beside it. */
#include "controller/repo/repo_internal.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/base/text.h"

#define CONFIG_VERSION 2
#define POLYNOMIAL_DEGREE 53
#define MARKER_LEN 36 /* a uuid */

/* a * b mod p over GF(2); a and b below the degree of p */
static uint64_t gf2_multiply(uint64_t a, uint64_t b, uint64_t p)
{
    uint64_t sum = 0;

    for (; b; b >>= 1) {
        if (b & 1)
            sum ^= a;
        a <<= 1;
        if (a >> POLYNOMIAL_DEGREE)
            a ^= p;
    }
    return sum;
}

/* Rabin's test. The degree 53 is a prime, so a factor of p that divides
 * x^(2^53) - x has degree 53 (p itself) or 1; and p has no factor of degree 1
 * when neither 0 nor 1 is a root. */
bool polynomial_is_irreducible(uint64_t p)
{
    uint64_t x = 2;

    if (p >> POLYNOMIAL_DEGREE != 1 || !(p & 1) ||
        __builtin_popcountll(p) % 2 == 0)
        return false;
    for (int i = 0; i < POLYNOMIAL_DEGREE; i++)
        x = gf2_multiply(x, x, p);
    return x == 2;
}

uint64_t polynomial_random(void)
{
    uint64_t p;

    do {
        secret_random(&p, sizeof(p));
        p &= (1ull << POLYNOMIAL_DEGREE) - 1;
        p |= 1ull << POLYNOMIAL_DEGREE | 1;
    } while (!polynomial_is_irreducible(p));
    return p;
}

int config_create(struct repo *r, struct error *e)
{
    struct buf plain = {0}, sealed = {0};
    struct id id;
    int rc;

    secret_random(&id, sizeof(id));
    id_hex(&id, r->id);
    r->version = CONFIG_VERSION;
    buf_printf(&plain,
               "{\"version\":%d,\"id\":\"%s\",\"chunker_polynomial\":"
               "\"%llx\"}",
               CONFIG_VERSION, r->id, (unsigned long long)polynomial_random());
    seal_add(&r->seal, &sealed, plain.data, plain.len);
    rc = store_put(r->store, "config", sealed.data, sealed.len, e);
    buf_free(&plain);
    buf_free(&sealed);
    return rc;
}

int config_load(struct repo *r, struct error *e)
{
    const char *place = store_place(r->store), *id;
    struct buf b = {0};
    struct id parsed;
    json_int_t version;
    json_t *j = NULL;
    int rc = store_get(r->store, "config", REPO_SMALL_MAX, &b, e);

    if (rc < 0)
        goto out;
    if (seal_open(&r->seal, b.data, b.len) < 0) {
        rc = error_set(e, OCM_E_DAMAGED,
                       "%s/config is damaged, or of another repository than "
                       "its key",
                       place);
        goto out;
    }
    j = json_loadb((char *)b.data + SEAL_NONCE_LEN, b.len - SEAL_OVERHEAD,
                   JSON_REJECT_DUPLICATES, NULL);
    id = json_string_value(json_object_get(j, "id"));
    version = json_integer_value(json_object_get(j, "version"));
    if (!id || !id_parse(id, &parsed) || version < 1) {
        rc = error_set(e, OCM_E_DAMAGED, "%s/config makes no sense", place);
        goto out;
    }
    if (version > CONFIG_VERSION) {
        rc = error_set(e, OCM_E_VERSION,
                       "%s is of repository format %d, this program knows %d",
                       place, (int)version, CONFIG_VERSION);
        goto out;
    }
    r->version = (unsigned)version;
    id_hex(&parsed, r->id);
out:
    json_decref(j);
    buf_free(&b);
    return rc;
}

static void uuid_random(char out[MARKER_LEN + 1])
{
    uint8_t b[16];
    char hex[33];

    secret_random(b, sizeof(b));
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    hex_encode(b, sizeof(b), hex);
    snprintf(out, MARKER_LEN + 1, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8,
             hex + 12, hex + 16, hex + 20);
}

/* The seed first: with the marker there, the facts are whole. */
int facts_create(struct repo *r, struct error *e)
{
    char text[2 * REPO_SEED_LEN + 2], line[MARKER_LEN + 2];
    int rc;

    secret_random(r->seed, sizeof(r->seed));
    hex_encode(r->seed, sizeof(r->seed), text);
    text[2 * REPO_SEED_LEN] = '\n';
    rc = store_put(r->store, "ocm/seed", text, sizeof(text) - 1, e);
    if (rc < 0)
        return rc;
    uuid_random(r->marker);
    memcpy(line, r->marker, MARKER_LEN);
    line[MARKER_LEN] = '\n';
    return store_put(r->store, "ocm/marker", line, MARKER_LEN + 1, e);
}

static int read_line(struct repo *r, const char *name, struct buf *b,
                     struct error *e)
{
    int rc = store_get(r->store, name, 256, b, e);

    while (rc == 0 && b->len && isspace(b->data[b->len - 1]))
        b->len--;
    return rc;
}

/* OCM_E_NOTFOUND: there is none. Else the marker, a uuid and, when one is
 * known, that one; *out may be NULL. */
static int read_marker(struct repo *r, const char *known, char *out, size_t cap,
                       struct error *e)
{
    struct buf b = {0};
    int rc = read_line(r, "ocm/marker", &b, e);

    if (rc == 0 &&
        (b.len != MARKER_LEN || (*known && strcmp(buf_str(&b), known) != 0)))
        rc = error_set(e, OCM_E_DAMAGED,
                       "%s/ocm/marker is not the one known here (%s): is the "
                       "right disk mounted?",
                       store_place(r->store), *known ? known : "a uuid");
    if (rc == 0 && out)
        snprintf(out, cap, "%s", buf_str(&b));
    if (rc == OCM_E_NOTFOUND && *known)
        rc = error_set(e, OCM_E_DAMAGED,
                       "%s/ocm/marker is gone (it was %s): restore it, or, "
                       "with the program stopped, delete the cache folder to "
                       "take the repository as new",
                       store_place(r->store), known);
    buf_free(&b);
    return rc;
}

int facts_check(struct repo *r, struct error *e)
{
    return read_marker(r, r->marker, NULL, 0, e);
}

int facts_load(struct repo *r, const char *known, struct error *e)
{
    struct buf b = {0};
    int rc = read_marker(r, known, r->marker, sizeof(r->marker), e);

    if (rc == OCM_E_NOTFOUND)
        return facts_create(r, e); /* restic made it: the first time here */
    if (rc < 0)
        return rc;
    rc = read_line(r, "ocm/seed", &b, e);
    if (rc < 0 || !hex_decode((char *)b.data, b.len, r->seed, REPO_SEED_LEN))
        rc = error_set(e, OCM_E_DAMAGED,
                       "%s/ocm/seed is missing or damaged: it holds 64 hex "
                       "digits",
                       store_place(r->store));
    buf_free(&b);
    return rc;
}
