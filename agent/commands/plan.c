/* svcmirror plan: what a run would write, and why; writes nothing. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/commands/command.h"
#include "agent/commands/dry_run.h"
#include "agent/commands/output.h"
#include "agent/control/link_scope.h"
#include "base/mem.h"

enum {
    OUTPUT_BYTES = 1 << 30,
    CELL_BYTES = 10 << 10,
    SKIPPED_TOLD = 20,
};

static const struct option table[] = {
    {.name = "output",
     .letter = 'o',
     .choices = "table|wide|json|yaml",
     .fallback = "table",
     .help = "how it is printed"},
    {.name = "link",
     .letter = 'l',
     .value_name = "NAME",
     .help = "only what is written because of this link: the name of a Link, of a credentials Secret, or of the target "
             "cluster; default: all"},
    {.name = "detailed-exitcode", .type = OPTION_BOOL, .help = "end with 3 when there is something to write"},
    AGENT_OPTION_NAMESPACE,
    AGENT_OPTIONS_DECIDING,
    DRY_RUN_OPTIONS,
    {0},
};

/* ---- the table ---- */

static const struct output_column columns[] = {{"ACTION", false}, {"KIND", false},   {"NAMESPACE", false},
                                               {"NAME", false},   {"REASON", false}, {0}};
static const struct output_column wide_columns[] = {{"ACTION", false},    {"KIND", false},
                                                    {"NAMESPACE", false}, {"NAME", false},
                                                    {"CLUSTER", false},   {"MIRROR", false},
                                                    {"REASON", false},    {0}};

static void format_reason(const struct preview_write *write, struct strbuf *text)
{
    strbuf_append(text, write->reason);
    if (write->changes[0] != '\0')
        strbuf_printf(text, ": %s", write->changes);
}

static void add_row(struct output_table *out, const struct preview_write *write, bool wide)
{
    struct strbuf reason;
    strbuf_init(&reason, CELL_BYTES);
    format_reason(write, &reason);
    output_table_add(out, write_verb_name(write->verb));
    output_table_add(out, write->kind);
    output_table_add(out, write->namespace);
    output_table_add(out, write->name);
    if (wide) {
        output_table_add(out, write->cluster);
        output_table_add(out, write->mirror);
    }
    output_table_add(out, strbuf_text(&reason));
    strbuf_done(&reason);
}

static void write_table(const struct preview *preview, bool wide, bool complete, struct strbuf *text)
{
    struct output_table out;
    size_t count = preview_count(preview);
    if (count == 0) {
        strbuf_append(text, complete ? "No changes.\n" : "No changes in what could be read.\n");
        return;
    }
    output_table_init(&out, wide ? wide_columns : columns);
    for (size_t i = 0; i < count; i++)
        add_row(&out, preview_get(preview, i), wide);
    output_table_write(&out, text);
    output_table_done(&out);
}

/* ---- JSON ---- */

/* @return new, or NULL. */
static json_t *json_of(const struct preview_write *write)
{
    json_t *object =
        json_pack("{s:s, s:s, s:s*, s:s, s:s, s:s*, s:s*, s:s*}", "action", write_verb_name(write->verb), "kind",
                  write->kind, "namespace", write->namespace[0] != '\0' ? write->namespace : NULL, "name", write->name,
                  "reason", write->reason, "changes", write->changes[0] != '\0' ? write->changes : NULL, "cluster",
                  write->cluster[0] != '\0' ? write->cluster : NULL, "mirror",
                  write->mirror[0] != '\0' ? write->mirror : NULL);
    if (object != NULL && write->object != NULL)
        (void)json_object_set(object, "object", mem_unconst(write->object));
    return object;
}

static bool write_json(const struct preview *preview, struct strbuf *text)
{
    json_t *writes = json_array();
    bool whole = writes != NULL;
    for (size_t i = 0; whole && i < preview_count(preview); i++)
        whole = json_array_append_new(writes, json_of(preview_get(preview, i))) == 0;
    if (whole)
        output_json(writes, text);
    json_decref(writes);
    return whole;
}

/* ---- manifests ---- */

static void write_manifest_of(const struct preview_write *write, bool first, struct strbuf *text)
{
    struct strbuf line;
    bool bare = write->object == NULL; /* of a delete, or of a status, which cannot be applied */
    strbuf_init(&line, CELL_BYTES);
    strbuf_printf(&line, "%s %s %s%s%s: ", write_verb_name(write->verb), write->kind, write->namespace,
                  write->namespace[0] != '\0' ? "/" : "", write->name);
    format_reason(write, &line);
    strbuf_append(text, bare || first ? "" : "---\n");
    strbuf_append(text, "# ");
    output_text(strbuf_text(&line), text); /* no line end in a value may end the comment */
    strbuf_append_char(text, '\n');
    if (!bare)
        output_yaml(mem_unconst(write->object), text);
    strbuf_done(&line);
}

/* What has no manifest first, as deletes: comments in front of everything that can be applied. */
static void write_manifests(const struct preview *preview, struct strbuf *text)
{
    bool first = true;
    for (size_t i = 0; i < preview_count(preview); i++)
        if (preview_get(preview, i)->object == NULL)
            write_manifest_of(preview_get(preview, i), first, text);
    for (size_t i = 0; i < preview_count(preview); i++) {
        if (preview_get(preview, i)->object == NULL)
            continue;
        write_manifest_of(preview_get(preview, i), first, text);
        first = false;
    }
    if (preview_count(preview) == 0)
        strbuf_append(text, "# No changes.\n");
}

