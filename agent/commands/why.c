/* svcmirror why: the decisions that make a service mirrored or not, and ready or not; and a link or a gateway work or not. */
#include <stdio.h>
#include <string.h>

#include "agent/commands/command.h"
#include "agent/commands/dry_run.h"
#include "agent/commands/output.h"
#include "agent/control/explain_links.h"
#include "agent/control/link_scope.h"
#include "base/text.h"

enum { OUTPUT_BYTES = 16 << 20, SUBJECT_WIDTH = 10 };

static const struct option table[] = {
    {.name = "link",
     .letter = 'l',
     .value_name = "NAME",
     .help = "only this link: the name of a Link, of a credentials Secret, or of the target cluster; default: all"},
    {.name = "output", .letter = 'o', .choices = "table|json|yaml", .fallback = "table", .help = "how it is printed"},
    AGENT_OPTION_NAMESPACE,
    AGENT_OPTIONS_DECIDING,
    DRY_RUN_OPTIONS,
    {0},
};

/* What is asked about, as a word in front of its name. */
enum thing { THING_SERVICE, THING_LINK, THING_GATEWAY, THINGS };
static const char *const things[THINGS] = {"service", "link", "gateway"};

struct question {
    const struct options *options;
    enum thing thing;
    char namespace[64]; /* "": none was given, as links have none and gateways need none */
    const char *name;
    struct dry_run *run;
    struct explain *explain;     /* of a service */
    struct explain_links *links; /* of anything else */
    struct err error;
};

static size_t answer_count(const struct question *question)
{
    return question->links != NULL ? explain_links_count(question->links) : explain_count(question->explain);
}

static const struct explanation *answer_get(const struct question *question, size_t index)
{
    return question->links != NULL ? explain_links_get(question->links, index) : explain_get(question->explain, index);
}

/* ---- reading the clusters ---- */

static bool wants(void *context, const char *mirror_key)
{
    const struct question *question = context;
    if (question->links != NULL)
        return explain_links_wants(question->links, mirror_key);
    return question->explain != NULL && explain_wants(question->explain, mirror_key);
}

static void on_looked(void *context) { preview_collect(dry_run_preview(((struct question *)context)->run)); }

static enum err_code explain_service(struct question *question)
{
    const struct explain_config config = {.control = dry_run_control(question->run),
                                          .preview = dry_run_preview(question->run),
                                          .namespace = question->namespace,
                                          .name = question->name,
                                          .link = options_text(question->options, "link"),
                                          .on_looked = on_looked,
                                          .context = question};
    return explain_new(&config, &question->explain, &question->error);
}

static enum err_code explain_thing(struct question *question)
{
    const struct explain_links_config config = {.control = dry_run_control(question->run),
                                                .preview = dry_run_preview(question->run),
                                                .gateways = question->thing == THING_GATEWAY,
                                                .namespace =
                                                    question->namespace[0] != '\0' ? question->namespace : NULL,
                                                .name = question->name,
                                                .link = options_text(question->options, "link")};
    TRY(explain_links_new(&config, &question->links, &question->error));
    on_looked(question);
    return ERR_OK;
}

static void on_settled(void *context)
{
    struct question *question = context;
    bool of_service = question->thing == THING_SERVICE;
    if ((of_service ? explain_service(question) : explain_thing(question)) != ERR_OK)
        loop_stop(dry_run_loop(question->run));
}

static enum err_code find_out(struct question *question, struct err *reterr)
{
    const struct dry_run_config config = {.command = "why",
                                          .options = question->options,
                                          .on_settled = on_settled,
                                          .wants = wants,
                                          .link = question->thing == THING_LINK ? question->name : "",
                                          .context = question};
    TRY(dry_run_new(&config, &question->run, reterr));
    TRY(dry_run_wait(question->run, reterr));
    if (question->error.code != ERR_OK)
        return err_set(reterr, question->error.code, "%s", question->error.text);
    enum err_code code =
        question->links != NULL ? explain_links_finish(question->links) : explain_finish(question->explain);
    return code == ERR_OK ? ERR_OK : err_set(reterr, ERR_NOMEM, "out of memory");
}

