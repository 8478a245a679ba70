/* SPDX-License-Identifier: MIT */
/* Gateways by lock file and by /proc, holders of databases, ports. */
#include "agent/openclaw/proc.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/openclaw/env.h"
#include "agent/openclaw/unit.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define LOCK_FILE_MAX 65536
#define PORT_ANSWER_MS 1000

uint64_t proc_start_time(pid_t pid)
{
    struct buf text = {0};
    char path[64], state = 0;
    unsigned long long start = 0;
    char *after;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    if (pid > 0 && file_read(path, 65536, &text, NULL) == 0) {
        /* the name in parentheses may hold anything */
        after = strrchr(buf_str(&text), ')');
        if (!after ||
            sscanf(after + 1,
                   " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d"
                   " %*d %*d %*d %*d %*d %llu",
                   &state, &start) != 2 ||
            state == 'Z' || state == 'X')
            start = 0;
    }
    buf_free(&text);
    return start;
}

bool proc_is_alive(const struct proc *p)
{
    uint64_t start = proc_start_time(p->pid);

    return start != 0 && (p->start == 0 || p->start == start);
}

/* The command line with blanks for the NULs. */
static void command_line(pid_t pid, struct buf *out)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
    file_read(path, 1024 * 1024, out, NULL);
    for (size_t i = 0; i < out->len; i++) {
        if (out->data[i] < ' ')
            out->data[i] = ' ';
    }
    buf_str(out);
}

void proc_name(pid_t pid, char *out, size_t cap)
{
    struct buf text = {0};
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
    file_read(path, 4096, &text, NULL);
    snprintf(out, cap, "%.*s", (int)strcspn(buf_str(&text), "\n"),
             (char *)text.data);
    buf_free(&text);
}

static bool runs_node(pid_t pid)
{
    char path[64], exe[4096];
    const char *base;
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
    n = readlink(path, exe, sizeof(exe) - 1);
    if (n <= 0)
        return false;
    exe[n] = 0;
    base = strrchr(exe, '/');
    return base &&
           (text_has_prefix(base, "/node") || text_has_prefix(base, "/bun"));
}

/* "openclaw-gateway" is the title a gateway gives itself; a fresh one is still
 * "node .../openclaw... gateway [run] [--port N]". The shell that starts it
 * with the same words is none. */
static bool looks_like_gateway(pid_t pid)
{
    struct buf cmd = {0};
    const char *base, *at;
    bool yes;

    command_line(pid, &cmd);
    at = (char *)cmd.data;
    base = at + strcspn(at, " ");
    while (base > at && base[-1] != '/')
        base--;
    yes = text_has_prefix(base, "openclaw-gateway");
    at = strstr(at, " gateway");
    if (!yes && at && strstr((char *)cmd.data, "openclaw") && runs_node(pid)) {
        at += strlen(" gateway");
        while (*at == ' ')
            at++;
        yes = !*at || text_has_prefix(at, "--") || text_has_prefix(at, "run");
    }
    buf_free(&cmd);
    return yes;
}

/* ---- whose word counts ---- */

/* Temp folders and the process list are everybody's: what a lock file or an
 * environment says is believed of the state's owner, of root and of us. */
static bool is_believed(uid_t uid, const char *state_dir)
{
    struct stat st;

    return uid == 0 || uid == geteuid() ||
           (stat(state_dir, &st) == 0 && st.st_uid == uid);
}

static bool is_believed_process(pid_t pid, const char *state_dir)
{
    char path[64];
    struct stat st;

    snprintf(path, sizeof(path), "/proc/%d", (int)pid);
    return stat(path, &st) == 0 && is_believed(st.st_uid, state_dir);
}

/* ---- lock files ---- */

/* A lock file as JSON; NULL when it is none, or none to be believed. */
static json_t *read_lock(const char *path, const char *state_dir)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct buf text = {0};
    json_t *j = NULL;
    struct stat st;

    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
        st.st_size <= LOCK_FILE_MAX && is_believed(st.st_uid, state_dir) &&
        fd_pread_all(fd, buf_reserve(&text, (size_t)st.st_size),
                     (size_t)st.st_size, 0) == 0)
        j = json_loadb((char *)text.data, (size_t)st.st_size, 0, NULL);
    close(fd);
    buf_free(&text);
    return j;
}

