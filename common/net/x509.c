/* SPDX-License-Identifier: MIT */
/* Keys, requests and certificates over mbedTLS. What 2.28 cannot write (SAN,
 * extended key usage) is given to it as DER made here. Texts that end in a
 * name are checked for a narrow alphabet first, since the library's name
 * parser knows escapes and separators. */
#include "common/net/x509.h"

#include <mbedtls/asn1write.h>
#include <mbedtls/oid.h>
#include <mbedtls/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/mem.h"
#include "common/net/x509_internal.h"

#define DER_MAX 4096     /* a certificate or request */
#define KEY_PEM_MAX 1024 /* EC P-256: about 230 bytes */
#define NAME_TEXT_MAX 64 /* ub-common-name of RFC 5280 */
#define SERIAL_LEN 16

static int fail(struct error *e, const char *what, int rc)
{
    return error_set(e, OCM_E_FAILED, "%s: TLS library error -0x%04x", what,
                     (unsigned)-rc);
}

int x509_key_new(struct buf *pem, struct error *e)
{
    unsigned char text[KEY_PEM_MAX];
    mbedtls_pk_context pk;
    int rc;

    if (!compat_init())
        return error_set(e, OCM_E_FAILED, "the TLS library cannot be started");
    mbedtls_pk_init(&pk);
    rc = mbedtls_pk_setup(&pk, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY));
    if (rc == 0)
        rc = mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(pk),
                                 compat_rng, NULL);
    if (rc == 0)
        rc = mbedtls_pk_write_key_pem(&pk, text, sizeof(text));
    if (rc == 0)
        buf_add_str(pem, (char *)text);
    else
        rc = fail(e, "cannot make a key", rc);
    secret_wipe(text, sizeof(text));
    mbedtls_pk_free(&pk);
    return rc;
}

/* `pk` must be initialised. The copy of the PEM text is wiped. */
static int parse_key(mbedtls_pk_context *pk, const struct buf *pem,
                     struct error *e)
{
    char *text;
    int rc;

    if (!compat_init())
        return error_set(e, OCM_E_FAILED, "the TLS library cannot be started");
    text = mem_strndup((char *)pem->data, pem->len);
    rc = compat_parse_key(pk, (unsigned char *)text, pem->len + 1);
    secret_wipe(text, pem->len);
    free(text);
    if (rc != 0 || !compat_is_p256(pk))
        return error_set(e, OCM_E_INVALID, "not an EC P-256 private key");
    return 0;
}

int x509_request(const struct buf *key_pem, struct buf *csr_der,
                 struct error *e)
{
    unsigned char out[DER_MAX];
    mbedtls_x509write_csr csr;
    mbedtls_pk_context pk;
    int rc;

    mbedtls_pk_init(&pk);
    mbedtls_x509write_csr_init(&csr);
    rc = parse_key(&pk, key_pem, e);
    if (rc < 0)
        goto out;
    mbedtls_x509write_csr_set_key(&csr, &pk);
    mbedtls_x509write_csr_set_md_alg(&csr, MBEDTLS_MD_SHA256);
    rc = mbedtls_x509write_csr_set_subject_name(&csr, "CN=ocm-node");
    if (rc == 0)
        rc =
            mbedtls_x509write_csr_der(&csr, out, sizeof(out), compat_rng, NULL);
    if (rc < 0) {
        rc = fail(e, "cannot make a certificate request", rc);
        goto out;
    }
    /* the library writes at the end of the room */
    buf_add(csr_der, out + sizeof(out) - rc, (size_t)rc);
    rc = 0;
out:
    mbedtls_x509write_csr_free(&csr);
    mbedtls_pk_free(&pk);
    return rc;
}

/* Letters, digits and " .-_:" only: nothing that means something in a
 * distinguished name. */
static bool name_is_plain(const char *s)
{
    size_t len = s ? strlen(s) : 0;

    if (len == 0 || len > NAME_TEXT_MAX || s[0] == ' ' || s[len - 1] == ' ')
        return false;
    return strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                     "0123456789 .-_:") == len;
}

