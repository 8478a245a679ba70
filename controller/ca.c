/* SPDX-License-Identifier: MIT */
#include "controller/ca.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/files.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/net/x509.h"

#define DAY_S (24 * 3600)
#define CA_DAYS 3650
#define SERVER_DAYS 365
#define CLOCK_SKEW_S 3600 /* certificates are valid a little before now */
#define PEM_MAX (64 * 1024)
#define RETRY_S 3600 /* after a server certificate that could not be made */

struct ca {
    char *key_path, *cert_path, *server_path;
    char *name;         /* the controller's */
    int64_t due_s;      /* when the server's certificate is to be made anew */
    struct buf key_pem; /* secret */
    struct buf cert_der;
    struct id fingerprint;
};

static int read_pem(const char *path, struct buf *pem, bool *found,
                    struct error *e)
{
    int rc = file_read(path, PEM_MAX, pem, e);

    *found = rc == 0;
    return rc == -ENOENT ? 0 : rc;
}

/* A certificate for the key that is there. */
static int make_cert(struct ca *ca, struct error *e)
{
    int64_t now = time(NULL);
    struct x509_order o = {
        .use = X509_CA,
        .common_name = "OCM CA",
        .not_before = now - CLOCK_SKEW_S,
        .not_after = now + (int64_t)CA_DAYS * DAY_S,
    };
    struct buf pem = {0};
    int rc = x509_ca_new(&ca->key_pem, &o, &ca->cert_der, e);

    if (rc < 0)
        return rc;
    x509_to_pem(&ca->cert_der, &pem);
    rc = file_write(ca->cert_path, pem.data, pem.len, 0644, e);
    buf_free(&pem);
    if (rc == 0)
        log_info("made a new certificate authority: %s", ca->cert_path);
    return rc;
}

static int make_ca(struct ca *ca, struct error *e)
{
    int rc = x509_key_new(&ca->key_pem, e);

    if (rc == 0)
        rc = file_write(ca->key_path, ca->key_pem.data, ca->key_pem.len, 0600,
                        e);
    return rc < 0 ? rc : make_cert(ca, e);
}

static int load_ca(struct ca *ca, struct error *e)
{
    bool have_key = false, have_cert = false;
    struct buf pem = {0};
    int rc = read_pem(ca->key_path, &ca->key_pem, &have_key, e);

    if (rc == 0)
        rc = read_pem(ca->cert_path, &pem, &have_cert, e);
    if (rc < 0)
        goto out;
    if (!have_key && !have_cert)
        rc = make_ca(ca, e);
    else if (!have_cert && !file_exists(ca->server_path))
        rc = make_cert(ca, e); /* killed at its first start: nobody knows it */
    else if (!have_key || !have_cert)
        rc = error_set(e, OCM_E_DAMAGED,
                       "%s is missing while %s is there: put it back from "
                       "your copy, or every node must join again",
                       have_key ? ca->cert_path : ca->key_path,
                       have_key ? ca->key_path : ca->cert_path);
    else
        rc = x509_from_pem(&pem, &ca->cert_der, e);
    if (rc == 0)
        ca->fingerprint = digest_of(ca->cert_der.data, ca->cert_der.len);
out:
    buf_free(&pem);
    return rc;
}

/* Is it there, for our name, with the CA of now behind it, and not in its last
 * third? Says when that begins. */
static bool server_is_fine(struct ca *ca)
{
    struct buf pem = {0}, der = {0}, authority = {0};
    struct x509_info info;
    bool fine = file_read(ca->server_path, PEM_MAX, &pem, NULL) == 0 &&
                x509_from_pem(&pem, &der, NULL) == 0 &&
                x509_inspect(der.data, der.len, &info, NULL) == 0 &&
                strcmp(info.common_name, ca->name) == 0;

    x509_to_pem(&ca->cert_der, &authority);
    fine = fine && strstr(buf_str(&pem), buf_str(&authority));
    if (fine)
        ca->due_s = info.not_after - (int64_t)SERVER_DAYS * DAY_S / 3;
    buf_wipe(&pem);
    buf_free(&der);
    buf_free(&authority);
    return fine && time(NULL) < ca->due_s;
}

