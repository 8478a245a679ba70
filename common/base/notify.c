/* SPDX-License-Identifier: MIT */
#include "common/base/notify.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/text.h"

static void say(const char *text)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    socklen_t len;
    int fd;

    if (!path || !*path || strlen(path) >= sizeof(addr.sun_path))
        return;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    memcpy(addr.sun_path, path, strlen(path) + 1);
    len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    if (addr.sun_path[0] == '@')
        addr.sun_path[0] = 0; /* abstract */
    (void)!sendto(fd, text, strlen(text), MSG_NOSIGNAL,
                  (struct sockaddr *)&addr, len);
    close(fd);
}

static void on_watchdog(uv_timer_t *t)
{
    (void)t;
    say("WATCHDOG=1");
}

void notify_start(struct notify *n, uv_loop_t *loop)
{
    const char *usec = getenv("WATCHDOG_USEC");
    int64_t us;

    uv_timer_init(loop, &n->watchdog);
    uv_unref((uv_handle_t *)&n->watchdog);
    n->active = 1;
    if (usec && text_to_i64(usec, 1000, INT64_MAX / 2, &us))
        uv_timer_start(&n->watchdog, on_watchdog, 0, (uint64_t)us / 2000);
    say("READY=1");
}

void notify_status(const char *text)
{
    char line[256];

    snprintf(line, sizeof(line), "STATUS=%s", text);
    say(line);
}

void notify_stop(struct notify *n)
{
    if (n->active)
        say("STOPPING=1");
    notify_close(n);
}

void notify_close(struct notify *n)
{
    if (!n->active)
        return;
    n->active = 0;
    uv_close((uv_handle_t *)&n->watchdog, NULL);
}