static bool uri_is_plain(const char *s)
{
    size_t len = s ? strlen(s) : 0;

    return len > 0 && len < sizeof(((struct x509_info *)0)->uri) &&
           strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                     "0123456789.-_:/") == len;
}

static int check_order(const struct x509_order *o, struct error *e)
{
    if (!name_is_plain(o->common_name))
        return error_set(e, OCM_E_INVALID,
                         "not a name for a certificate: letters, digits, "
                         "blanks and .-_: only, at most %d",
                         NAME_TEXT_MAX);
    if (o->use == X509_SERVER && !name_is_plain(o->dns_name))
        return error_set(e, OCM_E_INVALID,
                         "a server certificate needs a DNS name");
    if (o->use == X509_CLIENT && !uri_is_plain(o->uri))
        return error_set(e, OCM_E_INVALID, "a client certificate needs a URI");
    if (o->not_before < 0 || o->not_after <= o->not_before)
        return error_set(e, OCM_E_INVALID,
                         "a certificate's end is not after "
                         "its begin");
    return 0;
}

static int set_validity(mbedtls_x509write_cert *crt, const struct x509_order *o)
{
    const int64_t times[2] = {o->not_before, o->not_after};
    char text[2][16];

    for (int i = 0; i < 2; i++) {
        time_t t = (time_t)times[i];
        struct tm tm;

        if (!gmtime_r(&t, &tm) || tm.tm_year > 9999 - 1900 ||
            strftime(text[i], sizeof(text[i]), "%Y%m%d%H%M%S", &tm) != 14)
            return MBEDTLS_ERR_X509_INVALID_DATE;
    }
    return mbedtls_x509write_crt_set_validity(crt, text[0], text[1]);
}

/* SubjectAltName ::= SEQUENCE OF GeneralName; dNSName is [2], URI is [6]. */
static int set_alt_name(mbedtls_x509write_cert *crt, int tag, const char *text)
{
    unsigned char der[256], *p = der + sizeof(der);
    size_t len = strlen(text), total = 0;

    if (len > 200)
        return MBEDTLS_ERR_X509_BAD_INPUT_DATA;
    p -= len;
    memcpy(p, text, len);
    total += len;
    /* the room is known to suffice, so these give their lengths */
    total += (size_t)mbedtls_asn1_write_len(&p, der, len);
    total += (size_t)mbedtls_asn1_write_tag(
        &p, der, (unsigned char)(MBEDTLS_ASN1_CONTEXT_SPECIFIC | tag));
    total += (size_t)mbedtls_asn1_write_len(&p, der, total);
    total += (size_t)mbedtls_asn1_write_tag(
        &p, der, MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE);
    return mbedtls_x509write_crt_set_extension(
        crt, MBEDTLS_OID_SUBJECT_ALT_NAME,
        MBEDTLS_OID_SIZE(MBEDTLS_OID_SUBJECT_ALT_NAME), 0, p, total);
}

/* ExtKeyUsageSyntax ::= SEQUENCE OF KeyPurposeId */
static int set_ext_key_usage(mbedtls_x509write_cert *crt, enum x509_use use)
{
    const char *oid =
        use == X509_SERVER ? MBEDTLS_OID_SERVER_AUTH : MBEDTLS_OID_CLIENT_AUTH;
    size_t oid_len = use == X509_SERVER
                         ? MBEDTLS_OID_SIZE(MBEDTLS_OID_SERVER_AUTH)
                         : MBEDTLS_OID_SIZE(MBEDTLS_OID_CLIENT_AUTH);
    unsigned char der[64] = {0}, *p = der + sizeof(der);
    size_t total = 0;

    total += (size_t)mbedtls_asn1_write_oid(&p, der, oid, oid_len);
    total += (size_t)mbedtls_asn1_write_len(&p, der, total);
    total += (size_t)mbedtls_asn1_write_tag(
        &p, der, MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE);
    return mbedtls_x509write_crt_set_extension(
        crt, MBEDTLS_OID_EXTENDED_KEY_USAGE,
        MBEDTLS_OID_SIZE(MBEDTLS_OID_EXTENDED_KEY_USAGE), 1, p, total);
}

