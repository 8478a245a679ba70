/* SPDX-License-Identifier: MIT */
/* A job's life: spawn -> poll its two pipes and its pidfd -> it ends (drain
 * what the pipes hold, no waiting for EOF) -> done. Over time, over output or
 * cancelled: TERM to the group, KILL after PROCESS_GRACE_MS, then the same. */
#include "common/base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/secret.h"

#define PROCESS_GRACE_MS 2000
#define PROCESS_TICK_MS 100 /* how soon `cancelled` is seen */
#define PROCESS_MAX_JOBS 32

extern char **environ;

struct child {
    struct process_job *job;
    pid_t pid;       /* 0: not running */
    int pidfd;       /* -1: kernel without pidfds, then waitpid by ticks */
    int out, err;    /* our ends; -1: closed */
    int64_t started; /* monotonic ms */
    int64_t kill_at; /* 0: TERM was not sent yet */
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static int make_pipe(int ends[2])
{
    if (pipe2(ends, O_CLOEXEC) < 0) {
        ends[0] = ends[1] = -1;
        return -errno;
    }
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    return 0;
}

/* A file without a name that holds the input: no pipe to be kept filled. */
static int make_input(const struct process_job *job)
{
    int fd = memfd_create("input", MFD_CLOEXEC), rc;

    if (fd < 0)
        return -errno;
    rc = fd_write_all(fd, job->input, job->input_len);
    if (rc == 0 && lseek(fd, 0, SEEK_SET) < 0)
        rc = -errno;
    if (rc < 0)
        close(fd);
    return rc < 0 ? rc : fd;
}

/* posix_spawn with a clean signal state and a group of its own. */
static int spawn(struct child *c, int in, int out, int err)
{
    const struct process_job *job = c->job;
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, all;
    int rc;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setpgroup(&attr, 0);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP |
                                        POSIX_SPAWN_SETSIGMASK |
                                        POSIX_SPAWN_SETSIGDEF);
    if (in >= 0)
        posix_spawn_file_actions_adddup2(&files, in, 0);
    else
        posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    if (out >= 0) {
        posix_spawn_file_actions_adddup2(&files, out, 1);
        posix_spawn_file_actions_adddup2(&files, err, 2);
    } else {
        posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
        posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
    }
    posix_spawn_file_actions_addclosefrom_np(&files, 3);
    rc = posix_spawnp(&c->pid, job->argv[0], &files, &attr,
                      (char *const *)job->argv,
                      job->env ? (char *const *)job->env : environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attr);
    if (rc)
        c->pid = 0;
    return -rc;
}

static void child_start(struct child *c)
{
    struct process_job *job = c->job;
    int in = -1, out[2] = {-1, -1}, err[2] = {-1, -1};
    int rc = 0;

    job->exit_code = -1;
    if (!job->max_output)
        job->max_output = PROCESS_OUTPUT_MAX;
    c->out = c->err = c->pidfd = -1;
    c->started = clock_monotonic_ms();
    if (!job->detaches) {
        rc = make_pipe(out);
        if (rc == 0)
            rc = make_pipe(err);
    }
    if (rc == 0 && job->input) {
        in = make_input(job);
        rc = in < 0 ? in : 0;
    }
    if (rc == 0)
        rc = spawn(c, in, out[1], err[1]);
    close_fd(&in);
    close_fd(&out[1]);
    close_fd(&err[1]);
    c->out = out[0];
    c->err = err[0];
    job->rc = rc;
    if (rc < 0) {
        close_fd(&c->out);
        close_fd(&c->err);
        return;
    }
    c->pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0);
}

/* End the group, once gently, later for good. */
static void child_end(struct child *c, int why)
{
    if (c->job->rc == 0)
        c->job->rc = why;
    if (c->kill_at == 0) {
        kill(-c->pid, SIGTERM);
        c->kill_at = clock_monotonic_ms() + PROCESS_GRACE_MS;
    }
}

/* Read what is there. Output over the limit is dropped and ends the job. */
static void drain(struct child *c, int *fd, struct buf *to)
{
    while (*fd >= 0) {
        ssize_t n = read(*fd, buf_reserve(to, 16384), 16384);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            close_fd(fd);
            return;
        }
        to->len += (size_t)n;
        if (to->len > c->job->max_output) {
            to->len = c->job->max_output;
            close_fd(fd);
            if (c->pid > 0)
                child_end(c, OCM_E_LIMIT);
        }
    }
}

