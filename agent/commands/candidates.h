/* What may stand at the end of a command line that is being typed, for programs that ask the program itself: kubectl does so for its plugins. The
 * shells' own scripts (completion.c) hold all of it beforehand. */
#pragma once

#include <stdbool.h>

#include "base/strbuf.h"

/** Whether the program was called as kubectl calls the completion of a plugin: kubectl_complete-svcmirror. @param path  argv[0]; may be NULL. */
bool candidates_wanted(const char *path);

/** Appends them as commands of cobra, kubectl's library, print them for its `__complete`: one a line, a tab, what it means; last ":" and how the shell is
 *  to go on. @param words  those after the program's name; the last one is being typed, and may be "". */
void candidates_write(int count, const char *const *words, struct strbuf *text);