/* ---- for people ---- */

static void write_fact(const struct fact *fact, struct strbuf *text)
{
    static const char *const marks[] = {[FACT_GOOD] = "√", [FACT_BAD] = "×", [FACT_NOTE] = "·"};
    strbuf_printf(text, "%s %-*s ", marks[fact->mark], SUBJECT_WIDTH, fact->subject);
    output_text(fact->text, text);
    strbuf_append_char(text, '\n');
    if (fact->advice[0] == '\0')
        return;
    strbuf_printf(text, "  %*s -> ", SUBJECT_WIDTH, "");
    output_text(fact->advice, text);
    strbuf_append_char(text, '\n');
}

static const char *verdict_of(const struct explanation *explanation)
{
    if (explanation->about == EXPLAIN_LINK || explanation->about == EXPLAIN_GATEWAY)
        return explanation->verdict;
    if (!explanation->mirrored)
        return "not mirrored";
    return explanation->ready ? "mirrored and ready" : "mirrored, not ready";
}

static const char *kind_of(const struct explanation *explanation)
{
    if (explanation->about == EXPLAIN_LINK)
        return "link";
    return explanation->about == EXPLAIN_SERVICE ? "service" : "gateway";
}

static void write_heading(const struct explanation *explanation, struct strbuf *line)
{
    strbuf_printf(line, "%s %s/%s", kind_of(explanation), explanation->namespace, explanation->name);
    if (explanation->cluster[0] != '\0')
        strbuf_printf(line, " of cluster %s", explanation->cluster);
    else
        strbuf_printf(line, " by %s %s", explanation->link_kind, explanation->link_name);
    if (explanation->mirror[0] != '\0')
        strbuf_printf(line, ", as %s", explanation->mirror);
    strbuf_printf(line, ": %s", verdict_of(explanation));
}

static void write_explanation(const struct explanation *explanation, struct strbuf *text)
{
    struct strbuf line;
    strbuf_init(&line, 4096);
    write_heading(explanation, &line);
    output_text(strbuf_text(&line), text);
    strbuf_append_char(text, '\n');
    strbuf_done(&line);
    for (size_t i = 0; i < explanation->facts.count; i++)
        write_fact(&explanation->facts.items[i], text);
}

static void write_table(const struct question *question, struct strbuf *text)
{
    const char *understood = question->explain != NULL ? explain_understood(question->explain) : "";
    if (understood[0] != '\0') {
        output_text(understood, text);
        strbuf_append(text, "\n\n");
    }
    for (size_t i = 0; i < answer_count(question); i++) {
        strbuf_append(text, i > 0 ? "\n" : "");
        write_explanation(answer_get(question, i), text);
    }
}

/* ---- for programs ---- */

