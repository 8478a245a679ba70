/* SPDX-License-Identifier: MIT */
/* What a plain scalar of YAML means. */
#include "agent/adapt/docs/doc_internal.h"

#include <string.h>

static bool is_one_of(const char *p, size_t len, const char *const *words)
{
    for (; *words; words++) {
        if (strlen(*words) == len && memcmp(*words, p, len) == 0)
            return true;
    }
    return false;
}

/* Numbers of the core schema of YAML 1.2. */
static bool is_number(const char *p, size_t len)
{
    static const char *const words[] = {
        ".nan",  ".NaN",  ".NAN",  ".inf",  ".Inf",  ".INF", "+.inf",
        "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF", NULL};
    size_t whole, i = 0, fraction = 0;

    if (is_one_of(p, len, words))
        return true;
    if (len > 2 && p[0] == '0' && (p[1] == 'x' || p[1] == 'o'))
        return strspn(p + 2, p[1] == 'x' ? "0123456789abcdefABCDEF"
                                         : "01234567") == len - 2;
    i += p[0] == '-' || p[0] == '+';
    whole = strspn(p + i, "0123456789");
    i += whole;
    if (p[i] == '.') {
        fraction = strspn(p + i + 1, "0123456789");
        i += 1 + fraction;
    }
    if (whole + fraction == 0)
        return false;
    if (p[i] == 'e' || p[i] == 'E') {
        size_t n;

        i++;
        i += p[i] == '-' || p[i] == '+';
        n = strspn(p + i, "0123456789");
        if (n == 0)
            return false;
        i += n;
    }
    return i == len;
}

enum doc_type yaml_plain_type(const char *p, size_t len, bool *old)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const bools[] = {"true",  "True",  "TRUE", "false",
                                        "False", "FALSE", NULL};
    static const char *const olds[] = {
        "y",  "Y",  "yes", "Yes", "YES", "n",   "N",  "no", "No", "NO",
        "on", "On", "ON",  "off", "Off", "OFF", "<<", "=",  NULL};

    *old = is_one_of(p, len, olds);
    if (is_one_of(p, len, nulls))
        return DOC_NULL;
    if (is_one_of(p, len, bools))
        return DOC_BOOL;
    if (len && is_number(p, len))
        return DOC_NUMBER;
    /* 1_000, 1:30, 0b1, 2001-12-14 and the like */
    *old = *old || (len && strchr("+-.0123456789", *p) &&
                    strspn(p, "+-.:_0123456789abcdefxABCDEFTZtz ") == len);
    return DOC_STRING;
}
