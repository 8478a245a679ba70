/* SPDX-License-Identifier: MIT */
/* An API server that follows a script: expect this, answer that. */
#ifndef TESTS_UNIT_CLI_FAKE_API_H
#define TESTS_UNIT_CLI_FAKE_API_H

#include <pthread.h>
#include <stddef.h>

#include "common/base/buf.h"

struct line {
    const char *request; /* "GET /api/v1/status", all of it */
    int status;
    const char *type; /* NULL: application/json */
    const char *body;
    enum { LINE_WHOLE, LINE_CUT, LINE_HOLD_AND_INTERRUPT } how;
};

struct fake_api {
    char dir[64];
    char path[96];
    int listener;
    pthread_t thread;
    const struct line *script;
    size_t count, next;
    struct buf bodies; /* what was sent to us, one body a line */
    char wrong[512];   /* the first request that was not expected */
};

void fake_api_start(struct fake_api *f, const struct line *script,
                    size_t count);
/* Ends the server; fails the test when the script was not followed to its
 * end. */
void fake_api_stop(struct fake_api *f);

#endif
