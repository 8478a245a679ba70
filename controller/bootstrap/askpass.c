/* SPDX-License-Identifier: MIT */
#include "controller/bootstrap/askpass.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/files.h"
#include "common/base/secret.h"
#include "controller/bootstrap/prompt.h"

static const char request[] = "\0ask";

/* The channel is standard error, and nothing else is believed to be it. */
static bool is_channel(int fd)
{
    int type = 0;
    socklen_t len = sizeof(type);

    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
           type == SOCK_SEQPACKET;
}

static bool ask(int fd, const char *hint, const char *text)
{
    char packet[ASKPASS_PACKET_MAX];
    size_t at = sizeof(request), hint_len = strlen(hint) + 1;
    size_t text_len = strnlen(text, sizeof(packet) - at - 64);

    if (hint_len > 60)
        return false;
    memcpy(packet, request, at);
    memcpy(packet + at, hint, hint_len);
    at += hint_len;
    memcpy(packet + at, text, text_len);
    return send(fd, packet, at + text_len, MSG_NOSIGNAL) >= 0;
}

/* ssh ends a helper that only shows something when it is no longer true. */
static _Noreturn void show(void)
{
    for (;;)
        pause();
}

int askpass_main(int argc, char *const *argv)
{
    const char *hint = getenv("SSH_ASKPASS_PROMPT");
    char answer[PROMPT_ANSWER_MAX + 2];
    int code = 1;
    ssize_t n;

    if (!getenv(ASKPASS_ENV))
        return -1;
    secret_init();
    if (argc != 2 || !is_channel(STDERR_FILENO) ||
        !ask(STDERR_FILENO, hint ? hint : "", argv[1]))
        return 1;
    if (hint && strcmp(hint, "none") == 0)
        show();
    do
        n = recv(STDERR_FILENO, answer, sizeof(answer), 0);
    while (n < 0 && errno == EINTR);
    if (n >= 2 && answer[0] == '\0' && answer[1] == 'y' &&
        fd_write_all(STDOUT_FILENO, answer + 2, (size_t)n - 2) == 0 &&
        fd_write_all(STDOUT_FILENO, "\n", 1) == 0)
        code = 0;
    secret_wipe(answer, sizeof(answer));
    return code;
}

bool askpass_parse(const char *packet, size_t len, const char **hint,
                   const char **text)
{
    const char *end;

    if (len <= sizeof(request) || memcmp(packet, request, sizeof(request)) != 0)
        return false;
    *hint = packet + sizeof(request);
    end = memchr(*hint, 0, len - sizeof(request));
    if (!end)
        return false;
    *text = end + 1;
    return true;
}

void askpass_reply(int fd, const char *answer)
{
    char packet[PROMPT_ANSWER_MAX + 2] = {'\0', answer ? 'y' : 'n'};
    size_t len = answer ? strnlen(answer, PROMPT_ANSWER_MAX) : 0;

    if (answer)
        memcpy(packet + 2, answer, len);
    send(fd, packet, len + 2, MSG_NOSIGNAL);
    secret_wipe(packet, sizeof(packet));
}