static int make_server(struct ca *ca, struct error *e)
{
    int64_t now = time(NULL);
    struct x509_order o = {
        .use = X509_SERVER,
        .common_name = ca->name,
        .dns_name = ca->name,
        .not_before = now - CLOCK_SKEW_S,
        .not_after = now + (int64_t)SERVER_DAYS * DAY_S,
    };
    struct buf key = {0}, csr = {0}, der = {0}, pem = {0};
    int rc = x509_key_new(&key, e);

    if (rc == 0)
        rc = x509_request(&key, &csr, e);
    if (rc == 0)
        rc = x509_sign(&ca->key_pem, &ca->cert_der, csr.data, csr.len, &o, &der,
                       e);
    if (rc == 0) {
        x509_to_pem(&der, &pem);
        buf_add(&key, pem.data, pem.len);
        /* joining nodes are shown the CA as well */
        buf_clear(&pem);
        x509_to_pem(&ca->cert_der, &pem);
        buf_add(&key, pem.data, pem.len);
        rc = file_write(ca->server_path, key.data, key.len, 0600, e);
    }
    if (rc == 0)
        ca->due_s = o.not_after - (int64_t)SERVER_DAYS * DAY_S / 3;
    buf_wipe(&key);
    buf_free(&csr);
    buf_free(&der);
    buf_free(&pem);
    return rc;
}

int ca_open(const char *state_dir, const char *controller_name, struct ca **out,
            struct error *e)
{
    char *dir = path_join(state_dir, "ca");
    struct ca *ca = mem_zalloc(sizeof(*ca));
    int rc;

    ca->name = mem_strdup(controller_name);
    ca->key_path = path_join(dir, "ca.key");
    ca->cert_path = path_join(dir, "ca.pem");
    ca->server_path = path_join(dir, "server.pem");
    rc = dir_make(dir, 0700, e);
    if (rc == 0)
        rc = load_ca(ca, e);
    if (rc == 0 && !server_is_fine(ca))
        rc = make_server(ca, e);
    free(dir);
    if (rc < 0) {
        ca_close(ca);
        return rc;
    }
    *out = ca;
    return 0;
}

void ca_close(struct ca *ca)
{
    if (!ca)
        return;
    buf_wipe(&ca->key_pem);
    buf_free(&ca->cert_der);
    free(ca->name);
    free(ca->key_path);
    free(ca->cert_path);
    free(ca->server_path);
    free(ca);
}

bool ca_renew_server(struct ca *ca)
{
    struct error e = {0};

    if (time(NULL) < ca->due_s)
        return false;
    if (make_server(ca, &e) < 0) {
        log_error("our certificate for agents cannot be made anew: %s", e.text);
        ca->due_s = time(NULL) + RETRY_S;
        return false;
    }
    log_info("made our certificate for agents anew: %s", ca->server_path);
    return true;
}

const struct id *ca_fingerprint(const struct ca *ca)
{
    return &ca->fingerprint;
}

const struct buf *ca_certificate(const struct ca *ca)
{
    return &ca->cert_der;
}

struct tls_context *ca_tls(const struct ca *ca, enum tls_role role,
                           struct error *e)
{
    struct tls_files files = {
        .key = ca->server_path,
        .cert = ca->server_path,
        .ca = ca->cert_path,
    };

    return tls_context_new(role, &files, e);
}

int ca_issue(const struct ca *ca, const char *node_id, const uint8_t *csr,
             size_t csr_len, int64_t days, struct buf *cert_der,
             struct id *fingerprint, int64_t *not_after, struct error *e)
{
    int64_t now = time(NULL);
    char *uri = mem_printf("ocm://node/%s", node_id);
    struct x509_order o = {
        .use = X509_CLIENT,
        .common_name = node_id,
        .uri = uri,
        .not_before = now - CLOCK_SKEW_S,
        .not_after = now + days * DAY_S,
    };
    int rc =
        x509_sign(&ca->key_pem, &ca->cert_der, csr, csr_len, &o, cert_der, e);

    if (rc == 0) {
        *fingerprint = digest_of(cert_der->data, cert_der->len);
        *not_after = o.not_after;
    }
    free(uri);
    return rc;
}
