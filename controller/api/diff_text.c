/* SPDX-License-Identifier: MIT */
/* A line diff after Myers ("An O(ND) difference algorithm", 1986), bounded in
 * the number of lines that differ. */
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "controller/api/diff.h"
#include "controller/api/mask.h"

#define CONTEXT_LINES 3
#define MAX_FILE_LINES 200000

struct line {
    const char *p;
    size_t len;
};

struct lines {
    struct line *items;
    size_t count, cap;
};

static void split(const char *p, size_t len, struct lines *out)
{
    const char *end = p + len;

    while (p < end) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        size_t n = nl ? (size_t)(nl - p) : (size_t)(end - p);

        out->items = mem_grow(out->items, &out->cap, out->count + 1,
                              sizeof(*out->items));
        out->items[out->count++] = (struct line){p, n};
        p += n + 1;
    }
}

static bool same(const struct line *a, const struct line *b)
{
    return a->len == b->len && memcmp(a->p, b->p, a->len) == 0;
}

/* What to do line by line: '=' both, '-' of a, '+' of b; in order. */
static void trace_back(const struct buf *steps, int d, int n, int m,
                       struct buf *script)
{
    const int *v = (const int *)(const void *)steps->data;
    int x = n, y = m;

    for (; d >= 0; d--) {
        /* the rows of all steps stand one after another: row d has 2d+1 */
        const int *row = v + (size_t)d * (size_t)d;
        const int *before = d > 0 ? v + (size_t)(d - 1) * (size_t)(d - 1) : row;
        int k = x - y, from_k, px, py;

        if (d == 0) {
            while (x > 0 && y > 0) {
                buf_add_byte(script, '=');
                x--;
                y--;
            }
            return;
        }
        if (k == -d ||
            (k != d && before[k - 1 + d - 1] < before[k + 1 + d - 1]))
            from_k = k + 1;
        else
            from_k = k - 1;
        px = before[from_k + d - 1];
        py = px - from_k;
        while (x > px && y > py) {
            buf_add_byte(script, '=');
            x--;
            y--;
        }
        buf_add_byte(script, x == px ? '+' : '-');
        x = px;
        y = py;
    }
}

/* Row d holds x for each diagonal -d..d (only every second one is used, the
 * others keep -1, so that they lose every comparison). */
static bool myers(const struct line *a, int n, const struct line *b, int m,
                  struct buf *script)
{
    struct buf steps = {0};
    bool found = false;
    int d;

    for (d = 0; d <= DIFF_MAX_EDITS && !found; d++) {
        size_t at = steps.len;
        int width = 2 * d + 1;
        const int *before;
        int *row;

        buf_reserve(&steps, (size_t)width * sizeof(int));
        steps.len = at + (size_t)width * sizeof(int);
        row = (int *)(void *)(steps.data + at);
        before = d > 0 ? row - (2 * d - 1) : row;
        for (int i = 0; i < width; i++)
            row[i] = -1;
        for (int k = -d; k <= d && !found; k += 2) {
            int x, y;

            if (d == 0)
                x = 0;
            else if (k == -d ||
                     (k != d && before[k - 1 + d - 1] < before[k + 1 + d - 1]))
                x = before[k + 1 + d - 1];
            else
                x = before[k - 1 + d - 1] + 1;
            y = x - k;
            while (x < n && y < m && same(&a[x], &b[y])) {
                x++;
                y++;
            }
            row[k + d] = x;
            found = x >= n && y >= m;
        }
    }
    if (found)
        trace_back(&steps, d - 1, n, m, script);
    buf_free(&steps);
    return found;
}

static void add_line(json_t *out, const char *op, const struct line *l)
{
    char *text = mem_strndup(l ? l->p : "", l ? l->len : 0);
    char *masked = mask_line(text);

    json_array_append_new(out,
                          json_pack("{s:s,s:s}", "op", op, "text", masked));
    free(masked);
    free(text);
}

/* Is a change within CONTEXT_LINES of step i? */
static bool is_near(const uint8_t *script, size_t len, size_t i)
{
    size_t from = i > CONTEXT_LINES ? i - CONTEXT_LINES : 0;

    for (size_t k = from; k <= i + CONTEXT_LINES && k < len; k++) {
        if (script[k] != '=')
            return true;
    }
    return false;
}

static json_t *give_out(const struct lines *a, const struct lines *b,
                        const struct buf *script)
{
    json_t *out = json_array();
    size_t x = 0, y = 0;
    bool gap = false;

    for (size_t i = 0; i < script->len; i++) {
        uint8_t op = script->data[i];
        bool near = is_near(script->data, script->len, i);

        if (json_array_size(out) >= DIFF_MAX_LINES)
            break;
        if (near && gap)
            add_line(out, "@", NULL);
        gap = !near;
        if (near)
            add_line(out,
                     op == '='   ? " "
                     : op == '-' ? "-"
                                 : "+",
                     op == '+' ? &b->items[y] : &a->items[x]);
        x += op != '+';
        y += op != '-';
    }
    return out;
}

static const struct line *behind(const struct lines *l, size_t head)
{
    return l->count > 0 ? l->items + head : NULL;
}

json_t *diff_text(const char *a, size_t a_len, const char *b, size_t b_len)
{
    struct lines la = {0}, lb = {0};
    struct buf back = {0}, script = {0};
    size_t head = 0, tail = 0;
    json_t *out = NULL;

    split(a, a_len, &la);
    split(b, b_len, &lb);
    if (la.count > MAX_FILE_LINES || lb.count > MAX_FILE_LINES)
        goto out;
    while (head < la.count && head < lb.count &&
           same(&la.items[head], &lb.items[head]))
        head++;
    while (tail < la.count - head && tail < lb.count - head &&
           same(&la.items[la.count - 1 - tail], &lb.items[lb.count - 1 - tail]))
        tail++;
    if (!myers(behind(&la, head), (int)(la.count - head - tail),
               behind(&lb, head), (int)(lb.count - head - tail), &back))
        goto out;
    for (size_t i = 0; i < head; i++)
        buf_add_byte(&script, '=');
    for (size_t i = back.len; i > 0; i--)
        buf_add_byte(&script, back.data[i - 1]);
    for (size_t i = 0; i < tail; i++)
        buf_add_byte(&script, '=');
    out = give_out(&la, &lb, &script);
out:
    buf_free(&back);
    buf_free(&script);
    free(la.items);
    free(lb.items);
    return out;
}
