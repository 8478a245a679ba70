/* SPDX-License-Identifier: MIT */
#include "controller/api/mask.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define LINE_MAX_BYTES 400
#define SECRET_RUN 32

static const char *const secret_words[] = {
    "token",         "secret", "password", "passwd",    "passphrase",
    "credential",    "apikey", "api_key",  "api-key",   "private",
    "authorization", "cookie", "webhook",  "signature",
};

static const char *const secret_heads[] = {
    "sk-",    "sk_",  "xoxb-", "xoxp-", "xapp-",      "ghp_",  "github_pat_",
    "glpat-", "AKIA", "AIza",  "eyJ",   "-----BEGIN", "ocm1.",
};

/* "key", "pass", "pwd" alone or at the end; within a word they mean little. */
static bool ends_secret(const char *key)
{
    static const char *const ends[] = {"key", "pass", "pwd"};
    size_t len = strlen(key);

    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        size_t n = strlen(ends[i]);

        if (len >= n && strcasecmp(key + len - n, ends[i]) == 0)
            return true;
    }
    return false;
}

bool mask_is_secret_key(const char *key)
{
    for (size_t i = 0; i < ARRAY_LEN(secret_words); i++) {
        if (strcasestr(key, secret_words[i]))
            return true;
    }
    return ends_secret(key);
}

static bool is_run_char(char c)
{
    return isalnum((unsigned char)c) || (c && strchr("+/=_-.:", c));
}

/* Letters and digits without a break, and not a path. */
static bool is_secret_run(const char *s, size_t len)
{
    size_t digits = 0, letters = 0, slashes = 0;

    for (size_t i = 0; i < len; i++) {
        digits += isdigit((unsigned char)s[i]) != 0;
        letters += isalpha((unsigned char)s[i]) != 0;
        slashes += s[i] == '/';
    }
    return len >= SECRET_RUN && digits >= 4 && letters >= 4 &&
           slashes * 12 < len;
}

static bool run_is_secret(const char *s, size_t len)
{
    for (size_t i = 0; i < ARRAY_LEN(secret_heads); i++) {
        size_t head = strlen(secret_heads[i]);

        if (len > head + 4 && strncmp(s, secret_heads[i], head) == 0)
            return true;
    }
    return is_secret_run(s, len);
}

/* The password in the first "scheme://user:password@host" of `s`; its length,
 * 0 without one. */
static size_t url_password(const char *s, const char **out)
{
    for (s = strstr(s, "://"); s; s = strstr(s, "://")) {
        const char *colon, *at;
        size_t len;

        s += 3;
        len = strcspn(s, "/?# \t\"'<>");
        at = memrchr(s, '@', len);
        colon = at ? memchr(s, ':', (size_t)(at - s)) : NULL;
        if (colon && colon + 1 < at) {
            *out = colon + 1;
            return (size_t)(at - *out);
        }
    }
    return 0;
}

bool mask_looks_secret(const char *value)
{
    const char *password;

    if (strstr(value, "-----BEGIN") || url_password(value, &password) > 0)
        return true;
    while (*value) {
        size_t len = 0;

        while (is_run_char(value[len]))
            len++;
        if (len > 0 && run_is_secret(value, len))
            return true;
        value += len > 0 ? len : 1;
    }
    return false;
}

/* Where the value of "key=", "key: " or "\"key\": " begins, when the key is
 * a secret's; NULL otherwise. Later ones on the line count, too. */
static const char *secret_value(const char *line)
{
    for (const char *at = line; *at; at++) {
        const char *end = at, *from;
        char key[80];
        size_t len;

        if (*at != '=' && *at != ':')
            continue;
        while (end > line && strchr(" \t\"'", end[-1]))
            end--;
        from = end;
        while (from > line &&
               (isalnum((unsigned char)from[-1]) || strchr("_-.", from[-1])))
            from--;
        len = (size_t)(end - from);
        if (len == 0 || len >= sizeof(key))
            continue;
        memcpy(key, from, len);
        key[len] = '\0';
        if (mask_is_secret_key(key) && at[1 + strspn(at + 1, " \t")])
            return at + 1;
    }
    return NULL;
}

static void add_plain(struct buf *out, const char *s, size_t len)
{
    for (size_t i = 0; i < len;) {
        size_t n = 0;

        while (i + n < len && is_run_char(s[i + n]))
            n++;
        if (n > 0 && run_is_secret(s + i, n)) {
            buf_add_str(out, MASK_TEXT);
        } else {
            n = n > 0 ? n : 1;
            buf_add(out, s + i, n);
        }
        i += n;
    }
}

static void add_masked_runs(struct buf *out, const char *s, size_t len)
{
    char *text = mem_strndup(s, len);
    const char *at = text, *password;
    size_t n;

    while ((n = url_password(at, &password)) > 0) {
        add_plain(out, at, (size_t)(password - at));
        buf_add_str(out, MASK_TEXT);
        at = password + n;
    }
    add_plain(out, at, strlen(at));
    free(text);
}

char *mask_line(const char *line)
{
    const char *value = secret_value(line);
    size_t len = value ? (size_t)(value - line) : strlen(line);
    struct buf masked = {0}, out = {0};

    add_masked_runs(&masked, line, len);
    if (value)
        buf_add_str(&masked, " " MASK_TEXT);
    if (masked.len > LINE_MAX_BYTES) {
        masked.len = LINE_MAX_BYTES;
        buf_add_str(&masked, "...");
    }
    text_escape(&out, masked.data ? (char *)masked.data : "", masked.len);
    buf_free(&masked);
    return buf_str(&out);
}
