/* svcmirror links: the targets, and what connects to each. */
#include <string.h>

#include "agent/commands/cells.h"
#include "agent/commands/record.h"
#include "agent/commands/view.h"

static const struct option table[] = {
    LOOK_OPTIONS,
    LOOK_OPTION_NAMESPACE,
    VIEW_OPTIONS,
    {0},
};

static const struct output_column columns[] = {{"CLUSTER", false}, {"LINK", false},    {"REACHABLE", false},
                                               {"SYNCED", false},  {"HEARD", true},    {"SERVICES", true},
                                               {"LEADER", false},  {"PROBLEM", false}, {0}};
static const struct output_column wide_columns[] = {{"CLUSTER", false},
                                                    {"LINK", false},
                                                    {"REACHABLE", false},
                                                    {"SYNCED", false},
                                                    {"HEARD", true},
                                                    {"SERVICES", true},
                                                    {"LEADER", false},
                                                    {"SERVER", false},
                                                    {"DOMAIN", false},
                                                    {"EXPIRES", false},
                                                    {"WARNING", false},
                                                    {"PROBLEM", false},
                                                    {0}};

static const char *const identity[] = {"clusterName", "kind", "namespace", "name", NULL};
static const char *const news[] = {
    "apiReachable",     "synced",           "problem",           "warning",       "holder",  "server", "refused",
    "mirroredServices", "exportedServices", "credentialsExpire", "clusterDomain", "drained", NULL};

static enum err_code read_links(struct look *look, json_t **ret_records, struct err *reterr)
{
    return look_at(look, &LOOK_LINKS, ret_records, reterr);
}

static void add_row(struct output_table *out, const json_t *link, bool wide)
{
    output_table_add(out, record_text(link, "clusterName"));
    cell_name(out, link, "kind", "name");
    cell_truth(out, link, "apiReachable");
    cell_truth(out, link, "synced");
    cell_age(out, link, "eventAgeMs");
    cell_share(out, link, "mirroredServices", "exportedServices");
    output_table_add(out, record_text(link, "holder"));
    if (wide) {
        output_table_add(out, record_text(link, "server"));
        output_table_add(out, record_text(link, "clusterDomain"));
        output_table_add(out, record_text(link, "credentialsExpire"));
        output_table_add(out, record_text(link, "warning"));
    }
    const char *problem = record_text(link, "problem");
    output_table_add(out, problem[0] == '\0' && record_is_true(link, "drained") ? RECORD_DRAINED : problem);
}

static void tell_empty(const struct options *options)
{
    const char *cluster = options_text(options, "cluster-name");
    if (cluster != NULL)
        command_complain("links", "no link is of cluster %s: `svcmirror links` lists what there is", cluster);
    else
        command_complain("links", "nothing is linked: there is neither a Link nor a Secret of type "
                                  "mirror.linkerd.io/remote-kubeconfig in the agent's namespace");
}

static const struct view view = {.columns = columns,
                                 .wide_columns = wide_columns,
                                 .identity = identity,
                                 .news = news,
                                 .read = read_links,
                                 .add_row = add_row,
                                 .tell_empty = tell_empty};

static enum exit_code run(const struct options *options)
{
    return view_run(&view, "links", options_text(options, "namespace"), options);
}

const struct command command_links = {
    .name = "links",
    .group = GROUP_LOOK,
    .summary = "Show the linked target clusters, and whether they can be followed",
    .about = "Asks the running agent, of several replicas the one that leads each link. When none answers, it shows\n"
             "what the API holds, and says so.\n"
             "REACHABLE: its API answers; SYNCED: its services are known completely; HEARD: how long ago it gave a\n"
             "sign of life; SERVICES: mirrored of exported; LEADER: the replica that writes its mirrors.\n",
    .examples = "links\n"
                "links -o wide --cluster-name east\n"
                "links --watch\n"
                "links -o json | jq -r '.[] | select(.problem) | .clusterName + \": \" + .problem'\n",
    .exit_codes = "0  shown\n"
                  "1  neither the agent nor the API could be asked\n"
                  "2  the command line is wrong\n"
                  "130  interrupted; that is how --watch ends\n",
    .options = table,
    .run = run,
};
