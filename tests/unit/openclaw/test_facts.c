/* SPDX-License-Identifier: MIT */
/* Facts: order, digest, JSON there and back, secrets never in clear. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "agent/openclaw/facts.h"

static const uint8_t key[32] = {1, 2, 3};

static void fill(struct facts *f, bool backwards)
{
    if (backwards)
        facts_set(f, "state.dir", "/home/jo/.openclaw");
    facts_set(f, "gateway.port", "18789");
    facts_set(f, "user.home", "/home/j\"o");
    facts_set_secret(f, "gateway.token", "s3cret-token");
    if (!backwards)
        facts_set(f, "state.dir", "/home/jo/.openclaw");
}

static void order_does_not_matter(void **state)
{
    struct facts a = {0}, b = {0};
    struct id x, y;

    (void)state;
    fill(&a, false);
    fill(&b, true);
    x = facts_digest(&a);
    y = facts_digest(&b);
    assert_true(id_equal(&x, &y));
    facts_set(&b, "gateway.running", "yes"); /* volatile */
    y = facts_digest(&b);
    assert_true(id_equal(&x, &y));
    facts_set(&b, "gateway.port", "18790");
    y = facts_digest(&b);
    assert_false(id_equal(&x, &y));
    facts_set(&b, "gateway.port", "18789");
    facts_set_secret(&b, "gateway.token", "another");
    y = facts_digest(&b);
    assert_false(id_equal(&x, &y));
    facts_fini(&a);
    facts_fini(&b);
}

static void neighbours_do_not_merge(void **state)
{
    struct facts a = {0}, b = {0};
    struct id x, y;

    (void)state;
    facts_set(&a, "k", "ab");
    facts_set(&b, "ka", "b");
    x = facts_digest(&a);
    y = facts_digest(&b);
    assert_false(id_equal(&x, &y));
    facts_fini(&a);
    facts_fini(&b);
}

static void json_goes_round(void **state)
{
    struct facts a = {0}, b = {0};
    struct buf text = {0}, again = {0};
    struct error e = {0};

    (void)state;
    fill(&a, false);
    facts_set(&a, "odd", "\xff\xfe");
    facts_to_json(&a, key, &text);
    assert_null(strstr(buf_str(&text), "s3cret"));
    assert_int_equal(facts_from_json(text.data, text.len, &b, &e), 0);
    assert_string_equal(facts_get(&b, "user.home"), "/home/j\"o");
    assert_int_equal(strlen(facts_get(&b, "gateway.token")), 21);
    facts_to_json(&b, key, &again);
    assert_int_equal(text.len, again.len);
    assert_memory_equal(text.data, again.data, text.len);
    for (size_t i = 0; i < b.count; i++)
        assert_int_equal(b.items[i].secret,
                         strcmp(b.items[i].key, "gateway.token") == 0);
    buf_free(&text);
    buf_free(&again);
    facts_fini(&a);
    facts_fini(&b);
}

static void fingerprints_depend_on_the_key(void **state)
{
    static const uint8_t other[32] = {9};
    char *a = facts_fingerprint("x", key), *b = facts_fingerprint("x", other);

    (void)state;
    assert_string_not_equal(a, b);
    free(a);
    free(b);
}

static void foreign_json_is_checked(void **state)
{
    static const char *const bad[] = {
        "", "[]", "{\"a\":1}", "{\"a\":\"x\",\"a\":\"y\"}", "{\"a\":\"x\"",
    };
    struct facts f;
    struct error e = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(facts_from_json(bad[i], strlen(bad[i]), &f, &e),
                         OCM_E_DAMAGED);
        assert_int_equal(f.count, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_does_not_matter),
        cmocka_unit_test(neighbours_do_not_merge),
        cmocka_unit_test(json_goes_round),
        cmocka_unit_test(fingerprints_depend_on_the_key),
        cmocka_unit_test(foreign_json_is_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
