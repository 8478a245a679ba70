/* SPDX-License-Identifier: MIT */
/* Gateway control against a fake gateway, a fake systemctl and a fake CLI:
 * stops are proven, guards hold, health notices what a port hides. */
#include <setjmp.h>
#include <stdarg.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "agent/openclaw/gateway_internal.h"
#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "node.h"

static struct node node;
static struct gateway *gateway;
static struct error error;
static struct gateway_check checks[16];
static size_t check_count;
static int port;
static const char *const no_system_dirs[] = {"/nonexistent", NULL};
static char *old_path;

static int setup(void **state)
{
    char *text, *runtime;

    (void)state;
    node_init(&node);
    unit_system_dirs = no_system_dirs;
    health_alive_ms = 300;
    gateway_stay_down_ms = 100;
    port = free_port();
    text = mem_printf("{gateway: {port: %d}}", port);
    node_write(&node, ".openclaw/openclaw.json", text);
    node_write(&node, ".openclaw/workspace/MEMORY.md", "x");
    node_state_db(&node, 2);
    free(text);
    runtime = path_join(node.home, "run");
    assert_int_equal(dir_make(runtime, 0700, NULL), 0);
    setenv("XDG_RUNTIME_DIR", runtime, 1);
    free(runtime);
    old_path = mem_strdup(getenv("PATH"));
    error = (struct error){0};
    return 0;
}

/* Ends what a test may have left, by the pid in the lock file. */
static void end_gateway(void)
{
    struct proc p;
    char *config = path_join(node.state, "openclaw.json");

    if (proc_find_gateway(node.state, config, &p)) {
        kill(p.pid, SIGKILL);
        while (proc_is_alive(&p))
            usleep(1000);
    }
    free(config);
}

static int teardown(void **state)
{
    (void)state;
    end_gateway();
    gateway_free(gateway);
    gateway = NULL;
    setenv("PATH", old_path, 1);
    free(old_path);
    node_fini(&node);
    return 0;
}

static void make(void)
{
    gateway_free(gateway);
    assert_int_equal(node_detect(&node), 0);
    gateway = gateway_new(&node.conf, &node.o);
}

/* control = exec with the fake gateway; `options` of it. */
static void make_exec(const char *options)
{
    static char start[1024];

    snprintf(start, sizeof(start), "%s --state %s --port %d %s", FAKE_GATEWAY,
             node.state, port, options);
    node.conf.exec_start = start;
    make();
}

static bool is_running(void)
{
    return gateway_status(gateway, NULL) == GATEWAY_RUNNING;
}

/* The lock is written a moment after the start command returned. */
static void start(bool quiet)
{
    int64_t until = clock_monotonic_ms() + 20000;

    assert_int_equal(gateway_start(gateway, quiet, &error), 0);
    while (!is_running())
        assert_true(clock_monotonic_ms() < until);
}

static void stop_and_prove(int64_t bound_ms)
{
    int rc = gateway_stop(gateway, bound_ms, &error);

    if (rc != 0)
        fail_msg("%s", error.text);
    assert_false(is_running());
    assert_false(port_is_open(port));
}

static char *starts(void)
{
    char *path = path_join(node.state, "started.log");
    struct buf text = {0};

    file_read(path, 65536, &text, NULL);
    buf_str(&text);
    free(path);
    return (char *)text.data;
}

static void assert_starts(const char *want)
{
    char *got = starts();

    assert_string_equal(got, want);
    free(got);
}

static void write_script(const char *rel, const char *script)
{
    struct buf text = {0};
    const char *at = strstr(script, "@HOME@");
    char *path = path_join(node.home, rel);

    buf_add(&text, script, (size_t)(at - script));
    buf_printf(&text, "%s%s", node.home, at + strlen("@HOME@"));
    node_write(&node, rel, buf_str(&text));
    assert_int_equal(chmod(path, 0755), 0);
    free(path);
    buf_free(&text);
}

