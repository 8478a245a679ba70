/* SPDX-License-Identifier: MIT */
/* Delays between attempts: exponential with full jitter, so that a thousand
 * agents do not come back in the same second. */
#ifndef COMMON_BASE_BACKOFF_H
#define COMMON_BASE_BACKOFF_H

#include <stdint.h>

struct backoff {
    int64_t base_ms;               /* the first ceiling */
    int64_t max_ms;                /* the last one */
    unsigned tries;                /* failures since the last success */
    uint32_t (*random)(void *arg); /* tests own it; NULL: real randomness */
    void *arg;
};

/* A delay in [0, min(max, base * 2^tries)], and one more try counted. */
int64_t backoff_next_ms(struct backoff *b);
void backoff_reset(struct backoff *b);

#endif
