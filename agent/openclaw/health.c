/* SPDX-License-Identifier: MIT */
/* The acceptance test, in the order in which things go wrong: ready within
 * its time -> CLI checks side by side while the gateway must live on -> still
 * the same process -> agents, workspaces, cron jobs as expected. A port that
 * answers proves nothing: a gateway was seen to answer and die a second later,
 * and to be healthy without its cron jobs.
 *
 * Not running, or no OpenClaw to ask: config, workspaces and databases from
 * their files. */
#include "agent/openclaw/health_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"

int64_t health_alive_ms = 3000;

void health_add(struct health *h, const char *name, bool ok, const char *fmt,
                ...)
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

bool health_cancelled(const struct health *h)
{
    return h->cancelled && atomic_load(h->cancelled);
}

void health_pause(int64_t ms)
{
    struct timespec t = {ms / 1000, (ms % 1000) * 1000000};

    nanosleep(&t, NULL);
}

/* The same process, long enough after it was ready? */
static int check_alive(struct health *h, int port, int64_t ready_at)
{
    struct proc p;
    bool up;

    while (clock_monotonic_ms() - ready_at < health_alive_ms) {
        if (health_cancelled(h))
            return OCM_E_CANCELLED;
        if (h->proc.pid && !proc_is_alive(&h->proc))
            break;
        health_pause(HEALTH_LOOK_MS / 2);
    }
    up = proc_find_gateway(h->now.state_dir, h->now.config_path, &p);
    if (h->proc.pid && !proc_is_alive(&h->proc))
        health_add(h, "alive", false, "it was ready and ended %lld ms later",
                   (long long)(clock_monotonic_ms() - ready_at));
    else if (up)
        health_add(h, "alive", true, "pid %d", (int)p.pid);
    else
        health_add(h, "alive", port_is_open(port),
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
    rc = health_wait_ready(h, (int)port, wait_ms);
    if (rc < 0)
        return rc;
    if (rc == 0) {
        health_config_alone(h);
        return health_cancelled(h) ? OCM_E_CANCELLED : 0;
    }
    if (!h->proc.pid)
        proc_find_gateway(h->now.state_dir, h->now.config_path, &h->proc);
    ready_at = clock_monotonic_ms();
    if (h->g->install.bin && h->now.era != ERA_YAML)
        rc = health_by_cli(h);
    else
        health_offline(h);
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
        health_offline(&h);
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
