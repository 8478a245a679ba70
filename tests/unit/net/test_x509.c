/* SPDX-License-Identifier: MIT */
/* Certificates, with `openssl` as the judge from outside; join tokens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/net/token.h"
#include "tests/unit/net/net_fixture.h"

static struct pki pki;

static int make_pki(void **state)
{
    (void)state;
    pki_make(&pki, "OCM CA 7f3a");
    pki_issue_usual(&pki);
    return 0;
}

static int drop_pki(void **state)
{
    (void)state;
    pki_drop(&pki);
    return 0;
}

/* Run a shell line in the PKI's folder; its output, to be freed. */
static char *shell(const char *line, int *status)
{
    char *all = mem_printf("cd %s && { %s; } 2>&1", pki.dir, line);
    struct buf out = {0};
    FILE *f = popen(all, "r"); /* NOLINT: fixed lines of this file */
    size_t n;

    assert_non_null(f);
    do {
        n = fread(buf_reserve(&out, 4096), 1, 4096, f);
        out.len += n;
    } while (n > 0);
    *status = pclose(f);
    free(all);
    buf_str(&out);
    return (char *)out.data;
}

static void must_say(const char *line, const char *what)
{
    int status;
    char *out = shell(line, &status);

    if (status != 0 || !strstr(out, what))
        print_error("%s\n%s\n", line, out);
    assert_int_equal(status, 0);
    assert_non_null(strstr(out, what));
    free(out);
}

static bool have_openssl(void)
{
    return system("openssl version >/dev/null 2>&1") == 0; /* NOLINT */
}

static void openssl_agrees(void **state)
{
    (void)state;
    if (!have_openssl())
        skip();
    must_say("openssl verify -x509_strict -purpose sslserver "
             "-verify_hostname controller.test -CAfile ca.pem server.pem",
             "server.pem: OK");
    must_say("openssl verify -x509_strict -purpose sslclient -CAfile ca.pem "
             "client.pem",
             "client.pem: OK");
    must_say("openssl x509 -in client.pem -noout -ext subjectAltName",
             "URI:ocm://node/7");
    must_say("openssl x509 -in server.pem -noout -ext subjectAltName",
             "DNS:controller.test");
    must_say("openssl x509 -in ca.pem -noout -ext basicConstraints",
             "CA:TRUE, pathlen:0");
    must_say("openssl x509 -in client.pem -noout -ext extendedKeyUsage",
             "TLS Web Client Authentication");
    must_say("openssl verify -purpose sslserver -CAfile ca.pem client.pem "
             "|| true",
             "unsuitable certificate purpose");
    must_say("openssl pkey -in client.key -noout -text", "prime256v1");
}

static void inspect_reads_what_was_ordered(void **state)
{
    char *path = pki_path(&pki, "client", ".pem");
    struct buf pem = {0}, der = {0}, again = {0};
    struct x509_info info;
    struct id id;
    int64_t now = clock_now_ns() / 1000000000;

    (void)state;
    assert_int_equal(file_read(path, 65536, &pem, NULL), 0);
    assert_int_equal(x509_from_pem(&pem, &der, NULL), 0);
    assert_int_equal(x509_inspect(der.data, der.len, &info, NULL), 0);
    assert_string_equal(info.common_name, "client");
    assert_string_equal(info.uri, NODE_URI);
    assert_true(info.not_before < now && now < info.not_after);
    assert_true(info.not_after - info.not_before == 7200);
    id = digest_of(der.data, der.len);
    assert_true(id_equal(&id, &info.fingerprint));
    x509_to_pem(&der, &again);
    assert_string_equal(buf_str(&again), buf_str(&pem));
    /* cut, longer, or noise: not a certificate */
    for (size_t len = 0; len < der.len; len += 7)
        assert_int_equal(x509_inspect(der.data, len, &info, NULL),
                         OCM_E_INVALID);
    buf_add_byte(&der, 0);
    assert_int_equal(x509_inspect(der.data, der.len, &info, NULL),
                     OCM_E_INVALID);
    buf_free(&pem);
    buf_free(&der);
    buf_free(&again);
    free(path);
}

static int sign(const struct buf *csr, const char *name, const char *uri,
                struct x509_info *info)
{
    int64_t now = clock_now_ns() / 1000000000;
    struct x509_order o = {
        .use = X509_CLIENT,
        .common_name = name,
        .uri = uri,
        .not_before = now - 60,
        .not_after = now + 60,
    };
    struct buf der = {0};
    int rc = x509_sign(&pki.ca_key, &pki.ca_der, csr->data, csr->len, &o, &der,
                       NULL);

