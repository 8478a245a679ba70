/* SPDX-License-Identifier: MIT */
/* HTTP/1.0 by hand: connect, ask, read to the end. */
#include "agent/openclaw/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"

/* Until the descriptor is ready; false: time is over. */
static bool ready(int fd, short events, int64_t deadline)
{
    struct pollfd p = {.fd = fd, .events = events};

    for (;;) {
        int64_t left = deadline - clock_monotonic_ms();
        int n = left > 0 ? poll(&p, 1, (int)left) : 0;

        if (n != -1 || errno != EINTR)
            return n == 1;
    }
}

static bool dial(int fd, int port, int64_t deadline)
{
    struct sockaddr_in addr = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int why = 0;
    socklen_t len = sizeof(why);

    if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
        return true;
    return errno == EINPROGRESS && ready(fd, POLLOUT, deadline) &&
           getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &len) == 0 && why == 0;
}

static bool send_all(int fd, const char *p, size_t len, int64_t deadline)
{
    while (len > 0) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN && ready(fd, POLLOUT, deadline))
            continue;
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

/* To the end, or to the length the head names: some servers keep a
 * connection open whatever one asks for. */
static void receive(int fd, struct buf *in, int64_t deadline)
{
    while (in->len < HTTP_BODY_MAX) {
        const char *text = buf_str(in), *head_end = strstr(text, "\r\n\r\n");
        const char *length = strcasestr(text, "\r\ncontent-length:");
        unsigned long want;
        ssize_t n;

        if (head_end && length && length < head_end &&
            sscanf(length + 17, " %lu", &want) == 1 &&
            in->len >= (size_t)(head_end + 4 - text) + want)
            return;
        n = recv(fd, buf_reserve(in, 16384), 16384, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            if (ready(fd, POLLIN, deadline))
                continue;
            return;
        }
        if (n <= 0)
            return;
        in->len += (size_t)n;
    }
}

int http_get(int port, const char *path, int64_t timeout_ms, struct buf *body)
{
    int64_t deadline = clock_monotonic_ms() + timeout_ms;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct buf in = {0};
    char ask[512];
    char *end;
    int status = -1, n;

    n = snprintf(ask, sizeof(ask),
                 "GET %s HTTP/1.0\r\nHost: 127.0.0.1:%d\r\n"
                 "Accept: application/json\r\nConnection: close\r\n\r\n",
                 path, port);
    if (fd >= 0 && n < (int)sizeof(ask) && dial(fd, port, deadline) &&
        send_all(fd, ask, (size_t)n, deadline)) {
        receive(fd, &in, deadline);
        end = strstr(buf_str(&in), "\r\n\r\n");
        if (end && sscanf((char *)in.data, "HTTP/1.%*d %d", &status) == 1)
            buf_add(body, end + 4,
                    in.len - (size_t)(end + 4 - (char *)in.data));
        else
            status = -1;
    }
    if (fd >= 0)
        close(fd);
    buf_free(&in);
    return status;
}
