/* SPDX-License-Identifier: MIT */
/* A gateway for tests: detaches, writes OpenClaw's lock file, answers health
 * pages on its port, and misbehaves on request.
 *
 *   fake_gateway --state DIR --port N [option]...
 *     --ignore-term      only KILL ends it
 *     --slow-stop MS     TERM ends it that much later
 *     --die-after MS     ends itself that long after it was first ready
 *     --not-ready        answers 503 for ever
 *     --html             old release: every path is a page
 *     --hold FILE        a helper that outlives it keeps FILE open
 *
 * DIR/started.log gets a line per start: "quiet" or "full". It ends by itself
 * after LIFE_SECONDS, whatever happens. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifndef LIFE_SECONDS
#define LIFE_SECONDS 60
#endif

struct options {
    const char *state, *hold;
    int port;
    long slow_stop_ms, die_after_ms;
    int ignore_term, not_ready, html;
};

static volatile sig_atomic_t told_to_end;

static void on_term(int sig)
{
    (void)sig;
    told_to_end = 1;
}

static long now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static unsigned long long start_time(void)
{
    unsigned long long start = 0;
    char line[1024], *after;
    FILE *f = fopen("/proc/self/stat", "re");

    if (f && fgets(line, sizeof(line), f) && (after = strrchr(line, ')')))
        sscanf(after + 1,
               " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d"
               " %*d %*d %*d %*d %*d %llu",
               &start);
    if (f)
        fclose(f);
    return start;
}

static void write_lock(const struct options *o, char *path, size_t cap)
{
    FILE *f;

    snprintf(path, cap, "%s/tmp", o->state);
    mkdir(path, 0700);
    snprintf(path, cap, "%s/tmp/openclaw-%u", o->state, (unsigned)getuid());
    mkdir(path, 0700);
    snprintf(path, cap, "%s/tmp/openclaw-%u/gateway.state.lock", o->state,
             (unsigned)getuid());
    f = fopen(path, "we");
    if (!f)
        exit(1);
    fprintf(f,
            "{\"pid\": %d, \"stateDir\": \"%s\", \"port\": %d,"
            " \"startTime\": %llu}\n",
            (int)getpid(), o->state, o->port, start_time());
    fclose(f);
}

static void log_start(const struct options *o)
{
    char path[4096];
    FILE *f;

    snprintf(path, sizeof(path), "%s/started.log", o->state);
    f = fopen(path, "ae");
    if (!f)
        exit(1);
    fprintf(f, "%s\n",
            getenv("OPENCLAW_SKIP_CHANNELS") && getenv("OPENCLAW_SKIP_CRON")
                ? "quiet"
                : "full");
    fclose(f);
}

static int listen_on(int port)
{
    struct sockaddr_in addr = {
        .sin_family = AF_INET,
        .sin_port = htons((unsigned short)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
        listen(fd, 16) < 0)
        exit(1);
    return fd;
}

static void answer(const struct options *o, int server)
{
    int fd = accept(server, NULL, NULL);
    const char *body = o->html        ? "<html>gateway</html>"
                       : o->not_ready ? "{\"ok\":false}"
                                      : "{\"ok\":true}";
    char text[256];
    int n;

    if (fd < 0)
        return;
    if (recv(fd, text, sizeof(text), 0) > 0) {
        n = snprintf(
            text, sizeof(text), "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s",
            o->not_ready && !o->html ? "503 Service Unavailable" : "200 OK",
            strlen(body), body);
        send(fd, text, (size_t)n, MSG_NOSIGNAL);
    }
    close(fd);
}

/* A child that keeps a file open when its gateway is gone. */
static void leave_helper(const struct options *o)
{
    if (fork() == 0) {
        int fd = open(o->hold, O_RDONLY);

        setsid();
        signal(SIGTERM, SIG_DFL);
        alarm(60);
        while (fd >= 0)
            pause();
        _exit(0);
    }
}

static void detach(void)
{
    int null = open("/dev/null", O_RDWR);

    if (fork() != 0)
        _exit(0);
    setsid();
    if (fork() != 0)
        _exit(0);
    dup2(null, 0);
    dup2(null, 1);
    dup2(null, 2);
}

static struct options parse(int argc, char **argv)
{
    struct options o = {0};

    for (int i = 1; i < argc; i++) {
        const char *next = i + 1 < argc ? argv[i + 1] : "";

        if (strcmp(argv[i], "--state") == 0)
            o.state = next;
        else if (strcmp(argv[i], "--port") == 0)
            o.port = atoi(next);
        else if (strcmp(argv[i], "--slow-stop") == 0)
            o.slow_stop_ms = atol(next);
        else if (strcmp(argv[i], "--die-after") == 0)
            o.die_after_ms = atol(next);
        else if (strcmp(argv[i], "--hold") == 0)
            o.hold = next;
        else if (strcmp(argv[i], "--ignore-term") == 0)
            o.ignore_term = 1;
        else if (strcmp(argv[i], "--not-ready") == 0)
            o.not_ready = 1;
        else if (strcmp(argv[i], "--html") == 0)
            o.html = 1;
    }
    return o;
}

int main(int argc, char **argv)
{
    struct options o = parse(argc, argv);
    long end = 0, forced;
    char lock[4096];
    int server;

    if (!o.state || !o.port)
        return 2;
    server = listen_on(o.port); /* before the command returns */
    detach();
    signal(SIGTERM, o.ignore_term ? SIG_IGN : on_term);
    alarm(LIFE_SECONDS);
    log_start(&o);
    if (o.hold)
        leave_helper(&o);
    write_lock(&o, lock, sizeof(lock));
    forced = o.die_after_ms;
    for (;;) {
        struct pollfd p = {.fd = server, .events = POLLIN};

        if (poll(&p, 1, 10) == 1) {
            answer(&o, server);
            if (forced && !end)
                end = now_ms() + forced;
        }
        if (told_to_end) {
            told_to_end = 0;
            end = now_ms() + o.slow_stop_ms;
        }
        if (end && now_ms() >= end)
            break;
    }
    unlink(lock);
    return 0;
}