/* Has it ended? Then take its status and its last words. */
static bool child_reap(struct child *c)
{
    struct process_job *job = c->job;
    siginfo_t info = {0};
    int status = 0;

    if (waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
        info.si_pid == 0)
        return false;
    /* before it is reaped: its number is still ours */
    if (c->kill_at)
        kill(-c->pid, SIGKILL); /* helpers that ignored TERM */
    if (waitpid(c->pid, &status, 0) == c->pid)
        job->exit_code =
            WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    c->pid = 0;
    drain(c, &c->out, &job->out);
    drain(c, &c->err, &job->err);
    close_fd(&c->out);
    close_fd(&c->err);
    close_fd(&c->pidfd);
    job->took_ms = clock_monotonic_ms() - c->started;
    return true;
}

static size_t add_poll(struct pollfd *fds, size_t n, int fd)
{
    if (fd >= 0)
        fds[n++] = (struct pollfd){.fd = fd, .events = POLLIN};
    return n;
}

/* One turn over all children; returns how many still run. */
static size_t turn(struct child *cs, size_t count, const atomic_bool *cancelled)
{
    struct pollfd fds[PROCESS_MAX_JOBS * 3];
    size_t n = 0, alive = 0;
    int64_t now, wait_ms = PROCESS_TICK_MS;

    for (size_t i = 0; i < count; i++) {
        if (cs[i].pid == 0)
            continue;
        n = add_poll(fds, n, cs[i].out);
        n = add_poll(fds, n, cs[i].err);
        n = add_poll(fds, n, cs[i].pidfd);
        if (cs[i].pidfd < 0)
            wait_ms = 10;
    }
    poll(fds, n, (int)wait_ms);
    now = clock_monotonic_ms();
    for (size_t i = 0; i < count; i++) {
        struct child *c = &cs[i];

        if (c->pid == 0)
            continue;
        drain(c, &c->out, &c->job->out);
        drain(c, &c->err, &c->job->err);
        if (child_reap(c))
            continue;
        alive++;
        if (cancelled && atomic_load(cancelled))
            child_end(c, OCM_E_CANCELLED);
        else if (now - c->started > c->job->timeout_ms)
            child_end(c, OCM_E_TIMEOUT);
        if (c->kill_at && now > c->kill_at)
            kill(-c->pid, SIGKILL);
    }
    return alive;
}

int process_run(struct process_job *jobs, size_t count,
                const atomic_bool *cancelled, struct error *e)
{
    struct child cs[PROCESS_MAX_JOBS] = {0};

    if (count > PROCESS_MAX_JOBS)
        return error_set(e, OCM_E_LIMIT, "%zu programs at once", count);
    for (size_t i = 0; i < count; i++) {
        cs[i].job = &jobs[i];
        child_start(&cs[i]);
    }
    while (turn(cs, count, cancelled) > 0)
        ;
    for (size_t i = 0; i < count; i++) {
        const struct process_job *job = &jobs[i];

        if (job->rc == OCM_E_TIMEOUT)
            return error_set(e, job->rc, "%s: no end within %lld ms",
                             job->argv[0], (long long)job->timeout_ms);
        if (job->rc)
            return error_set(e, job->rc, "%s: %s", job->argv[0],
                             error_text(job->rc));
    }
    return 0;
}

void process_job_fini(struct process_job *job)
{
    buf_wipe(&job->out);
    buf_wipe(&job->err);
}

void process_job_text(struct process_job *job, char *out, size_t cap)
{
    struct buf *from = job->err.len ? &job->err : &job->out;
    size_t len = from->len, start, n = 0;

    while (len > 0 && from->data[len - 1] <= ' ')
        len--;
    start = len > cap - 1 ? len - (cap - 1) : 0;
    /* not in the middle of a character */
    while (start < len && (from->data[start] & 0xc0) == 0x80)
        start++;
    for (size_t i = start; i < len; i++) {
        char c = (char)from->data[i];

        if ((unsigned char)c < ' ' || c == 0x7f)
            c = ' ';
        if (c == ' ' && (n == 0 || out[n - 1] == ' '))
            continue;
        out[n++] = c;
    }
    out[n] = 0;
}