static json_t *facts_json(const struct facts *facts)
{
    json_t *list = json_array();
    for (size_t i = 0; i < facts->count; i++) {
        const struct fact *fact = &facts->items[i];
        json_t *one = json_pack("{s:s, s:s, s:s, s:s*}", "mark", fact_mark_name(fact->mark), "subject", fact->subject,
                                "text", fact->text, "advice", fact->advice[0] != '\0' ? fact->advice : NULL);
        if (json_array_append_new(list, one) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static const char *text_or_null(const char *text) { return text[0] != '\0' ? text : NULL; }

static json_t *explanation_json(const struct explanation *explanation)
{
    bool of_mirror = explanation->about == EXPLAIN_SERVICE || explanation->about == EXPLAIN_GATEWAY_MIRROR;
    return json_pack("{s:s*, s:s, s:s, s:s, s:s, s:s, s:s*, s:s*, s:s*, s:o*, s:b, s:o}", "cluster",
                     text_or_null(explanation->cluster), "linkKind", explanation->link_kind, "linkName",
                     explanation->link_name, "kind", kind_of(explanation), "namespace", explanation->namespace, "name",
                     explanation->name, "mirror", text_or_null(explanation->mirror), "mode",
                     text_or_null(explanation->mode), "verdict", of_mirror ? NULL : explanation->verdict, "mirrored",
                     of_mirror ? json_boolean(explanation->mirrored) : NULL, "ready", explanation->ready, "facts",
                     facts_json(&explanation->facts));
}

static bool write_list(const struct question *question, bool yaml, struct strbuf *text)
{
    json_t *list = json_array();
    bool whole = list != NULL;
    for (size_t i = 0; whole && i < answer_count(question); i++)
        whole = json_array_append_new(list, explanation_json(answer_get(question, i))) == 0;
    if (whole && yaml)
        output_yaml(list, text);
    else if (whole)
        output_json(list, text);
    json_decref(list);
    return whole;
}

/* ---- the command ---- */

static bool print_answer(const struct question *question)
{
    struct strbuf text;
    bool whole = true;
    strbuf_init(&text, OUTPUT_BYTES);
    const char *format = options_text(question->options, "output");
    bool yaml = strcmp(format, "yaml") == 0;
    if (yaml || strcmp(format, "json") == 0)
        whole = write_list(question, yaml, &text);
    else
        write_table(question, &text);
    whole = whole && output_print(&text);
    strbuf_done(&text);
    return whole;
}

/* A ServiceImport stands beside the mirror: whose it is, of several clusters that export the name, makes no mirror less ready. */
static bool all_ready(const struct question *question)
{
    bool ready = answer_count(question) > 0;
    for (size_t i = 0; i < answer_count(question); i++) {
        const struct explanation *explanation = answer_get(question, i);
        ready = ready && (explanation->ready || strcmp(explanation->mode, "import") == 0);
    }
    return ready;
}

static void tell_nothing_found(const struct question *question)
{
    const char *link = options_text(question->options, "link");
    const char *namespace = options_text(question->options, "namespace");
    const char *word = question->thing == THING_LINK ? question->name : link;
    if (word != NULL && !link_scope_exists(dry_run_control(question->run), word))
        command_complain("why", LINK_SCOPE_UNKNOWN, word, namespace);
    else if (question->thing == THING_LINK)
        command_complain("why", "link %s is none that --link %s names", question->name, link);
    else if (question->thing == THING_GATEWAY)
        command_complain("why",
                         "no gateway is called %s%s%s, nor is a link or its cluster: `svcmirror gateways` lists what "
                         "there is; of a 2.8 link, a gateway is what exported services name",
                         question->namespace, question->namespace[0] != '\0' ? "/" : "", question->name);
    else
        command_complain("why",
                         "no target is linked: there is neither a Link nor a Secret of type "
                         "mirror.linkerd.io/remote-kubeconfig that can be used in namespace %s",
                         namespace);
}

static enum exit_code answer(struct question *question)
{
    bool printed = print_answer(question);
    dry_run_tell_complaints(question->run);
    if (answer_count(question) == 0 && preview_links_known(dry_run_preview(question->run)))
        tell_nothing_found(question);
    return printed && all_ready(question) ? EXIT_DONE : EXIT_FAILED;
}

/* @return which thing the first `length` letters name, also in the plural; THINGS: none. */
static enum thing thing_of(const char *text, size_t length)
{
    unsigned thing = 0;
    while (thing < THINGS &&
           (strncmp(text, things[thing], strlen(things[thing])) != 0 ||
            !(length == strlen(things[thing]) || (length == strlen(things[thing]) + 1 && text[length - 1] == 's'))))
        thing++;
    return (enum thing)thing;
}

/* "NAMESPACE/NAME", or just a name where that is enough. */
static bool read_name(struct question *question, const char *text)
{
    const char *slash = strchr(text, '/');
    size_t length = slash != NULL ? (size_t)(slash - text) : 0;
    question->name = slash != NULL ? slash + 1 : text;
    if (slash == NULL)
        return question->thing != THING_SERVICE && text_is_dns1123_subdomain(text);
    if (question->thing == THING_LINK || length >= sizeof(question->namespace))
        return false;
    (void)snprintf(question->namespace, sizeof(question->namespace), "%.*s", (int)length, text);
    return text_is_dns1123_label(question->namespace) && text_is_dns1123_label(question->name);
}

/* As kubectl takes them: "demo/web", "link/east", "link east", "gateway ambassador/ambassador". */
static bool read_arguments(struct question *question)
{
    const struct options *options = question->options;
    const char *text = options->argument_count > 0 ? options->arguments[0] : "";
    size_t length = strcspn(text, "/");
    enum thing thing = thing_of(text, length);
    bool is_kind = thing < THINGS;
    question->thing = is_kind ? thing : THING_SERVICE;
    if (options->argument_count == 2)
        return is_kind && text[length] == '\0' && read_name(question, options->arguments[1]);
    if (is_kind && text[length] == '\0')
        return false;
    return read_name(question, is_kind ? text + length + 1 : text);
}

static enum exit_code refuse_arguments(const struct options *options)
{
    static const char remedy[] =
        "write NAMESPACE/SERVICE, link/NAME or gateway/NAME, e.g. demo/web (`svcmirror why --help` tells more)";
    if (options->argument_count == 0)
        command_complain("why", "which service, link or gateway? %s", remedy);
    else
        command_complain("why", "\"%.80s%s%.80s\" names no service, link or gateway: %s", options->arguments[0],
                         options->argument_count > 1 ? " " : "",
                         options->argument_count > 1 ? options->arguments[1] : "", remedy);
    return EXIT_USAGE;
}

static enum exit_code run(const struct options *options)
{
    struct question question = {.options = options};
    struct err error = {0};
    enum exit_code result = EXIT_FAILED;
    if (!read_arguments(&question))
        return refuse_arguments(options);
    if (find_out(&question, &error) != ERR_OK)
        command_complain("why", "%s", error.text);
    else
        result = answer(&question);
    if (dry_run_interrupted(question.run))
        result = EXIT_INTERRUPTED;
    explain_free(question.explain);
    explain_links_free(question.links);
    dry_run_free(question.run);
    return result;
}

const struct command command_why = {
    .name = "why",
    .group = GROUP_LOOK,
    .summary = "Show why a service is mirrored or not, ready or not; why a link or a gateway works or not",
    .about =
        "Follows NAMESPACE/SERVICE, a service of a target or the name of its mirror, through every decision: link,\n"
        "target, export, namespace, name, gateway and its addresses, mirror, and what is left to write.\n"
        "link/NAME does so for a link, by the name of the Link, of the credentials Secret or of the cluster;\n"
        "gateway/NAME for the gateways of a link, or those whose Service has that name (or NAMESPACE/NAME).\n"
        "The kind may stand apart: `why link east`. A service in a namespace called link: `why service link/web`.\n"
        "Writes nothing, and needs no running agent: it reads the clusters and probes the gateways itself.\n",
    .examples = "why demo/web\n"
                "why demo/web --link east\n"
                "why demo/web-east\n"
                "why link/east\n"
                "why gateway ambassador/ambassador\n"
                "why demo/web -o json | jq -r '.[].facts[] | select(.mark == \"bad\") | .text'\n",
    .exit_codes =
        "0  mirrored and ready, from each target that has the service; nothing is wrong with the link; alive\n"
        "1  not so, or it could not be found out\n"
        "2  the command line is wrong\n"
        "130  interrupted; nothing was found out\n",
    .options = table,
    .argument_names = "NAMESPACE/SERVICE|link/NAME|gateway/NAME",
    .max_arguments = 2,
    .run = run,
};
