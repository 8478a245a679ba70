/* SPDX-License-Identifier: MIT */
/* Packages of the agent through the API: what is whole is kept and named,
 * anything else is not; and what an upgrade may be asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "api_fixture.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "controller/packages.h"

#define V1 "/api/v1"
#define BINARY "this is an agent"

static int set_up(void **state)
{
    *state = fixture_new();
    return 0;
}

static int tear_down(void **state)
{
    fixture_free(*state);
    return 0;
}

/* A package as ocm-release-sign makes it, by a key that nobody asks for. */
static struct buf package(const char *version, const char *arch)
{
    struct manifest m = {
        .size = strlen(BINARY), .protocol_min = 1, .protocol_max = 1};
    uint8_t public[RELEASE_KEY_LEN], secret[RELEASE_SECRET_LEN];
    struct buf b = {0};

    snprintf(m.version, sizeof(m.version), "%s", version);
    snprintf(m.arch, sizeof(m.arch), "%s", arch);
    m.sha256 = digest_of(BINARY, strlen(BINARY));
    crypto_sign_keypair(public, secret);
    manifest_sign(&m, secret, &b);
    buf_add_str(&b, BINARY);
    return b;
}

static struct reply give(struct fixture *f, const struct buf *b)
{
    return http_bytes(f, "POST", V1 "/packages", "application/octet-stream",
                      b->data, b->len);
}

static void refused(struct fixture *f, const struct buf *b, const char *code)
{
    struct reply r = give(f, b);

    assert_true(r.status >= 400);
    assert_string_equal(text_at(json_object_get(r.json, "error"), "code"),
                        code);
    reply_free(&r);
}

static size_t count_kept(struct fixture *f)
{
    struct package p;

    return package_newest(f->conf.state_dir, "x86_64", &p, NULL) == 0
               ? (package_fini(&p), 1)
               : 0;
}

static void a_whole_one_is_kept(void **state)
{
    struct fixture *f = *state;
    struct buf old = package("1.9", "x86_64"), new = package("1.10", "x86_64");
    struct buf other = package("2.0", "aarch64");
    struct package p;
    struct reply r = give(f, &new);
    char *id;

    assert_int_equal(r.status, 201);
    assert_string_equal(text_at(r.json, "version"), "1.10");
    assert_string_equal(text_at(r.json, "arch"), "x86_64");
    id = mem_strdup(text_at(r.json, "package"));
    reply_free(&r);
    r = give(f, &old);
    assert_int_equal(r.status, 201);
    reply_free(&r);
    r = give(f, &other);
    assert_int_equal(r.status, 201);
    reply_free(&r);
    assert_int_equal(package_newest(f->conf.state_dir, "x86_64", &p, NULL), 0);
    assert_string_equal(p.id, id);
    assert_int_equal(p.manifest.len + strlen(BINARY), new.len);
    assert_memory_equal(p.manifest.data, new.data, p.manifest.len);
    package_fini(&p);
    assert_int_equal(package_open(f->conf.state_dir, id, &p, NULL), 0);
    package_fini(&p);
    free(id);
    buf_free(&old);
    buf_free(&new);
    buf_free(&other);
}

static void anything_else_is_not(void **state)
{
    struct fixture *f = *state;
    struct buf b = package("1.0", "x86_64"), none = {0};

    b.data[b.len - 1] ^= 1;
    refused(f, &b, "damaged");
    b.data[b.len - 1] ^= 1;
    b.len--;
    refused(f, &b, "damaged");
    b.len++;
    buf_add_str(&b, "more");
    refused(f, &b, "damaged");
    b.len = 50;
    refused(f, &b, "invalid");
    buf_add_str(&none, BINARY);
    refused(f, &none, "invalid");
    assert_int_equal(count_kept(f), 0);
    buf_free(&b);
    buf_free(&none);
}

static void a_name_leads_nowhere_else(void **state)
{
    static const char *const bad[] = {"",    ".",           "..",        "../x",
                                      "a/b", ".upload-abc", "none-of-it"};
    struct fixture *f = *state;
    struct package p;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(package_open(f->conf.state_dir, bad[i], &p, NULL),
                         OCM_E_NOTFOUND);
}

static void only_so_many_are_kept(void **state)
{
    struct fixture *f = *state;
    struct package p;

    for (int i = 0; i < PACKAGES_KEPT + 3; i++) {
        char *version = mem_printf("1.%d", i);
        struct buf b = package(version, "x86_64");
        struct reply r = give(f, &b);

        assert_int_equal(r.status, 201);
        reply_free(&r);
        buf_free(&b);
        free(version);
    }
    assert_int_equal(package_newest(f->conf.state_dir, "x86_64", &p, NULL), 0);
    assert_string_equal(p.m.version, "1.14");
    package_fini(&p);
}

static void wants(struct fixture *f, const char *body, int status)
{
    struct reply r = http(f, "POST", V1 "/upgrades", body);

    if (r.status != status)
        fail_msg("%s: %d, not %d", body, r.status, status);
    reply_free(&r);
}

static void what_an_upgrade_may_be_asked(void **state)
{
    struct fixture *f = *state;
    struct reply r;
    struct node n;
    char end[16];

    wants(f, "{\"all\":true}", 404); /* there is no node yet */
    assert_int_equal(catalog_node_add(f->c.catalog, "a", "", &n, NULL), 0);
    wants(f, "{}", 400);
    wants(f, "{\"nodes\":[\"a\"],\"all\":true}", 400);
    wants(f, "{\"nodes\":[\"nobody\"]}", 404);
    wants(f, "{\"nodes\":[\"a\"],\"canary\":-1}", 400);
    wants(f, "{\"nodes\":[\"a\"],\"canary\":\"1\"}", 400);
    wants(f, "{\"nodes\":[\"a\"],\"packages\":\"x\"}", 400);
    wants(f, "{\"nodes\":[\"a\"],\"force\":true}", 400);
    r = http(f, "POST", V1 "/upgrades",
             "{\"nodes\":[\"a\"],\"canary\":0,\"allow_downgrade\":true}");
    assert_int_equal(r.status, 202);
    wait_job(f, text_at(r.json, "job"), end);
    assert_string_equal(end, "done");
    reply_free(&r);
    r = http(f, "POST", V1 "/nodes/a/uninstall", "{\"now\":true}");
    assert_int_equal(r.status, 400);
    reply_free(&r);
    r = http(f, "POST", V1 "/nodes/a/uninstall", "{}");
    assert_int_equal(r.status, 202);
    wait_job(f, text_at(r.json, "job"), end);
    assert_string_equal(end, "done");
    reply_free(&r);
}

int main(void)
{
#define T(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_whole_one_is_kept),          T(anything_else_is_not),
        T(a_name_leads_nowhere_else),    T(only_so_many_are_kept),
        T(what_an_upgrade_may_be_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
