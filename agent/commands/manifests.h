/* Whole objects on stdout, for `kubectl apply -f -`. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

/** Prints an array of objects: as YAML documents with "---" between them, or, as Linkerd's commands do, as JSON, one a line.
 *  @return false when they could not be written. */
bool manifests_print(json_t *objects, bool json);
