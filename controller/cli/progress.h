/* SPDX-License-Identifier: MIT */
/* The progress line, as text: what is done, how fast, how long it takes. */
#ifndef CONTROLLER_CLI_PROGRESS_H
#define CONTROLLER_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"

struct progress {
    char title[64];
    char step[40];
    uint64_t files_done, files_total, bytes_done, bytes_total;
    char current[256];
    int64_t begun_ms; /* of this step */
    /* rate, smoothed over some seconds */
    int64_t rate_ms;
    uint64_t rate_bytes;
    double bytes_per_s;
};

/* New figures at `now_ms`; a step begins anew. */
void progress_step(struct progress *p, const char *step, int64_t now_ms);
void progress_set(struct progress *p, uint64_t files_done, uint64_t files_total,
                  uint64_t bytes_done, uint64_t bytes_total,
                  const char *current, int64_t now_ms);

/* One line without its end, at most `width` columns (>= 20). With `bar` a
 * bar is drawn, in `utf8` or ASCII. Control bytes are escaped. */
void progress_line(const struct progress *p, int width, bool bar, bool utf8,
                   int64_t now_ms, struct buf *out);

#endif
