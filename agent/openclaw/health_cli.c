/* SPDX-License-Identifier: MIT */
/* Asking OpenClaw's own CLI: is the config valid, does the gateway answer, are
 * agents, workspaces and cron jobs what they should be. */
#include "agent/openclaw/health_internal.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/files.h"
#include "common/base/mem.h"

enum { CALL_CONFIG, CALL_RPC, CALL_AGENTS, CALL_CRON, CALL_COUNT };

static const char *const calls[CALL_COUNT][CLI_MAX_WORDS] = {
    [CALL_CONFIG] = {"config", "validate", NULL},
    [CALL_RPC] = {"health", "--json", "--timeout", HEALTH_RPC_MS, NULL},
    [CALL_AGENTS] = {"agents", "list", "--json", NULL},
    [CALL_CRON] = {"cron", "list", "--all", "--json", NULL},
};

bool health_run_cli(struct health *h, const char *const *words,
                    int64_t timeout_ms, struct process_job *job)
{
    const char *argv[CLI_MAX_WORDS + 8];
    struct cli_env env;
    int rc;

    cli_argv(h->g, words, argv);
    cli_env_openclaw(h->g, &env);
    *job = (struct process_job){.argv = argv,
                                .env = (const char *const *)env.items,
                                .timeout_ms = timeout_ms};
    rc = process_run(job, 1, h->cancelled, NULL);
    cli_env_fini(&env);
    job->argv = job->env = NULL;
    return rc == 0 && job->exit_code == 0;
}

/* The JSON in a CLI's output; lines of log may stand before it. */
static json_t *json_of(struct process_job *job)
{
    const char *text = buf_str(&job->out);

    for (const char *at = text; at && *at;) {
        if (*at == '{' || *at == '[') {
            json_t *j = json_loads(at, JSON_DISABLE_EOF_CHECK, NULL);

            if (j)
                return j;
        }
        at = strchr(at, '\n');
        if (at)
            at++;
    }
    return NULL;
}

static const json_t *list_in(const json_t *j, const char *key)
{
    return json_is_array(j) ? j : json_object_get(j, key);
}

static void say_failed(struct health *h, const char *name,
                       struct process_job *job)
{
    char text[160];

    process_job_text(job, text, sizeof(text));
    if (job->rc)
        snprintf(text, sizeof(text), "%s", error_text(job->rc));
    health_add(h, name, false, "%s",
               *text ? text : "the command failed without a word");
}

static bool succeeded(const struct process_job *job)
{
    return job->rc == 0 && job->exit_code == 0;
}

/* Releases of early 2026 have no `config validate`. */
static bool lacks_command(struct process_job *job)
{
    const char *err = buf_str(&job->err);

    return strstr(err, "too many arguments") || strstr(err, "unknown command");
}

/* Without `config validate`, `agents list` fails on an invalid config. */
static void judge_config(struct health *h, struct process_job *jobs)
{
    struct process_job *job = &jobs[CALL_CONFIG];

    if (succeeded(job))
        health_add(h, "config", true, "valid");
    else if (lacks_command(job))
        health_add(h, "config", succeeded(&jobs[CALL_AGENTS]),
                   "this release has no 'config validate'; its other commands "
                   "%s it",
                   succeeded(&jobs[CALL_AGENTS]) ? "accept" : "refuse");
    else
        say_failed(h, "config", job);
}

static void judge_agents(struct health *h, struct process_job *job)
{
    json_t *j = succeeded(job) ? json_of(job) : NULL, *entry;
    const json_t *list = list_in(j, "agents");
    size_t i;

    if (!json_is_array(list)) {
        say_failed(h, "agents", job);
        health_workspaces(h);
        json_decref(j);
        return;
    }
    health_agent_count(h, (int64_t)json_array_size(list), "");
    json_array_foreach(list, i, entry)
    {
        const char *path =
            json_string_value(json_object_get(entry, "workspace"));
        char *full = path ? path_of_user(path, h->g->home) : NULL;
        bool there = !full || dir_exists(full);

        if (!there)
            health_add(h, "workspaces", false, "%s does not exist", full);
        free(full);
        if (!there) {
            json_decref(j);
            return;
        }
    }
    health_add(h, "workspaces", true, "%zu, all there", json_array_size(list));
    json_decref(j);
}

static void judge_cron(struct health *h, struct process_job *job)
{
    json_t *j = succeeded(job) ? json_of(job) : NULL, *entry;
    const json_t *list = list_in(j, "jobs");
    int64_t n = 0;
    size_t i;

    if (!json_is_array(list)) {
        say_failed(h, "cron", job);
    } else {
        json_array_foreach(list, i, entry) n +=
            !json_is_string(json_object_get(entry, "declarationKey"));
        health_cron_count(h, n, "");
    }
    json_decref(j);
}

/* Not ready: the config is the likeliest reason, and its check needs no
 * gateway. */
void health_config_alone(struct health *h)
{
    struct process_job job;

    if (!h->g->install.bin || h->now.era == ERA_YAML) {
        health_config_file(h);
        return;
    }
    if (health_run_cli(h, calls[CALL_CONFIG], HEALTH_CLI_MS, &job))
        health_add(h, "config", true, "valid");
    else if (lacks_command(&job))
        health_config_file(h);
    else
        say_failed(h, "config", &job);
    process_job_fini(&job);
}

/* Side by side: each call costs Node seconds to start. */
int health_by_cli(struct health *h)
{
    struct process_job jobs[CALL_COUNT] = {0};
    const char *argv[CALL_COUNT][CLI_MAX_WORDS + 8];
    struct cli_env env;

    cli_env_openclaw(h->g, &env);
    for (size_t i = 0; i < CALL_COUNT; i++) {
        cli_argv(h->g, calls[i], argv[i]);
        jobs[i].argv = argv[i];
        jobs[i].env = (const char *const *)env.items;
        jobs[i].timeout_ms = HEALTH_CLI_MS;
    }
    process_run(jobs, CALL_COUNT, h->cancelled, NULL);
    cli_env_fini(&env);
    if (!health_cancelled(h)) {
        judge_config(h, jobs);
        if (succeeded(&jobs[CALL_RPC]))
            health_add(h, "rpc", true, "healthy");
        else
            say_failed(h, "rpc", &jobs[CALL_RPC]);
        judge_agents(h, &jobs[CALL_AGENTS]);
        judge_cron(h, &jobs[CALL_CRON]);
    }
    for (size_t i = 0; i < CALL_COUNT; i++)
        process_job_fini(&jobs[i]);
    return health_cancelled(h) ? OCM_E_CANCELLED : 0;
}