static void a_stop_is_proven(void **state)
{
    struct buf text = {0};

    (void)state;
    make_exec("");
    assert_int_equal(gateway_status(gateway, &text), GATEWAY_STOPPED);
    assert_string_equal(buf_str(&text), "stopped, control exec");
    buf_free(&text);
    start(true);
    assert_int_equal(gateway_status(gateway, &text), GATEWAY_RUNNING);
    assert_non_null(strstr(buf_str(&text), "running, pid "));
    buf_free(&text);
    stop_and_prove(20000);
    stop_and_prove(20000); /* of one that is down */
    start(false);
    stop_and_prove(20000);
    assert_starts("quiet\nfull\n");
}

static void a_slow_stop_is_waited_for(void **state)
{
    (void)state;
    make_exec("--slow-stop 400");
    start(false);
    stop_and_prove(20000);
    assert_starts("full\n");
}

static void a_deaf_gateway_is_killed(void **state)
{
    int64_t began;

    (void)state;
    make_exec("--ignore-term");
    start(false);
    began = clock_monotonic_ms();
    stop_and_prove(100);
    assert_true(clock_monotonic_ms() - began < 20000);
}

/* Its helper has a database open: killed as well if it is of OpenClaw, else
 * named. The fake's name does not say openclaw. */
static void who_holds_a_database_is_named(void **state)
{
    char *db = path_join(node.state, "state/openclaw.sqlite"), *options;
    char what[256];
    pid_t helper;

    (void)state;
    options = mem_printf("--hold %s", db);
    make_exec(options);
    start(false);
    while (!proc_find_holder(node.state, &helper, what, sizeof(what)))
        usleep(1000);
    assert_non_null(strstr(what, "openclaw.sqlite"));
    end_gateway();
    kill(helper, SIGSTOP); /* still there, still holding */
    assert_true(proc_find_holder(node.state, &helper, what, sizeof(what)));
    kill(helper, SIGKILL);
    while (proc_find_holder(node.state, &helper, what, sizeof(what)))
        usleep(1000);
    stop_and_prove(1000);
    free(options);
    free(db);
}

static void commands_of_agent_conf_are_used(void **state)
{
    char stop[512], status[512];

    (void)state;
    snprintf(stop, sizeof(stop),
             "touch %s/stopped; kill $(sed 's/.*\"pid\": \\([0-9]*\\),.*/\\1/'"
             " %s/tmp/openclaw-*/gateway.state.lock)",
             node.home, node.state);
    snprintf(status, sizeof(status), "test -e %s/says-running", node.home);
    node.conf.exec_stop = stop;
    node.conf.exec_status = status;
    make_exec("");
    assert_false(is_running());
    node_write(&node, "says-running", "");
    assert_true(is_running());
    snprintf(status, sizeof(status), "%s/says-running", node.home);
    unlink(status);
    start(false);
    stop_and_prove(20000);
    snprintf(status, sizeof(status), "%s/stopped", node.home);
    assert_true(file_exists(status));
    /* and what a failing command says is told */
    node.conf.exec_start = "echo no such thing >&2; exit 7";
    make();
    assert_int_equal(gateway_start(gateway, false, &error), OCM_E_FAILED);
    assert_non_null(strstr(error.text, "ended with 7"));
}

