/* SPDX-License-Identifier: MIT */
/* ssh as a child: in a session of its own, so that it finds no terminal to
 * ask on and Ctrl-C reaches us alone. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "controller/bootstrap/ssh_internal.h"

#define KILL_GRACE_MS 1000

static int make_pipe(int ends[2], int ours)
{
    if (pipe2(ends, O_CLOEXEC) < 0) {
        ends[0] = ends[1] = -1;
        return -errno;
    }
    fcntl(ends[ours], F_SETFL, O_NONBLOCK);
    return 0;
}

static void close_both(int ends[2])
{
    for (int i = 0; i < 2; i++) {
        if (ends[i] >= 0)
            close(ends[i]);
        ends[i] = -1;
    }
}

static int spawn(const char *const *argv, char *const *env, const int fds[3],
                 pid_t *pid)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, all;
    int rc;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID |
                                        POSIX_SPAWN_SETSIGMASK |
                                        POSIX_SPAWN_SETSIGDEF);
    for (int i = 0; i < 3; i++) {
        if (fds[i] >= 0)
            posix_spawn_file_actions_adddup2(&files, fds[i], i);
        else
            posix_spawn_file_actions_addopen(&files, i, "/dev/null",
                                             i ? O_WRONLY : O_RDONLY, 0);
    }
    posix_spawn_file_actions_addclosefrom_np(&files, 3);
    rc = posix_spawnp(pid, argv[0], &files, &attr, (char *const *)argv, env);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attr);
    return -rc;
}

int ssh_spawn(const char *const *argv, char *const *env, int channel,
              struct ssh_child *out, struct error *e)
{
    int in[2] = {-1, -1}, to[2] = {-1, -1}, err[2] = {-1, -1};
    int rc = 0;

    *out = (struct ssh_child){.in = -1, .out = -1, .err = -1};
    rc = make_pipe(in, 1);
    if (channel < 0) {
        if (rc == 0)
            rc = make_pipe(to, 0);
        if (rc == 0)
            rc = make_pipe(err, 0);
    }
    if (rc == 0)
        rc = spawn(argv, env,
                   (int[]){in[0], to[1], channel < 0 ? err[1] : channel},
                   &out->pid);
    if (rc < 0) {
        close_both(in);
        close_both(to);
        close_both(err);
        out->pid = 0;
        return error_set(e, rc, "%s: %s", argv[0],
                         rc == -ENOENT ? "not found: install openssh-client"
                                       : error_text(rc));
    }
    close(in[0]);
    out->in = in[1];
    if (channel < 0) {
        close(to[1]);
        close(err[1]);
        out->out = to[0];
        out->err = err[0];
    }
    return 0;
}

bool ssh_reap(pid_t pid, int *exit_code)
{
    int status = 0;

    if (waitpid(pid, &status, WNOHANG) != pid)
        return false;
    *exit_code =
        WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return true;
}

void ssh_kill(pid_t pid)
{
    int64_t until = clock_monotonic_ms() + KILL_GRACE_MS;
    siginfo_t info;

    if (pid <= 0)
        return;
    kill(-pid, SIGTERM);
    for (;;) {
        info = (siginfo_t){0};
        if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
            info.si_pid != 0)
            break;
        if (clock_monotonic_ms() > until)
            kill(-pid, SIGKILL);
        usleep(2000);
    }
    /* helpers in its session, while its number is still ours */
    kill(-pid, SIGKILL);
    waitpid(pid, NULL, 0);
}
