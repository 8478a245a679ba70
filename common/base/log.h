/* SPDX-License-Identifier: MIT */
/* Log lines to stderr, with journald's level prefix when stderr is the
 * journal. One fact per line, `key=value` words. Never a secret. */
#ifndef COMMON_BASE_LOG_H
#define COMMON_BASE_LOG_H

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Set once at start, before threads. `program` is borrowed for ever. */
void log_init(const char *program, enum log_level level);

/* Parse "error", "warn", "info" or "debug"; -1 if it is none of them. */
int log_level_parse(const char *name);

/* Thread-safe; errno is preserved; control characters are replaced. */
void log_write(enum log_level level, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)

#endif