static void guard_and_fence_forbid_a_start(void **state)
{
    struct buf why = {0};

    (void)state;
    make_exec("");
    assert_int_equal(gateway_guard(gateway, true, &error), 0);
    assert_int_equal(gateway_start(gateway, false, &error), OCM_E_DENIED);
    make_exec(""); /* another run of the agent */
    assert_int_equal(gateway_start(gateway, false, &error), OCM_E_DENIED);
    assert_int_equal(gateway_guard(gateway, false, &error), 0);
    assert_int_equal(gateway_guard(gateway, false, &error), 0);

    assert_false(gateway_fenced(gateway, &why));
    assert_int_equal(gateway_fence(gateway, true, "moved to gw-2", &error), 0);
    make_exec("");
    assert_true(gateway_fenced(gateway, &why));
    assert_string_equal(buf_str(&why), "moved to gw-2");
    buf_free(&why);
    assert_int_equal(gateway_start(gateway, true, &error), OCM_E_DENIED);
    assert_non_null(strstr(error.text, "moved to gw-2"));
    /* a restore on a fenced node does not lift the fence */
    assert_int_equal(gateway_guard(gateway, true, &error), 0);
    assert_int_equal(gateway_guard(gateway, false, &error), 0);
    assert_int_equal(gateway_start(gateway, false, &error), OCM_E_DENIED);
    assert_int_equal(gateway_fence(gateway, false, "", &error), 0);
    assert_starts("");
    start(false);
    stop_and_prove(20000);
}

static void by_hand_means_by_hand(void **state)
{
    (void)state;
    make_exec("");
    start(false);
    node.conf.control = "manual";
    make();
    assert_int_equal(gateway_stop(gateway, 1000, &error), OCM_E_BUSY);
    assert_non_null(strstr(error.text, "control = manual"));
    assert_true(is_running());
    end_gateway();
    stop_and_prove(1000);
    assert_int_equal(gateway_status(gateway, NULL), GATEWAY_MANUAL);
    assert_int_equal(gateway_start(gateway, true, &error), 0);
    assert_false(is_running());
}

/* OpenClaw's command starts its service; without one there is no way back up,
 * which is known before anything is stopped. */
static void its_command_needs_its_service(void **state)
{
    (void)state;
    node.conf.control = "cli";
    make();
    assert_int_equal(gateway_check_start(gateway, &error), OCM_E_NOTFOUND);
    assert_non_null(strstr(error.text, "no openclaw command"));
    write_script("bin/openclaw", "#!/bin/sh\n# of @HOME@\n");
    node.conf.bin = path_join(node.home, "bin/openclaw");
    make();
    assert_int_equal(gateway_check_start(gateway, &error), OCM_E_NOTFOUND);
    assert_non_null(strstr(error.text, "openclaw gateway install"));
    assert_int_equal(gateway_start(gateway, false, &error), OCM_E_NOTFOUND);
    free((char *)node.conf.bin);
    node.conf.bin = "";
    node.conf.control = "exec";
    make();
    assert_int_equal(gateway_check_start(gateway, &error), OCM_E_INVALID);
}

static void nothing_here_is_absent(void **state)
{
    (void)state;
    tree_remove(node.state, NULL);
    make();
    assert_int_equal(gateway_status(gateway, NULL), GATEWAY_ABSENT);
}

/* A supervisor we know nothing of starts it again: no stop to build on. */
static void what_comes_back_is_not_stopped(void **state)
{
    char script[1024], *watching = path_join(node.home, "watching");

    (void)state;
    make_exec("");
    gateway_stay_down_ms = 20000;
    snprintf(script, sizeof(script),
             "#!/bin/sh\ntouch @HOME@/watching\n"
             "while [ -e %s/tmp/openclaw-%u/gateway.state.lock ]; do"
             " sleep 0.02; done\n"
             /* the first one may hold the port for a moment yet */
             "until %s --state %s --port %d; do sleep 0.02; done\n",
             node.state, (unsigned)getuid(), FAKE_GATEWAY, node.state, port);
    write_script("supervisor", script);
    start(false);
    snprintf(script, sizeof(script), "%s/supervisor >/dev/null 2>&1 &",
             node.home);
    assert_int_equal(system(script), 0);
    while (!file_exists(watching))
        usleep(1000);
    assert_int_equal(gateway_stop(gateway, 20000, &error), OCM_E_BUSY);
    assert_true(is_running());
    free(watching);
}

