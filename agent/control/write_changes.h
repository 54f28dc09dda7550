/* What an update changes, in words for people. */
#pragma once

#include "base/strbuf.h"
#include "mirror/plan.h"

/** Appends e.g. `label a "x" -> "y"; endpoint 10.0.0.1 becomes ready`; nothing for creates and deletes. Long lists are cut, saying so. */
void write_changes(const struct write *write, struct strbuf *text);
