/* SPDX-License-Identifier: MIT */
/* Server-sent events: lines "id:", "data:" up to an empty line; what begins
 * with ':' keeps the connection alive. */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "controller/cli/client_internal.h"

#define TICK_MS 150
#define EVENT_MAX_BYTES (32u * 1024 * 1024)

struct stream {
    struct cli *c;
    CURL *h;
    struct buf raw; /* bytes without a line's end yet */
    struct buf data;
    int64_t id;
    int64_t *after;
    void (*event)(void *arg, const json_t *e);
    void *arg;
    struct buf refusal;
};

static void give_event(struct stream *s)
{
    json_t *e;

    if (s->data.len == 0)
        return;
    e = json_loadb((const char *)s->data.data, s->data.len, 0, NULL);
    buf_clear(&s->data);
    if (s->id > *s->after)
        *s->after = s->id;
    if (json_is_object(e))
        s->event(s->arg, e);
    json_decref(e);
}

static void take_line(struct stream *s, const char *line)
{
    if (!*line) {
        give_event(s);
    } else if (text_has_prefix(line, "data:")) {
        line += 5;
        buf_add_str(&s->data, line + (*line == ' '));
    } else if (text_has_prefix(line, "id:")) {
        line += 3;
        text_to_i64(line + (*line == ' '), 0, INT64_MAX, &s->id);
    }
}

static size_t take_events(char *p, size_t one, size_t len, void *arg)
{
    struct stream *s = arg;
    long status = 0;
    uint8_t *nl;

    len *= one;
    curl_easy_getinfo(s->h, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) {
        buf_add(&s->refusal, p, len);
        return s->refusal.len > EVENT_MAX_BYTES ? 0 : len;
    }
    if (s->raw.len + s->data.len + len > EVENT_MAX_BYTES)
        return 0;
    buf_add(&s->raw, p, len);
    while ((nl = memchr(s->raw.data, '\n', s->raw.len)) != NULL) {
        size_t n = (size_t)(nl - s->raw.data);

        *nl = '\0';
        if (n > 0 && nl[-1] == '\r')
            nl[-1] = '\0';
        take_line(s, (const char *)s->raw.data);
        buf_consume(&s->raw, n + 1);
    }
    return len;
}

/* Turn the transfer until it ends or `tick` has had enough (then -1). */
static int turn(CURLM *multi, CURL *h, bool (*tick)(void *arg), void *arg)
{
    int running = 1, left;
    CURLMsg *m;

    (void)h;
    while (running) {
        if (curl_multi_perform(multi, &running) != CURLM_OK)
            return CURLE_RECV_ERROR;
        if (!tick(arg))
            return -1;
        if (running)
            curl_multi_poll(multi, NULL, 0, TICK_MS, NULL);
    }
    m = curl_multi_info_read(multi, &left);
    return m ? (int)m->data.result : CURLE_RECV_ERROR;
}

int client_events(struct cli *c, const char *job, int64_t *after,
                  void (*event)(void *arg, const json_t *e),
                  bool (*tick)(void *arg), void *arg)
{
    char *id = client_escape(job);
    char *target =
        mem_printf("/api/v1/jobs/%s/events?after=%lld", id, (long long)*after);
    struct stream s = {.c = c, .after = after, .event = event, .arg = arg};
    CURLM *multi = curl_multi_init();
    long status = 0;
    int code, rc = 0;

    s.h = client_begin(c, target);
    curl_easy_setopt(s.h, CURLOPT_NOPROGRESS, 1L);
    curl_easy_setopt(s.h, CURLOPT_WRITEFUNCTION, take_events);
    curl_easy_setopt(s.h, CURLOPT_WRITEDATA, &s);
    curl_multi_add_handle(multi, s.h);
    code = turn(multi, s.h, tick, arg);
    curl_easy_getinfo(s.h, CURLINFO_RESPONSE_CODE, &status);
    if (code == -1)
        rc = 1;
    else if (code == CURLE_COULDNT_CONNECT)
        rc = client_failed(c, s.h, code);
    else if (status != 0 && status != 200)
        rc = client_refused(c, status, &s.refusal);
    /* A connection that breaks is an end like any other: the caller sees
     * that the job has not ended and comes back. */
    curl_multi_remove_handle(multi, s.h);
    curl_multi_cleanup(multi);
    buf_free(&s.raw);
    buf_free(&s.data);
    buf_free(&s.refusal);
    free(target);
    free(id);
    return rc;
}
