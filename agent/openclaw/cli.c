/* SPDX-License-Identifier: MIT */
/* Running OpenClaw's CLI and configured commands with a known environment. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/openclaw/gateway_internal.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/base/text.h"

extern char **environ;

static bool has_name(const struct cli_env *v, const char *item)
{
    size_t len = strcspn(item, "=") + 1;

    for (size_t i = 0; i < v->count; i++) {
        if (strncmp(v->items[i], item, len) == 0)
            return true;
    }
    return false;
}

/* Takes `item`; the first of a name stays. */
static void add_item(struct cli_env *v, char *item)
{
    if (has_name(v, item)) {
        secret_free_str(item);
        return;
    }
    v->items = mem_realloc(v->items, (v->count + 2) * sizeof(char *));
    v->items[v->count++] = item;
    v->items[v->count] = NULL;
}

static void add_fixed(struct cli_env *v, const char *const *items)
{
    for (; *items; items++)
        add_item(v, mem_strdup(*items));
}

void cli_env_fini(struct cli_env *v)
{
    for (size_t i = 0; i < v->count; i++)
        secret_free_str(v->items[i]);
    free(v->items);
    *v = (struct cli_env){0};
}

static char *folder_of(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;

    return slash ? mem_strndup(path, (size_t)(slash - path)) : NULL;
}

/* Node beside the command first: the CLI is a script that asks for `node`. */
static char *search_path(const struct gateway *g)
{
    const char *of_unit = g->has_unit ? env_get(&g->unit.env, "PATH") : NULL;
    char *node = folder_of(g->install.node), *bin = folder_of(g->install.bin);
    char *path =
        mem_printf("PATH=%s%s%s%s%s%s/usr/local/bin:/usr/bin:/bin",
                   node ? node : "", node ? ":" : "", bin ? bin : "",
                   bin ? ":" : "", of_unit ? of_unit : "", of_unit ? ":" : "");

    free(node);
    free(bin);
    return path;
}

/* What keeps a check from doing more than it should: no colours, no network
 * installs, no updates, no announcing. */
static const char *const calm[] = {
    "NO_COLOR=1",
    "OPENCLAW_DISABLE_BONJOUR=1",
    "OPENCLAW_NO_AUTO_UPDATE=1",
    "OPENCLAW_OFFLINE=1",
    "npm_config_offline=true",
    NULL,
};

void cli_env_openclaw(const struct gateway *g, struct cli_env *out)
{
    char *usual = path_join(g->home, ".openclaw");
    char *config = path_join(g->state_dir, "openclaw.json");

    *out = (struct cli_env){0};
    add_item(out, mem_printf("HOME=%s", g->home));
    add_item(out, search_path(g));
    add_fixed(out, calm);
    add_item(out, mem_printf("XDG_RUNTIME_DIR=%s", g->runtime_dir));
    if (strcmp(g->state_dir, usual) != 0)
        add_item(out, mem_printf("OPENCLAW_STATE_DIR=%s", g->state_dir));
    if (strcmp(g->config_path, config) != 0)
        add_item(out, mem_printf("OPENCLAW_CONFIG_PATH=%s", g->config_path));
    /* tokens and keys that the unit gives its gateway */
    for (size_t i = 0; g->has_unit && i < g->unit.env.count; i++)
        add_item(out, mem_printf("%s=%s", g->unit.env.vars[i].name,
                                 g->unit.env.vars[i].value));
    free(usual);
    free(config);
}

/* Ours, without what is for our own service. */
static void add_ours(struct cli_env *out, bool quiet)
{
    /* of our own service: a child must not speak for us */
    static const char *const drop[] = {
        "NOTIFY_SOCKET=",         "WATCHDOG_",        "LISTEN_",
        "INVOCATION_ID=",         "JOURNAL_STREAM=",  "MAINPID=",
        "CREDENTIALS_DIRECTORY=", "MEMORY_PRESSURE_", "SYSTEMD_EXEC_PID=",
    };

    for (char **v = environ; *v; v++) {
        bool ours = !quiet && text_has_prefix(*v, "OPENCLAW_SKIP_");

        for (size_t i = 0; i < ARRAY_LEN(drop); i++)
            ours = ours || text_has_prefix(*v, drop[i]);
        if (!ours)
            add_item(out, mem_strdup(*v));
    }
    add_item(out, mem_strdup("PATH=/usr/local/bin:/usr/bin:/bin"));
}

void cli_env_command(const struct gateway *g, bool quiet, struct cli_env *out)
{
    static const char *const skip[] = {"OPENCLAW_SKIP_CHANNELS=1",
                                       "OPENCLAW_SKIP_CRON=1", NULL};

    *out = (struct cli_env){0};
    add_item(out, mem_printf("HOME=%s", g->home));
    add_item(out, mem_printf("XDG_RUNTIME_DIR=%s", g->runtime_dir));
    if (quiet)
        add_fixed(out, skip);
    add_ours(out, quiet);
}

void cli_env_npm(const struct gateway *g, const char *node, struct cli_env *out)
{
    const char *ours = getenv("PATH");
    char *folder = folder_of(node);

    *out = (struct cli_env){0};
    add_item(out, mem_printf("HOME=%s", g->home));
    add_item(out, mem_printf("PATH=%s:%s", folder ? folder : "/usr/bin",
                             ours ? ours : "/usr/local/bin:/usr/bin:/bin"));
    add_ours(out, false);
    free(folder);
}

void cli_argv(const struct gateway *g, const char *const *words,
              const char *out[CLI_MAX_WORDS + 8])
{
    size_t n = 0;

    if (g->run_as) {
        out[n++] = "runuser";
        out[n++] = "-u";
        out[n++] = g->run_as;
        out[n++] = "--";
    }
    /* not every package file is executable, and its first line asks the PATH */
    if (g->install.node && text_has_suffix(g->install.bin, ".mjs"))
        out[n++] = g->install.node;
    out[n++] = g->install.bin;
    while (*words && n < CLI_MAX_WORDS + 7)
        out[n++] = *words++;
    out[n] = NULL;
}

int cli_command(const struct gateway *g, const char *command, bool quiet,
                bool detaches, int64_t timeout_ms, struct error *e)
{
    const char *const argv[] = {"/bin/sh", "-c", command, NULL};
    struct process_job job = {
        .argv = argv, .timeout_ms = timeout_ms, .detaches = detaches};
    struct cli_env env;
    char text[200];
    int rc;

    cli_env_command(g, quiet, &env);
    job.env = (const char *const *)env.items;
    rc = process_run(&job, 1, NULL, e);
    if (rc == 0 && job.exit_code != 0) {
        process_job_text(&job, text, sizeof(text));
        rc = error_set(e, OCM_E_FAILED, "'%.100s' ended with %d%s%s", command,
                       job.exit_code, *text ? ": " : "", text);
    }
    process_job_fini(&job);
    cli_env_fini(&env);
    return rc;
}
