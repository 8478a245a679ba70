/* SPDX-License-Identifier: MIT */
/* What ssh makes of a target, and which keys of it are trusted. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/process.h"
#include "common/base/text.h"
#include "controller/bootstrap/ssh_internal.h"

#define QUERY_MS 15000
#define HOSTS_FILE_MAX (1024 * 1024)

/* ---- what may stand in a command line ---- */

static bool all_of(const char *s, const char *more)
{
    for (; *s; s++) {
        if (!isalnum((unsigned char)*s) && !strchr(more, *s))
            return false;
    }
    return true;
}

static bool is_word(const char *s, const char *more, size_t max)
{
    return *s != '-' && strlen(s) <= max && all_of(s, more);
}

int ssh_target_check(const struct ssh_target *t, struct error *e)
{
    if (!*t->host || !is_word(t->host, "._-:%", 255))
        return error_set(e, OCM_E_INVALID, "'%s' is not the name of a host",
                         t->host);
    if (!is_word(t->user, "._-@\\$+", 128))
        return error_set(e, OCM_E_INVALID, "'%s' is not the name of a user",
                         t->user);
    if (!is_word(t->jump, "._-:%@,[]/", 1024))
        return error_set(e, OCM_E_INVALID,
                         "'%s' is no jump host ([user@]host[:port],...)",
                         t->jump);
    if (strpbrk(t->identity, "\"\n\r") || strlen(t->identity) > 4096)
        return error_set(e, OCM_E_INVALID, "'%s' is not the path of a key",
                         t->identity);
    if (t->port < 0 || t->port > 65535)
        return error_set(e, OCM_E_INVALID, "port %lld", (long long)t->port);
    return 0;
}

void ssh_quote(struct buf *out, const char *word)
{
    buf_add_byte(out, '\'');
    for (; *word; word++) {
        if (*word == '\'')
            buf_add_str(out, "'\\''");
        else
            buf_add_byte(out, (uint8_t)*word);
    }
    buf_add_byte(out, '\'');
}

/* ---- ssh -G ---- */

/* Paths, space between; ssh does not say which spaces are part of one. */
static void add_paths(char **out, size_t *count, size_t max, char *value)
{
    char *rest = NULL;

    for (char *p = strtok_r(value, " ", &rest); p;
         p = strtok_r(NULL, " ", &rest)) {
        const char *home = getenv("HOME");

        if (*count == max)
            return;
        if (text_has_prefix(p, "~/") && home)
            out[(*count)++] = path_join(home, p + 2);
        else
            out[(*count)++] = mem_strdup(p);
    }
}

static void take_line(struct ssh *s, char *line, char **alias)
{
    char *value = strchr(line, ' ');

    if (!value)
        return;
    *value++ = '\0';
    if (strcmp(line, "hostname") == 0 && !s->host_name)
        s->host_name = mem_strdup(value);
    else if (strcmp(line, "hostkeyalias") == 0 && !*alias)
        *alias = mem_strdup(value);
    else if (strcmp(line, "port") == 0)
        text_to_i64(value, 1, 65535, &s->port);
    else if (strcmp(line, "userknownhostsfile") == 0)
        add_paths(s->user_hosts, &s->user_hosts_count, ARRAY_LEN(s->user_hosts),
                  value);
    else if (strcmp(line, "globalknownhostsfile") == 0)
        add_paths(s->global_hosts, &s->global_hosts_count,
                  ARRAY_LEN(s->global_hosts), value);
}

