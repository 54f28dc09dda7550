/* Manual pages in roff's man macros, from the tables that --help is made of: svcmirror(1), and a page for each command. Pure. */
#pragma once

#include "agent/commands/command.h"

/** Appends the page of the program, which names all commands. */
void manual_write_program(struct strbuf *text);
/** Appends the page of one command. */
void manual_write_command(const struct command *command, struct strbuf *text);
/** The name of a page: "svcmirror-edge-stack-prepare"; of the program's own for NULL. */
void manual_page_name(const struct command *command, char *buffer, size_t bytes);