/* Another program on the gateway's port does not keep a stopped gateway from
 * being proven down. */
static void a_foreign_port_is_no_gateway(void **state)
{
    struct node other;
    char start_other[1024];
    struct error e = {0};

    (void)state;
    node_init(&other); /* a neighbour's gateway on the same port */
    assert_int_equal(dir_make(other.state, 0700, NULL), 0);
    snprintf(start_other, sizeof(start_other), "%s --state %s --port %d",
             FAKE_GATEWAY, other.state, port);
    assert_int_equal(system(start_other), 0);
    assert_true(port_is_open(port));
    make_exec("");
    assert_int_equal(gateway_stop(gateway, 1000, &e), 0);
    other.conf.exec_start = "true";
    assert_int_equal(node_detect(&other), 0);
    gateway_free(gateway);
    gateway = gateway_new(&other.conf, &other.o);
    while (!is_running())
        usleep(1000);
    assert_int_equal(gateway_stop(gateway, 20000, &e), 0);
    node_fini(&other);
}

/* ---- a unit ---- */

/* systemctl for one user unit: start (heeds ConditionPathExists=! and
 * Environment= of drop-ins), stop, kill, show; calls go to `calls`. */
static const char systemctl[] =
    "#!/bin/sh\n"
    "T=@HOME@\n"
    "echo \"$*\" >> $T/calls\n"
    "lock=$(ls $T/.openclaw/tmp/openclaw-*/gateway.state.lock 2>/dev/null)\n"
    "pid=0\n"
    "[ -n \"$lock\" ] && pid=$(sed 's/.*\"pid\": \\([0-9]*\\),.*/\\1/' $lock)\n"
    "kill -0 $pid 2>/dev/null || pid=0\n"
    "[ $pid != 0 ] && grep -q '^State:.Z' /proc/$pid/status && pid=0\n"
    "drop=\"$T/.config/systemd/user/openclaw-gateway.service.d/*.conf"
    " $T/run/systemd/user/openclaw-gateway.service.d/*.conf\"\n"
    "case \"$*\" in\n"
    "*daemon-reload*) cat $drop > $T/loaded 2>/dev/null; exit 0;;\n"
    "*reset-failed*) exit 0;;\n"
    "*' start '*|*restart*)\n"
    "  echo yes > $T/condition\n"
    "  for c in $(sed -n 's/^ConditionPathExists=!//p' $T/loaded); do\n"
    "    [ -e $c ] && echo no > $T/condition && exit 0; done\n"
    "  case \"$*\" in *restart*) [ $pid != 0 ] && kill -KILL $pid;; esac\n"
    "  for v in $(sed -n 's/^Environment=//p' $T/loaded); do export $v; done\n"
    "  exec $(sed -n 's/^ExecStart=//p'"
    " $T/.config/systemd/user/openclaw-gateway.service);;\n"
    "*' stop '*) [ $pid != 0 ] && kill $pid; exit 0;;\n"
    "*' kill '*) [ $pid != 0 ] && kill -KILL $pid; exit 0;;\n"
    "*' show '*)\n"
    "  if [ $pid != 0 ]; then echo ActiveState=active; else"
    " echo ActiveState=inactive; fi\n"
    "  echo MainPID=$pid; echo ConditionResult=$(cat $T/condition);;\n"
    "esac\n";

static void make_unit(const char *options)
{
    char *text =
        mem_printf("[Service]\nExecStart=%s --state %s --port %d %s\n"
                   "Environment=OPENCLAW_STATE_DIR=%s\n",
                   FAKE_GATEWAY, node.state, port, options, node.state);

    node_write(&node, ".config/systemd/user/openclaw-gateway.service", text);
    free(text);
    write_script("bin/systemctl", systemctl);
    node_write(&node, "loaded", "");
    node_write(&node, "condition", "yes\n");
    text = mem_printf("%s/bin:%s", node.home, old_path);
    setenv("PATH", text, 1);
    free(text);
    make();
    assert_int_equal(gateway->control, CONTROL_USER_UNIT);
}

