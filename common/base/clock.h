/* SPDX-License-Identifier: MIT */
/* Time. Wall clock in nanoseconds since 1970 (UTC), and a monotonic clock
 * for waits. RFC 3339 text as restic writes it. */
#ifndef COMMON_BASE_CLOCK_H
#define COMMON_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

int64_t clock_now_ns(void);       /* wall clock */
int64_t clock_monotonic_ms(void); /* for durations */

#define CLOCK_TEXT_MAX 40
/* "2026-11-22T16:40:00.123456789Z": zeros at the end of the fraction are
 * trimmed, as Go's RFC3339Nano does. */
void clock_format(int64_t ns, char out[CLOCK_TEXT_MAX]);
/* Any RFC 3339 time with an offset; one beyond what nanoseconds can hold
 * (before 1677, after 2262) becomes the nearest that they can. */
bool clock_parse(const char *s, int64_t *ns);

#endif
