/* SPDX-License-Identifier: MIT */
#include "common/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/text.h"

static const char *log_program = "ocm";
static enum log_level log_max = LOG_INFO;
static int log_journal; /* stderr is read by journald */

static const struct {
    const char *name;
    const char *journal; /* sd-daemon(3) prefix */
} levels[] = {
    [LOG_ERROR] = {"error", "<3>"},
    [LOG_WARN] = {"warn", "<4>"},
    [LOG_INFO] = {"info", "<6>"},
    [LOG_DEBUG] = {"debug", "<7>"},
};

void log_init(const char *program, enum log_level level)
{
    log_program = program;
    log_max = level;
    log_journal = getenv("JOURNAL_STREAM") != NULL && !isatty(STDERR_FILENO);
}

int log_level_parse(const char *name)
{
    for (int i = LOG_ERROR; i <= LOG_DEBUG; i++) {
        if (strcmp(levels[i].name, name) == 0)
            return i;
    }
    return -1;
}

void log_write(enum log_level level, const char *fmt, ...)
{
    char line[1200];
    size_t len = 0;
    int saved = errno;
    struct timespec now;
    struct tm tm;
    va_list ap;

    if (level > log_max)
        return;
    if (log_journal) {
        len = (size_t)snprintf(line, sizeof(line), "%s", levels[level].journal);
    } else {
        clock_gettime(CLOCK_REALTIME, &now);
        gmtime_r(&now.tv_sec, &tm);
        len = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &tm);
        len += (size_t)snprintf(line + len, sizeof(line) - len,
                                ".%03ldZ %s %s: ", now.tv_nsec / 1000000,
                                log_program, levels[level].name);
    }
    va_start(ap, fmt);
    vsnprintf(line + len, sizeof(line) - len - 1, fmt, ap);
    va_end(ap);
    text_clean(line + len);
    len = strlen(line);
    line[len++] = '\n';
    /* one write, so that lines of several threads never mix */
    if (write(STDERR_FILENO, line, len) < 0)
        len = 0;
    errno = saved;
}
