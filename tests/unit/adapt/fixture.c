/* SPDX-License-Identifier: MIT */
/* The shared ground of the adaptation's tests. */
#include "tests/unit/adapt/fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"

static bool port_is_free(void *arg, int port)
{
    struct fixture *f = arg;

    for (size_t i = 0; i < ARRAY_LEN(f->taken); i++)
        if (f->taken[i] == port)
            return false;
    return true;
}

static bool path_exists(void *arg, const char *path)
{
    struct fixture *f = arg;

    return !f->missing || strcmp(f->missing, path) != 0;
}

static void source_facts(struct facts *s)
{
    facts_set(s, "host.name", "gw-1");
    facts_set(s, "user.home", SRC_HOME);
    facts_set(s, "state.dir", SRC_STATE);
    facts_set(s, "state.config", SRC_STATE "/openclaw.json");
    facts_set(s, "state.version", "2026.9.6");
    facts_set(s, "state.schema", "18");
    facts_set(s, "openclaw.version", "2026.9.6");
    facts_set(s, "openclaw.package", "/usr/lib/node_modules/openclaw");
    facts_set(s, "openclaw.node", "/usr/bin/node");
    facts_set(s, "gateway.port", "18789");
    facts_set(s, "agent.main.workspace", SRC_STATE "/workspace");
    facts_set(s, "agent.main.dir", SRC_STATE "/agents/main/agent");
    facts_set(s, "channels.enabled", "telegram");
}

const char *fixture_helper;

void fixture_init(struct fixture *f, enum intention intention)
{
    char tmp[] = "/tmp/ocm-adapt-XXXXXX";
    char *path;

    memset(f, 0, sizeof(*f));
    assert_non_null(mkdtemp(tmp));
    f->dir = mem_strdup(tmp);
    f->home = path_join(f->dir, "target");
    f->state = path_join(f->home, ".openclaw");
    memset(f->seed, 7, sizeof(f->seed));
    memset(f->key, 9, sizeof(f->key));
    source_facts(&f->source);
    facts_set(&f->target, "host.name", "gw-2");
    facts_set(&f->target, "user.home", f->home);
    facts_set(&f->target, "state.dir", f->state);
    path = path_join(f->state, "openclaw.json");
    facts_set(&f->target, "state.config", path);
    free(path);
    facts_set(&f->target, "openclaw.version", "2026.9.6");
    facts_set(&f->target, "openclaw.schema.state", "18");
    facts_set(&f->target, "openclaw.package", "/opt/openclaw");
    facts_set(&f->target, "openclaw.node", "/usr/bin/node");
    facts_set(&f->target, "gateway.running", "no");
    f->o = (struct adapt_options){
        .helper = fixture_helper,
        .intention = intention,
        .source = &f->source,
        .target = &f->target,
        .source_era = ERA_SQLITE,
        .target_era = ERA_NONE,
        .seed = f->seed,
        .node_key = f->key,
        .port_is_free = port_is_free,
        .path_exists = path_exists,
        .arg = f,
    };
}

void fixture_begin(struct fixture *f)
{
    f->a = adapt_new(&f->o, &f->plan);
}

void fixture_again(struct fixture *f)
{
    adapt_free(f->a);
    plan_fini(&f->plan);
    fixture_begin(f);
}

void fixture_fini(struct fixture *f)
{
    adapt_free(f->a);
    plan_fini(&f->plan);
    facts_fini(&f->source);
    facts_fini(&f->target);
    assert_int_equal(tree_remove(f->dir, NULL), 0);
    free(f->dir);
    free(f->home);
    free(f->state);
    free(f->missing);
}

void fixture_write(const char *path, const void *p, size_t len)
{
    char *dir = mem_strdup(path);
    int fd;

    *strrchr(dir, '/') = '\0';
    assert_int_equal(dir_make(dir, 0700, NULL), 0);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(fd_write_all(fd, p, len), 0);
    close(fd);
    free(dir);
}

void fixture_live(struct fixture *f, const char *rel, const char *content)
{
    char *path = path_join(f->state, rel);

    fixture_write(path, content, strlen(content));
    free(path);
    f->o.target_state_dir = f->state;
    f->o.target_era = ERA_SQLITE;
}

char *fixture_staged(struct fixture *f, const char *at)
{
    return mem_printf("%s/stage/%s", f->dir, at);
}

int fixture_adapt(struct fixture *f, const char *at, enum file_kind kind,
                  enum section_action action, struct error *e)
{
    const char *start = strchr(at, '/') + 1;
    char *section = mem_strndup(start, strcspn(start, "/"));
    const char *rel = start + strlen(section) + 1;
    char *staged = fixture_staged(f, at), *live = path_join(f->state, rel);
    struct adapt_file file = {section, at, staged, live, kind, action};
    int rc = adapt_file(f->a, &file, e);

    free(section);
    free(staged);
    free(live);
    return rc;
}

int fixture_file(struct fixture *f, const char *at, enum file_kind kind,
                 const char *content, struct error *e)
{
    char *staged = fixture_staged(f, at);

    fixture_write(staged, content, strlen(content));
    free(staged);
    return fixture_adapt(f, at, kind, ACTION_ADAPT, e);
}

void fixture_finish(struct fixture *f)
{
    struct error e = {0};
    int rc = adapt_finish(f->a, &e);

    if (rc != 0)
        print_error("%s\n", e.text);
    assert_int_equal(rc, 0);
}

char *fixture_text(struct fixture *f, const char *at)
{
    char *staged = fixture_staged(f, at);
    struct buf b = {0};

    assert_int_equal(file_read(staged, 1u << 26, &b, NULL), 0);
    free(staged);
    return buf_str(&b);
}

char *fixture_expand(struct fixture *f, const char *text)
{
    struct buf b = {0};

    for (; *text; text++) {
        if (text[0] == '@' && (text[1] == 'H' || text[1] == 'S')) {
            buf_add_str(&b, text[1] == 'H' ? f->home : f->state);
            text++;
        } else {
            buf_add_byte(&b, (uint8_t)*text);
        }
    }
    return buf_str(&b);
}

void fixture_expect(struct fixture *f, const char *at, const char *want)
{
    char *have = fixture_text(f, at), *expanded = fixture_expand(f, want);

    assert_string_equal(have, expanded);
    free(have);
    free(expanded);
}

const struct plan_edit *fixture_edit(struct fixture *f, const char *place)
{
    for (size_t i = 0; i < f->plan.edit_count; i++)
        if (strcmp(f->plan.edits[i].place, place) == 0)
            return &f->plan.edits[i];
    return NULL;
}

const struct plan_warning *fixture_warning(struct fixture *f, const char *code)
{
    for (size_t i = 0; i < f->plan.warning_count; i++)
        if (strcmp(f->plan.warnings[i].code, code) == 0)
            return &f->plan.warnings[i];
    return NULL;
}

size_t fixture_warnings(struct fixture *f, const char *code)
{
    size_t n = 0;

    for (size_t i = 0; i < f->plan.warning_count; i++)
        n += strcmp(f->plan.warnings[i].code, code) == 0;
    return n;
}
