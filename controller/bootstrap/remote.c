/* SPDX-License-Identifier: MIT */
#include "controller/bootstrap/remote.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"

struct field {
    const char *name;
    size_t offset, cap;
};

#define F(type, field)                                                         \
    {                                                                          \
#field, offsetof(struct type, field),                                  \
            sizeof(((struct type *)0)->field)                                  \
    }

static const struct field host_fields[] = {
    F(remote, host),          F(remote, user),         F(remote, uid),
    F(remote, home),          F(remote, arch),         F(remote, kernel),
    F(remote, libc),          F(remote, os),           F(remote, init),
    F(remote, sudo),          F(remote, linger),       F(remote, user_manager),
    F(remote, cron),          F(remote, ssh_client),   F(remote, agent),
    F(remote, agent_version), F(remote, agent_sha256),
};
static const struct field state_fields[] = {
    F(remote_state, user),    F(remote_state, home), F(remote_state, dir),
    F(remote_state, profile), F(remote_state, unit), F(remote_state, version),
};
static const struct field instance_fields[] = {
    F(remote_instance, name),    F(remote_instance, mode),
    F(remote_instance, home),    F(remote_instance, state),
    F(remote_instance, node_id), F(remote_instance, running),
};

/* A value goes on into command lines (quoted) and onto terminals. */
static bool is_plain(const char *s, size_t len)
{
    if (!utf8_is_valid(s, len))
        return false;
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)s[i] < ' ' || s[i] == 0x7f)
            return false;
    }
    return true;
}

/* One that is too long or odd counts as not said. */
static void set(const struct field *fields, size_t count, void *base,
                const char *name, size_t name_len, const char *value,
                size_t len)
{
    for (size_t i = 0; i < count; i++) {
        const struct field *f = &fields[i];

        if (strlen(f->name) != name_len ||
            strncmp(f->name, name, name_len) != 0)
            continue;
        if (len < f->cap && is_plain(value, len)) {
            memcpy((char *)base + f->offset, value, len);
            ((char *)base + f->offset)[len] = '\0';
        }
        return;
    }
}

/* "state12.user": the number, and *rest behind the dot. */
static size_t numbered(const char *key, size_t len, const char *word,
                       const char **rest)
{
    size_t n = 0, at = strlen(word);

    if (len <= at || strncmp(key, word, at) != 0)
        return 0;
    for (; at < len && key[at] >= '0' && key[at] <= '9' && n <= REMOTE_MAX;
         at++)
        n = n * 10 + (size_t)(key[at] - '0');
    if (at >= len || key[at] != '.' || n == 0 || n > REMOTE_MAX)
        return 0;
    *rest = key + at + 1;
    return n;
}

static void take_line(struct remote *r, const char *line, size_t len)
{
    const char *eq = memchr(line, '=', len), *rest;
    size_t key_len = eq ? (size_t)(eq - line) : 0, value_len, n;

    if (!eq)
        return;
    value_len = len - key_len - 1;
    if ((n = numbered(line, key_len, "state", &rest)) > 0) {
        if (n > r->state_count)
            r->state_count = n;
        set(state_fields, ARRAY_LEN(state_fields), &r->states[n - 1], rest,
            (size_t)(eq - rest), eq + 1, value_len);
    } else if ((n = numbered(line, key_len, "instance", &rest)) > 0) {
        if (n > r->instance_count)
            r->instance_count = n;
        set(instance_fields, ARRAY_LEN(instance_fields), &r->instances[n - 1],
            rest, (size_t)(eq - rest), eq + 1, value_len);
    } else if (key_len == 3 && strncmp(line, "end", 3) == 0) {
        r->complete = true;
    } else {
        set(host_fields, ARRAY_LEN(host_fields), r, line, key_len, eq + 1,
            value_len);
    }
}

/* What has no user or no absolute folder cannot be worked with. */
static void drop_broken(struct remote *r)
{
    size_t n = 0;

    for (size_t i = 0; i < r->state_count; i++) {
        if (r->states[i].user[0] && r->states[i].dir[0] == '/')
            r->states[n++] = r->states[i];
    }
    r->state_count = n;
}

int remote_parse(const char *text, struct remote *out, struct error *e)
{
    memset(out, 0, sizeof(*out));
    while (*text) {
        size_t len = strcspn(text, "\n");

        take_line(out, text, len);
        text += len + (text[len] == '\n');
    }
    drop_broken(out);
    if (!out->complete || !out->arch[0])
        return error_set(e, OCM_E_FAILED,
                         "the host's answer makes no sense: is its login shell "
                         "an ordinary one?");
    return 0;
}