    if (rc == 0)
        assert_int_equal(x509_inspect(der.data, der.len, info, NULL), 0);
    else
        assert_int_equal(der.len, 0);
    buf_free(&der);
    return rc;
}

/* A CSR made by openssl with `args`, as DER. */
static bool foreign_request(const char *args, struct buf *der)
{
    char *line = mem_printf("openssl req -new -batch -nodes -keyout f.key "
                            "-outform DER -out f.csr %s",
                            args);
    char *path = pki_path(&pki, "f", ".csr");
    int status;
    char *out = shell(line, &status);

    buf_clear(der);
    if (status == 0)
        assert_int_equal(file_read(path, 65536, der, NULL), 0);
    else
        print_error("%s\n", out);
    free(out);
    free(path);
    free(line);
    return status == 0;
}

static void requests_of_other_kinds_are_refused(void **state)
{
    struct x509_info info;
    struct buf csr = {0};

    (void)state;
    if (!have_openssl())
        skip();
    assert_true(foreign_request("-newkey ec -pkeyopt "
                                "ec_paramgen_curve:P-256 -subj /CN=x",
                                &csr));
    assert_int_equal(sign(&csr, "node-1", NODE_URI, &info), 0);
    assert_true(foreign_request("-newkey rsa:2048 -subj /CN=x", &csr));
    assert_int_equal(sign(&csr, "node-1", NODE_URI, &info), OCM_E_INVALID);
    assert_true(foreign_request("-newkey ec -pkeyopt "
                                "ec_paramgen_curve:P-384 -subj /CN=x",
                                &csr));
    assert_int_equal(sign(&csr, "node-1", NODE_URI, &info), OCM_E_INVALID);
    assert_true(foreign_request("-newkey ec -pkeyopt "
                                "ec_paramgen_curve:P-256 -sha1 -subj /CN=x",
                                &csr));
    assert_int_equal(sign(&csr, "node-1", NODE_URI, &info), OCM_E_INVALID);
    assert_true(foreign_request("-newkey ed25519 -subj /CN=x", &csr));
    assert_int_equal(sign(&csr, "node-1", NODE_URI, &info), OCM_E_INVALID);
    buf_free(&csr);
}

/* Subject, SAN and extensions of a request mean nothing. (mbedTLS 3 refuses a
 * critical one that it does not handle in requests.) */
static void nothing_but_the_key_is_taken(void **state)
{
    static const char *const subjects[] = {
        "'/CN=admin,O=evil'",
        "'/CN=a=b, O=c'",
        "/CN=server -addext subjectAltName=DNS:controller.test",
        "/CN=ca -addext basicConstraints=critical,CA:TRUE",
        "/CN=ca -addext basicConstraints=CA:TRUE",
    };
    struct x509_info info;
    struct buf csr = {0};

    (void)state;
    if (!have_openssl())
        skip();
    for (size_t i = 0; i < ARRAY_LEN(subjects); i++) {
        char *args =
            mem_printf("-newkey ec -pkeyopt ec_paramgen_curve:P-256 -subj %s",
                       subjects[i]);
        int rc;

        assert_true(foreign_request(args, &csr));
        rc = sign(&csr, "node-1", NODE_URI, &info);
        if (rc != OCM_E_INVALID || !strstr(subjects[i], "critical")) {
            assert_int_equal(rc, 0);
            assert_string_equal(info.common_name, "node-1");
            assert_string_equal(info.uri, NODE_URI);
        }
        free(args);
    }
    buf_free(&csr);
}

static void possession_is_proven(void **state)
{
    struct buf key = {0}, csr = {0};
    struct x509_info info;

    (void)state;
    assert_int_equal(x509_key_new(&key, NULL), 0);
    assert_int_equal(x509_request(&key, &csr, NULL), 0);
    assert_int_equal(sign(&csr, "node-1", NODE_URI, &info), 0);
    /* any flipped bit: the key, the signature, or the structure */
    for (size_t i = 0; i < csr.len; i++) {
        csr.data[i] ^= 1;
        assert_int_not_equal(sign(&csr, "node-1", NODE_URI, &info), 0);
        csr.data[i] ^= 1;
    }
    for (size_t len = 0; len < csr.len; len += 5) {
        struct buf cut = {csr.data, len, len};

        assert_int_not_equal(sign(&cut, "node-1", NODE_URI, &info), 0);
    }
    buf_wipe(&key);
    buf_free(&csr);
}