static bool home_has(const char *rel)
{
    char *path = path_join(node.home, rel);
    bool yes = file_exists(path);

    free(path);
    return yes;
}

static void a_unit_is_started_and_stopped(void **state)
{
    (void)state;
    make_unit("");
    start(true);
    assert_true(
        home_has("run/systemd/user/openclaw-gateway.service.d/ocm-quiet.conf"));
    stop_and_prove(20000);
    start(false);
    assert_false(
        home_has("run/systemd/user/openclaw-gateway.service.d/ocm-quiet.conf"));
    stop_and_prove(20000);
    assert_starts("quiet\nfull\n");
}

static void a_stuck_unit_is_killed(void **state)
{
    (void)state;
    make_unit("--ignore-term");
    start(false);
    stop_and_prove(300);
}

/* The guard stands in the unit: systemd itself refuses, whoever asks. */
static void a_guarded_unit_does_not_start(void **state)
{
    static const char dropin[] =
        ".config/systemd/user/openclaw-gateway.service.d/ocm-guard.conf";

    (void)state;
    make_unit("");
    assert_int_equal(gateway_guard(gateway, true, &error), 0);
    assert_true(home_has(dropin));
    assert_int_equal(gateway_start(gateway, false, &error), OCM_E_DENIED);
    assert_int_equal(system("systemctl --user start openclaw-gateway.service"),
                     0);
    assert_false(is_running());
    assert_int_equal(gateway_guard(gateway, false, &error), 0);
    assert_false(home_has(dropin));
    assert_int_equal(gateway_fence(gateway, true, "moved", &error), 0);
    assert_true(home_has(dropin));
    assert_int_equal(system("systemctl --user start openclaw-gateway.service"),
                     0);
    assert_false(is_running());
    assert_starts("");
    assert_int_equal(gateway_fence(gateway, false, "", &error), 0);
    start(false);
    stop_and_prove(20000);
}

/* ---- health ---- */

/* The CLI of a node with two agents' worth of answers; `cron` holds the
 * number of user jobs it lists. */
static const char cli[] =
    "#!/bin/sh\n"
    "T=@HOME@\n"
    "case \"$1 $2\" in\n"
    "'config validate') test -e $T/invalid && { echo 'Invalid config: x' >&2;"
    " exit 1; }; echo ok;;\n"
    "'health --json') echo '{\"ok\":true}';;\n"
    "'agents list') echo 'a line of log'; echo \"[{\\\"id\\\":\\\"main\\\","
    "\\\"workspace\\\":\\\"$HOME/.openclaw/workspace\\\"}]\";;\n"
    "'cron list') printf '{\"jobs\":[{\"declarationKey\":\"hb\"}'\n"
    "  for i in $(seq $(cat $T/cron)); do printf ',{\"id\":\"%s\"}' $i; done\n"
    "  echo ']}';;\n"
    "esac\n";

static void make_with_cli(const char *options)
{
    static char bin[128];

    write_script("bin/openclaw", cli);
    node_write(&node, "cron", "2");
    snprintf(bin, sizeof(bin), "%s/bin/openclaw", node.home);
    node.conf.bin = bin;
    make_exec(options);
}

static int health(bool running, int64_t agents, int64_t cron, int64_t wait_ms)
{
    const struct gateway_expect expect = {
        .agents = agents, .cron_jobs = cron, .running = running};

    error = (struct error){0};
    return gateway_health(gateway, &expect, wait_ms, NULL, checks, &check_count,
                          ARRAY_LEN(checks), &error);
}

static const struct gateway_check *check(const char *name)
{
    for (size_t i = 0; i < check_count; i++) {
        if (strcmp(checks[i].name, name) == 0)
            return &checks[i];
    }
    fail_msg("there is no check '%s'", name);
    return NULL;
}