static int set_extensions(mbedtls_x509write_cert *crt,
                          const struct x509_order *o)
{
    bool ca = o->use == X509_CA;
    int rc = mbedtls_x509write_crt_set_basic_constraints(crt, ca, ca ? 0 : -1);

    if (rc == 0)
        rc = mbedtls_x509write_crt_set_key_usage(
            crt, ca ? MBEDTLS_X509_KU_KEY_CERT_SIGN | MBEDTLS_X509_KU_CRL_SIGN
                    : MBEDTLS_X509_KU_DIGITAL_SIGNATURE);
    if (rc == 0)
        rc = mbedtls_x509write_crt_set_subject_key_identifier(crt);
    if (rc == 0)
        rc = mbedtls_x509write_crt_set_authority_key_identifier(crt);
    if (rc == 0 && !ca)
        rc = set_ext_key_usage(crt, o->use);
    if (rc == 0 && o->use == X509_SERVER)
        rc = set_alt_name(crt, MBEDTLS_X509_SAN_DNS_NAME, o->dns_name);
    if (rc == 0 && o->use == X509_CLIENT)
        rc = set_alt_name(crt, MBEDTLS_X509_SAN_UNIFORM_RESOURCE_IDENTIFIER,
                          o->uri);
    return rc;
}

/* Sign `subject` with `issuer`, named `issuer_name`. */
static int write_cert(mbedtls_pk_context *subject, mbedtls_pk_context *issuer,
                      const char *issuer_name, const struct x509_order *o,
                      struct buf *cert_der, struct error *e)
{
    char subject_dn[NAME_TEXT_MAX + 4], issuer_dn[NAME_TEXT_MAX + 4];
    unsigned char out[DER_MAX], serial[SERIAL_LEN];
    mbedtls_x509write_cert crt;
    int rc;

    snprintf(subject_dn, sizeof(subject_dn), "CN=%s", o->common_name);
    snprintf(issuer_dn, sizeof(issuer_dn), "CN=%s", issuer_name);
    secret_random(serial, sizeof(serial));
    serial[0] = (serial[0] & 0x7f) | 0x40; /* positive, always 16 bytes */
    mbedtls_x509write_crt_init(&crt);
    mbedtls_x509write_crt_set_version(&crt, MBEDTLS_X509_CRT_VERSION_3);
    mbedtls_x509write_crt_set_md_alg(&crt, MBEDTLS_MD_SHA256);
    mbedtls_x509write_crt_set_subject_key(&crt, subject);
    mbedtls_x509write_crt_set_issuer_key(&crt, issuer);
    rc = compat_set_serial(&crt, serial, sizeof(serial));
    if (rc == 0)
        rc = mbedtls_x509write_crt_set_subject_name(&crt, subject_dn);
    if (rc == 0)
        rc = mbedtls_x509write_crt_set_issuer_name(&crt, issuer_dn);
    if (rc == 0)
        rc = set_validity(&crt, o);
    if (rc == 0)
        rc = set_extensions(&crt, o);
    if (rc == 0)
        rc =
            mbedtls_x509write_crt_der(&crt, out, sizeof(out), compat_rng, NULL);
    if (rc > 0) {
        buf_add(cert_der, out + sizeof(out) - rc, (size_t)rc);
        rc = 0;
    } else {
        rc = fail(e, "cannot make the certificate", rc);
    }
    mbedtls_x509write_crt_free(&crt);
    return rc;
}

int x509_ca_new(const struct buf *ca_key_pem, const struct x509_order *o,
                struct buf *cert_der, struct error *e)
{
    mbedtls_pk_context pk;
    int rc;

    mbedtls_pk_init(&pk);
    rc = check_order(o, e);
    if (rc == 0 && o->use != X509_CA)
        rc = error_set(e, OCM_E_INVALID, "not an order for a CA");
    if (rc == 0)
        rc = parse_key(&pk, ca_key_pem, e);
    if (rc == 0)
        rc = write_cert(&pk, &pk, o->common_name, o, cert_der, e);
    mbedtls_pk_free(&pk);
    return rc;
}

