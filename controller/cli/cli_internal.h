/* SPDX-License-Identifier: MIT */
/* What commands work with. */
#ifndef CONTROLLER_CLI_CLI_INTERNAL_H
#define CONTROLLER_CLI_CLI_INTERNAL_H

#include <jansson.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "controller/cli/cli.h"

#define CLI_MAX_ARGS 1000
#define CLI_MAX_OPTIONS 256

struct cli;

struct option {
    const char *name;  /* "snapshot": --snapshot */
    char letter;       /* 'r': -r; 0: none */
    const char *value; /* "ID"; NULL: a flag */
    const char *help;
    bool repeated;        /* may stand several times */
    const char *complete; /* what its value is: "node", "snapshot", "file",
                             "section", "clone move"; NULL: anything */
};

#define COMMAND_MAX_OPTIONS 20

struct command {
    const char *name;       /* "node list" */
    const char *args;       /* "NODE [NEW]", for the synopsis */
    int min_args, max_args; /* -1: any number */
    const char *summary;    /* one line, no full stop */
    const char *text;       /* more, for help and man; may be NULL */
    const char *examples;   /* lines; never NULL */
    const char *complete;   /* what the arguments are, word by word */
    int (*run)(struct cli *c);
    struct option options[COMMAND_MAX_OPTIONS];
};

extern const struct command command_table[];
extern const size_t command_count;
extern const struct option global_options[];
extern const size_t global_count;

struct given {
    const struct option *option;
    const char *value; /* "" for a flag */
};

struct cli {
    const struct cli_io *io;
    const struct command *command;
    const char *args[CLI_MAX_ARGS];
    int arg_count;
    struct given options[CLI_MAX_OPTIONS];
    size_t option_count;
    bool json, quiet, color;
    char *socket;
    struct client *client; /* made at the first request */
    struct error *failure; /* set: failures of requests go here untold */
};

/* ---- args.c ---- */
/* Take the command line apart: 0, or CLI_EXIT_USAGE with a message given. A
 * command that does not exist is left NULL only for help. */
