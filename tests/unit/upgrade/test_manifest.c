/* SPDX-License-Identifier: MIT */
/* Manifests and versions: what is read, what is refused, what is signed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/mem.h"
#include "common/release/manifest.h"

struct keys {
    uint8_t public[RELEASE_KEY_LEN], secret[RELEASE_SECRET_LEN];
};

static struct manifest sample(void)
{
    struct manifest m = {
        .version = "1.2.3",
        .arch = "x86_64",
        .size = 12345,
        .protocol_min = 1,
        .protocol_max = 2,
    };

    m.sha256 = digest_of("binary", 6);
    return m;
}

static void make_keys(struct keys *k)
{
    assert_true(sodium_init() >= 0);
    crypto_sign_keypair(k->public, k->secret);
}

static void what_is_signed_is_read_back(void **state)
{
    struct manifest m = sample(), back;
    struct error e = {0};
    struct buf b = {0};
    struct keys k;

    (void)state;
    make_keys(&k);
    manifest_sign(&m, k.secret, &b);
    assert_int_equal(manifest_length(b.data, b.len), b.len);
    assert_int_equal(manifest_verify(b.data, b.len, k.public, &e), 0);
    assert_int_equal(manifest_parse(b.data, b.len, &back, &e), 0);
    assert_string_equal(back.version, "1.2.3");
    assert_string_equal(back.arch, "x86_64");
    assert_int_equal(back.size, 12345);
    assert_true(id_equal(&back.sha256, &m.sha256));
    assert_int_equal(back.protocol_min, 1);
    assert_int_equal(back.protocol_max, 2);
    buf_free(&b);
}

static void the_end_is_found_in_a_package(void **state)
{
    struct manifest m = sample();
    struct buf b = {0};
    struct keys k;
    size_t len;

    (void)state;
    make_keys(&k);
    manifest_sign(&m, k.secret, &b);
    len = b.len;
    buf_add(&b,
            "\x7f"
            "ELF signature = 00\nsignature = 11\n",
            36);
    assert_int_equal(manifest_length(b.data, b.len), len);
    assert_int_equal(manifest_length(b.data, len - 1), 0);
    assert_int_equal(manifest_length(b.data, 0), 0);
    /* a package is no manifest */
    assert_int_equal(manifest_parse(b.data, b.len, &m, NULL), OCM_E_INVALID);
    assert_int_equal(manifest_verify(b.data, b.len, k.public, NULL),
                     OCM_E_AUTH);
    buf_free(&b);
}

/* Every single bit counts. */
static void no_bit_can_be_changed(void **state)
{
    struct manifest m = sample();
    struct buf b = {0};
    struct keys k;

    (void)state;
    make_keys(&k);
    manifest_sign(&m, k.secret, &b);
    for (size_t i = 0; i < b.len * 8; i++) {
        uint8_t *exact = mem_dup(b.data, b.len);

        exact[i / 8] ^= (uint8_t)(1 << i % 8);
        /* a hexadecimal digit in upper case is the same number */
        if (!(i / 8 >= b.len - 129 && i % 8 == 5 && exact[i / 8] >= 'A' &&
              exact[i / 8] <= 'F'))
            assert_int_equal(manifest_verify(exact, b.len, k.public, NULL),
                             OCM_E_AUTH);
        free(exact);
    }
    buf_free(&b);
}

static void another_key_does_not_do(void **state)
{
    struct manifest m = sample();
    struct buf b = {0};
    struct error e = {0};
    struct keys k, other;

    (void)state;
    make_keys(&k);
    make_keys(&other);
    manifest_sign(&m, other.secret, &b);
    assert_int_equal(manifest_verify(b.data, b.len, k.public, &e), OCM_E_AUTH);
    assert_non_null(strstr(e.text, "release key"));
    buf_free(&b);
}

#define SIGNATURE                                                              \
    "signature = "                                                             \
    "00000000000000000000000000000000000000000000000000000000000000000000000"  \
    "000000000000000000000000000000000000000000000000000000000\n"
#define SUM                                                                    \
    "sha256 = "                                                                \
    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n"