/* Whoever sent the request must hold the private key. */
static int check_possession(mbedtls_x509_csr *csr, struct error *e)
{
    mbedtls_x509_buf sig = compat_csr_sig(csr);
    struct id hash = digest_of(csr->cri.p, csr->cri.len);

    if (compat_csr_md(csr) != MBEDTLS_MD_SHA256)
        return error_set(e, OCM_E_INVALID,
                         "the request is not signed with SHA-256");
    if (mbedtls_pk_verify(&csr->pk, MBEDTLS_MD_SHA256, hash.b, sizeof(hash.b),
                          sig.p, sig.len) != 0)
        return error_set(e, OCM_E_INVALID,
                         "the request is not signed by its own key");
    return 0;
}

static int parse_request(mbedtls_x509_csr *csr, const uint8_t *der, size_t len,
                         struct error *e)
{
    if (len == 0 || len > DER_MAX)
        return error_set(e, OCM_E_LIMIT, "a certificate request of %zu bytes",
                         len);
    if (mbedtls_x509_csr_parse_der(csr, der, len) != 0)
        return error_set(e, OCM_E_INVALID, "not a certificate request");
    if (!compat_is_p256(&csr->pk))
        return error_set(e, OCM_E_INVALID,
                         "the request is not for an EC P-256 key");
    return check_possession(csr, e);
}

int x509_sign(const struct buf *ca_key_pem, const struct buf *ca_cert_der,
              const uint8_t *csr_der, size_t csr_len,
              const struct x509_order *o, struct buf *cert_der, struct error *e)
{
    mbedtls_pk_context ca_key;
    mbedtls_x509_csr csr;
    struct x509_info ca;
    int rc;

    mbedtls_pk_init(&ca_key);
    mbedtls_x509_csr_init(&csr);
    rc = check_order(o, e);
    if (rc == 0 && o->use == X509_CA)
        rc = error_set(e, OCM_E_INVALID, "a request cannot become a CA");
    if (rc == 0)
        rc = parse_key(&ca_key, ca_key_pem, e);
    if (rc == 0)
        rc = x509_inspect(ca_cert_der->data, ca_cert_der->len, &ca, e);
    if (rc == 0 && !name_is_plain(ca.common_name))
        rc = error_set(e, OCM_E_INVALID, "the CA's name is not one of ours");
    if (rc == 0)
        rc = parse_request(&csr, csr_der, csr_len, e);
    if (rc == 0)
        rc = write_cert(&csr.pk, &ca_key, ca.common_name, o, cert_der, e);
    mbedtls_x509_csr_free(&csr);
    mbedtls_pk_free(&ca_key);
    return rc;
}

bool x509_uri(const mbedtls_x509_crt *crt, char *out, size_t cap)
{
    const int tag = MBEDTLS_ASN1_CONTEXT_SPECIFIC |
                    MBEDTLS_X509_SAN_UNIFORM_RESOURCE_IDENTIFIER;
    const mbedtls_x509_sequence *san;
    size_t found = 0;

    out[0] = 0;
    /* an absent extension is one zeroed element */
    for (san = &crt->subject_alt_names; san; san = san->next) {
        const mbedtls_x509_buf *b = &san->buf;

        if (!b->p || b->tag != tag)
            continue;
        if (++found > 1 || b->len == 0 || b->len >= cap)
            return false;
        for (size_t i = 0; i < b->len; i++) {
            if (b->p[i] <= 0x20 || b->p[i] >= 0x7f)
                return false;
        }
        memcpy(out, b->p, b->len);
        out[b->len] = 0;
    }
    return found == 1;
}

int64_t x509_seconds(const mbedtls_x509_time *t)
{
    struct tm tm = {
        .tm_year = t->year - 1900,
        .tm_mon = t->mon - 1,
        .tm_mday = t->day,
        .tm_hour = t->hour,
        .tm_min = t->min,
        .tm_sec = t->sec,
    };

    return (int64_t)timegm(&tm);
}

