/* SPDX-License-Identifier: MIT */
/* From a helper's packet to a person and back. */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/clock.h"
#include "common/base/secret.h"
#include "controller/bootstrap/askpass.h"
#include "controller/bootstrap/ssh_internal.h"

bool ssh_stopped(const struct ssh *s)
{
    return s->o->stop && s->o->stop(s->o->arg);
}

static enum prompt_kind kind_of(const char *hint, const char *text)
{
    if (strcmp(hint, "none") == 0)
        return PROMPT_NOTICE;
    if (strstr(text, "(yes/no"))
        return PROMPT_HOST_KEY;
    if (strcasestr(text, "passphrase") || strcasestr(text, "PIN for"))
        return PROMPT_PASSPHRASE;
    if (strcasestr(text, "password"))
        return PROMPT_PASSWORD;
    return PROMPT_OTHER;
}

bool ssh_ask(struct ssh *s, enum prompt_kind kind, const char *text)
{
    struct prompt p = {
        .kind = kind,
        .host = s->o->target.host,
        .text = text,
        .attempt = ++s->attempts[kind],
        .login_known = kind == PROMPT_SUDO && *s->login,
    };
    int64_t begun = clock_monotonic_ms();
    bool given = s->o->prompt && s->o->prompt(s->o->arg, &p, s->answer);

    s->answer[PROMPT_ANSWER_MAX - 1] = '\0';
    s->thinking_ms += clock_monotonic_ms() - begun;
    if (!given)
        s->refused = true;
    return given;
}

/* On first use a jump host's key is asked for here, too: its ssh does not
 * have our options. */
static bool trusts_by_itself(const struct ssh *s, enum prompt_kind kind)
{
    return kind == PROMPT_HOST_KEY && s->o->accept_new;
}

static void take_request(struct ssh *s, const char *hint, const char *text)
{
    enum prompt_kind kind = kind_of(hint, text);

    if (trusts_by_itself(s, kind)) {
        askpass_reply(s->channel, "yes");
        return;
    }
    if (!ssh_ask(s, kind, text)) {
        if (kind != PROMPT_NOTICE)
            askpass_reply(s->channel, NULL);
    } else if (kind != PROMPT_NOTICE) {
        askpass_reply(s->channel, s->answer);
        if (kind == PROMPT_PASSWORD)
            memcpy(s->login, s->answer, PROMPT_ANSWER_MAX);
    }
    secret_wipe(s->answer, PROMPT_ANSWER_MAX);
}

static void keep_words(struct buf *text, const char *p, size_t len)
{
    if (text->len + len > SSH_TEXT_MAX)
        buf_consume(text, text->len / 2);
    if (len <= SSH_TEXT_MAX / 2)
        buf_add(text, p, len);
}

bool ssh_drain_channel(struct ssh *s)
{
    char packet[ASKPASS_PACKET_MAX + 1];
    const char *hint, *text;
    ssize_t n;

    while (s->channel >= 0) {
        n = recv(s->channel, packet, sizeof(packet) - 1, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN;
        if (n == 0)
            return false;
        packet[n] = '\0';
        if (askpass_parse(packet, (size_t)n, &hint, &text))
            take_request(s, hint, text);
        else
            keep_words(&s->text, packet, (size_t)n);
    }
    return false;
}
