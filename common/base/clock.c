/* SPDX-License-Identifier: MIT */
#include "common/base/clock.h"

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

/* printf and scanf would be a tenth of what a tree of many files costs. */
static char *put_digits(char *out, unsigned count, int64_t v)
{
    for (unsigned i = count; i > 0; i--, v /= 10)
        out[i - 1] = (char)('0' + v % 10);
    return out + count;
}

/* Exactly `count` digits and, unless it is 0, the character `end`. */
static bool take_digits(const char **s, unsigned count, char end, int *out)
{
    *out = 0;
    for (unsigned i = 0; i < count; i++, ++*s) {
        if (**s < '0' || **s > '9')
            return false;
        *out = *out * 10 + (**s - '0');
    }
    if (!end)
        return true;
    return *(*s)++ == end;
}

void clock_format(int64_t ns, char out[CLOCK_TEXT_MAX])
{
    int64_t sec = ns / NS, frac = ns % NS;
    char *at = out;
    struct tm tm;
    time_t t;

    if (frac < 0) {
        frac += NS;
        sec--;
    }
    t = (time_t)sec;
    gmtime_r(&t, &tm);
    at = put_digits(at, 4, (tm.tm_year + 1900) % 10000);
    *at++ = '-';
    at = put_digits(at, 2, tm.tm_mon + 1);
    *at++ = '-';
    at = put_digits(at, 2, tm.tm_mday);
    *at++ = 'T';
    at = put_digits(at, 2, tm.tm_hour);
    *at++ = ':';
    at = put_digits(at, 2, tm.tm_min);
    *at++ = ':';
    at = put_digits(at, 2, tm.tm_sec);
    if (frac) {
        *at++ = '.';
        at = put_digits(at, 9, frac);
        while (at[-1] == '0')
            at--;
    }
    *at++ = 'Z';
    *at = 0;
}

bool clock_parse(const char *s, int64_t *ns)
{
    struct tm tm = {0};
    int64_t frac = 0, scale = NS, offset = 0, sec;
    int hh, mm;

    if (!take_digits(&s, 4, '-', &tm.tm_year) ||
        !take_digits(&s, 2, '-', &tm.tm_mon) ||
        !take_digits(&s, 2, 'T', &tm.tm_mday) ||
        !take_digits(&s, 2, ':', &tm.tm_hour) ||
        !take_digits(&s, 2, ':', &tm.tm_min) ||
        !take_digits(&s, 2, 0, &tm.tm_sec))
        return false;
    if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 ||
        tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
        return false;
    if (*s == '.') {
        for (s++; *s >= '0' && *s <= '9'; s++) {
            if (scale > 1) {
                scale /= 10;
                frac += (*s - '0') * scale;
            }
        }
    }
    if (strcmp(s, "Z") != 0) {
        char sign = *s++;

        if ((sign != '+' && sign != '-') || !take_digits(&s, 2, ':', &hh) ||
            !take_digits(&s, 2, 0, &mm) || *s)
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
