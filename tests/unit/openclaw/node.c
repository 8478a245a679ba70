/* SPDX-License-Identifier: MIT */
/* Synthetic nodes. */
#include "node.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sqlite3.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"

void node_init(struct node *n)
{
    *n = (struct node){0};
    strcpy(n->home, "/tmp/ocm-node-XXXXXX");
    assert_non_null(mkdtemp(n->home));
    snprintf(n->state, sizeof(n->state), "%s/.openclaw", n->home);
    n->conf = (struct openclaw_conf){
        .state_dir = "",
        .config_path = "",
        .home = n->home,
        .layout = "auto",
        .bin = "/nonexistent/openclaw",
        .control = "auto",
        .unit = "",
        .exec_start = "",
        .exec_stop = "",
        .exec_status = "",
    };
}

void node_fini(struct node *n)
{
    openclaw_fini(&n->o);
    buf_free(&n->notes);
    tree_remove(n->home, NULL);
}

static char *full(struct node *n, const char *rel)
{
    char *path = path_join(n->home, rel);
    char *dir = mem_strndup(path, (size_t)(strrchr(path, '/') - path));

    assert_int_equal(dir_make(dir, 0700, NULL), 0);
    free(dir);
    return path;
}

void node_write(struct node *n, const char *rel, const char *text)
{
    char *path = full(n, rel);

    assert_int_equal(file_write(path, text, strlen(text), 0600, NULL), 0);
    free(path);
}

void node_sql(struct node *n, const char *rel, const char *sql)
{
    char *path = full(n, rel);
    sqlite3 *db;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s", sqlite3_errmsg(db));
    sqlite3_close(db);
    free(path);
}

void node_state_db(struct node *n, int jobs)
{
    static const char schema[] =
        "PRAGMA user_version = 18;"
        "CREATE TABLE cron_jobs (store_key TEXT NOT NULL, job_id TEXT NOT NULL,"
        " declaration_key TEXT, name TEXT, job_json TEXT,"
        " state_json TEXT, updated_at INTEGER,"
        " PRIMARY KEY (store_key, job_id));"
        "CREATE TABLE config_machine_state (state_key TEXT PRIMARY KEY,"
        " value_json TEXT NOT NULL, updated_at_ms INTEGER NOT NULL);"
        "CREATE TABLE exec_approvals_config (config_key TEXT PRIMARY KEY,"
        " raw_json TEXT, updated_at_ms INTEGER);"
        "INSERT INTO cron_jobs VALUES ('x', 'own', 'heartbeat', 'hb', '{}',"
        " '{}', 1);";

    node_sql(n, ".openclaw/state/openclaw.sqlite", schema);
    for (int i = 0; i < jobs; i++) {
        char *sql = mem_printf("INSERT INTO cron_jobs VALUES"
                               " ('%s/cron/jobs.json', 'job%d', NULL, 'j',"
                               " '{}', '{}', 1)",
                               n->state, i);

        node_sql(n, ".openclaw/state/openclaw.sqlite", sql);
        free(sql);
    }
}

int node_detect(struct node *n)
{
    openclaw_fini(&n->o);
    buf_clear(&n->notes);
    return openclaw_detect(&n->conf, &n->o, &n->notes, &n->e);
}

/* Would the walk below this root come to the file and take it? */
static bool root_takes(const struct capture_root *r, const char *path)
{
    const char *rel;
    char part[4096];

    if (!path_is_below(path, r->path))
        return false;
    rel = path + strlen(r->path);
    if (!*rel)
        return true;
    rel++;
    for (const char *slash = strchr(rel, '/'); r->choose && slash;
         slash = strchr(slash + 1, '/')) {
        snprintf(part, sizeof(part), "%.*s", (int)(slash - rel), rel);
        if (r->choose(r->arg, part, true) == CAPTURE_SKIP)
            return false;
    }
    return !r->choose || r->choose(r->arg, rel, false) != CAPTURE_SKIP;
}

const char *node_section(const struct node *n, const char *rel)
{
    char *path = path_join(n->home, rel);
    const char *found = "";

    for (size_t i = 0; i < n->o.section_count; i++) {
        const struct capture_section *s = &n->o.sections[i];

        for (size_t k = 0; k < s->root_count; k++) {
            if (root_takes(&s->roots[k], path))
                found = *found ? "2" : s->name;
        }
    }
    free(path);
    return found;
}

int free_port(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof(addr);

    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
    close(fd);
    return ntohs(addr.sin_port);
}
