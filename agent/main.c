/* SPDX-License-Identifier: MIT */
/* ocm-agent: options, then one loop with the link to the controller. */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/adapt/database_helper.h"
#include "agent/agent.h"
#include "agent/apply/apply.h"
#include "agent/build.h"
#include "agent/join.h"
#include "agent/link.h"
#include "agent/uninstall.h"
#include "agent/upgrade/upgrade.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/name_service.h"
#include "common/base/notify.h"
#include "common/base/secret.h"
#include "common/base/text.h"

#define TOKEN_FILE_MAX 4096
#define AGENT_GONE_STATUS 3 /* RestartPreventExitStatus= of the unit */
#define AGENT_MMAP_BYTES (1024 * 1024)

static const char usage_text[] =
    "Usage: ocm-agent [--config FILE] [run]\n"
    "       ocm-agent [--config FILE] join --controller HOST[:PORT]\n"
    "                 [--name NAME] [--token-file FILE]\n"
    "       ocm-agent [--config FILE] facts\n"
    "       ocm-agent [--config FILE] uninstall\n"
    "\n"
    "The agent of OCM on one OpenClaw node: it dials its controller and\n"
    "captures, adapts and applies what the controller asks for.\n"
    "\n"
    "Examples:\n"
    "  ocm-agent join --controller backup.example:7702 <token\n"
    "  ocm-agent run\n"
    "  ocm-agent facts        what this node says of itself, as JSON\n"
    "  ocm-agent uninstall    take the agent's own files off this machine;\n"
    "                         OpenClaw is left alone\n"
    "\n"
    "Options:\n"
    "  -c, --config FILE      default " AGENT_CONF_DEFAULT " if it exists\n"
    "      --controller H[:P] the controller's host and join port (7702)\n"
    "      --name NAME        wanted node name (default: the host's)\n"
    "      --token-file FILE  where the join token is; default: standard\n"
    "                         input, so that it never stands in argv\n"
    "  -V, --version\n"
    "  -h, --help\n"
    "\n"
    "Exit status: 0 ok, 1 failed, 2 usage, 3 uninstalled.\n";

struct options {
    const char *config, *command, *controller, *name, *token_file;
    int64_t pid; /* of watch-upgrade */
};

