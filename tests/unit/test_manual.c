/* links: agent_commands */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "agent/commands/manual.h"
#include "sweep.h"
#include "version.h"

static const struct option FLAGS[] = {
    {.name = "output", .letter = 'o', .choices = "table|json", .fallback = "table", .help = "how it's printed"},
    {.name = "other-output", .alias_of = "output"},
    {.name = "yes", .type = OPTION_BOOL, .help = ".5 of people say `yes`"},
    {.name = "folder", .value_name = "FOLDER", .fallback = "", .help = "e.g. ~/x\\y^z"},
    {0},
};
static const struct command COMMAND = {
    .name = "two words",
    .summary = "Show what's there",
    .about = "First line\nof one paragraph.\n\n'quoted' begins the second.\n",
    .examples = "two words\ntwo words -o json | jq '.[0]'\n",
    .exit_codes = "0  done\n130  interrupted, 2 of 3 done\n",
    .options = FLAGS,
    .argument_names = "[NAME...]",
};

static const char PAGE[] =
    ".TH \"SVCMIRROR\\-TWO\\-WORDS\" 1 \"" SVCMIRROR_DATE "\" \"svcmirror " SVCMIRROR_VERSION "\" \"svcmirror\"\n"
    ".nh\n"
    ".ad l\n"
    ".SH NAME\n"
    "svcmirror\\-two\\-words \\- Show what\\(aqs there\n"
    ".SH SYNOPSIS\n"
    "\\fBsvcmirror two words\\fR \\fI[NAME...]\\fR [\\fIflags\\fR]\n"
    ".SH DESCRIPTION\n"
    "First line\n"
    "of one paragraph.\n"
    ".PP\n"
    "\\(aqquoted\\(aq begins the second.\n"
    ".SH OPTIONS\n"
    ".TP\n"
    "\\fB\\-o\\fR, \\fB\\-\\-output\\fR \\fItable|json\\fR\n"
    "how it\\(aqs printed\n"
    "(default table)\n"
    ".TP\n"
    "\\fB\\-\\-yes\\fR\n"
    "\\&.5 of people say \\(gayes\\(ga\n"
    ".TP\n"
    "\\fB\\-\\-folder\\fR \\fIFOLDER\\fR\n"
    "e.g. \\(ti/x\\ey\\(haz\n"
    ".TP\n"
    "\\fB\\-h\\fR, \\fB\\-\\-help\\fR\n"
    "show the flags and end\n"
    ".SH ENVIRONMENT\n"
    "Each flag but \\fB\\-\\-as\\fR and \\fB\\-\\-as\\-group\\fR can be set by the environment too, by its first "
    "spelling, in capitals and with SVCMIRROR_ before it:\n"
    "\\fB\\-\\-admin\\-addr\\fR is \\fBSVCMIRROR_ADMIN_ADDR\\fR.\n"
    "Flags win over the environment.\n"
    ".SH EXIT STATUS\n"
    ".TP\n"
    "\\fB0\\fR\n"
    "done\n"
    ".TP\n"
    "\\fB130\\fR\n"
    "interrupted, 2 of 3 done\n"
    ".SH EXAMPLES\n"
    ".EX\n"
    "svcmirror two words\n"
    "svcmirror two words \\-o json | jq \\(aq.[0]\\(aq\n"
    ".EE\n"
    ".SH SEE ALSO\n"
    "\\fBsvcmirror\\fR(1)\n";

static void a_command_has_a_page(void **state)
{
    (void)state;
    struct strbuf text;
    strbuf_init(&text, 1 << 16);
    manual_write_command(&COMMAND, &text);
    assert_int_equal(strbuf_error(&text), ERR_OK);
    assert_string_equal(strbuf_text(&text), PAGE);
    strbuf_done(&text);
}

static void without_paragraphs_the_summary_stands_for_them(void **state)
{
    (void)state;
    struct command command = COMMAND;
    struct strbuf text;
    command.about = "";
    strbuf_init(&text, 1 << 16);
    manual_write_command(&command, &text);
    assert_non_null(strstr(strbuf_text(&text), ".SH DESCRIPTION\nShow what\\(aqs there.\n.SH OPTIONS\n"));
    strbuf_done(&text);
}

static void the_programs_page_names_every_command(void **state)
{
    (void)state;
    struct strbuf text;
    char name[128], line[160];
    strbuf_init(&text, 1 << 16);
    manual_write_program(&text);
    for (const struct command *const *at = commands; *at != NULL; at++) {
        struct strbuf reference;
        manual_page_name(*at, name, sizeof(name));
        assert_null(strchr(name, ' '));
        strbuf_init(&reference, 256);
        for (const char *c = name; *c != '\0'; c++)
            strbuf_printf(&reference, "%s%c", *c == '-' ? "\\" : "", *c);
        (void)snprintf(line, sizeof(line), ".TP\n\\fB%s\\fR(1)\n", strbuf_text(&reference));
        if (strstr(strbuf_text(&text), line) == NULL)
            fail_msg("%s is missing", line);
        strbuf_done(&reference);
    }
    assert_non_null(strstr(strbuf_text(&text), "\\fB3\\fR\nwith plan \\-\\-detailed\\-exitcode: there is something to "
                                               "write\n"));
    strbuf_done(&text);
}

static enum err_code write_both(void *context)
{
    (void)context;
    struct strbuf text;
    strbuf_init(&text, 1 << 16);
    manual_write_program(&text);
    manual_write_command(&command_run, &text);
    enum err_code code = strbuf_error(&text);
    strbuf_done(&text);
    return code;
}

static void without_memory_it_says_so(void **state)
{
    (void)state;
    assert_true(sweep(write_both, NULL) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_has_a_page),
        cmocka_unit_test(without_paragraphs_the_summary_stands_for_them),
        cmocka_unit_test(the_programs_page_names_every_command),
        cmocka_unit_test(without_memory_it_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
