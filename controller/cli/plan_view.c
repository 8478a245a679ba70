/* SPDX-License-Identifier: MIT */
/* A plan for people: warnings by weight, edits by file. Secrets come masked. */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "controller/cli/cli_internal.h"

size_t plan_blocking(const json_t *plan)
{
    size_t count = 0, i;
    json_t *w;

    json_array_foreach(json_object_get(plan, "warnings"), i, w)
    {
        count += json_is_true(json_object_get(w, "blocking"));
    }
    return count;
}

static void show_warnings(struct cli *c, const json_t *plan, bool blocking)
{
    FILE *out = c->io->out;
    enum tone tone = blocking ? TONE_BAD : TONE_WARN;
    json_t *w;
    size_t i;

    json_array_foreach(json_object_get(plan, "warnings"), i, w)
    {
        if (json_is_true(json_object_get(w, "blocking")) != blocking)
            continue;
        fprintf(out, "%s%s%s  ", tone_begin(c, tone),
                blocking ? "STOP" : "warning", tone_end(c, tone));
        fprintf(out, "%s", safe(text_of(w, "text")));
        if (*text_of(w, "file"))
            fprintf(out, "  (%s", safe(text_of(w, "file")));
        if (*text_of(w, "file") && *text_of(w, "place"))
            fprintf(out, ": %s", safe(text_of(w, "place")));
        fprintf(out, "%s\n", *text_of(w, "file") ? ")" : "");
    }
}

static void show_sections(struct cli *c, const json_t *sections)
{
    static const char *const heads[] = {"SECTION", "WHAT", "FILES", "SIZE",
                                        "WHERE"};
    struct table *t = table_new(heads, ARRAY_LEN(heads));
    json_t *s;
    size_t i;

    table_right(t, 2);
    table_right(t, 3);
    json_array_foreach(sections, i, s)
    {
        table_cell(t, TONE_BOLD, text_of(s, "name"));
        table_cell(t, TONE_NONE, text_of(s, "action"));
        table_cell(t, TONE_NONE, count_text(number_of(s, "files")));
        table_cell(t, TONE_NONE, bytes_text(number_of(s, "bytes")));
        table_cell(t, TONE_DIM, text_of(s, "target"));
    }
    table_give(c, t);
}

static void show_edit(struct cli *c, const json_t *e)
{
    FILE *out = c->io->out;
    const char *arrow = c->io->utf8 ? "\xe2\x86\x92" : "->";
    const char *old = text_of(e, "old"), *new = text_of(e, "new");

    fprintf(out, "  %s\n", safe(text_of(e, "place")));
    fprintf(out, "    %s%s%s %s %s%s%s", tone_begin(c, TONE_BAD),
            *old ? safe(old) : "(nothing)", tone_end(c, TONE_BAD), arrow,
            tone_begin(c, TONE_GOOD), *new ? safe(new) : "(removed)",
            tone_end(c, TONE_GOOD));
    fprintf(out, "  %s[%s]%s", tone_begin(c, TONE_DIM),
            safe(text_of(e, "rule")), tone_end(c, TONE_DIM));
    if (*text_of(e, "note"))
        fprintf(out, "  %s", safe(text_of(e, "note")));
    fputc('\n', out);
}

/* All edits of a file stand together, in the order of their first. */
static void show_edits(struct cli *c, const json_t *edits)
{
    size_t count = json_array_size(edits);
    bool *shown = mem_array(count + 1, sizeof(*shown));

    for (size_t i = 0; i < count; i++) {
        const char *file = text_of(json_array_get(edits, i), "file");

        if (shown[i])
            continue;
        fprintf(c->io->out, "\n%s%s%s\n", tone_begin(c, TONE_BOLD),
                *file ? safe(file) : "OpenClaw itself", tone_end(c, TONE_BOLD));
        for (size_t k = i; k < count; k++) {
            const json_t *e = json_array_get(edits, k);

            if (!shown[k] && strcmp(text_of(e, "file"), file) == 0) {
                shown[k] = true;
                show_edit(c, e);
            }
        }
    }
    free(shown);
}

void plan_show(struct cli *c, const json_t *plan)
{
    const json_t *edits = json_object_get(plan, "edits");
    int64_t all_edits = number_of(plan, "edit_count");
    int64_t all_warnings = number_of(plan, "warning_count");
    FILE *out = c->io->out;

    fprintf(out, "Plan %s: %s ", safe(text_of(plan, "plan")),
            safe(text_of(plan, "intention")));
    if (strcmp(text_of(plan, "source"), text_of(plan, "target")) == 0)
        fprintf(out, "%s", safe(text_of(plan, "target")));
    else
        fprintf(out, "%s to %s", safe(text_of(plan, "source")),
                safe(text_of(plan, "target")));
    fprintf(out, ", snapshot %.8s\n\n", safe(text_of(plan, "snapshot")));
    show_warnings(c, plan, true);
    show_warnings(c, plan, false);
    if (all_warnings >
        (int64_t)json_array_size(json_object_get(plan, "warnings")))
        fprintf(out, "in all %s warnings\n", count_text(all_warnings));
    fputc('\n', out);
    show_sections(c, json_object_get(plan, "sections"));
    show_edits(c, edits);
    if (all_edits == 0)
        fprintf(out, "\nNo value has to be changed.\n");
    else
        fprintf(out, "\n%s values will be changed%s.\n", count_text(all_edits),
                all_edits > (int64_t)json_array_size(edits)
                    ? ", not all of them are shown"
                    : "");
}