#define HEAD "format = ocm-release-1\nname = ocm-agent\n"
#define PROTOCOL "protocol_min = 1\nprotocol_max = 1\n"

static void what_is_no_manifest_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        SIGNATURE,
        HEAD "version = 1\narch = x\nsize = 1\n" SUM PROTOCOL,
        HEAD "version = 1\narch = x\nsize = 0\n" SUM PROTOCOL SIGNATURE,
        HEAD "version = 1\narch = x\nsize = -1\n" SUM PROTOCOL SIGNATURE,
        HEAD
        "version = 1\narch = x\nsize = 99999999999\n" SUM PROTOCOL SIGNATURE,
        HEAD "version = 1\narch = ../x\nsize = 1\n" SUM PROTOCOL SIGNATURE,
        HEAD "version = 1/../2\narch = x\nsize = 1\n" SUM PROTOCOL SIGNATURE,
        HEAD "version = 1\narch = x\nsize = 1\n" PROTOCOL SIGNATURE,
        HEAD "version = 1\narch = x\nsize = 1\n" SUM
             "protocol_min = 2\nprotocol_max = 1\n" SIGNATURE,
        HEAD
        "version = 1\nversion = 2\narch = x\nsize = 1\n" SUM PROTOCOL SIGNATURE,
        HEAD
        "version = 1\narch = x\nsize = 1\nmore = 1\n" SUM PROTOCOL SIGNATURE,
        "format = ocm-release-2\nname = ocm-agent\nversion = 1\narch = x\n"
        "size = 1\n" SUM PROTOCOL SIGNATURE,
        "format = ocm-release-1\nname = other\nversion = 1\narch = x\n"
        "size = 1\n" SUM PROTOCOL SIGNATURE,
        HEAD "version = 1\narch = x\nsize = 1\n" SUM PROTOCOL SIGNATURE
             "size = 2\n",
    };
    static const char good[] =
        HEAD "version = 1\narch = x\nsize = 1\n" SUM PROTOCOL SIGNATURE;
    struct manifest m;

    (void)state;
    assert_int_equal(manifest_parse(good, strlen(good), &m, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct error e = {0};
        /* an exact copy, so that a byte read behind its end is noticed */
        char *exact = mem_dup(bad[i], strlen(bad[i]));

        assert_int_equal(manifest_parse(exact, strlen(bad[i]), &m, &e),
                         OCM_E_INVALID);
        assert_true(e.text[0] != 0);
        free(exact);
    }
}

static void a_long_one_is_not_read(void **state)
{
    struct buf b = {0};

    (void)state;
    while (b.len < MANIFEST_MAX)
        buf_add_str(&b, "# ................................................\n");
    buf_add_str(&b, SIGNATURE);
    assert_int_equal(manifest_length(b.data, b.len), 0);
    buf_free(&b);
}

static void versions_are_numbers(void **state)
{
    static const char *const bad[] = {"",           ".",    "1.",    "1..2",
                                      "1.2.3.4.5",  "a",    "1.2-3", " 1.2",
                                      "1234567890", "1.2 ", "-1"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(version_is_valid(bad[i]));
    assert_true(version_is_valid("0"));
    assert_true(version_is_valid("1.20.300.4000"));
    assert_int_equal(version_compare("1.2", "1.2.0"), 0);
    assert_int_equal(version_compare("1.10", "1.9"), 1);
    assert_int_equal(version_compare("0.9.9", "1"), -1);
    assert_int_equal(version_compare("1.2.3.4", "1.2.3.5"), -1);
    assert_int_equal(version_compare("none", "0"), -1);
    assert_int_equal(version_compare("0", "none"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_signed_is_read_back),
        cmocka_unit_test(the_end_is_found_in_a_package),
        cmocka_unit_test(no_bit_can_be_changed),
        cmocka_unit_test(another_key_does_not_do),
        cmocka_unit_test(what_is_no_manifest_is_refused),
        cmocka_unit_test(a_long_one_is_not_read),
        cmocka_unit_test(versions_are_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
