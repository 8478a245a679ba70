/* SPDX-License-Identifier: MIT */
/* systemd's notify protocol (sd_notify(3)) without its library: READY, and
 * WATCHDOG fed from the loop, so that a loop that hangs is noticed. */
#ifndef COMMON_BASE_NOTIFY_H
#define COMMON_BASE_NOTIFY_H

#include <uv.h>

struct notify {
    uv_timer_t watchdog;
    int active;
};

/* Say READY=1 and feed the watchdog if $WATCHDOG_USEC asks for it. Does
 * nothing outside systemd. Loop thread. */
void notify_start(struct notify *n, uv_loop_t *loop);
/* One line for `systemctl status`. */
void notify_status(const char *text);
/* Say STOPPING=1 and close the timer. */
void notify_stop(struct notify *n);
/* Close the timer without a word: another program goes on in this process. */
void notify_close(struct notify *n);

#endif
