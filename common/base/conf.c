/* SPDX-License-Identifier: MIT */
#include "common/base/conf.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define CONF_MAX_BYTES (1024 * 1024)

static char *trim(char *s)
{
    size_t len;

    while (isspace((unsigned char)*s))
        s++;
    len = strlen(s);
    while (len > 0 && isspace((unsigned char)s[len - 1]))
        s[--len] = 0;
    return s;
}

/* Put one value into the struct; false when it does not fit the type. */
static bool set_value(const struct conf_key *k, void *out, const char *value)
{
    void *at = (char *)out + k->offset;
    int64_t n;

    switch (k->type) {
    case CONF_PATH:
        if (value[0] != '/')
            return false;
        /* fall through */
    case CONF_STRING:
        free(*(char **)at);
        *(char **)at = mem_strdup(value);
        return true;
    case CONF_BOOL:
        if (strcmp(value, "yes") == 0 || strcmp(value, "true") == 0)
            *(bool *)at = true;
        else if (strcmp(value, "no") == 0 || strcmp(value, "false") == 0)
            *(bool *)at = false;
        else
            return false;
        return true;
    case CONF_INT:
        if (!text_to_i64(value, INT64_MIN, INT64_MAX, &n))
            return false;
        break;
    case CONF_BYTES:
        if (!text_to_bytes(value, &n))
            return false;
        break;
    case CONF_TIME:
        if (!text_to_ms(value, &n))
            return false;
        break;
    case CONF_LIST: {
        struct conf_list *l = at;

        l->items = mem_realloc(l->items, (l->count + 1) * sizeof(char *));
        l->items[l->count++] = mem_strdup(value);
        return true;
    }
    default:
        return false;
    }
    if ((k->min || k->max) && (n < k->min || n > k->max))
        return false;
    *(int64_t *)at = n;
    return true;
}

static const char *expected(enum conf_type type)
{
    switch (type) {
    case CONF_PATH:
        return "an absolute path";
    case CONF_BOOL:
        return "yes or no";
    case CONF_INT:
        return "a number within its bounds";
    case CONF_BYTES:
        return "a size such as 512M";
    case CONF_TIME:
        return "a time such as 15m";
    default:
        return "text";
    }
}

static int parse_line(const char *name, int line, char *s, char **section,
                      const struct conf_key *keys, size_t count, bool *seen,
                      void *out, struct error *e)
{
    char *eq, *key, *value;
    size_t len, i;

    s = trim(s);
    if (!*s || *s == '#')
        return 0;
    if (*s == '[') {
        len = strlen(s);
        if (s[len - 1] != ']')
            return error_set(e, OCM_E_INVALID, "%s:%d: section without ']'",
                             name, line);
        s[len - 1] = 0;
        *section = trim(s + 1);
        for (i = 0; i < count; i++) {
            if (strcmp(keys[i].section, *section) == 0)
                return 0;
        }
        return error_set(e, OCM_E_INVALID, "%s:%d: unknown section [%s]", name,
                         line, *section);
    }
    eq = strchr(s, '=');
    if (!eq)
        return error_set(e, OCM_E_INVALID, "%s:%d: expected 'key = value'",
                         name, line);
    *eq = 0;
    key = trim(s);
    value = trim(eq + 1);
    for (i = 0; i < count; i++) {
        if (strcmp(keys[i].section, *section) == 0 &&
            strcmp(keys[i].key, key) == 0)
            break;
    }
    if (i == count)
        return error_set(e, OCM_E_INVALID, "%s:%d: unknown key '%s'%s%s%s",
                         name, line, key, **section ? " in [" : "", *section,
                         **section ? "]" : "");
    if (seen[i] && keys[i].type != CONF_LIST)
        return error_set(e, OCM_E_INVALID, "%s:%d: '%s' stands twice", name,
                         line, key);
    if (!set_value(&keys[i], out, value))
        return error_set(e, OCM_E_INVALID, "%s:%d: '%s' is '%s', expected %s",
                         name, line, key, value, expected(keys[i].type));
    seen[i] = true;
    return 0;
}

int conf_parse(const char *name, const char *text, size_t len,
               const struct conf_key *keys, size_t count, void *out,
               struct error *e)
{
    char *copy, *at, *next, *section;
    bool *seen;
    int line = 1, rc = 0;

    for (size_t i = 0; i < count; i++) {
        if (keys[i].fallback)
            set_value(&keys[i], out, keys[i].fallback);
    }
    if (memchr(text, 0, len))
        return error_set(e, OCM_E_INVALID, "%s: has a NUL byte", name);
    seen = mem_array(count, sizeof(*seen));
    copy = mem_strndup(text, len);
    section = copy + len; /* "" */
    for (at = copy; at && rc == 0; at = next, line++) {
        next = strchr(at, '\n');
        if (next)
            *next++ = 0;
        rc = parse_line(name, line, at, &section, keys, count, seen, out, e);
    }
    free(copy);
    free(seen);
    return rc;
}

int conf_load(const char *path, const struct conf_key *keys, size_t count,
              void *out, struct error *e)
{
    struct buf b = {0};
    int rc = file_read(path, CONF_MAX_BYTES, &b, e);

    if (rc == 0)
        rc = conf_parse(path, buf_str(&b), b.len, keys, count, out, e);
    else
        conf_parse(path, "", 0, keys, count, out, NULL);
    buf_free(&b);
    return rc;
}

void conf_free(const struct conf_key *keys, size_t count, void *out)
{
    for (size_t i = 0; i < count; i++) {
        void *at = (char *)out + keys[i].offset;

        if (keys[i].type == CONF_STRING || keys[i].type == CONF_PATH) {
            free(*(char **)at);
            *(char **)at = NULL;
        } else if (keys[i].type == CONF_LIST) {
            struct conf_list *l = at;

            for (size_t n = 0; n < l->count; n++)
                free(l->items[n]);
            free(l->items);
            *l = (struct conf_list){0};
        }
    }
}
