/* SPDX-License-Identifier: MIT */
/* Comparing versions of releases. */
#include "common/release/version.h"

#include <stdint.h>
#include <string.h>

#define VERSION_PARTS 4
#define VERSION_DIGITS 9 /* of one number: fits a uint32_t */

static bool parse(const char *s, uint32_t parts[VERSION_PARTS])
{
    memset(parts, 0, VERSION_PARTS * sizeof(*parts));
    if (strlen(s) > VERSION_MAX_LEN)
        return false;
    for (int i = 0; i < VERSION_PARTS; i++) {
        int digits = 0;

        for (; *s >= '0' && *s <= '9'; s++, digits++) {
            if (digits == VERSION_DIGITS)
                return false;
            parts[i] = parts[i] * 10 + (uint32_t)(*s - '0');
        }
        if (digits == 0)
            return false;
        if (*s == 0)
            return true;
        if (*s++ != '.')
            return false;
    }
    return false;
}

bool version_is_valid(const char *s)
{
    uint32_t parts[VERSION_PARTS];

    return parse(s, parts);
}

int version_compare(const char *a, const char *b)
{
    uint32_t x[VERSION_PARTS], y[VERSION_PARTS];
    bool good_a = parse(a, x), good_b = parse(b, y);

    if (!good_a || !good_b)
        return (int)good_a - (int)good_b;
    for (int i = 0; i < VERSION_PARTS; i++) {
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    }
    return 0;
}
