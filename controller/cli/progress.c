/* SPDX-License-Identifier: MIT */
#include "controller/cli/progress.h"

#include <stdio.h>
#include <string.h>

#include "common/base/text.h"

#define BAR_CELLS 20
#define RATE_EVERY_MS 500
#define RATE_WEIGHT 0.3 /* of the newest measurement */

void progress_step(struct progress *p, const char *step, int64_t now_ms)
{
    snprintf(p->step, sizeof(p->step), "%s", step);
    p->files_done = p->files_total = p->bytes_done = p->bytes_total = 0;
    p->current[0] = '\0';
    p->begun_ms = p->rate_ms = now_ms;
    p->rate_bytes = 0;
    p->bytes_per_s = 0;
}

void progress_set(struct progress *p, uint64_t files_done, uint64_t files_total,
                  uint64_t bytes_done, uint64_t bytes_total,
                  const char *current, int64_t now_ms)
{
    int64_t ms = now_ms - p->rate_ms;

    p->files_done = files_done;
    p->files_total = files_total;
    p->bytes_done = bytes_done;
    p->bytes_total = bytes_total;
    snprintf(p->current, sizeof(p->current), "%s", current);
    if (ms < RATE_EVERY_MS || bytes_done < p->rate_bytes) {
        if (bytes_done < p->rate_bytes)
            p->rate_bytes = bytes_done;
        return;
    }
    {
        double now = (double)(bytes_done - p->rate_bytes) * 1000 / (double)ms;

        p->bytes_per_s =
            p->bytes_per_s > 0
                ? p->bytes_per_s * (1 - RATE_WEIGHT) + now * RATE_WEIGHT
                : now;
    }
    p->rate_ms = now_ms;
    p->rate_bytes = bytes_done;
}

/* Of bytes when their sum is known, else of files; -1: nobody knows. */
static double part_done(const struct progress *p)
{
    uint64_t done = p->bytes_total ? p->bytes_done : p->files_done;
    uint64_t total = p->bytes_total ? p->bytes_total : p->files_total;

    if (total == 0)
        return -1;
    return done >= total ? 1 : (double)done / (double)total;
}

static void add_bar(struct buf *out, double part, bool utf8)
{
    int full = (int)(part * BAR_CELLS + 0.5);

    buf_add_str(out, utf8 ? "" : "[");
    for (int i = 0; i < BAR_CELLS; i++)
        buf_add_str(out, utf8 ? (i < full ? "\xe2\x96\x88" : "\xe2\x96\x91")
                              : (i < full ? "#" : "-"));
    buf_add_str(out, utf8 ? " " : "] ");
}

static void add_left(struct buf *out, const struct progress *p, double part)
{
    double left;

    if (part < 0 || p->bytes_total == 0 || p->bytes_per_s < 1)
        return;
    left = (double)(p->bytes_total - p->bytes_done) / p->bytes_per_s;
    if (p->bytes_done >= p->bytes_total || left > 359999)
        return;
    if (left >= 3600)
        buf_printf(out, "  %d:%02d:%02d left", (int)left / 3600,
                   (int)left / 60 % 60, (int)left % 60);
    else
        buf_printf(out, "  %d:%02d left", (int)left / 60, (int)left % 60);
}

static void add_figures(struct buf *out, const struct progress *p)
{
    char done[32], total[32];

    text_of_bytes(p->bytes_done, done, sizeof(done));
    text_of_bytes(p->bytes_total, total, sizeof(total));
    if (p->bytes_total)
        buf_printf(out, "%s of %s", done, total);
    else if (p->bytes_done)
        buf_printf(out, "%s", done);
    if (p->files_done)
        buf_printf(out, "%s%llu files", p->bytes_done ? "  " : "",
                   (unsigned long long)p->files_done);
    if (p->bytes_per_s >= 1) {
        text_of_bytes((uint64_t)p->bytes_per_s, done, sizeof(done));
        buf_printf(out, "  %s/s", done);
    }
}

/* Cut after `width` columns, never within a character. */
static void cut(struct buf *out, int width)
{
    int columns = 0;
    size_t i;

    for (i = 0; i < out->len; i++) {
        if ((out->data[i] & 0xc0) != 0x80 && ++columns > width)
            break;
    }
    out->len = i;
}

void progress_line(const struct progress *p, int width, bool bar, bool utf8,
                   int64_t now_ms, struct buf *out)
{
    double part = part_done(p);
    struct buf current = {0};

    buf_printf(out, "%s", p->title);
    if (p->step[0])
        buf_printf(out, "  %s", p->step);
    buf_add_str(out, "  ");
    if (part >= 0) {
        if (bar)
            add_bar(out, part, utf8);
        buf_printf(out, "%3d%%  ", (int)(part * 100));
    }
    if (p->bytes_done == 0 && p->files_done == 0 && part < 0)
        buf_printf(out, "%lld s", (long long)((now_ms - p->begun_ms) / 1000));
    add_figures(out, p);
    add_left(out, p, part);
    if (p->current[0]) {
        text_escape(&current, p->current, strlen(p->current));
        buf_printf(out, "  %s", buf_str(&current));
        buf_free(&current);
    }
    cut(out, width);
}