int args_parse(struct cli *c, int argc, char *const *argv);
const char *arg_option(const struct cli *c, const char *name); /* NULL: none */
bool arg_flag(const struct cli *c, const char *name);
/* The n-th value of a repeated option; NULL behind the last. */
const char *arg_option_n(const struct cli *c, const char *name, size_t n);
/* All values of a repeated option as a JSON array; NULL when there is none. */
json_t *arg_list(const struct cli *c, const char *name);
/* "ocmctl: ..." on stderr, with where to find help; CLI_EXIT_USAGE. */
int usage_error(struct cli *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* The nearest of `names`, or NULL when none is near. */
const char *args_nearest(const char *word, const char *const *names,
                         size_t count);

/* ---- help.c, complete.c ---- */
void help_all(FILE *out);
void help_command(FILE *out, const struct command *cmd);
void help_man(FILE *out);
/* false: no such shell */
bool complete_write(FILE *out, const char *shell);

/* ---- client.c ---- */
/* One request; the JSON document (owned by the caller) or NULL: then the
 * failure was told and *exit_code says how to end. `body` is stolen. */
json_t *client_get(struct cli *c, int *exit_code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
json_t *client_send(struct cli *c, int *exit_code, const char *method,
                    json_t *body, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* A download: `sink` gets the bytes in order; < 0 ends it. 0 or an exit code,
 * told. */
int client_download(struct cli *c, const char *target,
                    int (*sink)(void *arg, const void *p, size_t len),
                    void *arg);
json_t *client_upload(struct cli *c, int *exit_code, const char *target,
                      FILE *file, int64_t size);
void client_free(struct client *cl);
/* "web-1" as it may stand in a target. Caller frees. */
char *client_escape(const char *s);

/* ---- events.c: server-sent events ---- */
/* Follow a job's events until the stream ends. `event` gets each one; `tick`
 * runs several times a second, false ends it. 0: the stream ended, 1: `tick`
 * ended it, else an exit code, told. *after is moved on. */
int client_events(struct cli *c, const char *job, int64_t *after,
                  void (*event)(void *arg, const json_t *e),
                  bool (*tick)(void *arg), void *arg);

/* ---- output.c ---- */
/* A message for people on stderr; not with --quiet. */
void say(struct cli *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* "ocmctl: ..." on stderr, always. */
void complain(struct cli *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* A document on stdout (--json). Returns CLI_EXIT_OK. */
int give_json(struct cli *c, const json_t *doc);
/* A job's end as such a document. */
void give_job(struct cli *c, const json_t *job);
/* What an API error means for us; the message is told. */
int fail_with(struct cli *c, const char *code, const char *text);
int exit_of_code(const char *code);

enum tone { TONE_NONE, TONE_GOOD, TONE_WARN, TONE_BAD, TONE_DIM, TONE_BOLD };
const char *tone_begin(const struct cli *c, enum tone t);
const char *tone_end(const struct cli *c, enum tone t);
enum tone tone_of_state(const char *state);

/* Text for people: control bytes and broken UTF-8 escaped. Static room: valid
 * until the fourth call after it. */
const char *safe(const char *s);
const char *text_of(const json_t *v, const char *key); /* "" when none */
int64_t number_of(const json_t *v, const char *key);
const char *bytes_text(int64_t bytes);    /* "1.2 MiB", static room as safe */
const char *count_text(int64_t n);        /* "1,234" */
const char *age_text(const char *time);   /* "2 h ago", "never" */
const char *local_time(const char *time); /* "2026-11-22 16:40" */
const char *seconds_text(double s);       /* "4.2 s", "3:05 min" */

/* A table: cells are copied; widths are those of the widest cell. */
struct table;
struct table *table_new(const char *const *heads, size_t columns);
void table_cell(struct table *t, enum tone tone, const char *text);
void table_right(struct table *t, size_t column); /* align it right */
void table_give(struct cli *c, struct table *t);  /* write and free */

/* ---- asking ---- */
/* A line from a person; false at the end of input or without a terminal. */
bool ask(struct cli *c, char *out, size_t cap, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* ---- watch.c ---- */
/* Follow a job to its end with progress on stderr. 0 and *job (JobDetail, the
 * caller frees), or an exit code, told (130: left by Ctrl-C). */
int watch_job(struct cli *c, const char *id, const char *title, json_t **job);
/* How a job's end ends us: 0, 3, or by its error; failures are told. */
int exit_of_job(struct cli *c, const json_t *job);

/* ---- upgrade_ssh.c ---- */
/* `node add` for the nodes of an upgrade's result that were away or too old,
 * with the agents of these packages (none: the installed ones). An exit code,
 * told. */
int upgrade_by_ssh(struct cli *c, const json_t *result, char *const *packages,
                   size_t count);

/* ---- views ---- */
void upgrade_show(struct cli *c, const json_t *result);
void uninstall_show(struct cli *c, const json_t *result);
void plan_show(struct cli *c, const json_t *plan);
size_t plan_blocking(const json_t *plan);
void diff_show(struct cli *c, const json_t *diff, bool stat);
void backup_show(struct cli *c, const json_t *result);
/* A token's answer as a line for bootstrap.sh. */
int token_script(struct cli *c, const json_t *doc);
void snapshot_table(struct cli *c, const json_t *snapshots);

/* ---- commands ---- */
int cmd_status(struct cli *c);
int cmd_node_list(struct cli *c);
int cmd_node_show(struct cli *c);
int cmd_node_add(struct cli *c);
int cmd_node_script(struct cli *c);
int cmd_node_token(struct cli *c);
int cmd_node_remove(struct cli *c);
int cmd_node_rename(struct cli *c);
int cmd_node_single(struct cli *c);
int cmd_node_gateway(struct cli *c);
int cmd_node_upgrade(struct cli *c);
int cmd_backup(struct cli *c);
int cmd_list(struct cli *c);
int cmd_show(struct cli *c);
int cmd_files(struct cli *c);
int cmd_cat(struct cli *c);
int cmd_diff(struct cli *c);
int cmd_export(struct cli *c);
int cmd_import(struct cli *c);
int cmd_restore(struct cli *c);
int cmd_migrate(struct cli *c);
int cmd_job_list(struct cli *c);
int cmd_job_show(struct cli *c);
int cmd_job_watch(struct cli *c);
int cmd_job_cancel(struct cli *c);
int cmd_verify(struct cli *c);
int cmd_kit(struct cli *c);
int cmd_completion(struct cli *c);
int cmd_man(struct cli *c);
int cmd_version(struct cli *c);

/* Set by Ctrl-C; the second one ends the program at once. */
extern volatile sig_atomic_t cli_interrupted;

#endif
