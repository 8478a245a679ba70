/* SPDX-License-Identifier: MIT */
/* What the controller's parts share. Set up by main before the loop runs;
 * the members are borrowed by everybody and outlive all jobs and sessions. */
#ifndef CONTROLLER_CONTROLLER_H
#define CONTROLLER_CONTROLLER_H

#include <stdint.h>
#include <uv.h>

struct api_server;
struct ca;
struct catalog;
struct controller_conf;
struct jobs;
struct listener;
struct nodes;
struct repo;

struct controller {
    uv_loop_t *loop;
    const struct controller_conf *conf;
    struct catalog *catalog;
    struct repo *repo;
    struct jobs *jobs;
    struct nodes *nodes;
    struct ca *ca;
    struct listener *listener;
    struct api_server *api;
    int64_t started_ns;
};

#endif