static void a_long_request_is_not_parsed(void **state)
{
    struct buf csr = {0};
    struct x509_info info;

    (void)state;
    memset(buf_reserve(&csr, 100000), 0x30, 100000);
    csr.len = 100000;
    assert_int_equal(sign(&csr, "node-1", NODE_URI, &info), OCM_E_LIMIT);
    buf_free(&csr);
}

static void orders_are_checked(void **state)
{
    static const char *const bad_names[] = {
        "",
        "a,O=evil",
        "a=b",
        "a+b",
        "a\\2cb",
        " a",
        "a\n",
        "a\"b",
        "#1",
        "a/b",
        "n\xc3\xb6",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    static const char *const bad_uris[] = {"", "ocm://node/\n", "ocm://a b"};
    struct buf key = {0}, csr = {0};
    struct x509_info info;

    (void)state;
    assert_int_equal(x509_key_new(&key, NULL), 0);
    assert_int_equal(x509_request(&key, &csr, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(bad_names); i++)
        assert_int_equal(sign(&csr, bad_names[i], NODE_URI, &info),
                         OCM_E_INVALID);
    for (size_t i = 0; i < ARRAY_LEN(bad_uris); i++)
        assert_int_equal(sign(&csr, "node-1", bad_uris[i], &info),
                         OCM_E_INVALID);
    assert_int_equal(sign(&csr, "node-1", NULL, &info), OCM_E_INVALID);
    buf_wipe(&key);
    buf_free(&csr);
}

static void a_certificate_fits_its_key_alone(void **state)
{
    struct buf other = {0}, none = {0};

    (void)state;
    assert_int_equal(x509_fits(&pki.ca_key, &pki.ca_der, NULL), 0);
    assert_int_equal(x509_key_new(&other, NULL), 0);
    assert_int_equal(x509_fits(&other, &pki.ca_der, NULL), OCM_E_INVALID);
    assert_int_equal(x509_fits(&pki.ca_key, &none, NULL), OCM_E_INVALID);
    buf_free(&other);
}

static void keys_and_serials_differ(void **state)
{
    struct buf a = {0}, b = {0};

    (void)state;
    assert_int_equal(x509_key_new(&a, NULL), 0);
    assert_int_equal(x509_key_new(&b, NULL), 0);
    assert_string_not_equal(buf_str(&a), buf_str(&b));
    assert_non_null(strstr(buf_str(&a), "EC PRIVATE KEY"));
    buf_wipe(&a);
    buf_wipe(&b);
}

/* Tokens */

static void tokens_come_back(void **state)
{
    char text[TOKEN_TEXT_MAX], again[TOKEN_TEXT_MAX];
    struct token t, u;

    (void)state;
    token_make(&t, &pki.ca_fingerprint);
    token_format(&t, text);
    assert_int_equal(strlen(text), 5 + 64 + 1 + 32);
    assert_true(token_parse(text, &u));
    assert_true(id_equal(&t.ca, &u.ca));
    assert_string_equal(t.secret, u.secret);
    token_make(&u, &pki.ca_fingerprint);
    token_format(&u, again);
    assert_string_not_equal(text, again);
}

static void broken_tokens_are_refused(void **state)
{
    char text[TOKEN_TEXT_MAX], bad[TOKEN_TEXT_MAX * 2];
    struct token t, u;
    size_t len;

    (void)state;
    token_make(&t, &pki.ca_fingerprint);
    token_format(&t, text);
    len = strlen(text);
    for (size_t i = 0; i < len; i++) { /* one wrong character */
        snprintf(bad, sizeof(bad), "%s", text);
        bad[i] = '!';
        assert_false(token_parse(bad, &u));
        bad[i] = 0; /* cut */
        assert_false(token_parse(bad, &u));
    }
    snprintf(bad, sizeof(bad), "%sa", text);
    assert_false(token_parse(bad, &u));
    snprintf(bad, sizeof(bad), "%s%s", text, text);
    assert_false(token_parse(bad, &u));
    assert_false(token_parse("", &u));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(openssl_agrees),
        cmocka_unit_test(inspect_reads_what_was_ordered),
        cmocka_unit_test(requests_of_other_kinds_are_refused),
        cmocka_unit_test(nothing_but_the_key_is_taken),
        cmocka_unit_test(possession_is_proven),
        cmocka_unit_test(a_long_request_is_not_parsed),
        cmocka_unit_test(orders_are_checked),
        cmocka_unit_test(a_certificate_fits_its_key_alone),
        cmocka_unit_test(keys_and_serials_differ),
        cmocka_unit_test(tokens_come_back),
        cmocka_unit_test(broken_tokens_are_refused),
    };

    return cmocka_run_group_tests(tests, make_pki, drop_pki);
}
