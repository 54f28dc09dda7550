/* The source cluster's ServiceImports -> the world. They are looked for from when a link takes ServiceExports, or a mirror is found that one made: who
 * uses neither pays nothing for them. */
#pragma once

#include "agent/control/internal.h"

enum err_code imports_new(struct control *control, struct imports **ret_imports) MUST_USE;
void imports_free(struct imports *imports); /* takes NULL */
/** Once a turn: begins when they begin to matter. */
void imports_turn(struct imports *imports);
/** Whether it is known which there are, or that none can be had, or none matter. */
bool imports_settled(const struct imports *imports);
