/* SPDX-License-Identifier: MIT */
/* Variables from units, env files and running processes. */
#include "agent/openclaw/env.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/secret.h"

#define ENV_FILE_MAX (1024u * 1024)
#define ENV_VARS_MAX 4096

void env_add(struct env *v, const char *name, const char *value)
{
    if (env_get(v, name) || v->count >= ENV_VARS_MAX)
        return;
    v->vars = mem_grow(v->vars, &v->cap, v->count + 1, sizeof(*v->vars));
    v->vars[v->count++] = (struct env_var){
        .name = mem_strdup(name),
        .value = mem_strdup(value),
    };
}

const char *env_get(const struct env *v, const char *name)
{
    for (size_t i = 0; i < v->count; i++) {
        if (strcmp(v->vars[i].name, name) == 0)
            return v->vars[i].value;
    }
    return NULL;
}

/* Within one file the last assignment counts; doc_find knows. */
static int on_assignment(void *arg, struct doc *d, const struct doc_value *v)
{
    struct doc_value last;

    if (v->type == DOC_STRING && v->key && doc_find(d, v->path, &last))
        env_add(arg, v->key, last.text);
    return 0;
}

int env_add_file(struct env *v, const char *path, enum doc_format format,
                 struct error *e)
{
    struct buf text = {0};
    struct doc *doc = NULL;
    int rc = file_read(path, ENV_FILE_MAX, &text, e);

    if (rc == 0) {
        rc = doc_parse(format, text.data, text.len, &doc, e);
        if (rc < 0)
            error_prefix(e, "%s", path);
    }
    if (rc == 0)
        doc_each(doc, on_assignment, v);
    doc_free(doc);
    buf_wipe(&text);
    return rc;
}

int env_add_process(struct env *v, int pid)
{
    struct buf text = {0};
    char path[64];
    int rc;

    snprintf(path, sizeof(path), "/proc/%d/environ", pid);
    rc = file_read(path, ENV_FILE_MAX, &text, NULL);
    if (rc == 0) {
        char *at = buf_str(&text), *end = at + text.len;

        for (; at < end; at += strlen(at) + 1) {
            char *eq = strchr(at, '=');

            if (!eq || eq == at)
                continue;
            *eq = 0;
            env_add(v, at, eq + 1);
            at = eq + 1; /* go on behind the value */
        }
    }
    buf_wipe(&text);
    return rc;
}

void env_fini(struct env *v)
{
    for (size_t i = 0; i < v->count; i++) {
        free(v->vars[i].name);
        secret_free_str(v->vars[i].value);
    }
    free(v->vars);
    *v = (struct env){0};
}
