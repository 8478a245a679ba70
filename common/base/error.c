/* SPDX-License-Identifier: MIT */
#include "common/base/error.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "common/base/text.h"

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

/* Texts may quote bytes of a peer: nothing in them may drive a terminal; and
 * they travel to peers, who take nothing but UTF-8. */
static void __attribute__((format(printf, 2, 0)))
set_text(struct error *e, const char *fmt, va_list ap)
{
    vsnprintf(e->text, sizeof(e->text), fmt, ap);
    text_clean(e->text);
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
        text_clean(e->text + len);
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
    text_clean(e->text + len);
    return e->code;
}

/* libuv allocates anew each time for a code that it does not know: of those
 * we keep the text of the last one, for each thread. */
#define UV_UNKNOWN "Unknown system error"
#define UV_TEXT_MAX 64

static bool uv_knows(int code)
{
    char text[UV_TEXT_MAX];

    uv_strerror_r(code, text, sizeof(text));
    return strncmp(text, UV_UNKNOWN, strlen(UV_UNKNOWN)) != 0;
}

const char *error_name(int code)
{
    static _Thread_local char unknown[UV_TEXT_MAX];

    for (size_t i = 0; i < TABLE_LEN; i++) {
        if (table[i].code == code)
            return table[i].name;
    }
    if (code == 0 || uv_knows(code))
        return code ? uv_err_name(code) : "ok";
    snprintf(unknown, sizeof(unknown), "E%d", code < 0 ? -code : code);
    return unknown;
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
    static _Thread_local char unknown[UV_TEXT_MAX];

    for (size_t i = 0; i < TABLE_LEN; i++) {
        if (table[i].code == code)
            return table[i].text;
    }
    if (code == 0 || uv_knows(code))
        return code ? uv_strerror(code) : "success";
    /* the system may: ENOEXEC and others are none of libuv's */
    return strerror_r(-code, unknown, sizeof(unknown));
}
