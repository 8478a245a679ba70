/* SPDX-License-Identifier: MIT */
/* Questions on the terminal, one at a time; secrets go from the terminal (or
 * the descriptor of --password-fd) into locked memory, byte by byte, through
 * no buffer of ours. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/base/text.h"
#include "controller/cli/add.h"

#define TICK_MS 100

void add_terminal_open(struct add *a)
{
    a->tty =
        a->c->io->tty_in ? open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY) : -1;
}

void add_terminal_close(struct add *a)
{
    if (a->tty >= 0)
        close(a->tty);
    buf_free(&a->held);
    for (int i = 0; i < 2; i++)
        sodium_free(a->secrets[i]); /* wipes */
}

/* ---- lines ---- */

static void put_line(struct add *a, bool out, const char *line)
{
    pthread_mutex_lock(&a->out_lock);
    if (a->asking && !out)
        buf_add_str(&a->held, line);
    else
        fputs(line, out ? a->c->io->out : a->c->io->err);
    fflush(out ? a->c->io->out : a->c->io->err);
    pthread_mutex_unlock(&a->out_lock);
}

void add_line(struct add_host *h, bool out, const char *fmt, ...)
{
    struct buf line = {0};
    char text[2048];
    va_list ap;

    if (!out && h->add->c->quiet)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    buf_printf(&line, "%s: ", h->text);
    text_escape(&line, text, strlen(text));
    buf_add_byte(&line, '\n');
    put_line(h->add, out, buf_str(&line));
    buf_free(&line);
}

void add_lines(struct add_host *h, const char *text)
{
    put_line(h->add, false, text);
}

/* ---- asking ---- */

static void begin_asking(struct add *a)
{
    pthread_mutex_lock(&a->asking_lock);
    pthread_mutex_lock(&a->out_lock);
    a->asking = true;
    pthread_mutex_unlock(&a->out_lock);
}

static void end_asking(struct add *a)
{
    pthread_mutex_lock(&a->out_lock);
    a->asking = false;
    if (a->held.len > 0)
        fputs(buf_str(&a->held), a->c->io->err);
    fflush(a->c->io->err);
    buf_clear(&a->held);
    pthread_mutex_unlock(&a->out_lock);
    pthread_mutex_unlock(&a->asking_lock);
}

/* A line of the terminal without its end; false for none. */
static bool read_line(int fd, char *out, size_t cap)
{
    size_t n = 0;
    char c = 0;

    while (!cli_interrupted) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        ssize_t got;

        if (poll(&p, 1, TICK_MS) <= 0)
            continue;
        got = read(fd, &c, 1);
        if (got < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (got <= 0)
            return false;
        if (c == '\n') {
            out[n] = '\0';
            return true;
        }
        if (n + 1 < cap)
            out[n++] = c;
        c = 0;
    }
    return false;
}

/* The terminal is as it was when this returns, Ctrl-C or not. */
static bool ask_terminal(struct add *a, const char *question, bool hidden,
                         char *answer, size_t cap)
{
    struct termios was, quiet;
    bool ok;

    if (a->tty < 0 || cli_interrupted)
        return false;
    if (tcgetattr(a->tty, &was) < 0)
        return false;
    quiet = was;
    if (hidden)
        quiet.c_lflag &= ~(tcflag_t)ECHO;
    /* what was typed before the question is no answer to it */
    tcsetattr(a->tty, hidden ? TCSAFLUSH : TCSANOW, &quiet);
    fd_write_all(a->tty, question, strlen(question));
    ok = read_line(a->tty, answer, cap);
    tcsetattr(a->tty, TCSANOW, &was);
    if (hidden || !ok)
        fd_write_all(a->tty, "\n", 1);
    return ok;
}

/* ssh's own words, whose lines may be several, made harmless. */
static void add_foreign(struct buf *out, const char *text)
{
    while (*text) {
        size_t len = strcspn(text, "\n");

        text_escape(out, text, len);
        text += len;
        if (*text == '\n' && text[1])
            buf_add_byte(out, '\n');
        text += *text == '\n';
    }
}

static void make_question(struct buf *q, const struct add_host *h,
                          const struct prompt *p)
{
    if (p->attempt > 1 && p->kind != PROMPT_HOST_KEY)
        buf_printf(q, "%s: that was not accepted.\n", h->text);
    if (p->kind == PROMPT_SUDO) {
        buf_printf(q, "%s: password for sudo%s: ", h->text,
                   p->login_known ? " [Enter: the one of the login]" : "");
        return;
    }
    if (p->kind != PROMPT_HOST_KEY)
        buf_printf(q, "%s: ", h->text);
    add_foreign(q, p->text);
    buf_add_str(q, text_has_suffix(p->text, " ") ? "" : " ");
}

/* From --password-fd: a wrong one is not tried twice. */
static bool answer_of_fd(const struct add *a, const struct prompt *p,
                         char *answer)
{
    const char *secret = a->secrets[0];

    if (p->kind == PROMPT_SUDO && *a->secrets[1])
        secret = a->secrets[1];
    if (p->attempt > 1 || !*secret ||
        (p->kind != PROMPT_PASSWORD && p->kind != PROMPT_PASSPHRASE &&
         p->kind != PROMPT_SUDO))
        return false;
    memcpy(answer, secret, PROMPT_ANSWER_MAX);
    return true;
}

bool add_prompt(void *arg, const struct prompt *p, char *answer)
{
    struct add_host *h = arg;
    struct add *a = h->add;
    struct buf q = {0};
    bool ok = false;

    if (p->kind == PROMPT_NOTICE) {
        add_line(h, false, "%s", p->text);
        return true;
    }
    if (a->fd_given && p->kind != PROMPT_HOST_KEY && p->kind != PROMPT_OTHER)
        return answer_of_fd(a, p, answer);
    begin_asking(a);
    make_question(&q, h, p);
    ok = ask_terminal(a, buf_str(&q), p->kind != PROMPT_HOST_KEY, answer,
                      PROMPT_ANSWER_MAX);
    end_asking(a);
    buf_free(&q);
    return ok;
}

bool add_ask(struct add_host *h, const char *question, char *answer, size_t cap)
{
    bool ok;

    begin_asking(h->add);
    ok = ask_terminal(h->add, question, false, answer, cap);
    end_asking(h->add);
    return ok;
}

/* ---- --password-fd ---- */

static bool read_secret(int fd, char *out)
{
    size_t n = 0;
    ssize_t got;
    char c = 0;

    while ((got = read(fd, &c, 1)) == 1 && c != '\n') {
        if (n + 1 < PROMPT_ANSWER_MAX)
            out[n++] = c;
    }
    c = 0;
    out[n] = '\0';
    return got >= 0;
}

int add_read_secrets(struct add *a, const char *fd)
{
    int64_t n;

    for (int i = 0; i < 2; i++) {
        a->secrets[i] = sodium_malloc(PROMPT_ANSWER_MAX);
        if (!a->secrets[i])
            abort();
        memset(a->secrets[i], 0, PROMPT_ANSWER_MAX);
    }
    if (!fd)
        return 0;
    if (!text_to_i64(fd, 0, 1023, &n) || fcntl((int)n, F_GETFD) < 0)
        return usage_error(a->c, "--password-fd %s: no such descriptor is open",
                           fd);
    if (!read_secret((int)n, a->secrets[0]) ||
        !read_secret((int)n, a->secrets[1]))
        return usage_error(a->c, "--password-fd %s cannot be read", fd);
    a->fd_given = true;
    return 0;
}
