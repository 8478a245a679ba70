/* SPDX-License-Identifier: MIT */
/* Reading, checking and writing manifests. */
#include "common/release/manifest.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "common/base/conf.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define FORMAT "ocm-release-1"
#define PROGRAM "ocm-agent"
#define SIGNATURE_KEY "signature = "
#define SIGNATURE_HEX (2 * crypto_sign_BYTES)
#define SIGNATURE_LINE (sizeof(SIGNATURE_KEY) - 1 + SIGNATURE_HEX + 1)

_Static_assert(RELEASE_KEY_LEN == crypto_sign_PUBLICKEYBYTES, "Ed25519");
_Static_assert(RELEASE_SECRET_LEN == crypto_sign_SECRETKEYBYTES, "Ed25519");

/* The values as they stand in the text. */
struct fields {
    char *format, *name, *version, *arch, *sha256, *signature;
    int64_t size, protocol_min, protocol_max;
};

#define F(key, type, field, min, max)                                          \
    {                                                                          \
        "", key, type, offsetof(struct fields, field), NULL, min, max, ""      \
    }

static const struct conf_key keys[] = {
    F("format", CONF_STRING, format, 0, 0),
    F("name", CONF_STRING, name, 0, 0),
    F("version", CONF_STRING, version, 0, 0),
    F("arch", CONF_STRING, arch, 0, 0),
    F("size", CONF_INT, size, 1, RELEASE_MAX_BYTES),
    F("sha256", CONF_STRING, sha256, 0, 0),
    F("protocol_min", CONF_INT, protocol_min, 1, 1000000),
    F("protocol_max", CONF_INT, protocol_max, 1, 1000000),
    F("signature", CONF_STRING, signature, 0, 0),
};

size_t manifest_length(const void *p, size_t len)
{
    const char *text = p;
    size_t key_len = strlen(SIGNATURE_KEY);

    if (len > MANIFEST_MAX)
        len = MANIFEST_MAX;
    for (size_t i = 0; i + SIGNATURE_LINE <= len; i++) {
        if ((i == 0 || text[i - 1] == '\n') &&
            memcmp(text + i, SIGNATURE_KEY, key_len) == 0)
            return text[i + SIGNATURE_LINE - 1] == '\n' ? i + SIGNATURE_LINE
                                                        : 0;
    }
    return 0;
}

static bool arch_is_valid(const char *s)
{
    size_t len = strlen(s);

    return len > 0 && len <= MANIFEST_ARCH_MAX &&
           strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == len;
}

static int judge(const struct fields *f, struct manifest *out, struct error *e)
{
    uint8_t signature[crypto_sign_BYTES];

    if (!f->format || strcmp(f->format, FORMAT) != 0)
        return error_set(e, OCM_E_INVALID,
                         "manifest: format '%s', expected " FORMAT,
                         f->format ? f->format : "");
    if (!f->name || strcmp(f->name, PROGRAM) != 0)
        return error_set(e, OCM_E_INVALID,
                         "manifest: of '%s', expected " PROGRAM,
                         f->name ? f->name : "");
    if (!f->version || !version_is_valid(f->version))
        return error_set(e, OCM_E_INVALID, "manifest: version '%s'",
                         f->version ? f->version : "");
    if (!f->arch || !arch_is_valid(f->arch))
        return error_set(e, OCM_E_INVALID, "manifest: arch '%s'",
                         f->arch ? f->arch : "");
    if (f->size < 1)
        return error_set(e, OCM_E_INVALID, "manifest: no size");
    if (!f->sha256 || !id_parse(f->sha256, &out->sha256))
        return error_set(e, OCM_E_INVALID, "manifest: sha256 of 64 digits");
    if (f->protocol_min < 1 || f->protocol_max < f->protocol_min)
        return error_set(e, OCM_E_INVALID, "manifest: protocol %lld to %lld",
                         (long long)f->protocol_min,
                         (long long)f->protocol_max);
    if (!f->signature || !hex_decode(f->signature, strlen(f->signature),
                                     signature, sizeof(signature)))
        return error_set(e, OCM_E_INVALID, "manifest: signature");
    snprintf(out->version, sizeof(out->version), "%s", f->version);
    snprintf(out->arch, sizeof(out->arch), "%s", f->arch);
    out->size = (uint64_t)f->size;
    out->protocol_min = (uint32_t)f->protocol_min;
    out->protocol_max = (uint32_t)f->protocol_max;
    return 0;
}

int manifest_parse(const void *p, size_t len, struct manifest *out,
                   struct error *e)
{
    struct fields f = {0};
    int rc;

    *out = (struct manifest){0};
    if (len == 0 || manifest_length(p, len) != len)
        return error_set(e, OCM_E_INVALID,
                         "manifest: no text with a signature as its last line");
    rc = conf_parse("manifest", p, len, keys, ARRAY_LEN(keys), &f, e);
    if (rc == 0)
        rc = judge(&f, out, e);
    conf_free(keys, ARRAY_LEN(keys), &f);
    return rc;
}

int manifest_verify(const void *p, size_t len,
                    const uint8_t key[RELEASE_KEY_LEN], struct error *e)
{
    uint8_t signature[crypto_sign_BYTES];
    const char *text = p;

    if (len < SIGNATURE_LINE || manifest_length(p, len) != len ||
        !hex_decode(text + len - 1 - SIGNATURE_HEX, SIGNATURE_HEX, signature,
                    sizeof(signature)) ||
        crypto_sign_verify_detached(signature, p, len - SIGNATURE_LINE, key))
        return error_set(e, OCM_E_AUTH,
                         "the manifest is not signed by this agent's release "
                         "key");
    return 0;
}

void manifest_sign(const struct manifest *m,
                   const uint8_t secret[RELEASE_SECRET_LEN], struct buf *out)
{
    uint8_t signature[crypto_sign_BYTES];
    char sum[ID_HEX_LEN + 1], hex[SIGNATURE_HEX + 1];
    size_t begin = out->len;

    id_hex(&m->sha256, sum);
    buf_printf(out,
               "format = " FORMAT "\nname = " PROGRAM "\nversion = %s\n"
               "arch = %s\nsize = %llu\nsha256 = %s\nprotocol_min = %u\n"
               "protocol_max = %u\n",
               m->version, m->arch, (unsigned long long)m->size, sum,
               m->protocol_min, m->protocol_max);
    crypto_sign_detached(signature, NULL, out->data + begin, out->len - begin,
                         secret);
    hex_encode(signature, sizeof(signature), hex);
    buf_printf(out, SIGNATURE_KEY "%s\n", hex);
}
