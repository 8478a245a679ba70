/* SPDX-License-Identifier: MIT */
/* The controller's repository at start: made at the first one, with a random
 * password kept in the configured file, and never made twice: when the
 * controller has had a repository that is not there now, it stops. */
#ifndef CONTROLLER_REPOSITORY_H
#define CONTROLLER_REPOSITORY_H

#include "controller/controller_conf.h"
#include "controller/repo/repo.h"

/* OCM_E_NOTFOUND with what to do when a repository that was there is gone;
 * OCM_E_AUTH for a wrong password. */
int repository_open(const struct controller_conf *conf, struct repo **out,
                    struct error *e);

#endif
