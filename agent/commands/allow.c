/* svcmirror allow: the accounts in a target that other clusters read it with, their agents' and their Linkerd's. */
#include <string.h>

#include "agent/commands/apply.h"
#include "agent/commands/cluster.h"
#include "agent/commands/command.h"
#include "agent/commands/link_account.h"
#include "agent/commands/link_options.h"
#include "agent/commands/output.h"
#include "agent/commands/told.h"

enum { OUTPUT_BYTES = 64 << 10 };

static const struct option table[] = {
    LINK_ACCOUNT_OPTIONS,
    {.name = "namespace",
     .letter = 'n',
     .value_name = "NAME",
     .fallback = "linkerd-multicluster",
     .check = command_check_namespace,
     .help = "namespace of the account"},
    {.name = "token-secret",
     .type = OPTION_BOOL,
     .fallback = "true",
     .help = "with a Secret that holds a token which does not expire; false: for links whose token expires"},
    {.name = "renew-token",
     .type = OPTION_BOOL,
     .help = "with the right to ask for further tokens of its own, for links whose agent renews the token"},
    {.name = "remote-discovery",
     .type = OPTION_BOOL,
     .help =
         "with a second account, NAME-for-linkerd, for Linkerd's control plane of the other clusters, which resolves "
         "remote discovery and federated services with it: it may read pods, and its token does not expire"},
    {.name = "endpoints",
     .type = OPTION_BOOL,
     .help = "with the right to read v1 Endpoints, for a cluster that serves no EndpointSlices"},
    {.name = "apply", .type = OPTION_BOOL, .help = "apply to the cluster instead of printing"},
    {.name = "dry-run",
     .choices = "none|client|server",
     .fallback = "none",
     .help = "with --apply: client prints, server has the API server judge without keeping"},
    {.name = "output",
     .letter = 'o',
     .choices = "yaml|json",
     .fallback = "yaml",
     .help = "how it is printed; with --apply, how is told what was done (default: a line each)"},
    {.name = "kubeconfig", .value_name = "FILE", .help = "kubeconfig of the target cluster"},
    {.name = "context", .value_name = "NAME", .help = "context of the kubeconfig"},
    {.name = "ignore-cluster", .type = OPTION_IGNORED},
    {0},
};

static enum err_code apply(const struct options *options, const json_t *objects, bool *ret_interrupted,
                           struct err *reterr)
{
    const struct cluster_write write = {.dry_run = strcmp(options_text(options, "dry-run"), "server") == 0};
    struct session *session = NULL;
    struct cluster *cluster = NULL;
    told_begin(options);
    TRY(session_new(&session, reterr));
    enum err_code code =
        cluster_open(session, options_text(options, "kubeconfig"), options_text(options, "context"), &cluster, reterr);
    if (code == ERR_OK)
        code = apply_objects(cluster, objects, &write, reterr);
    *ret_interrupted = session_interrupted(session);
    cluster_free(cluster);
    session_free(session);
    return code;
}

static enum exit_code print(json_t *objects, bool json)
{
    struct strbuf text;
    strbuf_init(&text, OUTPUT_BYTES);
    output_manifests(objects, json, &text);
    bool printed = output_print(&text);
    strbuf_done(&text);
    return printed ? EXIT_DONE : EXIT_FAILED;
}

static enum exit_code run_with(const struct options *options, json_t *objects)
{
    struct err error = {0};
    bool interrupted = false,
         prints = !options_get(options, "apply")->boolean || strcmp(options_text(options, "dry-run"), "client") == 0;
    if (prints)
        return print(objects, strcmp(options_text(options, "output"), "json") == 0);
    if (apply(options, objects, &interrupted, &error) == ERR_OK)
        return EXIT_DONE;
    command_complain("allow", "%s%s", error.text, told_count() > 0 ? " (run it again to go on)" : "");
    return interrupted ? EXIT_INTERRUPTED : EXIT_FAILED;
}

static enum exit_code run(const struct options *options)
{
    const struct link_account account = {.name = options_text(options, "account"),
                                         .namespace = options_text(options, "namespace"),
                                         .with_namespace = true,
                                         .with_token = options_get(options, "token-secret")->boolean,
                                         .with_endpoints = options_get(options, "endpoints")->boolean,
                                         .with_linkerd = options_get(options, "remote-discovery")->boolean,
                                         .with_renewal = options_get(options, "renew-token")->boolean};
    if (options_get(options, "dry-run")->given && !options_get(options, "apply")->boolean) {
        command_complain("allow", "--dry-run is about --apply: give that too; without it nothing is written");
        return EXIT_USAGE;
    }
    command_tell_all_ignored("allow", options);
    json_t *objects = link_account_objects(&account);
    if (objects == NULL) {
        command_complain("allow", "out of memory");
        return EXIT_FAILED;
    }
    enum exit_code result = run_with(options, objects);
    json_decref(objects);
    return result;
}

const struct command command_allow = {
    .name = "allow",
    .group = GROUP_SET_UP,
    .summary = "Make the account in a target cluster that agents of other clusters read it with",
    .about =
        "Prints the manifests, or applies them with --apply. The agents' account may get, list and watch Services,\n"
        "EndpointSlices and ServiceExports, and get the ConfigMap linkerd-identity-trust-roots, which `check` "
        "compares;\n"
        "nothing else, unless --endpoints or --renew-token says so. --remote-discovery adds an account for Linkerd's\n"
        "control plane, which reads pods.\n"
        "`link` does this too; use `allow` where who may write to the target is somebody else than who links it.\n",
    .examples = "allow | kubectl --context east apply -f -\n"
                "allow --apply --context east\n"
                "allow --apply --context east --token-secret=false --renew-token\n"
                "allow --apply --context east --remote-discovery\n",
    .exit_codes = "0  printed, or applied\n"
                  "1  it did not work; stdout says what was applied before\n"
                  "2  the command line is wrong\n"
                  "130  interrupted\n",
    .options = table,
    .run = run,
};
