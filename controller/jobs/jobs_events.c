/* SPDX-License-Identifier: MIT */
/* What a job tells while it runs: events into the catalog, in order and
 * numbered without gaps, and a nudge to whoever watches. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "controller/jobs/jobs_internal.h"

#define PROGRESS_KEEP_MS 1000
#define JOB_LOG_MAX 1024
#define JOB_STEP_MAX 80
#define JOB_PATH_MAX 4096

static void tell_watchers(struct jobs *js, const char *id)
{
    pthread_mutex_lock(&js->watch_lock);
    for (struct job_watch *w = js->watches; w; w = w->next) {
        if (strcmp(w->id, id) == 0)
            w->fn(w->arg);
    }
    pthread_mutex_unlock(&js->watch_lock);
}

/* Words of a node, which may be long and need not be UTF-8. */
static json_t *json_text(const char *s, size_t max)
{
    char *text = mem_strndup(s, strnlen(s, max));
    json_t *v;

    text_clean(text);
    v = json_string(text);
    free(text);
    return v;
}

/* With event_lock held. Takes `body`. */
static void keep_event(struct job *j, const char *type, json_t *body)
{
    int64_t now = clock_now_ns();
    json_t *event = json_object();
    char time[CLOCK_TEXT_MAX];
    struct error e = {0};
    char *text;

    clock_format(now, time);
    json_object_set_new(event, "seq", json_integer(j->seq + 1));
    json_object_set_new(event, "time", json_string(time));
    json_object_set_new(event, "type", json_string(type));
    json_object_update(event, body);
    json_decref(body);
    text = json_dumps(event, JSON_COMPACT);
    json_decref(event);
    if (catalog_event_add(j->js->catalog, j->row.id, j->seq + 1, now, type,
                          text, &e) < 0)
        log_error("job=%s event=%s not kept: %s", j->row.id, type, e.text);
    else
        j->seq++;
    free(text);
}

void job_event(struct job *j, const char *type, json_t *body)
{
    pthread_mutex_lock(&j->event_lock);
    keep_event(j, type, body);
    pthread_mutex_unlock(&j->event_lock);
    tell_watchers(j->js, j->row.id);
}

void job_state_event(struct job *j, const char *state, const char *text,
                     const char *code)
{
    json_t *body = json_object();

    json_object_set_new(body, "state", json_string(state));
    if (text)
        json_object_set_new(body, "text", json_text(text, JOB_LOG_MAX));
    if (code && code[0])
        json_object_set_new(body, "code", json_string(code));
    job_event(j, "state", body);
}

/* Every step and line is kept: a node that never stops talking must not fill
 * the disk of the controller. */
static bool may_say(struct job *j)
{
    json_t *body;
    size_t n;

    pthread_mutex_lock(&j->event_lock);
    n = j->lines++;
    pthread_mutex_unlock(&j->event_lock);
    if (n == JOB_LINES_MAX) {
        body = json_pack("{s:s,s:s}", "level", "warn", "text",
                         "more lines and steps are not kept");
        job_event(j, "log", body);
    }
    return n < JOB_LINES_MAX;
}

void job_step(struct job *j, const char *step)
{
    json_t *body;

    if (!may_say(j))
        return;
    body = json_object();
    job_flush_progress(j);
    json_object_set_new(body, "step", json_text(step, JOB_STEP_MAX));
    job_event(j, "step", body);
}

void job_progress(struct job *j, uint64_t files_done, uint64_t files_total,
                  uint64_t bytes_done, uint64_t bytes_total,
                  const char *current)
{
    int64_t now_ms = clock_monotonic_ms();
    json_t *body = json_object();
    bool keep;

    json_object_set_new(body, "files_done",
                        json_integer((json_int_t)files_done));
    json_object_set_new(body, "files_total",
                        json_integer((json_int_t)files_total));
    json_object_set_new(body, "bytes_done",
                        json_integer((json_int_t)bytes_done));
    json_object_set_new(body, "bytes_total",
                        json_integer((json_int_t)bytes_total));
    json_object_set_new(body, "current",
                        json_text(current ? current : "", JOB_PATH_MAX));
    pthread_mutex_lock(&j->event_lock);
    json_decref(j->progress);
    j->progress = body;
    keep = j->progress_kept_ms == 0 ||
           now_ms - j->progress_kept_ms >= PROGRESS_KEEP_MS;
    j->progress_unkept = !keep;
    if (keep) {
        j->progress_kept_ms = now_ms;
        keep_event(j, "progress", json_incref(body));
    }
    pthread_mutex_unlock(&j->event_lock);
    if (keep)
        tell_watchers(j->js, j->row.id);
}

void job_flush_progress(struct job *j)
{
    pthread_mutex_lock(&j->event_lock);
    if (j->progress_unkept) {
        j->progress_unkept = false;
        j->progress_kept_ms = clock_monotonic_ms();
        keep_event(j, "progress", json_incref(j->progress));
    }
    pthread_mutex_unlock(&j->event_lock);
}

void job_log(struct job *j, const char *level, const char *fmt, ...)
{
    char text[JOB_LOG_MAX];
    json_t *body;
    va_list ap;

    if (!may_say(j))
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    body = json_object();
    if (log_level_parse(level) < 0)
        level = "info";
    json_object_set_new(body, "level", json_string(level));
    json_object_set_new(body, "text", json_text(text, sizeof(text)));
    job_event(j, "log", body);
}

struct job_watch *jobs_watch(struct jobs *js, const char *id,
                             void (*fn)(void *arg), void *arg)
{
    struct job_watch *w = mem_zalloc(sizeof(*w));

    w->js = js;
    snprintf(w->id, sizeof(w->id), "%s", id);
    w->fn = fn;
    w->arg = arg;
    pthread_mutex_lock(&js->watch_lock);
    w->next = js->watches;
    w->link = &js->watches;
    if (w->next)
        w->next->link = &w->next;
    js->watches = w;
    pthread_mutex_unlock(&js->watch_lock);
    return w;
}

void jobs_unwatch(struct job_watch *w)
{
    struct jobs *js;

    if (!w)
        return;
    js = w->js;
    pthread_mutex_lock(&js->watch_lock);
    *w->link = w->next;
    if (w->next)
        w->next->link = w->link;
    pthread_mutex_unlock(&js->watch_lock);
    free(w);
}

char *jobs_progress(struct jobs *js, const char *id)
{
    char *text = NULL;

    pthread_mutex_lock(&js->lock);
    for (struct job *j = js->active; j; j = j->next) {
        if (strcmp(j->row.id, id) != 0)
            continue;
        pthread_mutex_lock(&j->event_lock);
        if (j->progress)
            text = json_dumps(j->progress, JSON_COMPACT);
        pthread_mutex_unlock(&j->event_lock);
    }
    pthread_mutex_unlock(&js->lock);
    return text;
}
