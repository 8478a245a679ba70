/* SPDX-License-Identifier: MIT */
#include "tests/unit/api/api_fixture.h"

#include <archive.h>
#include <archive_entry.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "controller/jobs/archive_import.h"
#include "controller/nodes.h"

/* ---- what stands in for the agents' side ---- */

const char *fake_connected = "";
int fake_closed;

bool nodes_connected(struct nodes *n, const char *node_id)
{
    (void)n;
    return strcmp(node_id, fake_connected) == 0;
}

void nodes_close(struct nodes *n, const char *node_id, const char *why)
{
    (void)n;
    (void)node_id;
    (void)why;
    fake_closed++;
}

/* ---- jobs ---- */

static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_moved = PTHREAD_COND_INITIALIZER;
static int gate_passes;

void gate_open(int count)
{
    pthread_mutex_lock(&gate_lock);
    gate_passes += count;
    pthread_cond_broadcast(&gate_moved);
    pthread_mutex_unlock(&gate_lock);
}

void gate_reset(void)
{
    pthread_mutex_lock(&gate_lock);
    gate_passes = 0;
    pthread_mutex_unlock(&gate_lock);
}

static void gate_wake(void *arg)
{
    (void)arg;
    gate_open(0);
}

static int run_echo(struct job *j, const json_t *params, json_t *result,
                    struct error *e)
{
    const char *node = json_string_value(json_object_get(params, "node"));
    bool cancelled;

    job_step(j, "work");
    json_object_set(result, "params", (json_t *)params);
    if (!node || !text_has_prefix(node, "gate"))
        return 0;
    job_on_cancel(j, gate_wake, NULL);
    job_progress(j, 1, 2, 10, 20, "config/a");
    pthread_mutex_lock(&gate_lock);
    while (gate_passes == 0 && !atomic_load(job_cancelled(j)))
        pthread_cond_wait(&gate_moved, &gate_lock);
    cancelled = atomic_load(job_cancelled(j));
    gate_passes -= !cancelled;
    pthread_mutex_unlock(&gate_lock);
    return cancelled ? error_set(e, OCM_E_CANCELLED, "cancelled") : 0;
}

static const struct job_kind echo_backup = {"backup", run_echo};
static const struct job_kind echo_plan = {"plan", run_echo};
static const struct job_kind echo_migrate = {"migrate", run_echo};
static const struct job_kind echo_restore = {"restore", run_echo};
static const struct job_kind echo_verify = {"verify", run_echo};
static const struct job_kind echo_upgrade = {"upgrade", run_echo};
static const struct job_kind echo_uninstall = {"uninstall", run_echo};
static const struct job_kind *const kinds[] = {
    &echo_backup, &echo_plan,  &echo_migrate, &echo_restore,
    &echo_verify, &job_import, &echo_upgrade, &echo_uninstall};

/* ---- life ---- */

static void on_api_stopped(void *arg)
{
    struct fixture *f = arg;

    f->api_stopped = true;
    jobs_free(f->c.jobs);
    uv_close((uv_handle_t *)&f->stop, NULL);
}

static void on_jobs_idle(void *arg)
{
    struct fixture *f = arg;

    f->jobs_idle = true;
    api_stop(f->c.api, on_api_stopped, f);
}

static void on_stop(uv_async_t *h)
{
    struct fixture *f = CONTAINER_OF(h, struct fixture, stop);

    jobs_stop(f->c.jobs, on_jobs_idle, f);
}

static void run_loop(void *arg)
{
    struct fixture *f = arg;

    uv_run(&f->loop, UV_RUN_DEFAULT);
}

static void *loop_main(void *arg)
{
    run_loop(arg);
    return NULL;
}

/* One repository for all tests of a program: its key costs a second. */
static struct repo *shared_repo;
static char shared_dir[64];

static void close_repo(void)
{
    repo_close(shared_repo);
    tree_remove(shared_dir, NULL);
}

