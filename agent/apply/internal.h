/* SPDX-License-Identifier: MIT */
/* What the files of apply share: one run, its places on the target and its
 * stages. A *place* is an outermost path of the target that the snapshot
 * reaches: the state directory, a workspace elsewhere, a mount point below
 * either. A *stage* is a private folder on the file system of its places:
 *
 *   <parent>/.ocm-stage-<job>/new/<label>/...   what will be there
 *                             old/<label>/...   what was there
 *                             found/<n>         what came up in between
 *   <parent>/.ocm-old-<job>/<label>/...         `old`, kept after the commit */
#ifndef AGENT_APPLY_INTERNAL_H
#define AGENT_APPLY_INTERNAL_H

#include "agent/apply/apply.h"
#include "agent/apply/snap.h"
#include "agent/openclaw/package.h"

struct stage {
    char *parent, *dir, *kept; /* absolute */
    uint64_t mount;            /* id of the mount it is on */
    bool made;
    int fd; /* of <dir>, or -1 */
};

struct place {
    char *path;   /* absolute, on the target */
    char *label;  /* its name in the stage */
    size_t stage; /* index */
    bool inside;  /* the stage lies below `path` */
    bool exists;  /* there was something there at the start */
    bool whole;   /* OpenClaw's package or command: replaced as one */
};

struct swap;

/* A database that the adaptation merges into a copy of the target's. */
struct merged {
    uint32_t entry;
    char *source, *live; /* the source's as it came; the target's */
    uint64_t stamp[8];   /* what `live` and its log were at the merge */
};

struct apply {
    const struct apply_options *o;
    struct apply_result *out;
    struct openclaw target;
    struct openclaw_conf conf; /* the agent's, with the state and the config
                                  that were found: a gateway that runs may
                                  have shown the way to them */
    char *state_real;          /* its state directory, links followed */
    struct gateway *gateway;
    struct snap snap;
    struct adapt *adapt;
    char **mounts; /* all mount points of this machine, sorted */
    size_t mount_count, mount_cap;
    struct place *places;
    size_t place_count, place_cap;
    struct stage *stages;
    size_t stage_count, stage_cap;
    /* sections that come as rows, without the section of their database */
    const char *row_sections[4];
    size_t row_section_count;
    char *install; /* version of OpenClaw to be installed, or NULL */
    struct package_site site;
    uint32_t package_place, command_place; /* of `site`; or SNAP_NONE */
    bool upgrade;                          /* is in the plan */
    struct merged *merged;
    size_t merged_count, merged_cap;
    int lock; /* descriptor of the lock file, or -1 */
    uint64_t files_done, bytes_done, files_total, bytes_total;
};

