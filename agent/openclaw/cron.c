/* SPDX-License-Identifier: MIT */
/* Counting cron jobs: jobs.json, the table cron_jobs, or YAML and crontabs. */
#include "agent/openclaw/cron.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "agent/openclaw/database.h"
#include "agent/openclaw/openclaw.h"
#include "agent/openclaw/unit.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define JOBS_FILE_MAX DOC_CONFIG_MAX_BYTES

/* The jobs of a list, or of the list "jobs" or "cron" in it. */
static int64_t count_list(const json_t *j)
{
    int64_t n = 0;
    json_t *job;
    size_t i;

    if (json_is_object(j)) {
        const json_t *inner = json_object_get(j, "jobs");

        return count_list(inner ? inner : json_object_get(j, "cron"));
    }
    if (!json_is_array(j))
        return json_is_null(j) || !j ? 0 : 1;
    json_array_foreach(j, i, job)
    {
        if (!json_is_string(json_object_get(job, "declarationKey")))
            n++;
    }
    return n;
}

static int64_t count_in_file(const char *path, enum doc_format format,
                             struct buf *notes)
{
    struct buf text = {0};
    struct error e = {0};
    json_t *tree = NULL;
    int64_t n = -1;

    if (file_read(path, JOBS_FILE_MAX, &text, &e) < 0 ||
        config_parse(format, text.data, text.len, &tree, &e) < 0)
        buf_printf(notes, "cron jobs of %s: %s\n", path, e.text);
    else
        n = count_list(tree);
    json_decref(tree);
    buf_free(&text);
    return n;
}

static int64_t count_files(const char *state_dir, const struct config *c,
                           struct buf *notes)
{
    char *store = config_string(c, "cron.store");
    char *path = store && *store ? path_of_user(store, state_dir)
                                 : path_join(state_dir, "cron/jobs.json");
    int64_t n = file_exists(path) ? count_in_file(path, DOC_JSON5, notes) : 0;

    free(store);
    free(path);
    return n;
}

/* The key jobs hang on: what the database says, else the old file's path. */
static char *store_key(struct database *db, const char *state_dir)
{
    char *text = database_text(db, "SELECT value_json FROM config_machine_state"
                                   " WHERE state_key = 'cron.store'");
    json_t *j = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
    char *key = json_is_string(j) ? mem_strdup(json_string_value(j)) : NULL;

    json_decref(j);
    free(text);
    return key ? key : path_join(state_dir, "cron/jobs.json");
}

static int64_t count_rows(const char *state_dir, struct buf *notes)
{
    char *path = path_join(state_dir, "state/openclaw.sqlite");
    struct error e = {0};
    struct database db;
    int64_t n = -1, all;
    char *key;

    if (database_open(path, &db, &e) < 0) {
        buf_printf(notes, "cron jobs: %s\n", e.text);
        free(path);
        return -1;
    }
    key = store_key(&db, state_dir);
    n = database_number(&db,
                        "SELECT count(*) FROM cron_jobs"
                        " WHERE declaration_key IS NULL AND store_key = ?",
                        (const char *const[]){key, NULL});
    all = database_number(
        &db, "SELECT count(*) FROM cron_jobs WHERE declaration_key IS NULL",
        NULL);
    if (all > n)
        buf_printf(notes,
                   "%lld cron jobs belong to another state directory than %s: "
                   "its gateway does not see them\n",
                   (long long)(all - n), state_dir);
    database_close(&db);
    free(key);
    free(path);
    return n;
}

static int64_t count_crontab(const char *path)
{
    struct buf text = {0};
    struct doc *doc = NULL;
    int64_t n = 0;
    struct doc_value v;

    if (file_read(path, JOBS_FILE_MAX, &text, NULL) == 0 &&
        doc_parse(DOC_CRONTAB, text.data, text.len, &doc, NULL) == 0) {
        size_t lines = 1;

        for (size_t i = 0; i < text.len; i++)
            lines += text.data[i] == '\n';
        for (size_t i = 1; i <= lines; i++) {
            char *at = mem_printf("line %zu schedule", i);

            n += doc_find(doc, at, &v);
            free(at);
        }
    }
    doc_free(doc);
    buf_free(&text);
    return n;
}

/* The gateway.yaml layout: jobs in cron.yaml, crontab and the folder cron. */
static int64_t count_yaml(const char *state_dir, struct buf *notes)
{
    char *folder = path_join(state_dir, "cron");
    const char *const places[] = {state_dir, folder};
    int64_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        DIR *dir = opendir(places[i]);
        struct dirent *d;

        while (dir && (d = readdir(dir))) {
            char *path = path_join(places[i], d->d_name);
            bool top = i == 0;
            int64_t more = 0;

            if (top && !text_has_prefix(d->d_name, "cron"))
                ; /* not about cron */
            else if (text_has_suffix(d->d_name, ".yaml") ||
                     text_has_suffix(d->d_name, ".yml"))
                more = count_in_file(path, DOC_YAML, notes);
            else if (!top && text_has_suffix(d->d_name, ".json"))
                more = count_in_file(path, DOC_JSON5, notes);
            else if (text_has_suffix(d->d_name, "crontab"))
                more = count_crontab(path);
            n += more > 0 ? more : 0;
            free(path);
        }
        if (dir)
            closedir(dir);
    }
    free(folder);
    return n;
}

int64_t cron_count(const char *state_dir, int era, const struct config *c,
                   struct buf *notes)
{
    switch (era) {
    case ERA_YAML:
        return count_yaml(state_dir, notes);
    case ERA_MIXED:
    case ERA_SQLITE:
        return count_rows(state_dir, notes);
    case ERA_FILES:
        return count_files(state_dir, c, notes);
    default:
        return -1;
    }
}