static const char *text_at(const json_t *j, const char *key)
{
    return json_string_value(json_object_get(j, key));
}

/* Is it a lock of this state, held by a living process? */
static bool lock_is_live(const char *path, const char *state_dir,
                         const char *config_path, bool inside, struct proc *out)
{
    json_t *j = read_lock(path, state_dir);
    const char *state = text_at(j, "stateDir");
    const char *config = text_at(j, "configPath");
    bool live = false;

    if (!j)
        return false;
    if (inside || (state ? strcmp(state, state_dir) == 0
                         : config && strcmp(config, config_path) == 0)) {
        json_t *start = json_object_get(j, "startTime");

        *out = (struct proc){
            .pid = (pid_t)json_integer_value(json_object_get(j, "pid")),
            .start = (uint64_t)json_integer_value(start),
            .port = (int)json_integer_value(json_object_get(j, "port")),
        };
        live = out->pid > 1 && proc_is_alive(out) &&
               (out->start != 0 || looks_like_gateway(out->pid));
        if (live)
            out->start = proc_start_time(out->pid);
    }
    json_decref(j);
    return live;
}

static bool find_by_lock(const char *state_dir, const char *config_path,
                         struct proc *out)
{
    const char *tmp = getenv("TMPDIR");
    char *patterns[] = {
        mem_printf("%s/tmp/openclaw-*/gateway.*lock", state_dir),
        mem_strdup("/tmp/openclaw-*/gateway.*lock"),
        mem_printf("%s/openclaw-*/gateway.*lock",
                   tmp && tmp[0] == '/' ? tmp : "/var/tmp"),
    };
    bool found = false;

    for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
        glob_t g = {0};

        if (!found && glob(patterns[i], 0, NULL, &g) == 0) {
            for (size_t k = 0; k < g.gl_pathc && !found; k++)
                found = lock_is_live(g.gl_pathv[k], state_dir, config_path,
                                     i == 0, out);
        }
        globfree(&g);
        free(patterns[i]);
    }
    return found;
}

/* ---- /proc ---- */

/* Calls `fn` for each process until it says true. */
static bool each_process(bool (*fn)(pid_t pid, void *arg), void *arg)
{
    DIR *dir = opendir("/proc");
    struct dirent *d;
    bool found = false;

    while (dir && !found && (d = readdir(dir))) {
        int64_t pid;

        if (text_to_i64(d->d_name, 1, INT32_MAX, &pid) && pid != getpid())
            found = fn((pid_t)pid, arg);
    }
    if (dir)
        closedir(dir);
    return found;
}

struct search {
    const char *state_dir;
    struct proc *out;
    pid_t pid;
    char *what;
    size_t cap;
    uint64_t inode;
};

/* Does its environment lead to this state directory? */
static bool uses_state(pid_t pid, const char *state_dir)
{
    struct env env = {0};
    const char *home;
    char *dir = NULL;
    bool same;

    env_add_process(&env, pid);
    home = env_get(&env, "HOME");
    if (home)
        dir = state_dir_of(&env, home, NULL, 0);
    same = dir && strcmp(dir, state_dir) == 0;
    free(dir);
    env_fini(&env);
    return same;
}

bool proc_is_helper(pid_t pid, const char *state_dir)
{
    return runs_node(pid) && uses_state(pid, state_dir);
}

static bool is_our_gateway(pid_t pid, void *arg)
{
    struct search *s = arg;

    if (!looks_like_gateway(pid) || !uses_state(pid, s->state_dir) ||
        !is_believed_process(pid, s->state_dir))
        return false;
    *s->out = (struct proc){.pid = pid, .start = proc_start_time(pid)};
    return s->out->start != 0;
}

bool proc_find_gateway(const char *state_dir, const char *config_path,
                       struct proc *out)
{
    struct search s = {.state_dir = state_dir, .out = out};

    *out = (struct proc){0};
    if (find_by_lock(state_dir, config_path, out))
        return true;
    if (each_process(is_our_gateway, &s))
        return true;
    *out = (struct proc){0};
    return false;
}

struct home_search {
    const char *home;
    char *state_dir;
};

