/* SPDX-License-Identifier: MIT */
/* Deciding which agent runs.
 *
 * Happy path: load upgrade.conf -> it names a copy that is not us -> its hash
 * is right -> on trial: attempt written down, watcher started -> execv.
 * What cannot be executed is put back at once and the former one decided on;
 * each turn of the loop goes back by one, so that it ends. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/build.h"
#include "agent/upgrade/upgrade_internal.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define TRIAL_ATTEMPTS 3
#define HASH_BLOCK (256 * 1024)
#define SELF "/proc/self/exe"

char *upgrade_path(const char *state_dir, const char *name)
{
    char *dir = path_join(state_dir, "bin");
    char *path = path_join(dir, name);

    free(dir);
    return path;
}

char *upgrade_own_name(const char *state_dir)
{
    char *dir = upgrade_path(state_dir, ""), *slash;
    char self[PATH_MAX];
    struct stat a, b;
    ssize_t n = readlink(SELF, self, sizeof(self) - 1);
    bool ours = false;

    self[n > 0 ? n : 0] = 0;
    slash = strrchr(self, '/');
    if (slash) {
        *slash = 0;
        ours = stat(self, &a) == 0 && stat(dir, &b) == 0 &&
               a.st_ino == b.st_ino && a.st_dev == b.st_dev;
    }
    free(dir);
    return mem_strdup(ours ? slash + 1 : "");
}

int upgrade_hash(const char *path, struct id *out, struct error *e)
{
    uint8_t *block;
    struct digest d;
    ssize_t n;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return error_errno(e, "%s", path);
    block = mem_alloc(HASH_BLOCK);
    digest_init(&d);
    while ((n = read(fd, block, HASH_BLOCK)) > 0)
        digest_add(&d, block, (size_t)n);
    *out = digest_end(&d);
    free(block);
    if (n < 0) {
        int rc = error_errno(e, "%s", path);

        close(fd);
        return rc;
    }
    close(fd);
    return 0;
}

bool upgrade_is_managed(void)
{
    const char *socket = getenv("NOTIFY_SOCKET"); /* systemd */
    const char *kept = getenv("OCM_AGENT_KEPT");  /* ocm-agent-keep */

    return (socket && *socket) || (kept && *kept);
}

void upgrade_run_self(const struct upgrade_place *p)
{
    const char *argv[5] = {"ocm-agent"};
    size_t n = 1;

    if (p->config) {
        argv[n++] = "--config";
        argv[n++] = p->config;
    }
    argv[n] = "run";
    execv(SELF, (char *const *)argv);
    log_error("cannot start again: %s", strerror(errno));
}

/* A grandchild, so that nobody has to wait for it: the process that we are
 * becomes another program that knows nothing of it. */
static int start_watcher(const struct upgrade_place *p, struct error *e)
{
    char pid[16];
    const char *argv[7] = {"ocm-agent"};
    size_t n = 1;
    int status = 0;
    pid_t child;

    snprintf(pid, sizeof(pid), "%ld", (long)getpid());
    if (p->config) {
        argv[n++] = "--config";
        argv[n++] = p->config;
    }
    argv[n++] = "watch-upgrade";
    argv[n] = pid;
    child = fork();
    if (child < 0)
        return error_errno(e, "no process for the watcher");
    if (child == 0) {
        pid_t watcher = fork();

        if (watcher == 0) {
            setsid();
            execv(SELF, (char *const *)argv);
            _exit(127);
        }
        _exit(watcher < 0);
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return status == 0
               ? 0
               : error_set(e, OCM_E_FAILED, "no process for the watcher");
}

static int check_copy(const char *path, const char *sha256, struct error *e)
{
    struct id want, have;
    int rc = upgrade_hash(path, &have, e);

    if (rc < 0)
        return rc;
    if (!id_parse(sha256, &want) || !id_equal(&want, &have))
        return error_set(e, OCM_E_DAMAGED, "%s is damaged", path);
    return 0;
}

/* Execute the current copy; comes back only with a failure. */
static int execute(const struct upgrade_place *p, struct upgrade_state *s,
                   char *const *argv, struct error *e)
{
    char *path = upgrade_path(p->state_dir, s->current);
    int rc = check_copy(path, s->sha256, e);

    if (rc == 0 && s->trial) {
        if (s->attempts >= TRIAL_ATTEMPTS)
            rc = error_set(e, OCM_E_FAILED,
                           "started %d times without reaching the controller",
                           TRIAL_ATTEMPTS);
        s->attempts++;
        if (rc == 0)
            rc = upgrade_state_save(p->state_dir, s, e);
        if (rc == 0)
            rc = start_watcher(p, e);
    }
    if (rc == 0) {
        log_info("starting agent %s%s", s->version,
                 s->trial ? " on trial" : "");
        execv(path, argv);
        rc = error_errno(e, "%s", path);
    }
    free(path);
    return rc;
}

/* The package was upgraded since the copy came, and beyond it. */
static bool installed_wins(const struct upgrade_state *s)
{
    return version_compare(agent_version, s->installed_version) != 0 &&
           version_compare(agent_version, s->version) > 0;
}

void upgrade_launch(const struct upgrade_place *p, char *const *argv)
{
    char *self = upgrade_own_name(p->state_dir), *incoming;
    struct upgrade_state s;
    struct error e = {0};
    int rc = upgrade_state_load(p->state_dir, &s, &e);

    if (rc < 0)
        log_warn("upgrades are not looked at: %s", e.text);
    if (rc == 0 && *s.current && !*self && installed_wins(&s)) {
        log_info("agent %s is installed now, newer than the upgrade to %s",
                 agent_version, s.version);
        upgrade_state_forget(p->state_dir, &s);
    }
    while (rc == 0 && *s.current && strcmp(s.current, self) != 0) {
        execute(p, &s, argv, &e);
        log_error("agent %s is put back: %s", s.version, e.text);
        rc = upgrade_state_undo(p->state_dir, &s, e.text, &e);
        if (rc < 0)
            log_error("%s", e.text);
    }
    /* half a binary of an agent that was killed */
    incoming = upgrade_path(p->state_dir, UPGRADE_INCOMING);
    unlink(incoming);
    free(incoming);
    upgrade_state_fini(&s);
    free(self);
}
