/* svcmirror man: manual pages, one on stdout or all of them as files. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/commands/command.h"
#include "agent/commands/manual.h"
#include "agent/commands/output.h"

enum { PAGE_BYTES = 1 << 20, PATH_BYTES = 4096, NAME_BYTES = 128 };

static const struct option table[] = {
    {.name = "directory", .letter = 'd', .value_name = "FOLDER", .help = "write all pages into this folder"},
    {0},
};

/* @param command  NULL: the program's own page. */
static void write_page(const struct command *command, struct strbuf *text)
{
    if (command != NULL)
        manual_write_command(command, text);
    else
        manual_write_program(text);
}

static enum err_code write_file(const char *folder, const struct command *command, struct err *reterr)
{
    char page[NAME_BYTES], path[PATH_BYTES];
    struct strbuf text;
    manual_page_name(command, page, sizeof(page));
    int length = snprintf(path, sizeof(path), "%s/%s.1", folder, page);
    if (length < 0 || (size_t)length >= sizeof(path))
        return err_set(reterr, ERR_LIMIT, "the folder's name is too long");
    FILE *file = fopen(path, "we");
    if (file == NULL)
        return err_set(reterr, ERR_IO, "%s: %s", path, strerror(errno));
    strbuf_init(&text, PAGE_BYTES);
    write_page(command, &text);
    bool whole = strbuf_error(&text) == ERR_OK && fwrite(strbuf_text(&text), 1, text.length, file) == text.length;
    whole = fclose(file) == 0 && whole;
    strbuf_done(&text);
    return whole ? ERR_OK : err_set(reterr, ERR_IO, "%s: it could not be written", path);
}

static enum exit_code write_all(const char *folder)
{
    struct err error = {0};
    enum err_code code = write_file(folder, NULL, &error);
    for (const struct command *const *at = commands; *at != NULL && code == ERR_OK; at++)
        code = write_file(folder, *at, &error);
    if (code == ERR_OK)
        return EXIT_DONE;
    command_complain("man", "%s", error.text);
    return EXIT_FAILED;
}

/* The command of the words, all of which must be its name. */
static const struct command *find(const struct options *options)
{
    int used = 0;
    const struct command *command = command_find((int)options->argument_count, options->arguments, &used);
    return command != NULL && (unsigned)used == options->argument_count ? command : NULL;
}

static enum exit_code run(const struct options *options)
{
    const char *folder = options_text(options, "directory");
    unsigned count = options->argument_count;
    const struct command *command = NULL;
    struct strbuf text;
    if (folder != NULL && count > 0) {
        command_complain("man", "--directory takes all pages: name no command beside it");
        return EXIT_USAGE;
    }
    if (folder != NULL)
        return write_all(folder);
    if (count > 0) {
        command = find(options);
        if (command == NULL) {
            command_complain("man", "there is no command \"%.80s%s%.80s\": `svcmirror --help` lists them",
                             options->arguments[0], count > 1 ? " " : "", count > 1 ? options->arguments[1] : "");
            return EXIT_USAGE;
        }
    }
    strbuf_init(&text, PAGE_BYTES);
    write_page(command, &text);
    bool printed = output_print(&text);
    strbuf_done(&text);
    return printed ? EXIT_DONE : EXIT_FAILED;
}

const struct command command_man = {
    .name = "man",
    .group = GROUP_OTHER,
    .summary = "Print a manual page, of a command or of the whole program",
    .about = "Prints it in roff, as `man` reads it. Packages hold these pages already.\n",
    .examples = "man link | man -l -\n"
                "man edge-stack prepare > svcmirror-edge-stack-prepare.1\n"
                "man --directory /usr/local/share/man/man1\n",
    .exit_codes = "0  printed, or written\n1  it could not be written\n2  the command line is wrong\n",
    .options = table,
    .argument_names = "[COMMAND]",
    .max_arguments = 2,
    .run = run,
};
