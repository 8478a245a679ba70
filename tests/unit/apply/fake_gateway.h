/* SPDX-License-Identifier: MIT */
/* A gateway made of marker files, so that its state outlives a killed test
 * process as the real one outlives a killed agent. Linked in place of
 * agent/openclaw/gateway.c. */
#ifndef TESTS_UNIT_APPLY_FAKE_GATEWAY_H
#define TESTS_UNIT_APPLY_FAKE_GATEWAY_H

#include "agent/openclaw/gateway.h"

/* All that it knows; below `dir` (outside the state): running, guard, fenced,
 * calls (a line each), violation (a line each). */
struct fake_gateway {
    char dir[512];
    char state_dir[512];
    enum gateway_state kind; /* GATEWAY_STOPPED: by the marker; else this */
    int unhealthy_at;        /* the Nth health check fails; 0: none */
    int health_calls;
    bool stop_fails;
    bool upgrade_fails; /* ... after it wrote all over the state */
    bool cannot_start;  /* gateway_check_start says so */
    bool pollutes;      /* a start writes what a real gateway writes */
    bool expect_set;
    struct gateway_expect expect; /* of the last health check */
    /* at every start: is the tree whole? NULL: not asked */
    bool (*is_whole)(void);
};
extern struct fake_gateway fake;

bool fake_has(const char *marker);
void fake_set(const char *marker, bool on);
/* How often stands `line` in the list of calls? */
int fake_count(const char *file, const char *line);

#endif
