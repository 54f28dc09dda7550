/* What a bare word of YAML means to kubectl, whose reader is Go's yaml.v2: YAML 1.1, where "on" is a boolean and 0644 is octal. Internal to
 * agent/kube. */
#pragma once

#include <jansson.h>
#include <stddef.h>

/** @param text  a plain scalar, NUL-terminated. @return new; a string when it is nothing else, also for what JSON has no word for (.inf,
 *  .nan); NULL when out of memory. */
json_t *yaml_scalar(const char *text, size_t bytes);
