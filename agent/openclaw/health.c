/* SPDX-License-Identifier: MIT */
/* The acceptance test, in the order in which things go wrong: ready within
 * its time -> CLI checks side by side while the gateway must live on -> still
 * the same process -> agents, workspaces, cron jobs as expected. A port that
 * answers proves nothing: a gateway was seen to answer and die a second later,
 * and to be healthy without its cron jobs.
 *
 * Not running, or no OpenClaw to ask: config, workspaces and databases from
 * their files. */
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/openclaw/agents.h"
#include "agent/openclaw/cron.h"
#include "agent/openclaw/database.h"
#include "agent/openclaw/gateway_internal.h"
#include "agent/openclaw/http.h"
#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define PROBE_MS 2000 /* one HTTP request */
#define LOOK_MS 200   /* between two */
#define CLI_MS 60000  /* one CLI call: Node needs seconds to start */
#define RPC_MS "5000"
#define LOST_LOOKS 10 /* looks without a process before it counts as ended */

int64_t health_alive_ms = 3000;

struct health {
    struct gateway *g;
    const struct gateway_expect *expect;
    const atomic_bool *cancelled;
    struct gateway_check *checks;
    size_t count, max;
    bool failed;
    struct openclaw now; /* the node as it is now: its config may be new */
    struct buf notes;
    bool has_http; /* it has JSON health pages (2026.5 and newer) */
    struct proc proc;
};

static void add_check(struct health *h, const char *name, bool ok,
                      const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static void add_check(struct health *h, const char *name, bool ok,
                      const char *fmt, ...)
{
    struct gateway_check *c;
    va_list ap;

    h->failed = h->failed || !ok;
    if (h->count >= h->max)
        return;
    c = &h->checks[h->count++];
    snprintf(c->name, sizeof(c->name), "%s", name);
    c->ok = ok;
    va_start(ap, fmt);
    vsnprintf(c->text, sizeof(c->text), fmt, ap);
    va_end(ap);
}

static bool is_cancelled(const struct health *h)
{
    return h->cancelled && atomic_load(h->cancelled);
}

static void pause_ms(int64_t ms)
{
    struct timespec t = {ms / 1000, (ms % 1000) * 1000000};

    nanosleep(&t, NULL);
}

/* ---- files ---- */

/* agent.<id>.workspace of the facts: how many there are, the first missing. */
static int64_t count_agents(const struct health *h, const char **missing)
{
    const struct facts *f = &h->now.facts;
    int64_t n = 0;

    *missing = NULL;
    for (size_t i = 0; i < f->count; i++) {
        if (!text_has_prefix(f->items[i].key, "agent.") ||
            !text_has_suffix(f->items[i].key, ".workspace"))
            continue;
        n++;
        if (!*missing && !dir_exists(f->items[i].value))
            *missing = f->items[i].value;
    }
    return n;
}

static void check_workspaces(struct health *h)
{
    const char *missing;
    int64_t n = count_agents(h, &missing);

    if (missing)
        add_check(h, "workspaces", false, "%s does not exist", missing);
    else
        add_check(h, "workspaces", true, "%lld, all there", (long long)n);
}

static void check_agent_count(struct health *h, int64_t n, const char *how)
{
    int64_t want = h->expect->agents;

    if (want >= 0 && n != want)
        add_check(h, "agents", false, "%lld%s, expected %lld", (long long)n,
                  how, (long long)want);
    else
        add_check(h, "agents", n > 0, "%lld%s", (long long)n, how);
}

static void check_cron_count(struct health *h, int64_t n, const char *how)
{
    int64_t want = h->expect->cron_jobs;

    if (n < 0)
        add_check(h, "cron", want <= 0, "the jobs cannot be counted%s", how);
    else if (want >= 0 && n != want)
        add_check(h, "cron", false, "%lld user jobs%s, expected %lld",
                  (long long)n, how, (long long)want);
    else
        add_check(h, "cron", true, "%lld user jobs%s", (long long)n, how);
}

static void check_config_file(struct health *h)
{
    struct config c = {0};
    struct buf notes = {0};
    struct error e = {0};
    int rc =
        config_load(h->now.config_path, h->now.era == ERA_YAML, &c, &notes, &e);

    if (rc < 0)
        add_check(h, "config", false, "%s", e.text);
    else if (notes.len)
        add_check(h, "config", false, "%.*s",
                  (int)strcspn(buf_str(&notes), "\n"), (char *)notes.data);
    else
        add_check(h, "config", true, "parses (only the file was looked at)");
    config_fini(&c);
    buf_free(&notes);
}

static bool check_database(struct health *h, const char *path, size_t *count)
{
    struct error e = {0};

    if (!file_exists(path))
        return true;
    (*count)++;
    if (database_verify(path, &e) == 0)
        return true;
    add_check(h, "databases", false, "%s", e.text);
    return false;
}

static void check_databases(struct health *h)
{
    const struct facts *f = &h->now.facts;
    char *path = path_join(h->now.state_dir, "state/openclaw.sqlite");
    size_t count = 0;
    bool ok = check_database(h, path, &count);

    free(path);
    for (size_t i = 0; i < f->count && ok; i++) {
        if (!text_has_prefix(f->items[i].key, "agent.") ||
            !text_has_suffix(f->items[i].key, ".dir"))
            continue;
        path = path_join(f->items[i].value, "openclaw-agent.sqlite");
        ok = check_database(h, path, &count);
        free(path);
    }
    if (ok)
        add_check(h, "databases", true, "%zu, sound", count);
}

static int64_t cron_fact(const struct health *h)
{
    const char *text = facts_get(&h->now.facts, "cron.jobs");
    int64_t n;

    return text && text_to_i64(text, 0, INT64_MAX, &n) ? n : -1;
}

static void check_offline(struct health *h)
{
    const char *missing;
    const char *how = h->g->install.bin ? " (by its files)"
                                        : " (by its files, no OpenClaw here)";

    check_config_file(h);
    check_workspaces(h);
    check_agent_count(h, count_agents(h, &missing), how);
    check_cron_count(h, cron_fact(h), how);
    check_databases(h);
}

/* ---- ready ---- */

enum probe { PROBE_DOWN, PROBE_WAIT, PROBE_READY, PROBE_OTHER };

/* New: /startupz (does not wait for channels); mid: /readyz; old releases
 * answer every path with their page. */
static enum probe probe_http(struct health *h, int port)
{
    static const char *const pages[] = {"/startupz", "/readyz"};

    for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
        struct buf body = {0};
        int status = http_get(port, pages[i], PROBE_MS, &body);
        bool json = body.len > 0 && body.data[0] == '{';

        buf_free(&body);
        if (status < 0)
            return PROBE_DOWN;
        if (json && (status == 200 || status == 503)) {
            h->has_http = true;
            return status == 200 ? PROBE_READY : PROBE_WAIT;
        }
    }
    return PROBE_OTHER;
}

