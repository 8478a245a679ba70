/* SPDX-License-Identifier: MIT */
/* Files: whole reads, durable writes, trees, and opening beneath a root. */
#ifndef COMMON_BASE_FILES_H
#define COMMON_BASE_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/buf.h"
#include "common/base/error.h"

/* Append the whole regular file to `out`; more than `max` bytes is
 * OCM_E_LIMIT. The text of `e` names the path. */
int file_read(const char *path, size_t max, struct buf *out, struct error *e);

/* Replace `path` atomically and durably: temp file beside it, fsync, rename,
 * fsync of the folder. After a crash the old or the new content stands. */
int file_write(const char *path, const void *p, size_t len, mode_t mode,
               struct error *e);

/* Write all of it, or -errno. */
int fd_write_all(int fd, const void *p, size_t len);
/* Read exactly `len` bytes at `off`; a short file is OCM_E_DAMAGED. */
int fd_pread_all(int fd, void *p, size_t len, off_t off);

/* fsync of the folder that holds `path` / of the folder itself. */
int dir_sync_of(const char *path, struct error *e);
int dir_sync(const char *dir, struct error *e);

/* mkdir -p; folders made get `mode`. An existing folder is fine. */
int dir_make(const char *path, mode_t mode, struct error *e);

/* rm -rf, never following links, never leaving the file system of `path`.
 * A missing path is success. */
int tree_remove(const char *path, struct error *e);

/* Keep the `count` newest files of the folder that holds `path`; the others
 * are unlinked. Best effort. */
void files_keep_newest(const char *path, size_t count);

bool file_exists(const char *path); /* lstat, anything */
bool dir_exists(const char *path);  /* stat, a folder */

/* Open `rel` (path_is_safe) below the folder `root_fd` without following any
 * symbolic link: openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS), or the same
 * name by name where the kernel has no openat2. Returns the descriptor
 * (close-on-exec) or -errno: ELOOP for a link, EXDEV for what is not below. */
int open_beneath(int root_fd, const char *rel, int flags, mode_t mode);

/* Free bytes for us on the file system of `path`; -1 when it cannot be told. */
int64_t disk_free(const char *path);

#endif