static void open_repo(void)
{
    struct repo_options o = {.password = "test password"};
    char *dir, *cache;
    struct error e = {0};

    if (shared_repo)
        return;
    strcpy(shared_dir, "/tmp/ocm-api-repo-XXXXXX");
    assert_non_null(mkdtemp(shared_dir));
    dir = mem_printf("%s/repository", shared_dir);
    cache = mem_printf("%s/cache", shared_dir);
    o.dir = dir;
    o.cache_dir = cache;
    if (repo_init(&o, &e) < 0 || repo_open(&o, &shared_repo, &e) < 0)
        fail_msg("%s", e.text);
    atexit(close_repo);
    free(dir);
    free(cache);
}

static void open_parts(struct fixture *f)
{
    char *path = mem_printf("%s/catalog.sqlite", f->dir);
    struct error e = {0};

    open_repo();
    f->c.repo = shared_repo;
    if (catalog_open(path, &f->c.catalog, &e) < 0)
        fail_msg("%s", e.text);
    free(path);
}

struct fixture *fixture_new(void)
{
    static const char *const second_hosts[] = {"second", NULL};
    struct api_listener listeners[] = {
        {.group = ""},
        {.group = "", .hosts = second_hosts},
    };
    struct fixture *f = mem_zalloc(sizeof(*f));
    struct id ca = digest_of("ca", 2);
    struct error e = {0};

    strcpy(f->dir, "/tmp/ocm-api-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->conf.state_dir = mem_strdup(f->dir);
    f->conf.name = mem_strdup("test-controller");
    f->conf.listen = mem_strdup("0.0.0.0");
    f->conf.advertise = mem_strdup("");
    f->conf.agent_port = 7701;
    f->conf.join_port = 7702;
    f->conf.repository = mem_printf("%s/repository", f->dir);
    f->conf.password_file = mem_printf("%s/repository.password", f->dir);
    f->conf.socket = mem_printf("%s/api.sock", f->dir);
    f->conf.group = mem_strdup("");
    open_parts(f);
    assert_int_equal(uv_loop_init(&f->loop), 0);
    f->c.loop = &f->loop;
    f->c.conf = &f->conf;
    f->c.started_ns = clock_now_ns();
    f->c.jobs =
        jobs_new(&f->loop, f->c.catalog, kinds, ARRAY_LEN(kinds), &f->c);
    f->second = mem_printf("%s/second.sock", f->dir);
    listeners[0].socket = f->conf.socket;
    listeners[1].socket = f->second;
    if (api_start(&f->c, &ca, listeners, ARRAY_LEN(listeners), &f->c.api, &e) <
        0)
        fail_msg("%s", e.text);
    uv_async_init(&f->loop, &f->stop, on_stop);
    assert_int_equal(pthread_create(&f->thread, NULL, loop_main, f), 0);
    return f;
}

void fixture_free(struct fixture *f)
{
    uv_async_send(&f->stop);
    pthread_join(f->thread, NULL);
    assert_true(f->jobs_idle);
    assert_true(f->api_stopped);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    assert_false(file_exists(f->conf.socket));
    assert_false(file_exists(f->second));
    free(f->second);
    catalog_close(f->c.catalog);
    tree_remove(f->dir, NULL);
    free(f->conf.state_dir);
    free(f->conf.name);
    free(f->conf.listen);
    free(f->conf.advertise);
    free(f->conf.repository);
    free(f->conf.password_file);
    free(f->conf.socket);
    free(f->conf.group);
    free(f);
}

/* ---- HTTP ---- */

int fixture_connect(const struct fixture *f)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_true(strlen(f->conf.socket) < sizeof(addr.sun_path));
    strcpy(addr.sun_path, f->conf.socket);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    return fd;
}

static void send_all(int fd, const void *p, size_t len)
{
    const uint8_t *at = p;

    while (len > 0) {
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL);

        if (n <= 0)
            return; /* the server has closed: its answer is what counts */
        at += n;
        len -= (size_t)n;
    }
}

static void read_to_end(int fd, struct buf *out)
{
    int64_t end = clock_monotonic_ms() + FIXTURE_WAIT_MS;

    for (;;) {
        struct pollfd p = {fd, POLLIN, 0};
        int64_t left = end - clock_monotonic_ms();
        ssize_t n;

        assert_true(left > 0);
        assert_true(poll(&p, 1, (int)left) > 0);
        n = recv(fd, buf_reserve(out, 65536), 65536, 0);
        if (n <= 0)
            return;
        out->len += (size_t)n;
    }
}

