/* SPDX-License-Identifier: MIT */
#include "common/base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define NS 1000000000LL

int64_t clock_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * NS + t.tv_nsec;
}

int64_t clock_monotonic_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

void clock_format(int64_t ns, char out[CLOCK_TEXT_MAX])
{
    int64_t sec = ns / NS, frac = ns % NS;
    struct tm tm;
    time_t t;
    size_t len;

    if (frac < 0) {
        frac += NS;
        sec--;
    }
    t = (time_t)sec;
    gmtime_r(&t, &tm);
    len = (size_t)snprintf(out, CLOCK_TEXT_MAX, "%04d-%02d-%02dT%02d:%02d:%02d",
                           (tm.tm_year + 1900) % 10000, tm.tm_mon + 1,
                           tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    if (frac) {
        len += (size_t)snprintf(out + len, CLOCK_TEXT_MAX - len, ".%09lld",
                                (long long)frac);
        while (out[len - 1] == '0')
            len--;
    }
    out[len++] = 'Z';
    out[len] = 0;
}

bool clock_parse(const char *s, int64_t *ns)
{
    struct tm tm = {0};
    int n = 0, hh, mm;
    int64_t frac = 0, scale = NS, offset = 0, sec;
    char sign;

    if (sscanf(s, "%4d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon,
               &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &n) != 6 ||
        n == 0)
        return false;
    if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 ||
        tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
        return false;
    s += n;
    if (*s == '.') {
        for (s++; *s >= '0' && *s <= '9'; s++) {
            if (scale > 1) {
                scale /= 10;
                frac += (*s - '0') * scale;
            }
        }
    }
    if (strcmp(s, "Z") != 0) {
        if (sscanf(s, "%c%2d:%2d%n", &sign, &hh, &mm, &n) != 3 || s[n] ||
            (sign != '+' && sign != '-'))
            return false;
        offset = (hh * 60 + mm) * 60 * (sign == '+' ? 1 : -1);
    }
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    sec = (int64_t)timegm(&tm) - offset;
    /* Go's zero time is the year 1, which does not fit nanoseconds */
    if (__builtin_mul_overflow(sec, NS, ns) ||
        __builtin_add_overflow(*ns, frac, ns))
        *ns = sec < 0 ? INT64_MIN : INT64_MAX;
    return true;
}
