/* SPDX-License-Identifier: MIT */
/* What a stranger sends to join: a token's text, a certificate request, a
 * certificate. Nothing that was not signed as it should gets one. */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/net/token.h"
#include "common/net/x509.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct buf ca_key, ca_cert;

static void make_ca(void)
{
    struct x509_order o = {.use = X509_CA,
                           .common_name = "OCM CA fuzz",
                           .not_before = 1600000000,
                           .not_after = 4000000000};

    if (ca_key.len)
        return;
    secret_init();
    if (x509_key_new(&ca_key, NULL) < 0 ||
        x509_ca_new(&ca_key, &o, &ca_cert, NULL) < 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct x509_order o = {.use = X509_CLIENT,
                           .common_name = "node",
                           .uri = "ocm://node/1",
                           .not_before = 1600000000,
                           .not_after = 1700000000};
    char *text = mem_strndup((const char *)data, size), back[TOKEN_TEXT_MAX];
    struct buf pem = {0}, der = {0}, cert = {0};
    struct x509_info info;
    struct error e = {0};
    struct token t, again;

    make_ca();
    if (token_parse(text, &t)) {
        token_format(&t, back); /* digits in lower case */
        if (!token_parse(back, &again) || !id_equal(&t.ca, &again.ca) ||
            strcmp(t.secret, again.secret) != 0)
            abort();
    }
    if (x509_inspect(data, size, &info, &e) == 0 &&
        (memchr(info.uri, 0, sizeof(info.uri)) == NULL ||
         memchr(info.common_name, 0, sizeof(info.common_name)) == NULL))
        abort();
    buf_add(&pem, data, size);
    x509_from_pem(&pem, &der, &e);
    if (x509_sign(&ca_key, &ca_cert, data, size, &o, &cert, &e) == 0 &&
        (x509_inspect(cert.data, cert.len, &info, &e) < 0 ||
         strcmp(info.uri, "ocm://node/1") != 0 ||
         strcmp(info.common_name, "node") != 0))
        abort(); /* names come from us, whatever the request says */
    buf_free(&pem);
    buf_free(&der);
    buf_free(&cert);
    free(text);
    return 0;
}