void http_raw(const struct fixture *f, const void *p, size_t len,
              struct buf *out)
{
    int fd = fixture_connect(f);

    send_all(fd, p, len);
    read_to_end(fd, out);
    close(fd);
}

static void take_chunks(struct reply *r, const char *p, size_t len)
{
    const char *end = p + len;

    while (p < end) {
        unsigned long n = strtoul(p, NULL, 16);
        const char *nl = memchr(p, '\n', (size_t)(end - p));

        if (!nl || (size_t)(end - nl - 1) < n)
            return;
        if (n == 0) {
            r->whole = true;
            return;
        }
        buf_add(&r->body, nl + 1, n);
        p = nl + 1 + n + 2;
    }
}

static struct reply parse(struct buf *raw)
{
    struct reply r = {0};
    char *text = buf_str(raw), *split = strstr(text, "\r\n\r\n"), *at;
    size_t body;

    if (!split || sscanf(text, "HTTP/1.1 %d", &r.status) != 1)
        fail_msg("no HTTP answer: %.200s", text);
    buf_add(&r.head, text, (size_t)(split - text) + 2);
    buf_str(&r.head);
    body = raw->len - (size_t)(split + 4 - text);
    at = strcasestr((char *)r.head.data, "Content-Length: ");
    if (strcasestr((char *)r.head.data, "Transfer-Encoding: chunked")) {
        take_chunks(&r, split + 4, body);
    } else {
        buf_add(&r.body, split + 4, body);
        r.whole = at && strtoul(at + 16, NULL, 10) == body;
    }
    r.json =
        json_loadb(r.body.data ? (char *)r.body.data : "", r.body.len, 0, NULL);
    buf_free(raw);
    return r;
}

struct reply http_bytes(const struct fixture *f, const char *method,
                        const char *target, const char *type, const void *body,
                        size_t len)
{
    struct buf out = {0}, in = {0};
    int fd = fixture_connect(f);

    buf_printf(&out, "%s %s HTTP/1.1\r\nHost: localhost\r\n", method, target);
    if (strcmp(method, "GET") == 0)
        buf_add_str(&out, "Connection: close\r\n");
    if (body)
        buf_printf(&out, "Content-Type: %s\r\nContent-Length: %zu\r\n", type,
                   len);
    buf_add_str(&out, "\r\n");
    if (body)
        buf_add(&out, body, len);
    send_all(fd, out.data, out.len);
    buf_free(&out);
    read_to_end(fd, &in);
    close(fd);
    return parse(&in);
}

struct reply http(const struct fixture *f, const char *method,
                  const char *target, const char *body)
{
    return http_bytes(f, method, target, "application/json", body,
                      body ? strlen(body) : 0);
}

void reply_free(struct reply *r)
{
    buf_free(&r->head);
    buf_free(&r->body);
    json_decref(r->json);
    memset(r, 0, sizeof(*r));
}

const char *text_at(const json_t *v, const char *key)
{
    const char *s = json_string_value(json_object_get(v, key));

    return s ? s : "";
}

/* The events stream ends with the job: no polling. */
void wait_job(const struct fixture *f, const char *id, char state[16])
{
    char *target = mem_printf("/api/v1/jobs/%s/events", id);
    struct reply r = http(f, "GET", target, NULL);
    struct job_row row;

    assert_int_equal(r.status, 200);
    reply_free(&r);
    free(target);
    assert_int_equal(catalog_job_get(f->c.catalog, id, &row, NULL), 0);
    snprintf(state, 16, "%s", row.state);
    job_row_fini(&row);
}

/* ---- archives ---- */

static void add_content(struct archive *a, const struct tar_item *it)
{
    uint8_t block[4096];
    uint32_t x = 12345;
    size_t left = it->size;

    if (it->size == 0 && it->text) {
        archive_write_data(a, it->text, strlen(it->text));
        return;
    }
    while (left > 0) {
        size_t n = left < sizeof(block) ? left : sizeof(block);

        for (size_t i = 0; i < n; i++) {
            x = x * 1664525 + 1013904223;
            block[i] = (uint8_t)(x >> 24);
        }
        archive_write_data(a, block, n);
        left -= n;
    }
}