static void assert_only_failed(const char *name, const char *text)
{
    for (size_t i = 0; i < check_count; i++) {
        bool should_fail = strcmp(checks[i].name, name) == 0;

        if (checks[i].ok == should_fail)
            fail_msg("check %s is %s: %s", checks[i].name,
                     checks[i].ok ? "ok" : "failed", checks[i].text);
    }
    if (!strstr(check(name)->text, text))
        fail_msg("%s", check(name)->text);
}

static void a_healthy_gateway_passes(void **state)
{
    static const char *const names[] = {
        "ready", "config", "rpc", "agents", "workspaces", "cron", "alive"};

    (void)state;
    make_with_cli("");
    start(false);
    if (health(true, 1, 2, 20000) != 0)
        fail_msg("%s", error.text);
    assert_int_equal(check_count, ARRAY_LEN(names));
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_true(check(names[i])->ok);
    assert_int_equal(health(true, -1, -1, 20000), 0);
    stop_and_prove(20000);
}

static void an_old_release_is_asked_by_rpc(void **state)
{
    (void)state;
    make_with_cli("--html");
    start(false);
    assert_int_equal(health(true, 1, 2, 20000), 0);
    stop_and_prove(20000);
}

static void lost_jobs_are_noticed(void **state)
{
    (void)state;
    make_with_cli("");
    node_write(&node, "cron", "0");
    start(false);
    assert_int_equal(health(true, 1, 2, 20000), OCM_E_UNHEALTHY);
    assert_only_failed("cron", "0 user jobs, expected 2");
    assert_non_null(strstr(error.text, "cron: 0 user jobs"));
    stop_and_prove(20000);
}

static void a_missing_workspace_is_noticed(void **state)
{
    char *dir = path_join(node.state, "workspace");

    (void)state;
    make_with_cli("");
    start(false);
    tree_remove(dir, NULL);
    assert_int_equal(health(true, 1, 2, 20000), OCM_E_UNHEALTHY);
    assert_only_failed("workspaces", dir);
    free(dir);
    stop_and_prove(20000);
}

static void an_invalid_config_is_noticed(void **state)
{
    (void)state;
    make_with_cli("");
    node_write(&node, "invalid", "");
    start(false);
    assert_int_equal(health(true, 1, 2, 20000), OCM_E_UNHEALTHY);
    assert_only_failed("config", "Invalid config: x");
    stop_and_prove(20000);
}

/* It answers 200 and is dead before the checks are through. */
static void death_after_ready_is_noticed(void **state)
{
    (void)state;
    make_with_cli("--die-after 100");
    start(false);
    assert_int_equal(health(true, 1, 2, 20000), OCM_E_UNHEALTHY);
    assert_true(check("ready")->ok);
    assert_only_failed("alive", "ended");
}

/* A unit that ends before it was ever ready: said at once, not after the whole
 * wait. */
static void a_dead_unit_is_not_waited_for(void **state)
{
    (void)state;
    make_unit("--not-ready --die-after 1");
    start(false);
    assert_int_equal(health(true, -1, -1, 600000), OCM_E_UNHEALTHY);
    assert_false(check("ready")->ok);
    assert_non_null(strstr(check("ready")->text, "its unit is not running"));
}

static void a_status_command_is_believed(void **state)
{
    char status[512];

    (void)state;
    snprintf(status, sizeof(status), "test -e %s/says-running", node.home);
    node.conf.exec_status = status;
    make_exec("");
    node_write(&node, "says-running", "");
    assert_int_equal(gateway_stop(gateway, 100, &error), OCM_E_TIMEOUT);
    assert_non_null(strstr(error.text, "still says"));
}

static void never_ready_is_noticed(void **state)
{
    (void)state;
    make_with_cli("--not-ready");
    start(false);
    assert_int_equal(health(true, 1, 2, 500), OCM_E_UNHEALTHY);
    assert_only_failed("ready", "not within");
    stop_and_prove(20000);
}

