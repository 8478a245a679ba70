/* SPDX-License-Identifier: MIT */
/* The tree of `at` paths. */
#include "agent/capture/layout.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"

/* The kid of that name, made when missing, at its sorted place. */
static struct layout *kid_of(struct layout *l, const char *name, size_t len)
{
    struct layout *kid;
    size_t i = 0;

    for (; i < l->kid_count; i++) {
        const char *have = l->kids[i]->name;
        size_t have_len = strlen(have);
        int c = memcmp(have, name, have_len < len ? have_len : len);

        if (c == 0 && have_len == len)
            return l->kids[i];
        if (c > 0 || (c == 0 && have_len > len))
            break;
    }
    kid = mem_zalloc(sizeof(*kid));
    kid->name = mem_strndup(name, len);
    kid->section = -1;
    l->kids = mem_grow(l->kids, &l->kid_cap, l->kid_count + 1,
                       sizeof(struct layout *));
    memmove(l->kids + i + 1, l->kids + i,
            (l->kid_count - i) * sizeof(struct layout *));
    l->kids[i] = kid;
    l->kid_count++;
    return kid;
}

static struct layout *add(struct layout *top, const char *at,
                          enum layout_kind kind, int section)
{
    struct layout *l = top;

    while (*at) {
        size_t len = strcspn(at, "/");

        l = kid_of(l, at, len);
        at += len + (at[len] == '/');
    }
    if (l->kind != LAYOUT_FOLDER)
        return NULL;
    l->kind = kind;
    l->section = section;
    return l;
}

static int check(const char *at, struct error *e)
{
    if (!path_is_safe(at, strlen(at)) ||
        (!text_has_prefix(at, "config/") && !text_has_prefix(at, "data/")))
        return error_set(e, OCM_E_INVALID,
                         "'%s' is no place in a snapshot: it must stand "
                         "below config/ or data/",
                         at);
    return 0;
}

static int add_section(struct layout *top, const struct capture_section *s,
                       int index, struct error *e)
{
    struct layout *l;
    int rc;

    for (size_t i = 0; i < s->root_count; i++) {
        rc = check(s->roots[i].at, e);
        if (rc < 0)
            return rc;
        l = add(top, s->roots[i].at, LAYOUT_ROOT, index);
        if (!l)
            return error_set(e, OCM_E_INVALID,
                             "section %s: '%s' is given twice", s->name,
                             s->roots[i].at);
        if (s->roots[i].path[0] != '/')
            return error_set(e, OCM_E_INVALID,
                             "section %s: '%s' is no absolute path", s->name,
                             s->roots[i].path);
        l->root = &s->roots[i];
    }
    for (size_t i = 0; i < s->row_count; i++) {
        rc = check(s->rows[i].at, e);
        if (rc < 0)
            return rc;
        l = add(top, s->rows[i].at, LAYOUT_ROWS, index);
        if (!l || l->kid_count > 0)
            return error_set(e, OCM_E_INVALID,
                             "section %s: '%s' is given twice", s->name,
                             s->rows[i].at);
        l->rows = &s->rows[i];
    }
    return 0;
}

int layout_build(const struct capture_section *sections, size_t count,
                 struct layout **out, struct error *e)
{
    struct layout *top = mem_zalloc(sizeof(*top));
    int rc = 0;

    top->section = -1;
    add(top, "meta.json", LAYOUT_META, -1);
    add(top, "verify/SHA256SUMS", LAYOUT_SUMS, -1);
    for (size_t i = 0; i < count && rc == 0; i++) {
        if (!sections[i].skipped)
            rc = add_section(top, &sections[i], (int)i, e);
    }
    if (rc < 0) {
        layout_free(top);
        top = NULL;
    }
    *out = top;
    return rc;
}

void layout_free(struct layout *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < l->kid_count; i++)
        layout_free(l->kids[i]);
    free(l->kids);
    free(l->name);
    free(l);
}
