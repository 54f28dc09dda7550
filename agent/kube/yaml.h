/* YAML (and so JSON) to jansson values, with scalars as strings: what a kubeconfig needs. Aliases are refused; depth, nodes and the
 * length of keys are bounded. */
#pragma once

#include <jansson.h>
#include <stddef.h>

#include "base/err.h"

/** Parses the first document. @param[out] ret_root  new reference. @return ERR_OK, ERR_INVALID (with the line), ERR_LIMIT, ERR_NOMEM. */
enum err_code yaml_parse(const char *text, size_t bytes, json_t **ret_root, struct err *reterr) MUST_USE;
