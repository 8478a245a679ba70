/* SPDX-License-Identifier: MIT */
/* Differences for people: a letter per file, then keys or lines. */
#include <string.h>

#include "controller/cli/cli_internal.h"

static void show_keys(struct cli *c, const json_t *keys)
{
    FILE *out = c->io->out;
    json_t *k;
    size_t i;

    json_array_foreach(keys, i, k)
    {
        fprintf(out, "    %s: ", safe(text_of(k, "key")));
        if (json_is_true(json_object_get(k, "secret"))) {
            fprintf(out, "%s (secret)\n", safe(text_of(k, "change")));
            continue;
        }
        fprintf(out, "%s%s%s -> ", tone_begin(c, TONE_BAD),
                *text_of(k, "old") ? safe(text_of(k, "old")) : "(nothing)",
                tone_end(c, TONE_BAD));
        fprintf(out, "%s%s%s\n", tone_begin(c, TONE_GOOD),
                *text_of(k, "new") ? safe(text_of(k, "new")) : "(nothing)",
                tone_end(c, TONE_GOOD));
    }
}

static void show_lines(struct cli *c, const json_t *lines)
{
    json_t *l;
    size_t i;

    json_array_foreach(lines, i, l)
    {
        const char *op = text_of(l, "op");
        enum tone tone = *op == '+'   ? TONE_GOOD
                         : *op == '-' ? TONE_BAD
                         : *op == '@' ? TONE_DIM
                                      : TONE_NONE;

        fprintf(c->io->out, "    %s%s%s%s\n", tone_begin(c, tone),
                *op == '@' ? "..." : op, safe(text_of(l, "text")),
                tone_end(c, tone));
    }
}

void diff_show(struct cli *c, const json_t *diff, bool stat)
{
    const json_t *counts = json_object_get(diff, "counts");
    FILE *out = c->io->out;
    json_t *e;
    size_t i;

    json_array_foreach(json_object_get(diff, "entries"), i, e)
    {
        const char *change = text_of(e, "change");
        char letter = strcmp(change, "added") == 0     ? 'A'
                      : strcmp(change, "removed") == 0 ? 'D'
                      : strcmp(change, "changed") == 0 ? 'M'
                                                       : 'm';
        enum tone tone = letter == 'A'   ? TONE_GOOD
                         : letter == 'D' ? TONE_BAD
                                         : TONE_WARN;

        fprintf(out, "%s%c%s  %s\n", tone_begin(c, tone), letter,
                tone_end(c, tone), safe(text_of(e, "path")));
        if (stat)
            continue;
        show_keys(c, json_object_get(e, "keys"));
        show_lines(c, json_object_get(e, "lines"));
    }
    fprintf(out, "%s added, %s removed, ",
            count_text(number_of(counts, "added")),
            count_text(number_of(counts, "removed")));
    fprintf(out, "%s changed, %s with other attributes only\n",
            count_text(number_of(counts, "changed")),
            count_text(number_of(counts, "attributes")));
    if (json_is_true(json_object_get(diff, "truncated")))
        complain(c, "there are more differences: give a path");
}
