/* svcmirror status: one line for each target, with what is wrong. */
#include <stdio.h>
#include <string.h>

#include "agent/commands/cells.h"
#include "agent/commands/record.h"
#include "agent/commands/status_records.h"
#include "agent/commands/view.h"

enum { PROBLEMS_BYTES = 64 << 10 };

static const struct option table[] = {
    LOOK_OPTIONS,
    LOOK_OPTION_NAMESPACE,
    VIEW_OPTIONS,
    {0},
};

static const struct output_column columns[] = {{"CLUSTER", false}, {"REACHABLE", false}, {"SYNCED", false},
                                               {"GATEWAYS", true}, {"LATENCY", true},    {"SERVICES", true},
                                               {"READY", true},    {"PROBLEMS", false},  {0}};
static const struct output_column wide_columns[] = {{"CLUSTER", false},
                                                    {"REACHABLE", false},
                                                    {"SYNCED", false},
                                                    {"GATEWAYS", true},
                                                    {"LATENCY", true},
                                                    {"SERVICES", true},
                                                    {"READY", true},
                                                    {"LINK", false},
                                                    {"HEARD", true},
                                                    {"EXPIRES", false},
                                                    {"LEADER", false},
                                                    {"PROBLEMS", false},
                                                    {0}};

static const char *const identity[] = {"clusterName", "kind", "namespace", "name", NULL};
static const char *const news[] = {"apiReachable", "synced",         "gateways",          "aliveGateways",
                                   "leader",       "problems",       "exportedServices",  "mirroredServices",
                                   "endpoints",    "readyEndpoints", "credentialsExpire", NULL};

static enum err_code read_status(struct look *look, json_t **ret_records, struct err *reterr)
{
    json_t *links = NULL, *gateways = NULL, *services = NULL, *records = NULL;
    enum err_code code = look_at(look, &LOOK_LINKS, &links, reterr);
    if (code == ERR_OK)
        code = look_at(look, &LOOK_GATEWAYS, &gateways, reterr);
    if (code == ERR_OK)
        code = look_at(look, &LOOK_SERVICES, &services, reterr);
    if (code == ERR_OK)
        records = status_records(links, gateways, services);
    if (code == ERR_OK && records == NULL)
        code = err_set(reterr, ERR_NOMEM, "out of memory");
    json_decref(links);
    json_decref(gateways);
    json_decref(services);
    *ret_records = code == ERR_OK ? records : *ret_records;
    return code;
}

static void add_problems(struct output_table *out, const json_t *record)
{
    const json_t *problems = json_object_get(record, "problems"), *problem = NULL;
    size_t index = 0;
    struct strbuf text;
    strbuf_init(&text, PROBLEMS_BYTES);
    json_array_foreach(problems, index, problem)
        strbuf_printf(&text, "%s%s", index > 0 ? "; " : "", json_string_value(problem));
    output_table_add(out, strbuf_text(&text));
    strbuf_done(&text);
}

static void add_row(struct output_table *out, const json_t *record, bool wide)
{
    output_table_add(out, record_text(record, "clusterName"));
    cell_truth(out, record, "apiReachable");
    cell_truth(out, record, "synced");
    cell_share(out, record, "aliveGateways", "gateways");
    cell_number(out, record, "latencyMs", "ms");
    cell_share(out, record, "mirroredServices", "exportedServices");
    cell_share(out, record, "readyEndpoints", "endpoints");
    if (wide) {
        cell_name(out, record, "kind", "name");
        cell_age(out, record, "eventAgeMs");
        output_table_add(out, record_text(record, "credentialsExpire"));
        output_table_add(out, record_text(record, "leader"));
    }
    add_problems(out, record);
}

static void tell_empty(const struct options *options)
{
    const char *cluster = options_text(options, "cluster-name");
    if (cluster != NULL)
        command_complain("status", "no link is of cluster %s: `svcmirror links` lists what there is", cluster);
    else
        command_complain("status", "nothing is linked: there is neither a Link nor a Secret of type "
                                   "mirror.linkerd.io/remote-kubeconfig in the agent's namespace");
}

static const struct view view = {.columns = columns,
                                 .wide_columns = wide_columns,
                                 .identity = identity,
                                 .news = news,
                                 .read = read_status,
                                 .add_row = add_row,
                                 .tell_empty = tell_empty};

static enum exit_code run(const struct options *options)
{
    return view_run(&view, "status", options_text(options, "namespace"), options);
}

const struct command command_status = {
    .name = "status",
    .group = GROUP_LOOK,
    .summary = "Show of each target cluster whether it is followed, alive and mirrored, and what is wrong",
    .about = "One line for each link, put together from what `links`, `gateways` and `services` tell.\n"
             "REACHABLE: its API answers; SYNCED: its services are known completely; GATEWAYS: alive of all;\n"
             "SERVICES: mirrored of exported; READY: endpoints of its mirrors that are ready, of all.\n",
    .examples = "status\n"
                "status -o wide\n"
                "status --watch --cluster-name east\n"
                "status -o json | jq -r '.[] | select(.problems != []) | .clusterName'\n",
    .exit_codes = "0  shown, whatever it shows\n"
                  "1  neither the agent nor the API could be asked\n"
                  "2  the command line is wrong\n"
                  "130  interrupted; that is how --watch ends\n",
    .options = table,
    .run = run,
};
