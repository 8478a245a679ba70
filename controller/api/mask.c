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

static bool ends_in_key(const char *key)
{
    size_t len = strlen(key);

    return len >= 3 && strcasecmp(key + len - 3, "key") == 0;
}

bool mask_is_secret_key(const char *key)
{
    for (size_t i = 0; i < ARRAY_LEN(secret_words); i++) {
        if (strcasestr(key, secret_words[i]))
            return true;
    }
    return ends_in_key(key);
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

bool mask_looks_secret(const char *value)
{
    if (strstr(value, "-----BEGIN"))
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

static void add_masked_runs(struct buf *out, const char *s, size_t len)
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
