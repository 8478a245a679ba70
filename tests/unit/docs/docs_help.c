/* SPDX-License-Identifier: MIT */
#include "docs_help.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/files.h"
#include "common/base/mem.h"

struct doc *docs_parse(enum doc_format format, const char *text)
{
    struct error e = {0};
    struct doc *d;

    if (doc_parse(format, text, strlen(text), &d, &e) != 0)
        fail_msg("%s", e.text);
    return d;
}

void docs_expect(struct doc *d, const char *want)
{
    struct error e = {0};
    struct buf out = {0};

    if (doc_render(d, &out, &e) != 0)
        fail_msg("%s", e.text);
    assert_string_equal(buf_str(&out), want);
    assert_int_equal(out.len, strlen(want));
    buf_free(&out);
}

static struct doc_value find(struct doc *d, const char *path)
{
    struct doc_value v;

    if (!doc_find(d, path, &v))
        fail_msg("there is no %s", path);
    assert_string_equal(v.path, path);
    return v;
}

void docs_set(struct doc *d, const char *path, const char *text)
{
    struct doc_value v = find(d, path);
    struct error e = {0};

    if (doc_set_string(d, &v, text, strlen(text), &e) != 0)
        fail_msg("%s", e.text);
}

void docs_raw(struct doc *d, const char *path, const char *raw)
{
    struct doc_value v = find(d, path);
    struct error e = {0};

    if (doc_set_raw(d, &v, raw, &e) != 0)
        fail_msg("%s", e.text);
}

void docs_key(struct doc *d, const char *path, const char *key)
{
    struct doc_value v = find(d, path);
    struct error e = {0};

    if (doc_set_key(d, &v, key, &e) != 0)
        fail_msg("%s", e.text);
}

void docs_insert(struct doc *d, const char *path, const char *key,
                 const char *json)
{
    struct error e = {0};

    if (doc_insert(d, path, key, json, &e) != 0)
        fail_msg("%s", e.text);
}

void docs_remove(struct doc *d, const char *path)
{
    struct error e = {0};

    if (doc_remove(d, path, &e) != 0)
        fail_msg("%s", e.text);
}

void docs_text(struct doc *d, const char *path, const char *text)
{
    struct doc_value v = find(d, path);

    assert_string_equal(v.text, text);
    assert_int_equal(v.len, strlen(text));
}

void docs_refused(enum doc_format format, const void *bytes, size_t len,
                  int code, const char *part)
{
    struct error e = {0};
    struct doc *d;

    assert_int_equal(doc_parse(format, bytes, len, &d, &e), code);
    assert_null(d);
    if (!strstr(e.text, part))
        fail_msg("'%s' is not in '%s'", part, e.text);
}

static void each_in(enum doc_format format, const char *folder,
                    docs_file_fn *fn)
{
    char *path = mem_printf("%s/%s", DOCS_DATA, folder);
    DIR *dir = opendir(path);
    struct dirent *entry;
    int count = 0;

    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        struct buf bytes = {0};
        char *file;

        if (entry->d_name[0] == '.')
            continue;
        file = mem_printf("%s/%s", path, entry->d_name);
        assert_int_equal(file_read(file, DOC_MAX_BYTES, &bytes, NULL), 0);
        fn(format, file, &bytes);
        buf_free(&bytes);
        free(file);
        count++;
    }
    assert_true(count > 0);
    closedir(dir);
    free(path);
}

void docs_each_file(docs_file_fn *fn)
{
    each_in(DOC_JSON5, "json5", fn);
    each_in(DOC_JSONL, "jsonl", fn);
    each_in(DOC_YAML, "yaml", fn);
    each_in(DOC_ENV, "env", fn);
    each_in(DOC_ENV_SYSTEMD, "env-systemd", fn);
    each_in(DOC_UNIT, "unit", fn);
    each_in(DOC_CRONTAB, "crontab", fn);
    each_in(DOC_CRONTAB_SYSTEM, "crontab-system", fn);
    each_in(DOC_TEXT, "text", fn);
}
