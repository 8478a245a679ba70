/* SPDX-License-Identifier: MIT */
#include "common/base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

static const struct {
    int code;
    const char *name;
    const char *text;
} table[] = {
#define X(code, name, text) {code, name, text},
    OCM_ERRORS(X)
#undef X
};

#define TABLE_LEN (sizeof(table) / sizeof(table[0]))

/* Texts may quote bytes of a peer: nothing in them may drive a terminal. */
static void clean(char *s)
{
    for (; *s; s++) {
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            *s = '?';
    }
}

static void __attribute__((format(printf, 2, 0)))
set_text(struct error *e, const char *fmt, va_list ap)
{
    vsnprintf(e->text, sizeof(e->text), fmt, ap);
    clean(e->text);
}

int error_set(struct error *e, int code, const char *fmt, ...)
{
    va_list ap;

    if (e) {
        e->code = code;
        va_start(ap, fmt);
        set_text(e, fmt, ap);
        va_end(ap);
    }
    return code;
}

int error_errno(struct error *e, const char *fmt, ...)
{
    int err = errno;
    va_list ap;
    size_t len;

    if (e) {
        e->code = -err;
        va_start(ap, fmt);
        set_text(e, fmt, ap);
        va_end(ap);
        len = strlen(e->text);
        snprintf(e->text + len, sizeof(e->text) - len, ": %s", strerror(err));
    }
    return -err;
}

int error_prefix(struct error *e, const char *fmt, ...)
{
    char old[ERROR_TEXT_MAX];
    va_list ap;
    size_t len;

    if (!e)
        return OCM_E_FAILED;
    memcpy(old, e->text, sizeof(old));
    va_start(ap, fmt);
    set_text(e, fmt, ap);
    va_end(ap);
    len = strlen(e->text);
    snprintf(e->text + len, sizeof(e->text) - len, ": %s", old);
    return e->code;
}

const char *error_name(int code)
{
    for (size_t i = 0; i < TABLE_LEN; i++) {
        if (table[i].code == code)
            return table[i].name;
    }
    return code ? uv_err_name(code) : "ok";
}

int error_code_of_name(const char *name)
{
    for (size_t i = 0; i < TABLE_LEN; i++) {
        if (strcmp(table[i].name, name) == 0)
            return table[i].code;
    }
    return OCM_E_FAILED;
}

const char *error_text(int code)
{
    for (size_t i = 0; i < TABLE_LEN; i++) {
        if (table[i].code == code)
            return table[i].text;
    }
    return code ? uv_strerror(code) : "success";
}
