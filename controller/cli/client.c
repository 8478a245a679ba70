/* SPDX-License-Identifier: MIT */
/* Requests over the unix socket, by libcurl. */
#include <curl/curl.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "controller/cli/cli_internal.h"
#include "controller/cli/client_internal.h"

#define ANSWER_MAX (256u * 1024 * 1024)
#define ANSWER_TIMEOUT_S 600L /* a diff of large trees takes a while */

/* ---- what every request shares ---- */

struct client *client_of(struct cli *c)
{
    if (!c->client) {
        c->client = mem_zalloc(sizeof(*c->client));
        curl_global_init(CURL_GLOBAL_DEFAULT);
        c->client->curl = curl_easy_init();
    }
    return c->client;
}

void client_free(struct client *cl)
{
    if (!cl)
        return;
    curl_easy_cleanup(cl->curl);
    curl_global_cleanup();
    free(cl);
}

char *client_escape(const char *s)
{
    char *escaped = curl_easy_escape(NULL, s, 0);
    char *out = mem_strdup(escaped ? escaped : "");

    curl_free(escaped);
    return out;
}

static int on_tick(void *arg, curl_off_t a, curl_off_t b, curl_off_t d,
                   curl_off_t e)
{
    (void)arg;
    (void)a;
    (void)b;
    (void)d;
    (void)e;
    return cli_interrupted != 0;
}

CURL *client_begin(struct cli *c, const char *target)
{
    CURL *h = client_of(c)->curl;
    char *url = mem_printf("http://localhost%s", target);

    curl_easy_reset(h);
    curl_easy_setopt(h, CURLOPT_UNIX_SOCKET_PATH, c->socket);
    curl_easy_setopt(h, CURLOPT_URL, url);
    curl_easy_setopt(h, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(h, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_USERAGENT, "ocmctl/" OCM_VERSION);
    curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_tick);
    free(url);
    return h;
}

int client_failed(struct cli *c, CURL *h, int code)
{
    long os = 0;

    if (code == CURLE_ABORTED_BY_CALLBACK && cli_interrupted)
        return CLI_EXIT_INTERRUPTED;
    curl_easy_getinfo(h, CURLINFO_OS_ERRNO, &os);
    if (code == CURLE_COULDNT_CONNECT && (os == EACCES || os == EPERM))
        return fail_with(c, "denied",
                         "you may not use the controller's socket: be root or "
                         "a member of its group");
    if (code == CURLE_COULDNT_CONNECT) {
        char *text = mem_printf("no controller answers on %s: is "
                                "ocm-controller running? Another socket: "
                                "--socket PATH",
                                c->socket);
        int exit_code = fail_with(c, "offline", text);

        free(text);
        return exit_code;
    }
    return fail_with(c, "closed", curl_easy_strerror((CURLcode)code));
}

/* ---- documents ---- */

static size_t take_answer(char *p, size_t one, size_t len, void *arg)
{
    struct buf *b = arg;

    if (b->len + one * len > ANSWER_MAX)
        return 0;
    buf_add(b, p, one * len);
    return one * len;
}

/* What the controller said, when it said no. */
int client_refused(struct cli *c, long status, const struct buf *answer)
{
    json_t *doc = json_loadb(answer->data ? (const char *)answer->data : "",
                             answer->len, 0, NULL);
    const json_t *error = json_object_get(doc, "error");
    char text[64];
    int code;

    snprintf(text, sizeof(text), "the controller answers with status %ld",
             status);
    if (json_is_object(error))
        code = fail_with(c, text_of(error, "code"), text_of(error, "text"));
    else
        code = fail_with(c, "failed", text);
    json_decref(doc);
    return code;
}

static json_t *perform(struct cli *c, CURL *h, int *exit_code)
{
    struct buf answer = {0};
    json_t *doc = NULL;
    long status = 0;
    CURLcode code;

    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, take_answer);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, &answer);
    code = curl_easy_perform(h);
    curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK) {
        *exit_code = client_failed(c, h, (int)code);
    } else if (status < 200 || status > 299) {
        *exit_code = client_refused(c, status, &answer);
    } else {
        doc = json_loadb(answer.data ? (const char *)answer.data : "",
                         answer.len, 0, NULL);
        if (!json_is_object(doc) || number_of(doc, "schemaVersion") != 1) {
            json_decref(doc);
            doc = NULL;
            *exit_code = fail_with(c, "version",
                                   "the controller speaks another version of "
                                   "the API");
        }
    }
    buf_free(&answer);
    return doc;
}