static bool is_gateway_of_home(pid_t pid, void *arg)
{
    struct home_search *s = arg;
    struct env env = {0};
    const char *home;

    if (looks_like_gateway(pid) && is_believed_process(pid, s->home) &&
        env_add_process(&env, pid) == 0) {
        home = env_get(&env, "HOME");
        if (home && strcmp(home, s->home) == 0)
            s->state_dir = state_dir_of(&env, home, NULL, 0);
    }
    env_fini(&env);
    return s->state_dir != NULL;
}

char *proc_find_state_dir(const char *home)
{
    struct home_search s = {.home = home};

    each_process(is_gateway_of_home, &s);
    return s.state_dir;
}

/* Calls `fn` with the target of each descriptor of a process. */
static bool each_fd(pid_t pid, bool (*fn)(const char *target, void *arg),
                    void *arg)
{
    char path[64], target[4096];
    struct dirent *d;
    bool found = false;
    DIR *dir;

    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    dir = opendir(path);
    while (dir && !found && (d = readdir(dir))) {
        ssize_t n;

        if (d->d_name[0] == '.')
            continue;
        n = readlinkat(dirfd(dir), d->d_name, target, sizeof(target) - 1);
        if (n <= 0)
            continue;
        target[n] = 0;
        found = fn(target, arg);
    }
    if (dir)
        closedir(dir);
    return found;
}

static bool is_state_database(const char *target, void *arg)
{
    struct search *s = arg;
    const char *name = strrchr(target, '/');

    if (target[0] != '/' || !path_is_below(target, s->state_dir) ||
        !strstr(name, ".sqlite"))
        return false;
    snprintf(s->what, s->cap, "%s", target);
    return true;
}

static bool holds_database(pid_t pid, void *arg)
{
    struct search *s = arg;

    if (!each_fd(pid, is_state_database, s))
        return false;
    s->pid = pid;
    return true;
}

bool proc_find_holder(const char *state_dir, pid_t *pid, char *what, size_t cap)
{
    char file[4096], name[64], *real = realpath(state_dir, NULL);
    /* descriptors show the real path */
    struct search s = {.state_dir = real ? real : state_dir,
                       .what = file,
                       .cap = sizeof(file)};
    bool found = each_process(holds_database, &s);

    free(real);
    if (found) {
        *pid = s.pid;
        proc_name(s.pid, name, sizeof(name));
        snprintf(what, cap, "%s (pid %d) has %s open", name, (int)s.pid, file);
    }
    return found;
}

/* ---- ports ---- */

bool port_is_open(int port)
{
    struct sockaddr_in addr = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    socklen_t len = sizeof(int);
    int why = 0;
    bool open;

    if (fd < 0)
        return false;
    open = connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0;
    if (!open && errno == EINPROGRESS && poll(&p, 1, PORT_ANSWER_MS) == 1 &&
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &len) == 0)
        open = why == 0;
    close(fd);
    return open;
}

/* Inode of the socket that listens on the port, from /proc/net/tcp*. */
static uint64_t listening_inode(const char *table, int port)
{
    FILE *f = fopen(table, "re");
    char line[512];
    uint64_t inode = 0;

    while (f && !inode && fgets(line, sizeof(line), f)) {
        unsigned local, state;
        unsigned long long number;

        if (sscanf(line,
                   " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s"
                   " %*u %*d %llu",
                   &local, &state, &number) == 3 &&
            state == 10 && (int)local == port)
            inode = number;
    }
    if (f)
        fclose(f);
    return inode;
}

static bool is_socket(const char *target, void *arg)
{
    struct search *s = arg;
    char want[64];

    snprintf(want, sizeof(want), "socket:[%" PRIu64 "]", s->inode);
    return strcmp(target, want) == 0;
}

static bool holds_socket(pid_t pid, void *arg)
{
    struct search *s = arg;

    if (!each_fd(pid, is_socket, s))
        return false;
    s->pid = pid;
    return true;
}

pid_t port_owner(int port)
{
    struct search s = {.inode = listening_inode("/proc/net/tcp", port)};

    if (!s.inode)
        s.inode = listening_inode("/proc/net/tcp6", port);
    if (!s.inode || !each_process(holds_socket, &s))
        return 0;
    return s.pid;
}
