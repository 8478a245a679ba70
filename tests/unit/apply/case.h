/* SPDX-License-Identifier: MIT */
/* What the tests of whole applies share: one node per test, its run, and ways
 * to look at what came of it. Included once per program. */
#ifndef TESTS_UNIT_APPLY_CASE_H
#define TESTS_UNIT_APPLY_CASE_H

#include <string.h>

#include "world.h"

/* One node per test: filled, backed up, running. */
static struct world w;
static struct id origin; /* what the backup holds */

static inline int setup(void **state)
{
    (void)state;
    world_init(&w);
    world_fill(&w);
    world_backup(&w);
    origin = world_hash(&w, true);
    fake_set("running", true);
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    world_fini(&w);
    return 0;
}

/* Plan and run; the result is the caller's to release. */
static inline int run(const struct apply_options *o, struct apply_result *r,
                      struct error *e)
{
    struct id agreed = world_agree(&w, o);

    return apply_run(o, &agreed, r, e);
}

static inline void check_same(struct id a, struct id b)
{
    if (!id_equal(&a, &b)) {
        tree_dump(w.state);
        tree_dump(w.ws);
    }
    assert_true(id_equal(&a, &b));
}

static inline void check_is(const char *root, const char *rel, const char *text)
{
    const char *have = get_file(root, rel);

    if (!text)
        assert_null(have);
    else
        assert_string_equal(have ? have : "(missing)", text);
}

static inline const struct apply_section *
section_in(const struct apply_result *r, const char *name)
{
    for (size_t i = 0; i < r->section_count; i++)
        if (strcmp(r->sections[i].name, name) == 0)
            return &r->sections[i];
    return NULL;
}

static inline const struct plan_warning *
warning_in(const struct apply_result *r, const char *code)
{
    for (size_t i = 0; i < r->plan.warning_count; i++)
        if (strcmp(r->plan.warnings[i].code, code) == 0)
            return &r->plan.warnings[i];
    return NULL;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
