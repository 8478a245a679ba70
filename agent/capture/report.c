/* SPDX-License-Identifier: MIT */
/* Problems, counts, progress: what a capture says of itself. */
#include "agent/capture/capture_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define PROGRESS_MS 100

/* Bytes that are no UTF-8, and control characters, as \xNN. */
static char *printable(const char *s, size_t len)
{
    struct buf out = {0};
    bool valid = utf8_is_valid(s, len);

    for (size_t i = 0; i < len; i++) {
        unsigned char ch = (unsigned char)s[i];

        if (ch < 0x20 || ch == 0x7f || (ch >= 0x80 && !valid))
            buf_printf(&out, "\\x%02x", ch);
        else
            buf_add_byte(&out, ch);
    }
    return buf_str(&out);
}

void capture_problem(struct capture *c, const char *fmt, ...)
{
    struct capture_result *r = c->r;
    const char *section = c->section < 0 ? "" : c->o->sections[c->section].name;
    char text[ERROR_TEXT_MAX], *path;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    path = printable((const char *)c->path.data, c->path.len);
    log_warn("capture section=%s path=%s: %s", section, path, text);
    r->problems_total++;
    if (c->section >= 0)
        c->troubles[c->section]++;
    if (r->problem_count == CAPTURE_MAX_PROBLEMS) {
        free(path);
        return;
    }
    if (!r->problems)
        r->problems = mem_array(CAPTURE_MAX_PROBLEMS, sizeof(*r->problems));
    r->problems[r->problem_count++] = (struct capture_problem){
        .section = mem_strdup(section),
        .path = path,
        .reason = printable(text, strlen(text)),
    };
}

int capture_check(struct capture *c, struct error *e)
{
    int64_t now;

    if (c->o->cancelled && atomic_load(c->o->cancelled))
        return error_set(e, OCM_E_CANCELLED, "the capture was cancelled");
    if (!c->o->on_progress)
        return 0;
    now = clock_monotonic_ms();
    if (now - c->progress_ms >= PROGRESS_MS) {
        struct capture_progress p = {
            .files = c->r->files,
            .bytes = c->r->bytes,
            .bytes_read = c->r->bytes_read,
            .current = (const char *)c->path.data,
        };

        c->progress_ms = now;
        c->o->on_progress(c->o->arg, &p);
    }
    return 0;
}

void capture_count_file(struct capture *c, uint64_t size)
{
    c->r->files++;
    c->r->bytes += size;
    if (c->section < 0)
        return;
    c->seen[c->section] = true;
    c->r->sections[c->section].files++;
    c->r->sections[c->section].bytes += size;
}

void capture_count_dir(struct capture *c)
{
    c->r->dirs++;
    if (c->section >= 0)
        c->seen[c->section] = true;
}

void capture_sum_up(struct capture *c)
{
    c->r->partial = false;
    for (size_t i = 0; i < c->o->section_count; i++) {
        struct capture_section_result *s = &c->r->sections[i];

        s->state = c->o->sections[i].skipped ? CAPTURE_SKIPPED
                   : c->troubles[i]          ? CAPTURE_PARTIAL
                   : c->seen[i]              ? CAPTURE_COMPLETE
                                             : CAPTURE_ABSENT;
        if (s->state == CAPTURE_PARTIAL)
            c->r->partial = true;
    }
}

size_t capture_push(struct capture *c, const char *name, size_t len)
{
    size_t before = c->path.len;

    if (before > 0)
        buf_add_byte(&c->path, '/');
    buf_add(&c->path, name, len);
    buf_str(&c->path);
    return before;
}

void capture_pop(struct capture *c, size_t len)
{
    c->path.len = len;
    buf_str(&c->path);
}

void capture_result_fini(struct capture_result *r)
{
    for (size_t i = 0; i < r->problem_count; i++) {
        free(r->problems[i].section);
        free(r->problems[i].path);
        free(r->problems[i].reason);
    }
    free(r->problems);
    free(r->sections);
    *r = (struct capture_result){0};
}
