/* svcmirror why: the decisions that make a service mirrored or not, and ready or not. */
#include <stdio.h>
#include <string.h>

#include "agent/commands/command.h"
#include "agent/commands/dry_run.h"
#include "agent/commands/output.h"
#include "agent/control/explain.h"
#include "base/text.h"

enum { OUTPUT_BYTES = 16 << 20, SUBJECT_WIDTH = 10 };

static const struct option table[] = {
    {.name = "link",
     .letter = 'l',
     .value_name = "NAME",
     .help = "only this link: the name of a Link, of a credentials Secret, or of the target cluster; default: all"},
    {.name = "output", .letter = 'o', .choices = "table|json", .fallback = "table", .help = "how it is printed"},
    AGENT_OPTION_NAMESPACE,
    AGENT_OPTIONS_DECIDING,
    DRY_RUN_OPTIONS,
    {0},
};

struct question {
    const struct options *options;
    char namespace[64];
    const char *name;
    struct dry_run *run;
    struct explain *explain;
    struct err error;
};

/* ---- reading the clusters ---- */

static bool wants(void *context, const char *mirror_key)
{
    const struct question *question = context;
    return question->explain != NULL && explain_wants(question->explain, mirror_key);
}

static void on_looked(void *context) { preview_collect(dry_run_preview(((struct question *)context)->run)); }

static void on_settled(void *context)
{
    struct question *question = context;
    const struct explain_config config = {.control = dry_run_control(question->run),
                                          .preview = dry_run_preview(question->run),
                                          .namespace = question->namespace,
                                          .name = question->name,
                                          .link = options_text(question->options, "link"),
                                          .on_looked = on_looked,
                                          .context = question};
    if (explain_new(&config, &question->explain, &question->error) != ERR_OK)
        loop_stop(dry_run_loop(question->run));
}

static enum err_code find_out(struct question *question, struct err *reterr)
{
    const struct dry_run_config config = {
        .command = "why", .options = question->options, .on_settled = on_settled, .wants = wants, .context = question};
    TRY(dry_run_new(&config, &question->run, reterr));
    TRY(dry_run_wait(question->run, reterr));
    if (question->error.code != ERR_OK)
        return err_set(reterr, question->error.code, "%s", question->error.text);
    return explain_finish(question->explain) == ERR_OK ? ERR_OK : err_set(reterr, ERR_NOMEM, "out of memory");
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
    if (!explanation->mirrored)
        return "not mirrored";
    return explanation->ready ? "mirrored and ready" : "mirrored, not ready";
}

static void write_explanation(const struct explanation *explanation, struct strbuf *text)
{
    struct strbuf line;
    strbuf_init(&line, 4096);
    strbuf_printf(&line, "%s %s/%s", explanation->is_gateway ? "gateway" : "service", explanation->namespace,
                  explanation->name);
    if (explanation->cluster[0] != '\0')
        strbuf_printf(&line, " of cluster %s, as %s: ", explanation->cluster, explanation->mirror);
    else
        strbuf_printf(&line, " by %s %s: ", explanation->link_kind, explanation->link_name);
    strbuf_append(&line, verdict_of(explanation));
    output_text(strbuf_text(&line), text);
    strbuf_append_char(text, '\n');
    strbuf_done(&line);
    for (size_t i = 0; i < explanation->facts.count; i++)
        write_fact(&explanation->facts.items[i], text);
}

