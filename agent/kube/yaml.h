/* YAML (and so JSON) to jansson values, in two readings: for kubeconfigs, with every scalar a string and aliases refused; for manifests, as
 * kubectl reads them. Depth, nodes and the length of keys are bounded. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/** Parses the first document. @param[out] ret_root  new reference. @return ERR_OK, ERR_INVALID (with the line), ERR_LIMIT, ERR_NOMEM. */
enum err_code yaml_parse(const char *text, size_t bytes, json_t **ret_root, struct err *reterr) MUST_USE;

/** Parses one manifest: bare words are booleans, numbers and null as for kubectl (yaml_scalar.h); aliases and merge keys ("<<: *base") are put
 *  in. @param[out] ret_root  new reference; NULL when the document holds nothing, or comments alone. @return as above. */
enum err_code yaml_parse_manifest(const char *text, size_t bytes, json_t **ret_root, struct err *reterr) MUST_USE;

/** Cuts a stream of manifests where kubectl does: at lines that begin with "---" and hold nothing else than a comment.
 *  @param at  begins at the text; moved behind the document. @param[out] ret_document  borrowed, without its separators.
 *  @return false at the end. */
bool yaml_next_document(const char **at, const char **ret_document, size_t *ret_bytes);