void apply_log(const struct apply *a, const char *level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void apply_say(const struct apply *a, const char *step, const char *current);
bool apply_cancelled(const struct apply *a, struct error *e);

/* Is this failure one of a section's content, which costs only the section? */
bool apply_costs_a_section(int code);
void apply_fail_section(struct apply *a, size_t section, const char *why);
/* Of a section that failed, or that the adaptation dropped? */
bool apply_is_out(const struct apply *a, const struct snap_entry *n);

/* ---- target.c: which sections, and where they go ---- */

int target_choose(struct apply *a, struct error *e);
/* After adapt_new: snap_root.target of all wanted roots. A root that may not
 * be written to on this node is a warning and not wanted any more. */
void target_map(struct apply *a);
/* A path with all links followed, as far as it exists. Caller frees. */
char *target_real(const char *path);
/* After the walk: places, and the place of every entry. */
int target_place(struct apply *a, struct error *e);
/* Where an entry goes: path below its place ("" is the place itself), and
 * absolute. Appended to `out`. */
void target_rel(const struct apply *a, uint32_t entry, struct buf *out);
void target_path(const struct apply *a, uint32_t entry, struct buf *out);
/* Where the state database stands on this node. Caller frees. */
char *target_state_db(const struct apply *a);
/* The entry that will stand at the absolute `path`, or SNAP_NONE; with any,
 * also one that was left out. */
uint32_t target_find(const struct apply *a, const char *path, bool any);
/* Will `path` exist when the snapshot is in place? For the adaptation. */
bool target_will_exist(const struct apply *a, const char *path);
bool target_is_mount(const struct apply *a, const char *path);

/* A further place. */
uint32_t target_add_place(struct apply *a, const char *path);

/* ---- install.c: OpenClaw itself, and its upgrade of the state ---- */

/* After snap_load_meta, before the adaptation: which version is to be
 * installed. From then on the target's facts tell of it. */
void apply_install_choose(struct apply *a);
/* After target_place: package and command become places. */
void apply_install_place(struct apply *a);
/* After stage_plan: could an upgrade be undone? */
void apply_install_check(struct apply *a);
/* npm fetches it into the stage. */
int apply_install_stage(struct apply *a, struct error *e);
void apply_install_fini(struct apply *a);

/* ---- stage.c: folders and files of the stage ---- */

/* Paths of the stages, nothing made yet. */
int stage_plan(struct apply *a, struct error *e);
/* Room for what will be staged? OCM_E_SPACE with both figures. */
int stage_check_space(const struct apply *a, bool look_only, struct error *e);
int stage_make(struct apply *a, struct error *e);
void stage_remove(struct apply *a);
/* The staged path of an entry, absolute. */
void stage_path(const struct apply *a, uint32_t entry, struct buf *out);
/* Open the staged folder `rel` of a place, making what is missing. -errno. */
int stage_open_dir(struct apply *a, uint32_t place, const char *rel);
/* The folder that holds a staged entry, opened like that, and the entry's
 * name in it: for what begins a place, the place's label. */
int stage_open_parent(struct apply *a, uint32_t entry);
const char *stage_name(const struct apply *a, uint32_t entry);
/* Take what was staged of a section out again. */
void stage_drop_section(struct apply *a, size_t section);
/* All data on the disk. */
int stage_sync(struct apply *a, struct error *e);

/* ---- fetch.c: content ---- */

/* Mark the entries that the plan must see (SNAP_LOOK). */
void fetch_mark(struct apply *a);
/* Stage the marked files, private until they are adapted. */
int fetch_look(struct apply *a, struct error *e);
/* Stage all others, with folders and links. */
int fetch_rest(struct apply *a, struct error *e);
/* At last every owner, xattr, mode and time. */
int fetch_attributes(struct apply *a, struct error *e);
int fetch_attributes_of(struct apply *a, uint32_t entry, struct error *e);

/* ---- edit.c: the adaptation of what is staged ---- */

int edit_begin(struct apply *a, struct error *e); /* after snap_load_meta */
/* All looked-at files, and what spans them; then the digest of the plan. */
int edit_staged(struct apply *a, struct error *e);
/* Databases that the plan does not look into: checked only. */
int edit_check_rest(struct apply *a, struct error *e);
/* With the gateway down: is the target still what the plan was made for?
 * Databases merged from a live one are merged again. OCM_E_CHANGED. */
int edit_again(struct apply *a, struct error *e);
void edit_end(struct apply *a);

/* ---- prepare.c: up to the plan, shared by plan and deed ---- */

int prepare(struct apply *a, struct swap *s, struct error *e);
void prepare_undo(struct apply *a, struct swap *s);

/* ---- deed.c: from the stop of the gateway to the commit ---- */

int deed(struct apply *a, struct swap *s, struct error *e);

/* ---- attr.c ---- */

/* Owner, xattrs, mode and mtime of a staged file (fd open for it). */
int attr_set_fd(const struct apply *a, const struct snap_entry *n, int fd,
                struct error *e);
int attr_set_link(const struct apply *a, const struct snap_entry *n, int dir,
                  const char *name, struct error *e);

#endif