static int query(struct ssh *s, struct error *e)
{
    const struct ssh_target *t = &s->o->target;
    char port[16];
    const char *argv[16];
    size_t n = 0;
    struct process_job job = {.argv = argv, .timeout_ms = QUERY_MS};
    char *alias = NULL, *rest = NULL;
    int rc;

    snprintf(port, sizeof(port), "%lld", (long long)t->port);
    argv[n++] = "ssh";
    argv[n++] = "-G";
    if (*s->o->config) {
        argv[n++] = "-F";
        argv[n++] = s->o->config;
    }
    if (t->port) {
        argv[n++] = "-p";
        argv[n++] = port;
    }
    if (*t->user) {
        argv[n++] = "-l";
        argv[n++] = t->user;
    }
    argv[n++] = "--";
    argv[n++] = t->host;
    argv[n] = NULL;
    rc = process_run(&job, 1, NULL, e);
    if (rc == 0 && job.exit_code != 0) {
        char text[300];

        process_job_text(&job, text, sizeof(text));
        rc = error_set(e, OCM_E_INVALID, "ssh: %s", text);
    } else if (rc == -ENOENT) {
        error_set(e, rc, "ssh is missing: install openssh-client");
    }
    for (char *line = rc == 0 ? strtok_r(buf_str(&job.out), "\n", &rest) : NULL;
         line; line = strtok_r(NULL, "\n", &rest))
        take_line(s, line, &alias);
    process_job_fini(&job);
    if (!s->host_name)
        s->host_name = mem_strdup(t->host);
    if (alias)
        s->key_name = mem_strdup(alias);
    else if (s->port != 22)
        s->key_name = mem_printf("[%s]:%lld", s->host_name, (long long)s->port);
    else
        s->key_name = mem_strdup(s->host_name);
    for (char *p = s->key_name; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    free(alias);
    return rc;
}

/* ---- keys ---- */

/* Is `name` the first word of the line? */
static bool is_of(const char *line, size_t len, const char *name)
{
    size_t n = strlen(name);

    return len > n && line[n] == ' ' && strncmp(line, name, n) == 0;
}

/* Lines of `text` that are this host's. */
static void add_lines_of(struct buf *out, const char *text, const char *name)
{
    while (*text) {
        size_t len = strcspn(text, "\n");

        if (is_of(text, len, name)) {
            buf_add(out, text, len);
            buf_add_byte(out, '\n');
        }
        text += len + (text[len] == '\n');
    }
}

int ssh_resolve(struct ssh *s, struct error *e)
{
    struct buf pins = {0};
    int rc = query(s, e);

    if (rc == 0 && !s->o->forget_key && s->o->known_hosts)
        add_lines_of(&pins, s->o->known_hosts, s->key_name);
    s->pinned = pins.len > 0;
    if (rc == 0)
        rc = file_write(s->hosts, pins.data ? pins.data : (uint8_t *)"",
                        pins.len, 0600, e);
    buf_free(&pins);
    return rc;
}

/* What the operator's files say of the host, hashed names made plain. */
static void find_in(struct ssh *s, const char *file)
{
    const char *argv[] = {"ssh-keygen", "-F", s->key_name, "-f", file, NULL};
    struct process_job job = {.argv = argv, .timeout_ms = QUERY_MS};
    char *rest = NULL;

    if (!file_exists(file) || process_run(&job, 1, NULL, NULL) < 0) {
        process_job_fini(&job);
        return;
    }
    for (char *line = strtok_r(buf_str(&job.out), "\n", &rest); line;
         line = strtok_r(NULL, "\n", &rest)) {
        const char *key = strchr(line, ' ');

        /* a mark (@cert-authority, @revoked) is the operator's to keep */
        if (*line != '#' && *line != '@' && key)
            buf_printf(&s->host_key, "%s%s\n", s->key_name, key);
    }
    process_job_fini(&job);
}

void ssh_learn_host_key(struct ssh *s)
{
    struct buf text = {0};

    buf_clear(&s->host_key);
    if (file_read(s->hosts, HOSTS_FILE_MAX, &text, NULL) == 0)
        add_lines_of(&s->host_key, buf_str(&text), s->key_name);
    buf_free(&text);
    for (size_t i = 0; i < s->user_hosts_count && s->host_key.len == 0; i++)
        find_in(s, s->user_hosts[i]);
    for (size_t i = 0; i < s->global_hosts_count && s->host_key.len == 0; i++)
        find_in(s, s->global_hosts[i]);
}