/* The config names a port on which a neighbour answers: not our health. */
static void a_neighbours_health_is_not_ours(void **state)
{
    struct node other;
    struct proc p;
    char start_other[1024], *config;
    int own_port = port, others_port = free_port();
    char *text;

    (void)state;
    node_init(&other);
    assert_int_equal(dir_make(other.state, 0700, NULL), 0);
    snprintf(start_other, sizeof(start_other), "%s --state %s --port %d",
             FAKE_GATEWAY, other.state, others_port);
    assert_int_equal(system(start_other), 0);
    make_with_cli("");
    start(false);
    text = mem_printf("{gateway: {port: %d}}", others_port);
    node_write(&node, ".openclaw/openclaw.json", text);
    free(text);
    assert_int_equal(health(true, -1, -1, 400), OCM_E_UNHEALTHY);
    assert_non_null(strstr(check("ready")->text, "another program"));
    port = own_port;
    stop_and_prove(20000);
    config = path_join(other.state, "openclaw.json");
    while (!proc_find_gateway(other.state, config, &p))
        usleep(1000);
    kill(p.pid, SIGKILL);
    free(config);
    node_fini(&other);
}

static void a_cancel_ends_the_wait(void **state)
{
    const struct gateway_expect expect = {
        .agents = -1, .cron_jobs = -1, .running = true};
    atomic_bool cancelled = true;

    (void)state;
    make_with_cli("");
    assert_int_equal(gateway_health(gateway, &expect, 60000, &cancelled, checks,
                                    &check_count, ARRAY_LEN(checks), &error),
                     OCM_E_CANCELLED);
}

static void without_a_gateway_files_are_checked(void **state)
{
    (void)state;
    make();
    assert_int_equal(health(false, 1, 2, 0), 0);
    assert_non_null(strstr(check("cron")->text, "no OpenClaw here"));
    assert_non_null(strstr(check("databases")->text, "1, sound"));
    assert_int_equal(health(false, 1, 3, 0), OCM_E_UNHEALTHY);
    assert_only_failed("cron", "expected 3");
    node_write(&node, ".openclaw/agents/main/agent/openclaw-agent.sqlite",
               "no database");
    assert_int_equal(health(false, 1, 2, 0), OCM_E_UNHEALTHY);
    assert_only_failed("databases", "openclaw-agent.sqlite");
    node_write(&node, ".openclaw/openclaw.json", "{broken");
    assert_int_equal(health(false, 1, 2, 0), OCM_E_UNHEALTHY);
    assert_false(check("config")->ok);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_stop_is_proven),
        TEST(a_slow_stop_is_waited_for),
        TEST(a_deaf_gateway_is_killed),
        TEST(who_holds_a_database_is_named),
        TEST(commands_of_agent_conf_are_used),
        TEST(guard_and_fence_forbid_a_start),
        TEST(by_hand_means_by_hand),
        TEST(its_command_needs_its_service),
        TEST(nothing_here_is_absent),
        TEST(what_comes_back_is_not_stopped),
        TEST(a_foreign_port_is_no_gateway),
        TEST(a_unit_is_started_and_stopped),
        TEST(a_stuck_unit_is_killed),
        TEST(a_guarded_unit_does_not_start),
        TEST(a_healthy_gateway_passes),
        TEST(an_old_release_is_asked_by_rpc),
        TEST(lost_jobs_are_noticed),
        TEST(a_missing_workspace_is_noticed),
        TEST(an_invalid_config_is_noticed),
        TEST(death_after_ready_is_noticed),
        TEST(a_dead_unit_is_not_waited_for),
        TEST(a_status_command_is_believed),
        TEST(never_ready_is_noticed),
        TEST(a_neighbours_health_is_not_ours),
        TEST(a_cancel_ends_the_wait),
        TEST(without_a_gateway_files_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
