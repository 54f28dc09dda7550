/* Which labels and annotations of an exported service its mirror carries: what the link allows, less what it excludes. Source: linkerd2
 * edge-26.8.3 (getCommonServiceLabels and -Annotations), less what harms: marks by which tools claim ownership of objects (linkerd2#11358)
 * and kubectl's copy of the whole object. Pure. */
#pragma once

#include <stdbool.h>

#include "base/kv.h"
#include "mirror/link.h"

/** Adds the remote labels that may be carried along. */
void metadata_copy_labels(struct kv_builder *builder, const struct kv_list *remote, const struct link *link);
void metadata_copy_annotations(struct kv_builder *builder, const struct kv_list *remote, const struct link *link);

/** Whether `key` is excluded by `pattern`: an exact key, or "prefix/" followed by "*", which means every key with that prefix and its slash. */
bool metadata_pattern_matches(const char *pattern, const char *key);
