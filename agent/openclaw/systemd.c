/* SPDX-License-Identifier: MIT */
/* Units through systemctl, and their drop-ins through files. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/openclaw/gateway_internal.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define SYSTEMCTL_MS 30000
#define SYSTEMCTL_MAX_WORDS 16

/* `systemctl [--user] words... [unit]`, its output in `job`. */
static int systemctl(const struct gateway *g, const char *const *words,
                     bool with_unit, int64_t timeout_ms,
                     struct process_job *job, struct error *e)
{
    const char *argv[SYSTEMCTL_MAX_WORDS] = {"systemctl"};
    char machine[128];
    struct cli_env env;
    size_t n = 1;
    int rc;

    if (!g->unit.system) {
        argv[n++] = "--user";
        if (g->run_as) { /* root speaking to somebody's manager */
            snprintf(machine, sizeof(machine), "--machine=%s@.host", g->run_as);
            argv[n++] = machine;
        }
    }
    argv[n++] = "--no-pager";
    argv[n++] = "--no-ask-password";
    while (*words && n < SYSTEMCTL_MAX_WORDS - 2)
        argv[n++] = *words++;
    if (with_unit)
        argv[n++] = g->unit.name;
    cli_env_command(g, false, &env);
    *job = (struct process_job){.argv = argv,
                                .env = (const char *const *)env.items,
                                .timeout_ms = timeout_ms};
    rc = process_run(job, 1, NULL, e);
    cli_env_fini(&env);
    job->argv = job->env = NULL;
    return rc;
}

/* systemctl's words when it finds nobody to talk to. */
static bool no_manager(struct process_job *job)
{
    const char *text = buf_str(&job->err);

    return job->exit_code == 127 || strstr(text, "connect to bus") ||
           strstr(text, "not been booted with systemd");
}

static int check(const struct gateway *g, const char *what,
                 struct process_job *job, int rc, struct error *e)
{
    char text[200];

    if (rc == -ENOENT)
        rc = error_set(e, OCM_E_UNSUPPORTED, "systemctl is not installed");
    else if (rc == 0 && job->exit_code != 0) {
        process_job_text(job, text, sizeof(text));
        rc = error_set(e, no_manager(job) ? OCM_E_UNSUPPORTED : OCM_E_FAILED,
                       "systemctl %s %s: %s", what, g->unit.name,
                       *text ? text : "failed without a word");
    }
    return rc;
}

int systemd_verb(const struct gateway *g, const char *const *words,
                 int64_t timeout_ms, struct error *e)
{
    struct process_job job;
    int rc = systemctl(g, words, true, timeout_ms, &job, e);

    rc = check(g, words[0], &job, rc, e);
    process_job_fini(&job);
    return rc;
}

int systemd_reload(const struct gateway *g, struct error *e)
{
    static const char *const words[] = {"daemon-reload", NULL};
    struct process_job job;
    int rc = systemctl(g, words, false, SYSTEMCTL_MS, &job, e);

    rc = check(g, words[0], &job, rc, e);
    process_job_fini(&job);
    return rc;
}

static void copy_value(const char *line, const char *key, char *out, size_t cap)
{
    size_t len = strlen(key);

    if (strncmp(line, key, len) == 0 && line[len] == '=')
        snprintf(out, cap, "%.*s", (int)strcspn(line + len + 1, "\n"),
                 line + len + 1);
}

int systemd_show(const struct gateway *g, struct unit_state *out,
                 struct error *e)
{
    static const char *const words[] = {
        "show", "--property=ActiveState,SubState,MainPID,ConditionResult",
        NULL};
    struct process_job job;
    int rc = systemctl(g, words, true, SYSTEMCTL_MS, &job, e);
    char pid[24] = "", condition[24] = "";
    int64_t number = 0;

    *out = (struct unit_state){0};
    rc = check(g, words[0], &job, rc, e);
    for (char *line = rc == 0 ? buf_str(&job.out) : NULL; line && *line;) {
        copy_value(line, "ActiveState", out->active, sizeof(out->active));
        copy_value(line, "SubState", out->sub, sizeof(out->sub));
        copy_value(line, "MainPID", pid, sizeof(pid));
        copy_value(line, "ConditionResult", condition, sizeof(condition));
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
    if (text_to_i64(pid, 0, INT32_MAX, &number))
        out->main_pid = (pid_t)number;
    out->condition_failed = strcmp(condition, "no") == 0;
    process_job_fini(&job);
    return rc;
}

/* Its own words: what systemd says of it begins with its name. */
static void drop_systemd_lines(struct buf *text, const char *unit)
{
    struct buf own = {0};
    const char *line = buf_str(text);

    while (*line) {
        size_t len = strcspn(line, "\n");

        if (!text_has_prefix(line, unit))
            buf_add(&own, line, len + (line[len] != 0));
        line += len + (line[len] != 0);
    }
    buf_wipe(text);
    *text = own;
}

void systemd_last_words(const struct gateway *g, char *out, size_t cap)
{
    const char *const argv[] = {
        "journalctl",   g->unit.system ? "--unit" : "--user-unit",
        g->unit.name,   "--lines=12",
        "--output=cat", "--no-pager",
        "--quiet",      NULL};
    struct process_job job = {.argv = argv, .timeout_ms = SYSTEMCTL_MS};
    struct cli_env env;

    out[0] = 0;
    cli_env_command(g, false, &env);
    job.env = (const char *const *)env.items;
    if (process_run(&job, 1, NULL, NULL) == 0 && job.exit_code == 0) {
        buf_clear(&job.err);
        drop_systemd_lines(&job.out, g->unit.name);
        process_job_text(&job, out, cap);
    }
    process_job_fini(&job);
    cli_env_fini(&env);
}

/* Drop-ins of a system unit go to /etc (persistent) or /run. */
static char *dropin_dir(const struct gateway *g, bool persistent)
{
    const char *name = g->unit.name;

    if (g->unit.system)
        return persistent ? mem_printf("%s/%s.d", unit_system_dirs[0], name)
                          : mem_printf("/run/systemd/system/%s.d", name);
    return persistent
               ? mem_printf("%s/.config/systemd/user/%s.d", g->home, name)
               : mem_printf("%s/systemd/user/%s.d", g->runtime_dir, name);
}

int systemd_dropin(const struct gateway *g, const char *name, bool persistent,
                   const char *text, bool *changed, struct error *e)
{
    char *dir = dropin_dir(g, persistent);
    char *path = mem_printf("%s/%s", dir, name);
    struct buf old = {0};
    bool same;
    int rc = 0;

    same = file_read(path, 65536, &old, NULL) == 0
               ? text && strcmp(buf_str(&old), text) == 0
               : !text;
    if (changed)
        *changed = !same;
    if (same) {
        /* as it should be */
    } else if (text) {
        rc = dir_make(dir, 0755, e);
        if (rc == 0)
            rc = file_write(path, text, strlen(text), 0644, e);
    } else if (unlink(path) < 0 && errno != ENOENT) {
        rc = error_errno(e, "%s", path);
    } else {
        rmdir(dir); /* ours only if it is empty now */
    }
    buf_free(&old);
    free(path);
    free(dir);
    return rc;
}
