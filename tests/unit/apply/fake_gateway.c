/* SPDX-License-Identifier: MIT */
/* See fake_gateway.h. */
#include "fake_gateway.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/openclaw/package.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "world.h"

struct fake_gateway fake;

struct gateway {
    int unused;
};

static void path_of(const char *marker, char out[600])
{
    snprintf(out, 600, "%s/%s", fake.dir, marker);
}

bool fake_has(const char *marker)
{
    char path[600];

    path_of(marker, path);
    return file_exists(path);
}

static void note(const char *file, const char *line)
{
    char path[600];
    int fd;

    path_of(file, path);
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    dprintf(fd, "%s\n", line);
    close(fd);
}

void fake_set(const char *marker, bool on)
{
    char path[600];

    path_of(marker, path);
    if (on)
        close(open(path, O_WRONLY | O_CREAT, 0600));
    else
        unlink(path);
}

int fake_count(const char *file, const char *line)
{
    char path[600], text[256];
    int count = 0;
    FILE *f;

    path_of(file, path);
    f = fopen(path, "re");
    while (f && fgets(text, sizeof(text), f)) {
        text[strcspn(text, "\n")] = 0;
        count += strcmp(text, line) == 0;
    }
    if (f)
        fclose(f);
    return count;
}

struct gateway *gateway_new(const struct openclaw_conf *conf,
                            const struct openclaw *o)
{
    (void)conf;
    (void)o;
    return mem_zalloc(sizeof(struct gateway));
}

void gateway_free(struct gateway *g)
{
    free(g);
}

enum gateway_state gateway_status(struct gateway *g, struct buf *text)
{
    (void)g;
    (void)text;
    if (fake.kind != GATEWAY_STOPPED)
        return fake.kind;
    return fake_has("running") ? GATEWAY_RUNNING : GATEWAY_STOPPED;
}

int gateway_stop(struct gateway *g, int64_t bound_ms, struct error *e)
{
    (void)g;
    (void)bound_ms;
    note("calls", "stop");
    if (fake.stop_fails)
        return error_set(e, OCM_E_TIMEOUT, "the gateway does not stop");
    fake_set("running", false);
    return 0;
}

static void write_below(const char *dir, const char *name, const char *text)
{
    struct timespec times[2];
    char path[700];
    struct stat st;
    int fd;

    snprintf(path, sizeof(path), "%s/%s", fake.state_dir, dir);
    if (stat(path, &st) < 0)
        return;
    times[0] = st.st_atim;
    times[1] = st.st_mtim; /* so that trees stay comparable */
    snprintf(path, sizeof(path), "%s/%s/%s", fake.state_dir, dir, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd >= 0) {
        (void)!write(fd, text, strlen(text));
        close(fd);
    }
    snprintf(path, sizeof(path), "%s/%s", fake.state_dir, dir);
    utimensat(AT_FDCWD, path, times, 0);
}

/* What a real one leaves behind: locks, a log beside its database. */
static void pollute(void)
{
    char path[700];

    snprintf(path, sizeof(path), "%s/tmp/openclaw-0", fake.state_dir);
    mkdir(path, 0700);
    write_below("tmp/openclaw-0", "gateway.lock", "2");
    write_below("memory", "main.sqlite-wal", "new wal");
}

int gateway_check_start(struct gateway *g, struct error *e)
{
    (void)g;
    return fake.cannot_start
               ? error_set(e, OCM_E_NOTFOUND, "nothing to start it with")
               : 0;
}

int gateway_install(struct gateway *g, const struct package_site *site,
                    const char *version, const char *prefix,
                    const atomic_bool *cancelled, struct error *e)
{
    char *text = mem_printf("version %s", version);

    (void)g;
    (void)site;
    (void)cancelled;
    (void)e;
    note("calls", "install");
    put_file(prefix, "lib/node_modules/openclaw/package.json", text, 0644);
    put_file(prefix, "bin/openclaw", "#!/bin/sh\n", 0755);
    free(text);
    return 0;
}

/* The same times in every run, so that what came of it can be compared. */
static void set_time(const char *rel)
{
    static const struct timespec times[2] = {{.tv_sec = 1600000000},
                                             {.tv_sec = 1600000000}};
    char *path = path_join(fake.state_dir, rel);

    utimensat(AT_FDCWD, path, times, 0);
    free(path);
}

int gateway_upgrade(struct gateway *g, const atomic_bool *cancelled,
                    struct buf *said, struct error *e)
{
    char *gone = path_join(fake.state_dir, ".env");

    (void)g;
    (void)cancelled;
    note("calls", "upgrade");
    if (!fake_has("guard") || fake_has("running"))
        note("violation", "upgraded without guard, or while it ran");
    put_file(fake.state_dir, "openclaw.json", "{upgraded:1}", 0600);
    put_file(fake.state_dir, "state/made-by-the-upgrade", "x", 0600);
    unlink(gone);
    free(gone);
    set_time("openclaw.json");
    set_time("state/made-by-the-upgrade");
    set_time("state");
    set_time("");
    buf_add_str(said, "upgraded");
    return fake.upgrade_fails ? error_set(e, OCM_E_FAILED, "the upgrade failed")
                              : 0;
}

int gateway_start(struct gateway *g, bool quiet, struct error *e)
{
    (void)g;
    note("calls", quiet ? "start quiet" : "start");
    if (fake_has("guard")) {
        note("violation", "started under guard");
        return error_set(e, OCM_E_DENIED, "guarded");
    }
    if (fake.is_whole && !fake.is_whole())
        note("violation", "started on a mixed state");
    if (fake.pollutes)
        pollute();
    fake_set("running", true);
    return 0;
}

int gateway_guard(struct gateway *g, bool on, struct error *e)
{
    (void)g;
    (void)e;
    note("calls", on ? "guard on" : "guard off");
    fake_set("guard", on);
    return 0;
}

int gateway_fence(struct gateway *g, bool on, const char *why, struct error *e)
{
    (void)g;
    (void)why;
    (void)e;
    fake_set("fenced", on);
    return 0;
}

bool gateway_fenced(struct gateway *g, struct buf *why)
{
    (void)g;
    (void)why;
    return fake_has("fenced");
}

int gateway_health(struct gateway *g, const struct gateway_expect *expect,
                   int64_t wait_ms, const atomic_bool *cancelled,
                   struct gateway_check *checks, size_t *count, size_t max,
                   struct error *e)
{
    bool bad = ++fake.health_calls == fake.unhealthy_at;

    (void)g;
    (void)wait_ms;
    (void)cancelled;
    (void)max;
    note("calls", expect->running ? "health" : "health offline");
    fake.expect = *expect;
    fake.expect_set = true;
    checks[0] = (struct gateway_check){.name = "ready", .ok = !bad};
    *count = 1;
    return bad ? error_set(e, OCM_E_UNHEALTHY, "not ready") : 0;
}