void make_tar(const char *path, const char *filter,
              const struct tar_item *items, size_t count)
{
    struct archive *a = archive_write_new();

    archive_write_set_format_pax(a);
    archive_write_add_filter_by_name(a, filter);
    assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
    for (size_t i = 0; i < count; i++) {
        const struct tar_item *it = &items[i];
        struct archive_entry *en = archive_entry_new();
        size_t size = it->size ? it->size : it->text ? strlen(it->text) : 0;

        archive_entry_set_pathname(en, it->name);
        archive_entry_set_perm(en, it->mode ? it->mode : 0600);
        archive_entry_set_mtime(en, 1700000000, 123456789);
        archive_entry_set_filetype(en, it->type == 'd'   ? AE_IFDIR
                                       : it->type == 'l' ? AE_IFLNK
                                       : it->type == 'p' ? AE_IFIFO
                                       : it->type == 'c' ? AE_IFCHR
                                                         : AE_IFREG);
        if (it->type == 'l')
            archive_entry_set_symlink(en, it->text);
        if (it->type == 'h')
            archive_entry_set_hardlink(en, it->text);
        if (it->type == 'f')
            archive_entry_set_size(en, (la_int64_t)size);
        assert_true(archive_write_header(a, en) >= ARCHIVE_WARN);
        if (it->type == 'f')
            add_content(a, it);
        archive_entry_free(en);
    }
    assert_int_equal(archive_write_close(a), ARCHIVE_OK);
    archive_write_free(a);
}

#define S "2026-backup/payload/posix/home/jo/.openclaw/"
#define W "2026-backup/payload/posix/srv/work/"

void make_upstream(const char *path, int version)
{
    const char *config =
        version == 1
            ? "{\n  // my gateway\n  gateway: {port: 18789, auth: {token: "
              "'secret-one-1'}},\n  agents: {list: [{id: 'main'}]},\n}\n"
            : "{\n  // my gateway\n  gateway: {port: 19000, auth: {token: "
              "'secret-two-2'}},\n  agents: {list: [{id: 'main'}, {id: "
              "'b'}]},\n}\n";
    const char *notes = version == 1 ? "one\ntwo\nthree\n"
                                     : "one\n2\nthree\nBOT_TOKEN=abcdef\n";
    const struct tar_item items[] = {
        {"2026-backup/manifest.json", 'f',
         "{\"schemaVersion\":1,\"createdAt\":\"2026-11-01T10:00:00Z\","
         "\"archiveRoot\":\"2026-backup\",\"runtimeVersion\":\"2026.9.6\","
         "\"paths\":{\"stateDir\":\"/home/jo/.openclaw\","
         "\"workspaceDirs\":[\"/home/jo/.openclaw/workspace\",\"/srv/work\"]},"
         "\"assets\":[],\"skipped\":[]}",
         0, 0},
        {S, 'd', NULL, 0, 0700},
        {S "openclaw.json", 'f', config, 0, 0600},
        {S ".env", 'f', "OPENAI_API_KEY=sk-abcdefgh12345678\n", 0, 0600},
        {S "agents/main/agent/openclaw-agent.sqlite", 'f', NULL, 3000000, 0},
        {S "credentials/whatsapp/creds.json", 'f', "{\"a\":1}", 0, 0},
        {S "workspace/notes.md", 'f', notes, 0, 0644},
        {S "workspace/link", 'l', "/etc/hostname", 0, 0},
        {S "workspace/n\xc3\xb6te", 'f', "umlaut", 0, 0644},
        {S "workspace/twin", 'h', S "workspace/notes.md", 0, 0},
        {S "strange/thing", 'f', "?", 0, 04755},
        {W "own.txt", 'f', "outside workspace", 0, 0640},
        {"2026-backup/payload/posix/opt/else.txt", 'f', "elsewhere", 0, 0},
    };

    make_tar(path, "gzip", items, ARRAY_LEN(items));
}
