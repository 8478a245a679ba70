/* SPDX-License-Identifier: MIT */
/* The list of edits and warnings that people agree to and that is then done. */
#include "agent/adapt/plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/base/text.h"

/* Secrets shorter than this show nothing of themselves. */
#define MASK_MIN_SHOWN 16

static void digest_text(struct digest *d, const char *s)
{
    /* the length first, so that "ab"+"c" is not "a"+"bc" */
    size_t len = s ? strlen(s) : 0;
    uint8_t head[5];

    head[0] = s != NULL;
    write_u32be(head + 1, (uint32_t)len);
    digest_add(d, head, sizeof(head));
    if (len)
        digest_add(d, s, len);
}

void plan_edit_id(const char *section, const char *file, const char *place,
                  const char *rule, char out[20])
{
    struct digest d;
    struct id id;

    digest_init(&d);
    digest_text(&d, section);
    digest_text(&d, file);
    digest_text(&d, place);
    digest_text(&d, rule);
    id = digest_end(&d);
    hex_encode(id.b, 8, out);
}

struct plan_edit *plan_add_edit(struct plan *p, const char *section,
                                const char *file, const char *place,
                                const char *old_value, const char *new_value,
                                const char *rule, bool secret)
{
    struct plan_edit *edit;

    p->edits =
        mem_grow(p->edits, &p->edit_cap, p->edit_count + 1, sizeof(*p->edits));
    edit = &p->edits[p->edit_count++];
    memset(edit, 0, sizeof(*edit));
    plan_edit_id(section, file, place, rule, edit->id);
    edit->section = mem_strdup(section);
    edit->file = mem_strdup(file);
    edit->place = mem_strdup(place);
    edit->old_value = mem_strdup(old_value ? old_value : "");
    edit->new_value = mem_strdup(new_value ? new_value : "");
    edit->rule = rule;
    edit->secret = secret;
    return edit;
}

void plan_warn(struct plan *p, const char *code, bool blocking,
               const char *section, const char *file, const char *place,
               const char *fmt, ...)
{
    struct plan_warning *w;
    struct buf text = {0};
    char line[2048];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    buf_add_str(&text, line);
    p->warnings = mem_grow(p->warnings, &p->warning_cap, p->warning_count + 1,
                           sizeof(*p->warnings));
    w = &p->warnings[p->warning_count++];
    w->code = code;
    w->section = mem_strdup(section ? section : "");
    w->file = mem_strdup(file ? file : "");
    w->place = mem_strdup(place ? place : "");
    w->text = mem_strdup(buf_str(&text));
    w->blocking = blocking;
    buf_free(&text);
}

void plan_fini(struct plan *p)
{
    for (size_t i = 0; i < p->edit_count; i++) {
        struct plan_edit *edit = &p->edits[i];

        free(edit->section);
        free(edit->file);
        free(edit->place);
        secret_free_str(edit->old_value);
        secret_free_str(edit->new_value);
        free(edit->note);
    }
    for (size_t i = 0; i < p->warning_count; i++) {
        struct plan_warning *w = &p->warnings[i];

        free(w->section);
        free(w->file);
        free(w->place);
        free(w->text);
    }
    free(p->edits);
    free(p->warnings);
    memset(p, 0, sizeof(*p));
}

struct id plan_digest(const struct plan *p)
{
    struct digest d;

    digest_init(&d);
    for (size_t i = 0; i < p->edit_count; i++) {
        const struct plan_edit *edit = &p->edits[i];

        digest_text(&d, "edit");
        digest_text(&d, edit->section);
        digest_text(&d, edit->file);
        digest_text(&d, edit->place);
        digest_text(&d, edit->old_value);
        digest_text(&d, edit->new_value);
        digest_text(&d, edit->rule);
    }
    for (size_t i = 0; i < p->warning_count; i++) {
        const struct plan_warning *w = &p->warnings[i];

        if (!w->blocking)
            continue;
        digest_text(&d, "blocking");
        digest_text(&d, w->code);
        digest_text(&d, w->section);
        digest_text(&d, w->file);
        digest_text(&d, w->place);
        digest_text(&d, w->text);
    }
    return digest_end(&d);
}

char *plan_mask(const char *secret)
{
    size_t count = 0;

    for (const char *p = secret; *p; p++)
        count += ((unsigned char)*p & 0xc0) != 0x80;
    if (count >= MASK_MIN_SHOWN && (unsigned char)secret[0] < 0x80 &&
        (unsigned char)secret[1] < 0x80 && (unsigned char)secret[2] < 0x80 &&
        (unsigned char)secret[3] < 0x80)
        return mem_printf("%.4s\xe2\x80\xa6(%zu characters)", secret, count);
    return mem_printf("\xe2\x80\xa6(%zu characters)", count);
}
