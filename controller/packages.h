/* SPDX-License-Identifier: MIT */
/* Packages of the agent that this controller passes on: files below
 * <state_dir>/packages, each a manifest and its binary (PROTOCOL.md,
 * "Upgrade"). They are checked to be whole; who signed them is judged by the
 * agents. Any thread, blocking. */
#ifndef CONTROLLER_PACKAGES_H
#define CONTROLLER_PACKAGES_H

#include "common/release/manifest.h"

#define PACKAGES_KEPT 12
#define PACKAGE_MAX_BYTES (RELEASE_MAX_BYTES + MANIFEST_MAX)

struct package {
    char id[96]; /* "1.2.0-x86_64-1a2b3c4d", the file's name */
    struct manifest m;
    struct buf manifest; /* as it was signed */
    char *path;          /* the file; the binary begins behind the manifest */
};

/* <state_dir>/packages. Caller frees. */
char *packages_dir(const char *state_dir);

/* Judge the file `path`, which lies in packages_dir, and give it its name
 * there. The oldest beyond PACKAGES_KEPT go. OCM_E_INVALID, OCM_E_DAMAGED. */
int package_take(const char *state_dir, const char *path, struct package *out,
                 struct error *e);
/* By id; OCM_E_NOTFOUND. */
int package_open(const char *state_dir, const char *id, struct package *out,
                 struct error *e);
/* The newest version for a machine; OCM_E_NOTFOUND. */
int package_newest(const char *state_dir, const char *arch, struct package *out,
                   struct error *e);
void package_fini(struct package *p);

#endif
