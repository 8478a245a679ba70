/* SPDX-License-Identifier: MIT */
/* ocm-controller: options, build the parts, run the loop, take them down in
 * reverse. */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/notify.h"
#include "common/base/secret.h"
#include "common/base/text.h"
#include "controller/api/api.h"
#include "controller/ca.h"
#include "controller/catalog/catalog.h"
#include "controller/controller.h"
#include "controller/controller_conf.h"
#include "controller/jobs/archive_import.h"
#include "controller/jobs/kinds.h"
#include "controller/listener.h"
#include "controller/nodes.h"
#include "controller/repository.h"

static const char usage_text[] =
    "Usage: ocm-controller [--config FILE]\n"
    "\n"
    "The controller of OCM: keeps the backups of OpenClaw nodes in a restic\n"
    "repository and restores and migrates them. Agents connect to it; people\n"
    "talk to it with ocmctl.\n"
    "\n"
    "Examples:\n"
    "  ocm-controller --config /etc/ocm/controller.conf\n"
    "\n"
    "Options:\n"
    "  -c, --config FILE   default " CONTROLLER_CONF_DEFAULT " if it exists\n"
    "  -V, --version\n"
    "  -h, --help\n"
    "\n"
    "Exit status: 0 stopped as asked, 1 failed, 2 usage.\n";

struct run {
    struct controller c;
    struct controller_conf conf;
    uv_loop_t loop;
    uv_signal_t term, interrupt;
    struct notify notify;
    bool stopping;
};

/* 0: go on; 1: done, exit 0; 2: usage error. */
static int options_parse(int argc, char **argv, const char **config)
{
    static const struct option longs[] = {
        {"config", required_argument, NULL, 'c'},
        {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int c;

    *config = NULL;
    while ((c = getopt_long(argc, argv, "c:Vh", longs, NULL)) != -1) {
        switch (c) {
        case 'c':
            *config = optarg;
            break;
        case 'V':
            puts("ocm-controller " OCM_VERSION);
            return 1;
        case 'h':
            fputs(usage_text, stdout);
            return 1;
        default:
            return 2;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "ocm-controller: unexpected argument '%s'\n",
                argv[optind]);
        return 2;
    }
    return 0;
}

/* ---- taking down: jobs -> listener -> api -> loop empty ---- */

static void on_api_stopped(void *arg)
{
    struct run *r = arg;

    r->c.api = NULL;
    jobs_free(r->c.jobs); /* its handle is the last that keeps the loop */
    r->c.jobs = NULL;
    notify_stop(&r->notify);
    uv_close((uv_handle_t *)&r->term, NULL);
    uv_close((uv_handle_t *)&r->interrupt, NULL);
}

static void on_listener_stopped(void *arg)
{
    struct run *r = arg;

    api_stop(r->c.api, on_api_stopped, r);
}

static void on_jobs_idle(void *arg)
{
    struct run *r = arg;

    listener_stop(r->c.listener, on_listener_stopped, r);
}

static void on_signal(uv_signal_t *s, int signum)
{
    struct run *r = s->data;

    (void)signum;
    if (r->stopping)
        return;
    r->stopping = true;
    log_info("stopping");
    jobs_stop(r->c.jobs, on_jobs_idle, r);
}

/* ---- building up ---- */

static int open_stores(struct run *r, struct error *e)
{
    char *path = path_join(r->conf.state_dir, "catalog.sqlite");
    int rc = dir_make(r->conf.state_dir, 0700, e);

    if (rc == 0)
        rc = catalog_open(path, &r->c.catalog, e);
    if (rc == 0)
        rc = ca_open(r->conf.state_dir, r->conf.name, &r->c.ca, e);
    if (rc == 0)
        rc = repository_open(&r->conf, &r->c.repo, e);
    free(path);
    if (rc < 0)
        return rc;
    /* the repository is ours alone: uploads there lost their job in a crash */
    path = path_of_imports(r->conf.state_dir);
    rc = tree_remove(path, e);
    free(path);
    return rc;
}

static int serve(struct run *r, struct error *e)
{
    static const struct job_kind *const kinds[] = {
        &job_backup, &job_plan,    &job_migrate, &job_restore,   &job_verify,
        &job_import, &job_gateway, &job_upgrade, &job_uninstall,
    };
    struct controller *c = &r->c;
    struct api_listener local = {.socket = r->conf.socket,
                                 .group = r->conf.group};
    int rc;

    c->nodes = nodes_new();
    c->listener = listener_new(c, e);
    if (!c->listener)
        return e->code;
    c->jobs = jobs_new(&r->loop, c->catalog, kinds, ARRAY_LEN(kinds), c);
    rc = api_start(c, ca_fingerprint(c->ca), &local, 1, &c->api, e);
    if (rc < 0) {
        jobs_free(c->jobs);
        c->jobs = NULL;
        listener_stop(c->listener, NULL, NULL);
        uv_run(&r->loop, UV_RUN_DEFAULT);
        return rc;
    }
    uv_signal_init(&r->loop, &r->term);
    uv_signal_init(&r->loop, &r->interrupt);
    r->term.data = r->interrupt.data = r;
    uv_signal_start(&r->term, on_signal, SIGTERM);
    uv_signal_start(&r->interrupt, on_signal, SIGINT);
    notify_start(&r->notify, &r->loop);
    log_info("agents on %s:%lld, joining on port %lld, API on %s",
             r->conf.listen, (long long)r->conf.agent_port,
             (long long)r->conf.join_port, r->conf.socket);
    uv_run(&r->loop, UV_RUN_DEFAULT);
    return 0;
}

static void tear_down(struct run *r)
{
    listener_free(r->c.listener);
    nodes_free(r->c.nodes);
    repo_close(r->c.repo);
    ca_close(r->c.ca);
    catalog_close(r->c.catalog);
    uv_loop_close(&r->loop);
}

int main(int argc, char **argv)
{
    struct run r = {0};
    struct error e = {0};
    const char *config;
    int rc = options_parse(argc, argv, &config);

    if (rc)
        return rc == 1 ? 0 : 2;
    signal(SIGPIPE, SIG_IGN);
    /* restic asks a lock's owner for its pulse by SIGHUP */
    signal(SIGHUP, SIG_IGN);
    umask(077);
    secret_init();
    json_set_alloc_funcs(malloc, secret_free);
    log_init("ocm-controller", LOG_INFO);
    if (!config && file_exists(CONTROLLER_CONF_DEFAULT))
        config = CONTROLLER_CONF_DEFAULT;
    rc = controller_conf_load(config, &r.conf, &e);
    if (rc < 0) {
        fprintf(stderr, "ocm-controller: %s\n", e.text);
        return 2;
    }
    log_init("ocm-controller",
             (enum log_level)log_level_parse(r.conf.log_level));
    uv_loop_init(&r.loop);
    r.c.loop = &r.loop;
    r.c.conf = &r.conf;
    r.c.started_ns = clock_now_ns();
    rc = open_stores(&r, &e);
    if (rc == 0)
        rc = serve(&r, &e);
    tear_down(&r);
    if (rc < 0)
        fprintf(stderr, "ocm-controller: %s\n", e.text);
    controller_conf_free(&r.conf);
    return rc < 0 ? 1 : 0;
}