/* Run one CLI call; true when it ended with 0. */
static bool run_cli(struct health *h, const char *const *words,
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

static bool answers_rpc(struct health *h)
{
    static const char *const words[] = {"health", "--json", "--timeout", RPC_MS,
                                        NULL};
    struct process_job job;
    bool ok = run_cli(h, words, CLI_MS, &job);

    process_job_fini(&job);
    return ok;
}

/* Why a gateway that was there is gone, or NULL. systemd may start it again:
 * the second death counts. */
static const char *death(struct health *h, unsigned *lost, unsigned *deaths)
{
    struct unit_state s;
    struct proc p;

    if (proc_find_gateway(h->now.state_dir, h->now.config_path, &p)) {
        if (h->proc.pid && !proc_is_alive(&h->proc))
            ++*deaths;
        h->proc = p;
        *lost = 0;
        return *deaths > 1 ? "it ended twice while starting" : NULL;
    }
    /* between launcher and lock file it has neither name nor lock */
    if (h->proc.pid && proc_is_alive(&h->proc)) {
        *lost = 0;
        return NULL;
    }
    if (gateway_is_unit(h->g) && systemd_show(h->g, &s, NULL) == 0) {
        if (strcmp(s.active, "failed") == 0)
            return "its unit failed";
        if (strcmp(s.active, "inactive") == 0)
            return "its unit is not running";
    }
    return h->proc.pid && ++*lost > LOST_LOOKS ? "it ended while starting"
                                               : NULL;
}

static bool is_ready(struct health *h, int port)
{
    switch (probe_http(h, port)) {
    case PROBE_READY:
        return true;
    case PROBE_OTHER: /* old release, or none of OpenClaw's pages */
        return h->g->install.bin && h->now.era != ERA_YAML ? answers_rpc(h)
                                                           : true;
    default:
        return false;
    }
}

/* With what its unit said last: the reason stands there. */
static void say_death(struct health *h, const char *why)
{
    char words[140] = "";

    if (gateway_is_unit(h->g))
        systemd_last_words(h->g, words, sizeof(words));
    add_check(h, "ready", false, "%s%s%s", why, *words ? ": " : "", words);
}

/* 1 ready, 0 not (a check says why), or OCM_E_CANCELLED. */
static int wait_ready(struct health *h, int port, int64_t wait_ms)
{
    int64_t start = clock_monotonic_ms();
    unsigned lost = 0, deaths = 0;

    for (;;) {
        const char *why;

        if (is_cancelled(h))
            return OCM_E_CANCELLED;
        why = death(h, &lost, &deaths);
        if (why) {
            say_death(h, why);
            return 0;
        }
        if (is_ready(h, port)) {
            add_check(h, "ready", true, "after %lld ms, port %d",
                      (long long)(clock_monotonic_ms() - start), port);
            return 1;
        }
        if (clock_monotonic_ms() - start >= wait_ms) {
            add_check(h, "ready", false, "not within %lld s on port %d",
                      (long long)(wait_ms / 1000), port);
            return 0;
        }
        pause_ms(LOOK_MS);
    }
}

/* ---- by the CLI ---- */

enum { CALL_CONFIG, CALL_RPC, CALL_AGENTS, CALL_CRON, CALL_COUNT };

static const char *const calls[CALL_COUNT][CLI_MAX_WORDS] = {
    [CALL_CONFIG] = {"config", "validate", NULL},
    [CALL_RPC] = {"health", "--json", "--timeout", RPC_MS, NULL},
    [CALL_AGENTS] = {"agents", "list", "--json", NULL},
    [CALL_CRON] = {"cron", "list", "--all", "--json", NULL},
};

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
        at += at != NULL;
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
    add_check(h, name, false, "%s",
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

/* Without it `agents list` fails
 * on an invalid config. */
static void judge_config(struct health *h, struct process_job *jobs)
{
    struct process_job *job = &jobs[CALL_CONFIG];

    if (succeeded(job))
        add_check(h, "config", true, "valid");
    else if (lacks_command(job))
        add_check(h, "config", succeeded(&jobs[CALL_AGENTS]),
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
        check_workspaces(h);
        json_decref(j);
        return;
    }
    check_agent_count(h, (int64_t)json_array_size(list), "");
    json_array_foreach(list, i, entry)
    {
        const char *path =
            json_string_value(json_object_get(entry, "workspace"));
        char *full = path ? path_of_user(path, h->g->home) : NULL;
        bool there = !full || dir_exists(full);

        if (!there)
            add_check(h, "workspaces", false, "%s does not exist", full);
        free(full);
        if (!there) {
            json_decref(j);
            return;
        }
    }
    add_check(h, "workspaces", true, "%zu, all there", json_array_size(list));
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
        check_cron_count(h, n, "");
    }
    json_decref(j);
}

/* Not ready: the config is the likeliest reason, and its check needs no
 * gateway. */
static void check_config_alone(struct health *h)
{
    struct process_job job;

    if (!h->g->install.bin || h->now.era == ERA_YAML) {
        check_config_file(h);
        return;
    }
    if (run_cli(h, calls[CALL_CONFIG], CLI_MS, &job))
        add_check(h, "config", true, "valid");
    else if (lacks_command(&job))
        check_config_file(h);
    else
        say_failed(h, "config", &job);
    process_job_fini(&job);
}

/* Side by side: each call costs Node seconds to start. */
static int check_by_cli(struct health *h)
{
    struct process_job jobs[CALL_COUNT] = {0};
    const char *argv[CALL_COUNT][CLI_MAX_WORDS + 8];
    struct cli_env env;

    cli_env_openclaw(h->g, &env);
    for (size_t i = 0; i < CALL_COUNT; i++) {
        cli_argv(h->g, calls[i], argv[i]);
        jobs[i].argv = argv[i];
        jobs[i].env = (const char *const *)env.items;
        jobs[i].timeout_ms = CLI_MS;
    }
    process_run(jobs, CALL_COUNT, h->cancelled, NULL);
    cli_env_fini(&env);
    if (!is_cancelled(h)) {
        judge_config(h, jobs);
        if (succeeded(&jobs[CALL_RPC]))
            add_check(h, "rpc", true, "healthy");
        else
            say_failed(h, "rpc", &jobs[CALL_RPC]);
        judge_agents(h, &jobs[CALL_AGENTS]);
        judge_cron(h, &jobs[CALL_CRON]);
    }
    for (size_t i = 0; i < CALL_COUNT; i++)
        process_job_fini(&jobs[i]);
    return is_cancelled(h) ? OCM_E_CANCELLED : 0;
}

/* ---- the whole ---- */

/* The same process, long enough after it was ready? */
static int check_alive(struct health *h, int port, int64_t ready_at)
{
    struct proc p;
    bool up;

    while (clock_monotonic_ms() - ready_at < health_alive_ms) {
        if (is_cancelled(h))
            return OCM_E_CANCELLED;
        if (h->proc.pid && !proc_is_alive(&h->proc))
            break;
        pause_ms(LOOK_MS / 2);
    }
    up = proc_find_gateway(h->now.state_dir, h->now.config_path, &p);
    if (h->proc.pid && !proc_is_alive(&h->proc))
        add_check(h, "alive", false, "it was ready and ended %lld ms later",
                  (long long)(clock_monotonic_ms() - ready_at));
    else if (up)
        add_check(h, "alive", true, "pid %d", (int)p.pid);
    else
        add_check(h, "alive", port_is_open(port),
                  "port %d, its process is not known", port);
    return 0;
}

static int check_running(struct health *h, int64_t wait_ms)
{
    int64_t ready_at, port = h->g->port;
    const char *text = facts_get(&h->now.facts, "gateway.port");
    int rc;

    if (text)
        text_to_i64(text, 1, 65535, &port);
    rc = wait_ready(h, (int)port, wait_ms);
    if (rc < 0)
        return rc;
    if (rc == 0) {
        check_config_alone(h);
        return is_cancelled(h) ? OCM_E_CANCELLED : 0;
    }
    if (!h->proc.pid)
        proc_find_gateway(h->now.state_dir, h->now.config_path, &h->proc);
    ready_at = clock_monotonic_ms();
    if (h->g->install.bin && h->now.era != ERA_YAML)
        rc = check_by_cli(h);
    else
        check_offline(h);
    return rc < 0 ? rc : check_alive(h, (int)port, ready_at);
}

static int look_again(struct health *h, struct error *e)
{
    const struct gateway *g = h->g;
    struct openclaw_conf conf = {
        .state_dir = g->state_dir,
        .config_path = "",
        .home = g->home,
        .layout = g->layout,
        .bin = g->conf_bin,
        .control = "auto",
        .unit = g->conf_unit,
        .exec_start = g->exec_start,
        .exec_stop = g->exec_stop,
        .exec_status = g->exec_status,
    };
    char *usual = path_join(g->state_dir, "openclaw.json");

    if (strcmp(usual, g->config_path) != 0)
        conf.config_path = g->config_path;
    free(usual);
    return openclaw_detect(&conf, &h->now, &h->notes, e);
}

int gateway_health(struct gateway *g, const struct gateway_expect *expect,
                   int64_t wait_ms, const atomic_bool *cancelled,
                   struct gateway_check *checks, size_t *count, size_t max,
                   struct error *e)
{
    struct health h = {
        .g = g,
        .expect = expect,
        .cancelled = cancelled,
        .checks = checks,
        .max = max,
    };
    int rc = look_again(&h, e);

    if (rc == 0 && expect->running)
        rc = check_running(&h, wait_ms);
    else if (rc == 0)
        check_offline(&h);
    *count = h.count;
    if (rc == OCM_E_CANCELLED) {
        error_set(e, rc, "cancelled while the gateway was checked");
    } else if (rc == 0 && h.failed) {
        rc = error_set(e, OCM_E_UNHEALTHY, "the gateway is not healthy");
        for (size_t i = 0; i < h.count; i++) {
            if (!checks[i].ok) {
                rc = error_set(e, OCM_E_UNHEALTHY, "%s: %s", checks[i].name,
                               checks[i].text);
                break;
            }
        }
    }
    openclaw_fini(&h.now);
    buf_free(&h.notes);
    return rc;
}