static void write_table(const struct explain *explain, struct strbuf *text)
{
    if (explain_understood(explain)[0] != '\0') {
        output_text(explain_understood(explain), text);
        strbuf_append(text, "\n\n");
    }
    for (size_t i = 0; i < explain_count(explain); i++) {
        strbuf_append(text, i > 0 ? "\n" : "");
        write_explanation(explain_get(explain, i), text);
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

static json_t *explanation_json(const struct explanation *explanation)
{
    return json_pack("{s:s*, s:s, s:s, s:s, s:s, s:s, s:s*, s:s*, s:b, s:b, s:o}", "cluster",
                     explanation->cluster[0] != '\0' ? explanation->cluster : NULL, "linkKind", explanation->link_kind,
                     "linkName", explanation->link_name, "kind", explanation->is_gateway ? "gateway" : "service",
                     "namespace", explanation->namespace, "name", explanation->name, "mirror",
                     explanation->mirror[0] != '\0' ? explanation->mirror : NULL, "mode",
                     explanation->mode[0] != '\0' ? explanation->mode : NULL, "mirrored", explanation->mirrored,
                     "ready", explanation->ready, "facts", facts_json(&explanation->facts));
}

static bool write_json(const struct explain *explain, struct strbuf *text)
{
    json_t *list = json_array();
    bool whole = list != NULL;
    for (size_t i = 0; whole && i < explain_count(explain); i++)
        whole = json_array_append_new(list, explanation_json(explain_get(explain, i))) == 0;
    if (whole)
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
    if (strcmp(options_text(question->options, "output"), "json") == 0)
        whole = write_json(question->explain, &text);
    else
        write_table(question->explain, &text);
    whole = whole && output_print(&text);
    strbuf_done(&text);
    return whole;
}

/* A ServiceImport stands beside the mirror: whose it is, of several clusters that export the name, makes no mirror less ready. */
static bool all_ready(const struct explain *explain)
{
    bool ready = explain_count(explain) > 0;
    for (size_t i = 0; i < explain_count(explain); i++) {
        const struct explanation *explanation = explain_get(explain, i);
        ready = ready && (explanation->ready || strcmp(explanation->mode, "import") == 0);
    }
    return ready;
}

static enum exit_code answer(struct question *question)
{
    const char *link = options_text(question->options, "link");
    bool printed = print_answer(question);
    dry_run_tell_complaints(question->run);
    if (explain_count(question->explain) == 0 && link != NULL)
        command_complain("why",
                         "no link, credentials Secret or linked cluster is called %s: `kubectl get links,secrets "
                         "-n %s` lists what there is",
                         link, options_text(question->options, "namespace"));
    else if (explain_count(question->explain) == 0)
        command_complain("why",
                         "no target is linked: there is neither a Link nor a Secret of type "
                         "mirror.linkerd.io/remote-kubeconfig that can be used in namespace %s",
                         options_text(question->options, "namespace"));
    return printed && all_ready(question->explain) ? EXIT_DONE : EXIT_FAILED;
}

/* @return whether the argument is NAMESPACE/SERVICE. */
static bool read_argument(struct question *question)
{
    const char *text = question->options->argument_count > 0 ? question->options->arguments[0] : "";
    const char *slash = strchr(text, '/');
    size_t length = slash != NULL ? (size_t)(slash - text) : 0;
    if (slash == NULL || length >= sizeof(question->namespace))
        return false;
    (void)snprintf(question->namespace, sizeof(question->namespace), "%.*s", (int)length, text);
    question->name = slash + 1;
    return text_is_dns1123_label(question->namespace) && text_is_dns1035_label(question->name);
}

static enum exit_code refuse_argument(const struct options *options)
{
    static const char remedy[] = "write NAMESPACE/SERVICE, e.g. demo/web (`svcmirror why --help` tells more)";
    if (options->argument_count == 0)
        command_complain("why", "which service? %s", remedy);
    else
        command_complain("why", "\"%.80s\" names no service: %s", options->arguments[0], remedy);
    return EXIT_USAGE;
}

static enum exit_code run(const struct options *options)
{
    struct question question = {.options = options};
    struct err error = {0};
    enum exit_code result = EXIT_FAILED;
    if (!read_argument(&question))
        return refuse_argument(options);
    if (find_out(&question, &error) != ERR_OK)
        command_complain("why", "%s", error.text);
    else
        result = answer(&question);
    explain_free(question.explain);
    dry_run_free(question.run);
    return result;
}

const struct command command_why = {
    .name = "why",
    .group = GROUP_LOOK,
    .summary = "Show why a service is mirrored or not, and ready or not",
    .about =
        "Follows NAMESPACE/SERVICE, a service of a target or the name of its mirror, through every decision: link,\n"
        "target, export, namespace, name, gateway and its addresses, mirror, and what is left to write.\n"
        "Writes nothing, and needs no running agent: it reads the clusters and probes the gateways itself.\n",
    .examples = "why demo/web\n"
                "why demo/web --link east\n"
                "why demo/web-east\n"
                "why demo/web -o json | jq -r '.[].facts[] | select(.mark == \"bad\") | .text'\n",
    .exit_codes = "0  mirrored and ready, from each target that has the service\n"
                  "1  not so, or it could not be found out\n"
                  "2  the command line is wrong\n",
    .options = table,
    .argument_names = "NAMESPACE/SERVICE",
    .max_arguments = 1,
    .run = run,
};
