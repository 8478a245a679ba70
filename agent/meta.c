/* SPDX-License-Identifier: MIT */
#include "agent/meta.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "agent/build.h"
#include "common/base/clock.h"
#include "common/base/text.h"

static const char *const era_names[] = {
    [ERA_NONE] = "none",     [ERA_FILES] = "files", [ERA_MIXED] = "mixed",
    [ERA_SQLITE] = "sqlite", [ERA_YAML] = "yaml",
};

const char *meta_state_name(enum capture_state s)
{
    static const char *const names[] = {
        [CAPTURE_COMPLETE] = "complete",
        [CAPTURE_PARTIAL] = "partial",
        [CAPTURE_ABSENT] = "absent",
        [CAPTURE_SKIPPED] = "skipped",
    };

    return names[s];
}

/* Paths are bytes; JSON is UTF-8. */
static json_t *path_text(const char *path)
{
    struct buf b = {0};
    json_t *j;

    text_escape(&b, path, strlen(path));
    j = json_stringn((char *)b.data, b.len);
    buf_free(&b);
    return j;
}

static json_t *roots_of(const struct capture_section *s)
{
    json_t *roots = json_array();

    for (size_t i = 0; i < s->root_count; i++)
        json_array_append_new(roots,
                              json_pack("{s:s,s:o}", "at", s->roots[i].at,
                                        "path", path_text(s->roots[i].path)));
    return roots;
}

int meta_write(const struct agent *a, const struct openclaw *o,
               const struct capture_result *so_far, int64_t time_ns,
               struct buf *out, struct error *e)
{
    json_t *root, *sections = json_array(), *problems = json_array(), *facts;
    const char *version = facts_get(&o->facts, "openclaw.version");
    struct buf fact_text = {0};
    char time[CLOCK_TEXT_MAX], platform[64];
    struct utsname u;
    char *text;

    uname(&u);
    snprintf(platform, sizeof(platform), "linux-%.40s", u.machine);
    clock_format(time_ns, time);
    facts_to_json(&o->facts, a->key, &fact_text);
    facts = json_loadb((char *)fact_text.data, fact_text.len, 0, NULL);
    buf_free(&fact_text);
    for (size_t i = 0; i < o->section_count; i++) {
        const struct capture_section *s = &o->sections[i];
        const struct capture_section_result *r = &so_far->sections[i];

        json_array_append_new(
            sections,
            json_pack("{s:s,s:s,s:s,s:I,s:I,s:o}", "name", s->name, "area",
                      s->area, "state", meta_state_name(r->state), "files",
                      (json_int_t)r->files, "bytes", (json_int_t)r->bytes,
                      "roots", roots_of(s)));
    }
    for (size_t i = 0; i < so_far->problem_count; i++) {
        const struct capture_problem *p = &so_far->problems[i];

        json_array_append_new(problems,
                              json_pack("{s:s,s:o,s:o}", "section", p->section,
                                        "path", path_text(p->path), "reason",
                                        path_text(p->reason)));
    }
    root = json_pack("{s:i,s:s,s:{s:s,s:s,s:s},s:s,s:s*,s:s,s:o,s:o,s:o,s:I}",
                     "format", META_FORMAT, "time", time, "node", "name",
                     a->identity.node_name, "id", a->identity.node_id,
                     "platform", platform, "agent", agent_version, "openclaw",
                     version, "era", era_names[o->era], "facts", facts,
                     "sections", sections, "problems", problems,
                     "problem_count", (json_int_t)so_far->problems_total);
    if (!root)
        return error_set(e, OCM_E_FAILED, "meta.json could not be built");
    text = json_dumps(root, JSON_INDENT(1));
    json_decref(root);
    if (!text)
        return error_set(e, OCM_E_FAILED, "meta.json could not be written");
    buf_add_str(out, text);
    buf_add_byte(out, '\n');
    free(text);
    return 0;
}
