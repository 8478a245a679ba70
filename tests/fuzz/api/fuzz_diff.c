/* SPDX-License-Identifier: MIT */
/* Contents of backups on their way to people: JSON5, lines, masking; and
 * targets of requests. The input is cut in two at its first NUL. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "controller/api/diff.h"
#include "controller/api/guard.h"
#include "controller/api/mask.h"

#define INPUT_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

static void check_line(const char *line)
{
    char *masked = mask_line(line);

    for (const char *s = masked; *s; s++)
        assert((unsigned char)*s >= 0x20 || *s == '\t');
    free(masked);
    mask_looks_secret(line);
    mask_is_secret_key(line);
}

static void check_decode(const char *s, size_t len)
{
    char out[256];

    if (guard_decode(s, len, out, sizeof(out)))
        assert(strlen(out) <= len);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
    const uint8_t *cut;
    char *a, *b;
    size_t a_len, b_len;

    if (len > INPUT_MAX)
        return 0;
    cut = len ? memchr(p, 0, len) : NULL;
    a_len = cut ? (size_t)(cut - p) : len;
    b_len = cut ? len - a_len - 1 : 0;
    a = calloc(1, a_len + 1);
    b = calloc(1, b_len + 1);
    if (!a || !b)
        abort();
    memcpy(a, p, a_len);
    if (cut)
        memcpy(b, cut + 1, b_len);
    json_decref(diff_json(a, a_len, b, b_len));
    json_decref(diff_text(a, a_len, b, b_len));
    check_line(a);
    check_decode(a, a_len);
    free(a);
    free(b);
    return 0;
}
