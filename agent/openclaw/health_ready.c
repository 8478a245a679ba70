/* SPDX-License-Identifier: MIT */
/* Waiting for a gateway that starts: its health page says ready, or it has
 * died, or its time is over. */
#include "agent/openclaw/health_internal.h"

#include <string.h>

#include "agent/openclaw/http.h"
#include "common/base/clock.h"
#include "common/base/mem.h"

#define PROBE_MS 2000 /* one HTTP request */
#define LOST_LOOKS 10 /* looks without a process before it counts as ended */

enum probe { PROBE_DOWN, PROBE_WAIT, PROBE_READY, PROBE_OTHER };

/* New: /startupz (does not wait for channels); mid: /readyz; old releases
 * answer every path with their page. */
static enum probe probe_http(int port)
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
            return status == 200 ? PROBE_READY : PROBE_WAIT;
        }
    }
    return PROBE_OTHER;
}

static bool answers_rpc(struct health *h)
{
    static const char *const words[] = {"health", "--json", "--timeout",
                                        HEALTH_RPC_MS, NULL};
    struct process_job job;
    bool ok = health_run_cli(h, words, HEALTH_CLI_MS, &job);

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

/* A neighbour may sit on the port that this gateway wanted, and be healthy. */
static bool is_neighbours(const struct health *h, int port)
{
    pid_t owner = h->proc.pid ? port_owner(port) : 0;

    return owner && owner != h->proc.pid &&
           !proc_is_helper(owner, h->now.state_dir);
}

static bool is_ready(struct health *h, int port)
{
    switch (probe_http(port)) {
    case PROBE_READY:
        return !is_neighbours(h, port);
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
    health_add(h, "ready", false, "%s%s%s", why, *words ? ": " : "", words);
}

int health_wait_ready(struct health *h, int port, int64_t wait_ms)
{
    int64_t start = clock_monotonic_ms();
    unsigned lost = 0, deaths = 0;

    for (;;) {
        const char *why;

        if (health_cancelled(h))
            return OCM_E_CANCELLED;
        why = death(h, &lost, &deaths);
        if (why) {
            say_death(h, why);
            return 0;
        }
        if (is_ready(h, port)) {
            health_add(h, "ready", true, "after %lld ms, port %d",
                       (long long)(clock_monotonic_ms() - start), port);
            return 1;
        }
        if (clock_monotonic_ms() - start >= wait_ms) {
            health_add(h, "ready", false, "not within %lld s on port %d%s",
                       (long long)(wait_ms / 1000), port,
                       is_neighbours(h, port)
                           ? ", which another program has taken"
                           : "");
            return 0;
        }
        health_pause(HEALTH_LOOK_MS);
    }
}