json_t *client_get(struct cli *c, int *exit_code, const char *fmt, ...)
{
    char target[8192];
    va_list ap;
    CURL *h;

    va_start(ap, fmt);
    vsnprintf(target, sizeof(target), fmt, ap);
    va_end(ap);
    h = client_begin(c, target);
    curl_easy_setopt(h, CURLOPT_TIMEOUT, ANSWER_TIMEOUT_S);
    return perform(c, h, exit_code);
}

json_t *client_send(struct cli *c, int *exit_code, const char *method,
                    json_t *body, const char *fmt, ...)
{
    struct curl_slist *headers =
        curl_slist_append(NULL, "Content-Type: application/json");
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    char target[8192];
    json_t *doc;
    va_list ap;
    CURL *h;

    va_start(ap, fmt);
    vsnprintf(target, sizeof(target), fmt, ap);
    va_end(ap);
    json_decref(body);
    h = client_begin(c, target);
    curl_easy_setopt(h, CURLOPT_TIMEOUT, ANSWER_TIMEOUT_S);
    curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, method);
    if (strcmp(method, "POST") == 0) {
        curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE,
                         text ? (long)strlen(text) : 0L);
        curl_easy_setopt(h, CURLOPT_POSTFIELDS, text ? text : "");
    }
    doc = perform(c, h, exit_code);
    curl_slist_free_all(headers);
    free(text);
    return doc;
}

/* ---- downloads and uploads ---- */

struct download {
    CURL *h;
    int (*sink)(void *arg, const void *p, size_t len);
    void *arg;
    struct buf refusal; /* the body of an answer that is no 200 */
};

static size_t take_bytes(char *p, size_t one, size_t len, void *arg)
{
    struct download *d = arg;
    long status = 0;

    curl_easy_getinfo(d->h, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200)
        return take_answer(p, one, len, &d->refusal);
    return d->sink(d->arg, p, one * len) < 0 ? 0 : one * len;
}

int client_download(struct cli *c, const char *target,
                    int (*sink)(void *arg, const void *p, size_t len),
                    void *arg)
{
    struct download d = {
        .h = client_begin(c, target), .sink = sink, .arg = arg};
    long status = 0;
    CURLcode code;
    int exit_code = 0;

    curl_easy_setopt(d.h, CURLOPT_WRITEFUNCTION, take_bytes);
    curl_easy_setopt(d.h, CURLOPT_WRITEDATA, &d);
    code = curl_easy_perform(d.h);
    curl_easy_getinfo(d.h, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_WRITE_ERROR)
        exit_code = fail_with(c, "failed", "writing failed");
    else if (code == CURLE_PARTIAL_FILE || code == CURLE_RECV_ERROR ||
             code == CURLE_GOT_NOTHING)
        exit_code =
            fail_with(c, "damaged", "the controller broke off: see its log");
    else if (code != CURLE_OK)
        exit_code = client_failed(c, d.h, (int)code);
    else if (status != 200)
        exit_code = client_refused(c, status, &d.refusal);
    buf_free(&d.refusal);
    return exit_code;
}

static size_t read_file(char *p, size_t one, size_t len, void *arg)
{
    FILE *file = arg;
    size_t n = fread(p, one, len, file);

    return n == 0 && ferror(file) ? CURL_READFUNC_ABORT : n * one;
}

json_t *client_upload(struct cli *c, int *exit_code, const char *target,
                      FILE *file, int64_t size)
{
    struct curl_slist *headers =
        curl_slist_append(NULL, "Content-Type: application/octet-stream");
    CURL *h = client_begin(c, target);
    json_t *doc;

    /* The answer may come before all is sent: no waiting for "100". */
    headers = curl_slist_append(headers, "Expect:");
    curl_easy_setopt(h, CURLOPT_POST, 1L);
    curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(h, CURLOPT_READFUNCTION, read_file);
    curl_easy_setopt(h, CURLOPT_READDATA, file);
    curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size);
    doc = perform(c, h, exit_code);
    curl_slist_free_all(headers);
    return doc;
}