static bool print_plan(const struct preview *preview, const char *format, bool complete)
{
    struct strbuf text;
    bool whole = true;
    strbuf_init(&text, OUTPUT_BYTES);
    if (strcmp(format, "json") == 0)
        whole = write_json(preview, &text);
    else if (strcmp(format, "yaml") == 0)
        write_manifests(preview, &text);
    else
        write_table(preview, strcmp(format, "wide") == 0, complete, &text);
    whole = whole && output_print(&text);
    strbuf_done(&text);
    return whole;
}

/* ---- what is not mirrored ---- */

/* Those of other links are pending: they were not planned. */
static void tell_skipped(void *context, const struct service_info *info)
{
    unsigned *count = context;
    bool pending = strcmp(info->reason, "Pending") == 0 && info->message[0] == '\0';
    if (info->mirrored || pending || (*count)++ >= SKIPPED_TOLD)
        return;
    command_complain("plan", "service %s/%s of cluster %s is not mirrored as %s: %s", info->namespace, info->name,
                     info->cluster, info->mirror, info->message[0] != '\0' ? info->message : info->reason);
}

static void tell_all_skipped(struct dry_run *run)
{
    unsigned count = 0;
    const struct admin_source *source = control_source(dry_run_control(run));
    source->each_service(source->context, tell_skipped, &count);
    if (count > SKIPPED_TOLD)
        command_complain("plan", "%u more services are not mirrored; `svcmirror why NAMESPACE/SERVICE` tells of each",
                         count - SKIPPED_TOLD);
}

/* ---- the command ---- */

struct planning {
    const struct options *options;
    const char *link; /* NULL: all */
    struct dry_run *run;
};

static bool wants(void *context, const char *mirror_key)
{
    const struct planning *planning = context;
    return link_scope_covers(dry_run_control(planning->run), planning->link, mirror_key);
}

/* @return whether there is such a link, and its declaration can be used. */
static bool is_there(const struct planning *planning)
{
    const struct control *control = dry_run_control(planning->run);
    if (planning->link != NULL && !link_scope_exists(control, planning->link)) {
        command_complain("plan", LINK_SCOPE_UNKNOWN, planning->link, options_text(planning->options, "namespace"));
        return false;
    }
    if (!link_scope_is_refused(control, planning->link))
        return true;
    command_complain("plan", "link %s is refused as it is declared, so nothing is planned for it", planning->link);
    return false;
}

static enum exit_code show(const struct planning *planning)
{
    struct dry_run *run = planning->run;
    dry_run_tell_complaints(run);
    bool complete = is_there(planning);
    complete = dry_run_tell_missing(run) && complete;
    tell_all_skipped(run);
    const struct preview *preview = dry_run_preview(run);
    if (preview_unaccounted(preview) > 0)
        command_complain("plan",
                         "%zu mirrors that others made are of clusters that no link names, and stay: "
                         "--remove-unaccounted-mirrors removes them",
                         preview_unaccounted(preview));
    if (!print_plan(preview, options_text(planning->options, "output"), complete) || !complete)
        return EXIT_FAILED;
    bool different = preview_count(preview) > 0 && options_get(planning->options, "detailed-exitcode")->boolean;
    return different ? EXIT_DIFFERENT : EXIT_DONE;
}

static enum exit_code run(const struct options *options)
{
    struct planning planning = {.options = options, .link = options_text(options, "link")};
    struct err error = {0};
    enum exit_code result = EXIT_FAILED;
    const struct dry_run_config config = {
        .command = "plan", .options = options, .wants = wants, .link = planning.link, .context = &planning};
    enum err_code code = dry_run_new(&config, &planning.run, &error);
    if (code == ERR_OK)
        code = dry_run_wait(planning.run, &error);
    if (code != ERR_OK)
        command_complain("plan", "%s", error.text);
    else
        result = show(&planning);
    if (dry_run_interrupted(planning.run))
        result = EXIT_INTERRUPTED;
    dry_run_free(planning.run);
    return result;
}

const struct command command_plan = {
    .name = "plan",
    .group = GROUP_LOOK,
    .summary = "Show what `run` would write, and why; write nothing",
    .about =
        "Watches the clusters and probes the gateways as `run` does, with the same flags, then plans without writing:\n"
        "no mirror, no Event, no status, in no cluster. Whoever may read what the agent reads may plan.\n"
        "With -o yaml, creates and updates are manifests of the objects as they would be afterwards, for\n"
        "`kubectl diff` or `kubectl apply`; deletes are comments. Slices of a mirror that is not there yet come\n"
        "without ownerReferences, which name its uid.\n"
        "What is written to Links themselves, finalizer and status, stands at the end, without a manifest.\n"
        "Exported services that are not mirrored, and clusters that cannot be read, are told on stderr.\n",
    .examples = "plan\n"
                "plan --link east\n"
                "plan --context west -o yaml | kubectl diff -f -\n"
                "plan --detailed-exitcode --timeout 10s\n"
                "plan -o json | jq -r '.[] | select(.action == \"delete\") | .namespace + \"/\" + .name'\n",
    .exit_codes = "0  planned; with --detailed-exitcode, and there is nothing to write\n"
                  "1  it could not be planned, or not all of it: stderr says what could not be read\n"
                  "2  the command line is wrong\n"
                  "3  with --detailed-exitcode: planned, and there is something to write\n"
                  "130  interrupted; nothing was planned\n",
    .options = table,
    .run = run,
};
