/* SPDX-License-Identifier: MIT */
/* What the tests of the repository share: a place to work, and restic, the
 * judge that nobody here wrote. A test that needs restic is labelled
 * integration. */
#ifndef TESTS_UNIT_REPO_JUDGE_H
#define TESTS_UNIT_REPO_JUDGE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "controller/repo/repo.h"

#define JUDGE_PASSWORD "correct horse"

struct bench {
    char *dir;   /* temporary, removed at the end */
    char *repo;  /* the repository's folder in it */
    char *cache; /* our cache folder in it */
    struct repo_options o;
};

/* Setup and teardown of cmocka: *state is a struct bench with a repository
 * made by repo_init. */
int bench_setup(void **state);
int bench_setup_empty(void **state); /* without repo_init */
int bench_teardown(void **state);

/* Open the bench's repository; the test fails when that fails. */
struct repo *bench_open(struct bench *b);
/* Forget the cache folder. */
void bench_drop_cache(struct bench *b);
char *bench_path(struct bench *b, const char *name); /* below dir; free */

/* Run restic on the bench's repository, with a home of its own, TZ=UTC and
 * without cache; `args` are split at spaces. Its exit code; what it said goes
 * to *out (stdout and stderr; may be NULL). */
int restic(struct bench *b, struct buf *out, const char *args, ...)
    __attribute__((format(printf, 3, 4)));
/* The same, and the test fails when it exits with other than 0. */
void restic_ok(struct bench *b, const char *args, ...)
    __attribute__((format(printf, 2, 3)));
/* Run a shell command in the bench's folder; fails when it fails. */
void shell_ok(struct bench *b, const char *command, ...)
    __attribute__((format(printf, 2, 3)));

/* 0, or the test fails with the text. */
void ok(int rc, const struct error *e);
#define OK(call)                                                               \
    do {                                                                       \
        struct error e_ = {0};                                                 \
        struct error *e = &e_;                                                 \
        ok((call), e);                                                         \
    } while (0)

/* One file of `len` random-looking bytes of `seed`, as one data blob, in a
 * tree of its own: its root. The content is what `seed` always gives. */
struct id put_sample(struct repo_writer *w, unsigned seed, size_t len);
void sample_bytes(unsigned seed, uint8_t *out, size_t len);
/* A snapshot of `root` for `node`. */
struct id save_snapshot(struct repo *r, const char *node,
                        const struct id *root);
/* All of it: writer, sample, flush, closure, snapshot. */
struct id backup_sample(struct repo *r, const char *node, unsigned seed,
                        size_t len);

#endif
