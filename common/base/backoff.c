/* SPDX-License-Identifier: MIT */
#include "common/base/backoff.h"

#include "common/base/secret.h"

int64_t backoff_next_ms(struct backoff *b)
{
    int64_t ceiling = b->base_ms;
    uint32_t r;

    for (unsigned i = 0; i < b->tries && ceiling < b->max_ms; i++)
        ceiling *= 2;
    if (ceiling > b->max_ms)
        ceiling = b->max_ms;
    b->tries++;
    if (b->random)
        r = b->random(b->arg);
    else
        secret_random(&r, sizeof(r));
    return (int64_t)((double)r / (double)UINT32_MAX * (double)ceiling);
}

void backoff_reset(struct backoff *b)
{
    b->tries = 0;
}
