/* SPDX-License-Identifier: MIT */
/* A snapshot as one .tar.zst (pax): the tree as it is, so that
 * `tar x && sha256sum -c verify/SHA256SUMS` works. */
#ifndef CONTROLLER_JOBS_ARCHIVE_EXPORT_H
#define CONTROLLER_JOBS_ARCHIVE_EXPORT_H

#include "controller/repo/repo.h"

/* Takes the archive's bytes in order; may block; < 0 ends the export. */
typedef int archive_sink(void *arg, const void *p, size_t len, struct error *e);

/* Worker thread. Every blob is verified as it is read; OCM_E_DAMAGED when a
 * file is not as long as its entry says. After a failure the bytes given so
 * far are no whole archive. */
int archive_export(struct repo *r, const struct id *root, archive_sink *sink,
                   void *arg, struct error *e);

#endif
