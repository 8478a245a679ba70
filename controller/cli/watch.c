/* SPDX-License-Identifier: MIT */
/* Following a job: events -> a line that is drawn over on a terminal, plain
 * lines every few seconds elsewhere. A stream that breaks is taken up again
 * behind the last event. Ctrl-C leaves the job running. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "controller/cli/cli_internal.h"
#include "controller/cli/progress.h"

#define DRAW_MS 150
#define PLAIN_MS 5000
#define RETRIES 30
#define RETRY_MS 1000

struct watch {
    struct cli *c;
    struct progress p;
    int64_t drawn_ms;
    bool on_line; /* a line is drawn and not ended */
    bool ended;
};

static void clear_line(struct watch *w)
{
    if (w->on_line)
        fputs("\r\x1b[K", w->c->io->err);
    w->on_line = false;
}

static void draw(struct watch *w, int64_t now_ms)
{
    const struct cli_io *io = w->c->io;
    struct buf line = {0};

    if (w->c->quiet || w->ended)
        return;
    if (now_ms - w->drawn_ms < (io->tty_err ? DRAW_MS : PLAIN_MS))
        return;
    w->drawn_ms = now_ms;
    progress_line(&w->p, io->tty_err && io->width > 20 ? io->width - 1 : 200,
                  io->tty_err, io->utf8, now_ms, &line);
    if (io->tty_err) {
        fprintf(io->err, "\r\x1b[K%s", buf_str(&line));
        w->on_line = true;
    } else {
        fprintf(io->err, "%s\n", buf_str(&line));
    }
    fflush(io->err);
    buf_free(&line);
}

static void take_state(struct watch *w, const json_t *e)
{
    const char *state = text_of(e, "state");

    if (strcmp(state, "queued") == 0 && *text_of(e, "text")) {
        clear_line(w);
        say(w->c, "%s: %s", w->p.title, safe(text_of(e, "text")));
    }
    w->ended = strcmp(state, "queued") != 0 && strcmp(state, "running") != 0;
}

static void take_event(void *arg, const json_t *e)
{
    struct watch *w = arg;
    const char *type = text_of(e, "type");
    int64_t now = clock_monotonic_ms();

    if (strcmp(type, "state") == 0) {
        take_state(w, e);
    } else if (strcmp(type, "step") == 0) {
        progress_step(&w->p, text_of(e, "step"), now);
    } else if (strcmp(type, "progress") == 0) {
        progress_set(&w->p, (uint64_t)number_of(e, "files_done"),
                     (uint64_t)number_of(e, "files_total"),
                     (uint64_t)number_of(e, "bytes_done"),
                     (uint64_t)number_of(e, "bytes_total"),
                     text_of(e, "current"), now);
    } else if (strcmp(type, "log") == 0 && !w->c->quiet) {
        clear_line(w);
        fprintf(w->c->io->err, "%s: %s: %s\n", w->p.title,
                safe(text_of(e, "level")), safe(text_of(e, "text")));
    }
}

static bool tick(void *arg)
{
    struct watch *w = arg;

    draw(w, clock_monotonic_ms());
    return !cli_interrupted;
}

static int detach(struct watch *w, const char *id)
{
    clear_line(w);
    fprintf(w->c->io->err,
            "\nThe job goes on. To watch it: ocmctl job watch %s\n"
            "                To stop it: ocmctl job cancel %s\n",
            id, id);
    return CLI_EXIT_INTERRUPTED;
}

/* Until the last event was seen. */
static int follow(struct watch *w, const char *id)
{
    int64_t after = 0, before;
    int tries = 0, rc;

    while (!w->ended) {
        before = after;
        rc = client_events(w->c, id, &after, take_event, tick, w);
        if (rc == 1)
            return detach(w, id);
        if (rc > 1)
            return rc;
        tries = after > before ? 0 : tries + 1;
        if (w->ended)
            break;
        if (tries > RETRIES)
            return fail_with(w->c, "closed", "the events of the job broke off");
        /* Not a wait for a condition: the controller may be restarting. */
        usleep(RETRY_MS * 1000);
        if (cli_interrupted)
            return detach(w, id);
    }
    clear_line(w);
    return 0;
}

int watch_job(struct cli *c, const char *id, const char *title, json_t **job)
{
    struct watch w = {.c = c};
    char *escaped = client_escape(id);
    json_t *doc = NULL;
    int code;

    *job = NULL;
    snprintf(w.p.title, sizeof(w.p.title), "%s", safe(title));
    progress_step(&w.p, "", clock_monotonic_ms());
    /* The first line is drawn only when it takes a moment. */
    w.drawn_ms = clock_monotonic_ms();
    code = follow(&w, id);
    if (code == 0 &&
        (doc = client_get(c, &code, "/api/v1/jobs/%s", escaped)) != NULL)
        *job = json_incref(json_object_get(doc, "job"));
    json_decref(doc);
    free(escaped);
    return code;
}

int exit_of_job(struct cli *c, const json_t *job)
{
    const char *state = text_of(job, "state");
    const json_t *error = json_object_get(job, "error");
    int code;

    if (strcmp(state, "done") == 0)
        return CLI_EXIT_OK;
    if (strcmp(state, "cancelled") == 0) {
        complain(c, "job %s was cancelled", text_of(job, "id"));
        return CLI_EXIT_FAILED;
    }
    if (*text_of(error, "text")) {
        const char *node = text_of(job, "node");
        const char *text = text_of(error, "text");
        bool named = !*node || strncmp(text, node, strlen(node)) == 0;

        complain(c, "%s%s%s", named ? "" : node, named ? "" : ": ", text);
    }
    if (strcmp(state, "partial") == 0)
        return CLI_EXIT_PARTIAL;
    code = exit_of_code(text_of(error, "code"));
    return code == CLI_EXIT_USAGE ? CLI_EXIT_FAILED : code;
}
