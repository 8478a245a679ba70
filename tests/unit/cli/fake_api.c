/* SPDX-License-Identifier: MIT */
#include "tests/unit/cli/fake_api.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/base/files.h"

#define WAIT_MS 20000

/* One request with its body; the request line goes to `line`. */
static void read_request(struct fake_api *f, int fd, char *line, size_t cap)
{
    struct buf b = {0};
    char *end = NULL, *length;
    size_t want = 0;

    line[0] = '\0';
    while (!end || b.len < (size_t)(end - (char *)b.data) + 4 + want) {
        ssize_t n = read(fd, buf_reserve(&b, 4096), 4096);

        if (n <= 0)
            break;
        b.len += (size_t)n;
        end = strstr(buf_str(&b), "\r\n\r\n");
        length = end ? strcasestr((char *)b.data, "Content-Length: ") : NULL;
        if (length && length < end)
            want = strtoul(length + 16, NULL, 10);
    }
    if (end) {
        snprintf(line, cap, "%.*s", (int)strcspn((char *)b.data, "\r"),
                 (char *)b.data);
        if (strstr(line, " HTTP/1.1"))
            *strstr(line, " HTTP/1.1") = '\0';
        if (want > 0) {
            buf_add(&f->bodies, end + 4, want);
            buf_add_byte(&f->bodies, '\n');
        }
    }
    buf_free(&b);
}

static void answer(int fd, const struct line *l)
{
    struct buf b = {0};
    char rest[64];

    buf_printf(&b, "HTTP/1.1 %d X\r\nConnection: close\r\nContent-Type: %s\r\n",
               l->status, l->type ? l->type : "application/json");
    if (l->how == LINE_WHOLE)
        buf_printf(&b, "Content-Length: %zu\r\n\r\n", strlen(l->body));
    else /* a chunk without the end */
        buf_printf(&b, "Transfer-Encoding: chunked\r\n\r\n%zx\r\n",
                   strlen(l->body));
    buf_add_str(&b, l->body);
    if (l->how != LINE_WHOLE)
        buf_add_str(&b, "\r\n");
    if (send(fd, b.data, b.len, MSG_NOSIGNAL) < 0)
        perror("fake api");
    buf_free(&b);
    if (l->how == LINE_HOLD_AND_INTERRUPT) {
        kill(getpid(), SIGINT);
        while (read(fd, rest, sizeof(rest)) > 0)
            ; /* until the client leaves */
    }
}

static void *serve(void *arg)
{
    struct fake_api *f = arg;
    sigset_t mask;

    sigemptyset(&mask);
    sigaddset(&mask, SIGINT);
    pthread_sigmask(SIG_BLOCK, &mask, NULL);
    for (;;) {
        int fd = accept(f->listener, NULL, NULL);
        char line[1024];

        if (fd < 0)
            return NULL;
        read_request(f, fd, line, sizeof(line));
        if (f->next < f->count &&
            strcmp(line, f->script[f->next].request) == 0) {
            answer(fd, &f->script[f->next++]);
        } else if (!f->wrong[0]) {
            snprintf(f->wrong, sizeof(f->wrong),
                     "%.200s came, %.200s was "
                     "expected",
                     line,
                     f->next < f->count ? f->script[f->next].request
                                        : "nothing");
        }
        close(fd);
    }
}

void fake_api_start(struct fake_api *f, const struct line *script, size_t count)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};

    memset(f, 0, sizeof(*f));
    f->script = script;
    f->count = count;
    strcpy(f->dir, "/tmp/ocm-cli-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof(f->path), "%s/api.sock", f->dir);
    strcpy(addr.sun_path, f->path);
    f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(f->listener, (struct sockaddr *)&addr, sizeof(addr)),
                     0);
    assert_int_equal(listen(f->listener, 5), 0);
    assert_int_equal(pthread_create(&f->thread, NULL, serve, f), 0);
}

void fake_api_stop(struct fake_api *f)
{
    shutdown(f->listener, SHUT_RDWR); /* accept ends */
    pthread_join(f->thread, NULL);
    close(f->listener);
    tree_remove(f->dir, NULL);
    if (f->wrong[0])
        fail_msg("%s", f->wrong);
    if (f->next != f->count)
        fail_msg("%s never came", f->script[f->next].request);
    buf_free(&f->bodies);
}
