/* svcmirror services: what the targets export, and what became of it here. */
#include <string.h>

#include "agent/commands/cells.h"
#include "agent/commands/record.h"
#include "agent/commands/view.h"
#include "base/text.h"

static const struct option table[] = {
    {.name = "namespace",
     .letter = 'n',
     .value_name = "NAME",
     .check = command_check_namespace,
     .help = "only services of this namespace, here or in the target; default: of all"},
    {.name = "all-namespaces", .letter = 'A', .type = OPTION_BOOL, .help = "of all namespaces, which is the default"},
    {.name = "not-mirrored", .type = OPTION_BOOL, .help = "only what is not mirrored"},
    LOOK_OPTIONS,
    {.name = "agent-namespace",
     .value_name = "NAME",
     .fallback = "linkerd-multicluster",
     .help = "namespace of the agent",
     .check = command_check_namespace},
    VIEW_OPTIONS,
    {0},
};

static const struct output_column columns[] = {{"NAMESPACE", false}, {"NAME", false},   {"CLUSTER", false},
                                               {"MIRROR", false},    {"MODE", false},   {"MIRRORED", false},
                                               {"READY", true},      {"REASON", false}, {0}};
static const struct output_column wide_columns[] = {{"NAMESPACE", false}, {"NAME", false},    {"CLUSTER", false},
                                                    {"MIRROR", false},    {"MODE", false},    {"MIRRORED", false},
                                                    {"READY", true},      {"REASON", false},  {"GATEWAY", false},
                                                    {"SINCE", false},     {"MESSAGE", false}, {0}};

static const char *const identity[] = {"namespace", "name", "clusterName", "mirror", "mode", NULL};
static const char *const news[] = {"mirrored",       "reason",    "message",        "gateway",
                                   "readyEndpoints", "endpoints", "lastTransition", NULL};

static enum err_code read_services(struct look *look, json_t **ret_records, struct err *reterr)
{
    return look_at(look, &LOOK_SERVICES, ret_records, reterr);
}

/* A mirror may be in another namespace than its service: either is what people may look for. */
static bool is_of_namespace(const json_t *service, const char *namespace)
{
    const char *mirror = record_text(service, "mirror");
    size_t length = strlen(namespace);
    return strcmp(record_text(service, "namespace"), namespace) == 0 ||
           (text_starts_with(mirror, namespace) && mirror[length] == '/');
}

static bool is_wanted(const json_t *service, const struct options *options)
{
    const char *namespace = options_text(options, "namespace");
    if (options_get(options, "not-mirrored")->boolean && record_is_true(service, "mirrored"))
        return false;
    return namespace == NULL || is_of_namespace(service, namespace);
}

static void add_row(struct output_table *out, const json_t *service, bool wide)
{
    output_table_add(out, record_text(service, "namespace"));
    output_table_add(out, record_text(service, "name"));
    output_table_add(out, record_text(service, "clusterName"));
    output_table_add(out, record_text(service, "mirror"));
    output_table_add(out, record_text(service, "mode"));
    cell_truth(out, service, "mirrored");
    cell_share(out, service, "readyEndpoints", "endpoints");
    output_table_add(out, record_text(service, "reason"));
    if (!wide)
        return;
    output_table_add(out, record_text(service, "gateway"));
    output_table_add(out, record_text(service, "lastTransition"));
    output_table_add(out, record_text(service, "message"));
}

static void tell_empty(const struct options *options)
{
    if (options_get(options, "cluster-name")->given || options_get(options, "namespace")->given ||
        options_get(options, "not-mirrored")->boolean)
        command_complain("services", "there is no such service: `svcmirror services` lists all");
    else
        command_complain("services", "no linked target exports a service");
}

static const struct view view = {.columns = columns,
                                 .wide_columns = wide_columns,
                                 .identity = identity,
                                 .news = news,
                                 .read = read_services,
                                 .wanted = is_wanted,
                                 .add_row = add_row,
                                 .tell_empty = tell_empty};

static enum exit_code run(const struct options *options)
{
    if (options_get(options, "namespace")->given && options_get(options, "all-namespaces")->boolean) {
        command_complain("services", "-n and --all-namespaces contradict each other: leave one out");
        return EXIT_USAGE;
    }
    return view_run(&view, "services", options_text(options, "agent-namespace"), options);
}

const struct command command_services = {
    .name = "services",
    .group = GROUP_LOOK,
    .summary = "Show the exported services, their mirrors, and why one is not mirrored",
    .about = "Asks the running agent, of several replicas the one that leads each link. When none answers, it shows\n"
             "the mirrors that the API holds, and says so. READY: endpoints of the mirror that are ready, of all.\n"
             "`why NAMESPACE/NAME` tells all about one of them.\n",
    .examples = "services\n"
                "services -n demo --cluster-name east -o wide\n"
                "services --not-mirrored\n"
                "services --watch\n",
    .exit_codes = "0  shown\n"
                  "1  neither the agent nor the API could be asked\n"
                  "2  the command line is wrong\n"
                  "130  interrupted; that is how --watch ends\n",
    .options = table,
    .run = run,
};