static bool common_name(const mbedtls_x509_crt *crt, char *out, size_t cap)
{
    const mbedtls_x509_name *n;

    for (n = &crt->subject; n; n = n->next) {
        if (MBEDTLS_OID_CMP(MBEDTLS_OID_AT_CN, &n->oid) != 0)
            continue;
        if (n->val.len >= cap || memchr(n->val.p, 0, n->val.len))
            return false;
        memcpy(out, n->val.p, n->val.len);
        out[n->val.len] = 0;
        return true;
    }
    return false;
}

int x509_inspect(const uint8_t *der, size_t len, struct x509_info *out,
                 struct error *e)
{
    mbedtls_x509_crt crt;
    int rc = 0;

    memset(out, 0, sizeof(*out));
    if (!compat_init())
        return error_set(e, OCM_E_FAILED, "the TLS library cannot be started");
    mbedtls_x509_crt_init(&crt);
    if (len == 0 || len > DER_MAX ||
        mbedtls_x509_crt_parse_der(&crt, der, len) != 0 || crt.raw.len != len ||
        !common_name(&crt, out->common_name, sizeof(out->common_name))) {
        rc = error_set(e, OCM_E_INVALID, "not a certificate");
    } else {
        out->fingerprint = digest_of(der, len);
        out->not_before = x509_seconds(&crt.valid_from);
        out->not_after = x509_seconds(&crt.valid_to);
        if (!x509_uri(&crt, out->uri, sizeof(out->uri)))
            out->uri[0] = 0;
    }
    mbedtls_x509_crt_free(&crt);
    return rc;
}

int x509_fits(const struct buf *key_pem, const struct buf *cert_der,
              struct error *e)
{
    mbedtls_x509_crt crt;
    mbedtls_pk_context key;
    int rc;

    if (!compat_init())
        return error_set(e, OCM_E_FAILED, "the TLS library cannot be started");
    mbedtls_x509_crt_init(&crt);
    mbedtls_pk_init(&key);
    rc = parse_key(&key, key_pem, e);
    if (rc == 0 &&
        (cert_der->len == 0 || cert_der->len > DER_MAX ||
         mbedtls_x509_crt_parse_der(&crt, cert_der->data, cert_der->len) != 0 ||
         compat_check_pair(&crt.pk, &key) != 0))
        rc = error_set(e, OCM_E_INVALID, "the certificate is for another key");
    mbedtls_pk_free(&key);
    mbedtls_x509_crt_free(&crt);
    return rc;
}

#define PEM_BEGIN "-----BEGIN CERTIFICATE-----\n"
#define PEM_END "-----END CERTIFICATE-----\n"

void x509_to_pem(const struct buf *der, struct buf *pem)
{
    size_t cap = der->len * 2 + 256, len = 0;
    unsigned char *text = mem_alloc(cap);

    /* fails only when the room is too small: base64 takes 4/3 and newlines */
    if (mbedtls_pem_write_buffer(PEM_BEGIN, PEM_END, der->data, der->len, text,
                                 cap, &len) == 0)
        buf_add_str(pem, (char *)text);
    free(text);
}

int x509_from_pem(const struct buf *pem, struct buf *der, struct error *e)
{
    char *text = mem_strndup((char *)pem->data, pem->len);
    mbedtls_x509_crt crt;
    int rc = 0;

    if (!compat_init()) {
        free(text);
        return error_set(e, OCM_E_FAILED, "the TLS library cannot be started");
    }
    mbedtls_x509_crt_init(&crt);
    if (mbedtls_x509_crt_parse(&crt, (unsigned char *)text, pem->len + 1) == 0)
        buf_add(der, crt.raw.p, crt.raw.len);
    else
        rc = error_set(e, OCM_E_INVALID, "not a PEM certificate");
    mbedtls_x509_crt_free(&crt);
    free(text);
    return rc;
}
