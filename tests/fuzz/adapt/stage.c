/* SPDX-License-Identifier: MIT */
/* The folder, the facts and the call. */
#include "tests/fuzz/adapt/stage.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/openclaw/openclaw.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"

static char folder[] = "/tmp/ocm-fuzz-adapt-XXXXXX";
static bool made;

static void remove_folder(void)
{
    tree_remove(folder, NULL);
}

static void put(const char *path, const void *p, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0 || fd_write_all(fd, p, len) != 0)
        abort();
    close(fd);
}

static void make_folder(void)
{
    static const char config[] =
        "{gateway:{port:19001,auth:{token:'own-token-0123456789'},"
        "tls:{certPath:'/etc/own.pem'}},logging:{file:'/var/log/own.log'}}";
    char *path;

    if (made)
        return;
    if (!mkdtemp(folder))
        abort();
    atexit(remove_folder);
    path = path_join(folder, "openclaw.json");
    put(path, config, sizeof(config) - 1);
    free(path);
    made = true;
}

static bool yes(void *arg, const char *path)
{
    (void)arg;
    (void)path;
    return true;
}

static bool is_free(void *arg, int port)
{
    (void)arg;
    return port != 18789;
}

static void set_facts(struct facts *s, struct facts *t)
{
    facts_set(s, "host.name", "gw-1");
    facts_set(s, "user.home", "/home/jo");
    facts_set(s, "state.dir", "/home/jo/.openclaw");
    facts_set(s, "state.config", "/home/jo/.openclaw/openclaw.json");
    facts_set(s, "gateway.port", "18789");
    facts_set(t, "host.name", "gw-2");
    facts_set(t, "user.home", "/home/li");
    facts_set(t, "state.dir", "/data/oc");
}

int stage_adapt(const char *at, enum file_kind kind, enum intention intention,
                bool lives, const uint8_t *data, size_t size, struct buf *out)
{
    static const uint8_t key[32] = {1}, seed[16] = {2};
    static const char *const beside[] = {"-wal", "-shm", "-journal"};
    struct facts source = {0}, target = {0};
    struct plan plan = {0};
    struct error e = {0};
    struct adapt_options o = {
        .intention = intention,
        .source = &source,
        .target = &target,
        .source_era = ERA_SQLITE,
        .target_era = lives ? ERA_SQLITE : ERA_NONE,
        .seed = seed,
        .node_key = key,
        .port_is_free = is_free,
        .path_exists = yes,
    };
    struct adapt_file f = {
        .section = "gateway", .at = at, .kind = kind, .action = ACTION_ADAPT};
    char *staged, *live, *own;
    struct adapt *a;
    int rc;

    make_folder();
    staged = path_join(folder, "staged");
    live = path_join(folder, "absent");
    own = path_join(folder, "openclaw.json");
    put(staged, data, size);
    set_facts(&source, &target);
    facts_set(&target, "state.config", own);
    o.target_state_dir = lives ? folder : NULL;
    f.staged = staged;
    f.live = live;
    a = adapt_new(&o, &plan);
    rc = adapt_file(a, &f, &e);
    if (rc != 0 && e.text[0] == '\0')
        abort(); /* an error without a word */
    if (adapt_finish(a, &e) != 0)
        abort();
    adapt_free(a);
    plan_fini(&plan);
    facts_fini(&source);
    facts_fini(&target);
    if (file_exists(staged))
        file_read(staged, (size_t)1 << 28, out, NULL);
    unlink(staged);
    for (size_t i = 0; i < ARRAY_LEN(beside); i++) {
        char *path = mem_printf("%s%s", staged, beside[i]);

        unlink(path);
        free(path);
    }
    free(staged);
    free(live);
    free(own);
    return rc;
}
