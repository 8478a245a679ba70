/* SPDX-License-Identifier: MIT */
/* The guard's rules, one function each. What it cannot see, because the
 * library has swallowed it (bare LF, folded lines), is made harmless by
 * closing the connection after every request with a body. */
#include "controller/api/guard.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "common/base/mem.h"

static const char *const methods[] = {"GET", "POST", "DELETE"};

static int refuse(const char **why, int status, const char *text)
{
    *why = text;
    return status;
}

static int check_method(const struct guard_request *r, const char **why)
{
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (strcmp(r->method, methods[i]) == 0)
            return 0;
    }
    return refuse(why, 405, "this method is not used here");
}

static bool has_dot_part(const char *path, size_t len)
{
    size_t from = 0;

    for (size_t i = 0; i <= len; i++) {
        if (i < len && path[i] != '/')
            continue;
        if ((i - from == 1 && path[from] == '.') ||
            (i - from == 2 && memcmp(path + from, "..", 2) == 0))
            return true;
        from = i + 1;
    }
    return false;
}

/* In the path no byte may come in disguise that means something to a router;
 * values of the query may hold slashes, but no NUL. */
static int check_target(const struct guard_request *r, const char **why)
{
    const char *t = r->target;
    size_t len = strnlen(t, GUARD_MAX_TARGET + 1);
    size_t path_len = strcspn(t, "?");

    if (len > GUARD_MAX_TARGET)
        return refuse(why, 414, "the target is too long");
    if (t[0] != '/')
        return refuse(why, 400, "the target must be a path");
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)t[i];

        if (c <= 0x20 || c >= 0x7f || c == '\\' || c == '#')
            return refuse(why, 400, "the target holds a forbidden byte");
        if (c != '%')
            continue;
        if (!isxdigit((unsigned char)t[i + 1]) ||
            !isxdigit((unsigned char)t[i + 2]))
            return refuse(why, 400, "the target holds a broken escape");
        if (strncmp(t + i + 1, "00", 2) == 0)
            return refuse(why, 400, "the target holds a NUL");
        if (i < path_len && (strncasecmp(t + i + 1, "2f", 2) == 0 ||
                             strncasecmp(t + i + 1, "5c", 2) == 0 ||
                             strncasecmp(t + i + 1, "2e", 2) == 0))
            return refuse(why, 400, "the path holds an escaped separator");
    }
    if (has_dot_part(t, path_len) || strstr(t, "//") == t)
        return refuse(why, 400, "the path holds '.' or '..'");
    return 0;
}

static bool is_token(const char *s)
{
    static const char more[] = "!#$%&'*+-.^_`|~";

    if (!*s)
        return false;
    for (; *s; s++) {
        if (!isalnum((unsigned char)*s) && !strchr(more, *s))
            return false;
    }
    return true;
}

static int check_headers(const struct guard_request *r, const char **why)
{
    if (r->header_count > GUARD_MAX_HEADERS)
        return refuse(why, 431, "too many headers");
    for (size_t i = 0; i < r->header_count; i++) {
        const char *v = r->headers[i].value;

        if (!is_token(r->headers[i].name))
            return refuse(why, 400, "a header's name is malformed");
        for (; v && *v; v++) {
            if ((unsigned char)*v < 0x20 && *v != '\t')
                return refuse(why, 400, "a header holds a control byte");
        }
    }
    return 0;
}

/* How often a header stands there; the last value goes to `value`. */
static size_t header_of(const struct guard_request *r, const char *name,
                        const char **value)
{
    size_t count = 0;

    *value = NULL;
    for (size_t i = 0; i < r->header_count; i++) {
        if (strcasecmp(r->headers[i].name, name) == 0) {
            *value = r->headers[i].value ? r->headers[i].value : "";
            count++;
        }
    }
    return count;
}

/* "application/json" of "application/json; charset=utf-8" */
static bool is_type(const char *value, const char *type)
{
    size_t len = strlen(type);

    return strncasecmp(value, type, len) == 0 &&
           (value[len] == '\0' || value[len] == ';' || value[len] == ' ');
}

