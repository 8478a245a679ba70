/* SPDX-License-Identifier: MIT */
/* Processes around a state directory: which one is its gateway, who holds its
 * databases open, does its port answer. From /proc and OpenClaw's lock files. */
#ifndef AGENT_OPENCLAW_PROC_H
#define AGENT_OPENCLAW_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct proc {
    pid_t pid;
    uint64_t start; /* field 22 of /proc/<pid>/stat: tells a reused pid */
    int port;       /* of the lock file; 0: it does not say */
};

/* Start time of a living process (a zombie is dead); 0: none. */
uint64_t proc_start_time(pid_t pid);
bool proc_is_alive(const struct proc *p);

/* The gateway of this state: named by a lock file of any release (below
 * <state_dir>/tmp and the temp folders) and alive, else found among the
 * processes by its name and environment. False: none. */
bool proc_find_gateway(const char *state_dir, const char *config_path,
                       struct proc *out);

/* The state directory of a running gateway whose HOME is `home`, or NULL.
 * Caller frees. */
char *proc_find_state_dir(const char *home);

/* A process other than ours that holds a database below `state_dir` open;
 * false: none. `what` gets the name of the process and of the file. */
bool proc_find_holder(const char *state_dir, pid_t *pid, char *what,
                      size_t cap);

/* Is it a Node process that was started for this state: the gateway's helper,
 * a CLI call? */
bool proc_is_helper(pid_t pid, const char *state_dir);

/* Does something listen on 127.0.0.1:port? */
bool port_is_open(int port);

/* A process we may signal that listens on the TCP port; 0: none found. */
pid_t port_owner(int port);

/* "openclaw-gateway" or the program's name. */
void proc_name(pid_t pid, char *out, size_t cap);

#endif
