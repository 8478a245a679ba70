/* SPDX-License-Identifier: MIT */
/* controller/api/openapi.json, put into the program by the build. */
#ifndef CONTROLLER_API_OPENAPI_H
#define CONTROLLER_API_OPENAPI_H

#include <stddef.h>

extern const char openapi_json[];
extern const size_t openapi_json_len;

#endif