static int check_body(const struct guard_request *r, const char **why)
{
    bool takes_body = strcmp(r->method, "POST") == 0;
    const char *length, *coding, *type;
    size_t lengths = header_of(r, "Content-Length", &length);
    size_t codings = header_of(r, "Transfer-Encoding", &coding);

    if (lengths > 1 || codings > 1 || (lengths && codings))
        return refuse(why, 400, "the length of the body is ambiguous");
    if (lengths && (!*length || length[strspn(length, "0123456789")] != '\0' ||
                    strlen(length) > 18))
        return refuse(why, 400, "Content-Length is no number");
    if (codings && strcasecmp(coding, "chunked") != 0)
        return refuse(why, 400, "this Transfer-Encoding is not used here");
    if (!takes_body && (codings || (lengths && strcmp(length, "0") != 0)))
        return refuse(why, 400, "this request takes no body");
    if (header_of(r, "Content-Encoding", &type) > 0)
        return refuse(why, 415, "encoded bodies are not taken");
    if (header_of(r, "Content-Type", &type) > 1)
        return refuse(why, 400, "two Content-Type headers");
    /* A cross-site form cannot send this type without asking first. */
    if (takes_body && (codings || (lengths && strcmp(length, "0") != 0)) &&
        (!type || (!is_type(type, "application/json") &&
                   !is_type(type, "application/octet-stream"))))
        return refuse(why, 415, "the body must be application/json");
    return 0;
}

/* "name", "name:port", "[::1]:port": is the name allowed? */
static bool host_is_allowed(const struct guard_rules *rules, const char *host)
{
    size_t len = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");

    if (len > strlen(host))
        return false;
    if (host[len] == ':' &&
        (!host[len + 1] ||
         host[len + 1 + strspn(host + len + 1, "0123456789")] != '\0'))
        return false;
    if (host[len] != ':' && host[len] != '\0')
        return false;
    for (const char *const *h = rules->hosts; *h; h++) {
        if (strlen(*h) == len && strncasecmp(*h, host, len) == 0)
            return true;
    }
    return false;
}

/* Who asks: the right host name, and no page of another site. */
static int check_origin(const struct guard_rules *rules,
                        const struct guard_request *r, const char **why)
{
    const char *host, *origin, *site;
    const char *origin_host;

    if (header_of(r, "Host", &host) != 1)
        return refuse(why, 400, "exactly one Host header is wanted");
    if (!host_is_allowed(rules, host))
        return refuse(why, 403, "this Host is not served");
    if (header_of(r, "Sec-Fetch-Site", &site) > 0 &&
        strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0)
        return refuse(why, 403, "requests of other sites are refused");
    if (header_of(r, "Origin", &origin) == 0)
        return 0;
    origin_host = strstr(origin, "://");
    if (!origin_host || !host_is_allowed(rules, origin_host + 3))
        return refuse(why, 403, "requests of other sites are refused");
    return 0;
}

int guard_check(const struct guard_rules *rules, const struct guard_request *r,
                const char **why)
{
    int status;

    *why = "";
    if (strcmp(r->version, "HTTP/1.1") != 0)
        return refuse(why, 505, "only HTTP/1.1 is spoken here");
    status = check_method(r, why);
    if (status == 0)
        status = check_target(r, why);
    if (status == 0)
        status = check_headers(r, why);
    if (status == 0)
        status = check_origin(rules, r, why);
    if (status == 0)
        status = check_body(r, why);
    return status;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool guard_decode(const char *s, size_t len, char *out, size_t cap)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        int hi, lo;
        char c = s[i];

        if (c == '%') {
            if (i + 2 >= len)
                return false;
            hi = hex_value(s[i + 1]);
            lo = hex_value(s[i + 2]);
            if (hi < 0 || lo < 0)
                return false;
            c = (char)(hi << 4 | lo);
            i += 2;
        }
        if (c == '\0' || n + 1 >= cap)
            return false;
        out[n++] = c;
    }
    out[n] = '\0';
    return true;
}
