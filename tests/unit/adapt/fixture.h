/* SPDX-License-Identifier: MIT */
/* Two nodes, a stage and a plan for the tests of agent/adapt. */
#ifndef TESTS_UNIT_ADAPT_FIXTURE_H
#define TESTS_UNIT_ADAPT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/adapt/adapt.h"
#include "agent/openclaw/openclaw.h"
#include "common/base/buf.h"

#define SRC_HOME "/home/jo"
#define SRC_STATE "/home/jo/.openclaw"
#define SRC_PORT 18789

struct fixture {
    char *dir;  /* temp folder of the test */
    char *home; /* the target's, below it */
    char *state;
    struct facts source, target;
    struct plan plan;
    struct adapt_options o;
    struct adapt *a;
    uint8_t seed[16], key[32];
    int taken[8];  /* ports in use on the target */
    char *missing; /* a path that does not exist, or NULL: all do */
};

/* What fixture_init sets as the program that opens databases. */
extern const char *fixture_helper;

/* A target without a state; call fixture_begin after changing options. */
void fixture_init(struct fixture *f, enum intention intention);
void fixture_fini(struct fixture *f);
void fixture_begin(struct fixture *f);
/* Forget the plan and begin again with the same options. */
void fixture_again(struct fixture *f);

/* The target lives: put `content` at `rel` of its state folder. */
void fixture_live(struct fixture *f, const char *rel, const char *content);

/* The path where `at` is staged. Caller frees. */
char *fixture_staged(struct fixture *f, const char *at);
void fixture_write(const char *path, const void *p, size_t len);
/* Stage `content` as `at` and adapt it. */
int fixture_file(struct fixture *f, const char *at, enum file_kind kind,
                 const char *content, struct error *e);
int fixture_adapt(struct fixture *f, const char *at, enum file_kind kind,
                  enum section_action action, struct error *e);
void fixture_finish(struct fixture *f);

/* What stands in the staged file now. Caller frees. */
char *fixture_text(struct fixture *f, const char *at);
void fixture_expect(struct fixture *f, const char *at, const char *want);

/* The edit at `place`, or NULL; the warning of that code, or NULL. */
const struct plan_edit *fixture_edit(struct fixture *f, const char *place);
const struct plan_warning *fixture_warning(struct fixture *f, const char *code);
size_t fixture_warnings(struct fixture *f, const char *code);

/* `text` with @H, @S for the target's home and state folder. Caller frees. */
char *fixture_expand(struct fixture *f, const char *text);

#endif