/* 0: go on; 1: done, exit 0; 2: usage error. */
static int options_parse(int argc, char **argv, struct options *o)
{
    enum { OPT_CONTROLLER = 256, OPT_NAME, OPT_TOKEN };
    static const struct option longs[] = {
        {"config", required_argument, NULL, 'c'},
        {"controller", required_argument, NULL, OPT_CONTROLLER},
        {"name", required_argument, NULL, OPT_NAME},
        {"token-file", required_argument, NULL, OPT_TOKEN},
        {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int c;

    *o = (struct options){.command = "run", .name = ""};
    while ((c = getopt_long(argc, argv, "c:Vh", longs, NULL)) != -1) {
        switch (c) {
        case 'c':
            o->config = optarg;
            break;
        case OPT_CONTROLLER:
            o->controller = optarg;
            break;
        case OPT_NAME:
            o->name = optarg;
            break;
        case OPT_TOKEN:
            o->token_file = optarg;
            break;
        case 'V':
            printf("ocm-agent %s\n", agent_version);
            return 1;
        case 'h':
            fputs(usage_text, stdout);
            return 1;
        default:
            return 2;
        }
    }
    if (optind < argc)
        o->command = argv[optind++];
    /* a word of ours to ourselves, see agent/upgrade */
    if (strcmp(o->command, "watch-upgrade") == 0 &&
        (optind == argc ||
         !text_to_i64(argv[optind++], 1, INT32_MAX, &o->pid))) {
        fprintf(stderr, "ocm-agent: watch-upgrade wants a process id\n");
        return 2;
    }
    if (optind < argc) {
        fprintf(stderr, "ocm-agent: unexpected argument '%s'\n", argv[optind]);
        return 2;
    }
    return 0;
}

static int load_config(const struct options *o, struct agent_conf *conf,
                       struct error *e)
{
    const char *path = o->config;

    if (!path && file_exists(AGENT_CONF_DEFAULT))
        path = AGENT_CONF_DEFAULT;
    return agent_conf_load(path, conf, e);
}

/* ---- join ---- */

static int read_token(const char *file, char **token, struct error *e)
{
    struct buf b = {0};
    int rc = 0;
    ssize_t n;

    if (file) {
        rc = file_read(file, TOKEN_FILE_MAX, &b, e);
    } else {
        if (isatty(STDIN_FILENO))
            fputs("Join token: ", stderr);
        n = read(STDIN_FILENO, buf_reserve(&b, TOKEN_FILE_MAX), TOKEN_FILE_MAX);
        if (n < 0)
            rc = error_errno(e, "standard input");
        else
            b.len = (size_t)n;
    }
    if (rc == 0) {
        buf_str(&b)[strcspn(buf_str(&b), " \t\r\n")] = 0;
        *token = mem_strdup(buf_str(&b));
    }
    buf_wipe(&b);
    return rc;
}

static int run_join(const struct options *o, const struct agent_conf *conf,
                    struct error *e)
{
    struct join_options j = {
        .state_dir = conf->state_dir,
        .port = JOIN_PORT_DEFAULT,
        .name = o->name,
    };
    char *host, *colon, *token = NULL;
    int rc;

    if (!o->controller)
        return error_set(e, OCM_E_INVALID,
                         "join needs --controller HOST[:PORT]");
    if (*o->name && !name_is_valid(o->name))
        return error_set(e, OCM_E_INVALID,
                         "--name '%s': use a-z, 0-9 and '-', at most 40",
                         o->name);
    host = mem_strdup(o->controller);
    colon = strrchr(host, ':');
    if (colon && strchr(host, ':') == colon) {
        *colon = 0;
        if (!text_to_i64(colon + 1, 1, 65535, &j.port)) {
            rc = error_set(e, OCM_E_INVALID, "port '%s'", colon + 1);
            goto out;
        }
    }
    j.host = host;
    rc = read_token(o->token_file, &token, e);
    if (rc == 0) {
        j.token = token;
        rc = join_run(&j, e);
    }
out:
    secret_free_str(token);
    free(host);
    return rc;
}

/* ---- facts ---- */

static int run_facts(struct agent *a, struct error *e)
{
    struct openclaw_conf conf = agent_conf_openclaw(&a->conf);
    struct buf notes = {0}, out = {0};
    struct openclaw o;
    int rc = openclaw_detect(&conf, &o, &notes, e);

    if (rc == 0) {
        facts_to_json(&o.facts, a->key, &out);
        printf("%s\n", buf_str(&out));
        if (notes.len)
            fprintf(stderr, "%s", buf_str(&notes));
        openclaw_fini(&o);
    }
    buf_free(&notes);
    buf_free(&out);
    return rc;
}

/* ---- uninstall ---- */

static int run_uninstall(const struct agent_conf *conf, const char *config,
                         struct error *e)
{
    struct uninstall_report report = {0};
    int rc = uninstall(conf, config, &report, e);

    for (size_t i = 0; i < report.removed.count; i++)
        printf("removed: %s\n", report.removed.lines[i]);
    for (size_t i = 0; i < report.left.count; i++)
        printf("left to you: %s\n", report.left.lines[i]);
    uninstall_report_fini(&report);
    return rc;
}

/* ---- run ---- */

struct run {
    struct agent agent;
    uv_loop_t loop;
    uv_signal_t term, interrupt;
    struct notify notify;
    bool told_to_stop; /* by a signal: stronger than an upgrade */
};

static bool restarts(struct run *r)
{
    return !r->told_to_stop && atomic_load(&r->agent.leaving) == AGENT_RESTARTS;
}

static void on_stopped(void *arg)
{
    struct run *r = arg;

    if (restarts(r))
        notify_close(&r->notify);
    else
        notify_stop(&r->notify);
    uv_close((uv_handle_t *)&r->term, NULL);
    uv_close((uv_handle_t *)&r->interrupt, NULL);
    uv_close((uv_handle_t *)&r->agent.leave, NULL);
}

static void on_signal(uv_signal_t *s, int signum)
{
    struct run *r = s->data;

    (void)signum;
    log_info("stopping");
    r->told_to_stop = true;
    link_stop(r->agent.link, on_stopped, r);
}

static void on_leave(uv_async_t *h)
{
    struct run *r = h->data;

    link_stop(r->agent.link, on_stopped, r);
}

static int recover(struct agent *a, struct error *e)
{
    struct openclaw_conf conf = agent_conf_openclaw(&a->conf);
    struct buf text = {0};
    int rc = apply_recover(&conf, a->conf.state_dir, &text, e);

    if (text.len)
        log_warn("%s", buf_str(&text));
    buf_free(&text);
    return rc;
}

static int run_agent(struct run *r, struct error *e)
{
    struct agent *a = &r->agent;
    int rc = identity_load(a->conf.state_dir, &a->identity, e);

    if (rc < 0)
        return rc;
    rc = recover(a, e);
    if (rc < 0)
        return rc;
    uv_loop_init(&r->loop);
    a->loop = &r->loop;
    a->link = link_new(a, e);
    if (!a->link) {
        uv_loop_close(&r->loop);
        return e->code;
    }
    uv_signal_init(&r->loop, &r->term);
    uv_signal_init(&r->loop, &r->interrupt);
    uv_async_init(&r->loop, &a->leave, on_leave);
    r->term.data = r->interrupt.data = a->leave.data = r;
    uv_signal_start(&r->term, on_signal, SIGTERM);
    uv_signal_start(&r->interrupt, on_signal, SIGINT);
    notify_start(&r->notify, &r->loop);
    link_start(a->link);
    uv_run(&r->loop, UV_RUN_DEFAULT);
    link_free(a->link);
    uv_loop_close(&r->loop);
    return 0;
}

int main(int argc, char **argv)
{
    struct run r = {0};
    struct agent *a = &r.agent;
    struct error e = {0};
    struct upgrade_place place;
    struct options o;
    int rc, leaving;

    if (argc == 2 && strcmp(argv[1], DATABASE_HELPER_WORD) == 0)
        _exit(database_helper_main());
    rc = options_parse(argc, argv, &o);
    if (rc)
        return rc == 1 ? 0 : 2;
    signal(SIGPIPE, SIG_IGN);
    /* the largest buffers go back to the system when they are free */
    mallopt(M_MMAP_THRESHOLD, AGENT_MMAP_BYTES);
    mallopt(M_ARENA_MAX, 2);
    umask(077);
    secret_init();
    json_set_alloc_funcs(malloc, secret_free);
    name_service_init();
    log_init("ocm-agent", LOG_INFO);
    rc = load_config(&o, &a->conf, &e);
    if (rc < 0) {
        fprintf(stderr, "ocm-agent: %s\n", e.text);
        return 2;
    }
    log_init("ocm-agent", (enum log_level)log_level_parse(a->conf.log_level));
    place = (struct upgrade_place){.state_dir = a->conf.state_dir,
                                   .config = o.config,
                                   .wait_ms = a->conf.upgrade_wait_ms};
    uv_mutex_init(&a->busy);
    uv_cond_init(&a->idle);
    a->config = o.config;
    if (strcmp(o.command, "run") == 0)
        upgrade_launch(&place, argv);
    if (strcmp(o.command, "join") == 0) {
        rc = run_join(&o, &a->conf, &e);
    } else if (strcmp(o.command, "watch-upgrade") == 0) {
        upgrade_watch(&place, (pid_t)o.pid);
    } else if (strcmp(o.command, "uninstall") == 0) {
        rc = run_uninstall(&a->conf, o.config, &e);
    } else if (strcmp(o.command, "run") == 0 ||
               strcmp(o.command, "facts") == 0) {
        rc = dir_make(a->conf.state_dir, 0700, &e);
        if (rc == 0)
            rc = agent_secret_file(a->conf.state_dir, "node.key", a->key,
                                   sizeof(a->key), &e);
        secret_random(a->instance, sizeof(a->instance));
        if (rc == 0)
            rc = o.command[0] == 'r' ? run_agent(&r, &e) : run_facts(a, &e);
    } else {
        fprintf(stderr, "ocm-agent: unknown command '%s'; see --help\n",
                o.command);
        rc = OCM_E_INVALID;
    }
    if (rc < 0 && e.code)
        fprintf(stderr, "ocm-agent: %s\n", e.text);
    secret_wipe(a->key, sizeof(a->key));
    identity_free(&a->identity);
    leaving = atomic_load(&a->leaving);
    if (rc == 0 && restarts(&r)) {
        upgrade_launch(&place, argv);
        /* it was put back at once */
        upgrade_run_self(&place);
        rc = OCM_E_FAILED;
    }
    agent_conf_free(&a->conf);
    uv_cond_destroy(&a->idle);
    uv_mutex_destroy(&a->busy);
    return rc < 0 ? 1 : leaving == AGENT_UNINSTALLED ? AGENT_GONE_STATUS : 0;
}
