/* svcmirror link-gen: prints what links a target, for `kubectl apply -f -` in the source cluster. */
#include <string.h>

#include "agent/commands/cluster.h"
#include "agent/commands/command.h"
#include "agent/commands/link_build.h"
#include "agent/commands/link_options.h"
#include "agent/commands/link_token.h"
#include "agent/commands/output.h"
#include "agent/kube/setup.h"

enum {
    ARENA_BYTES = 16 << 20,
    OUTPUT_BYTES = 16 << 20,
};

static const struct option table[] = {
    LINK_OPTIONS,
    LINK_TOKEN_OPTIONS("true", NULL, NULL),
    {.name = "output", .letter = 'o', .choices = "yaml|json", .fallback = "yaml", .help = "how it is printed"},
    {.name = "kubeconfig", .value_name = "FILE", .help = "kubeconfig of the target cluster"},
    {.name = "context", .value_name = "NAME", .help = "context of the kubeconfig"},
    {0},
};

/* Without an account of its own Linkerd's control plane gets the agent's, as Linkerd's own commands have it. */
static enum err_code get_linkerd_token(const struct link_token_place *place, const struct link_wish *wish,
                                       struct link_tokens *tokens, struct err *reterr)
{
    char name[LINK_ACCOUNT_NAME_BYTES];
    if (wish->facts.trust_domain == NULL)
        return ERR_OK;
    TRY(link_token_linkerd(place, &wish->account, true, &tokens->linkerd, reterr));
    if (tokens->linkerd != NULL)
        return ERR_OK;
    command_complain(place->command,
                     "warning: there is no token of service account %s in namespace %s that you may read (`allow "
                     "--remote-discovery` makes one): Linkerd's control plane gets that of %s, and resolves nothing by "
                     "remote discovery unless that may list pods, ReplicaSets and Servers, and does not end",
                     link_account_linkerd(&wish->account, name).name, wish->account.namespace, wish->account.name);
    tokens->linkerd = tokens->agent;
    return ERR_OK;
}

static enum err_code make_objects(const struct options *options, struct session *session, struct arena *arena,
                                  struct link_wish *wish, json_t **ret_objects, struct err *reterr)
{
    struct cluster *target = NULL;
    struct link_tokens tokens = {.agent = NULL};
    TRY(cluster_open(session, options_text(options, "kubeconfig"), options_text(options, "context"), &target, reterr));
    const struct link_token_place place = {.command = "link-gen", .session = session, .target = target, .arena = arena};
    enum err_code code = link_build_check(target, wish, reterr);
    if (code == ERR_OK)
        code = link_build_read("link-gen", target, arena, wish, reterr);
    if (code == ERR_OK)
        code = link_token_make(&place, wish, &tokens.agent, reterr);
    if (code == ERR_OK)
        code = get_linkerd_token(&place, wish, &tokens, reterr);
    if (code == ERR_OK)
        code = link_build_objects("link-gen", target, wish, &tokens, ret_objects, reterr);
    cluster_free(target);
    return code;
}

static enum exit_code print_objects(const struct options *options, struct arena *arena, struct link_wish *wish)
{
    struct err error = {0};
    struct session *session = NULL;
    json_t *objects = NULL;
    enum err_code code = session_new(&session, &error);
    if (code == ERR_OK)
        code = make_objects(options, session, arena, wish, &objects, &error);
    bool interrupted = code != ERR_OK && session != NULL && session_interrupted(session);
    session_free(session);
    if (code != ERR_OK) {
        command_complain("link-gen", "%s", error.text);
        return interrupted ? EXIT_INTERRUPTED : EXIT_FAILED;
    }
    struct strbuf text;
    strbuf_init(&text, OUTPUT_BYTES);
    output_manifests(objects, strcmp(options_text(options, "output"), "json") == 0, &text);
    bool printed = output_print(&text);
    strbuf_done(&text);
    json_decref(objects);
    return printed ? EXIT_DONE : EXIT_FAILED;
}

static enum exit_code run(const struct options *options)
{
    struct arena arena;
    struct link_wish wish;
    struct err error = {0};
    kube_setup();
    arena_init(&arena, ARENA_BYTES);
    enum exit_code result = EXIT_USAGE;
    if (link_options_read("link-gen", options, &arena, &wish, &error) != ERR_OK)
        command_complain("link-gen", "%s", error.text);
    else
        result = print_objects(options, &arena, &wish);
    arena_done(&arena);
    return result;
}

const struct command command_link_gen = {
    .name = "link-gen",
    .group = GROUP_SET_UP,
    .summary = "Print what links a target cluster, to be applied in the source cluster",
    .about = "Reads the target: its gateway, and the tokens of the accounts that `allow` makes. Prints a Link\n"
             "resource with the Secrets that it needs, or, with --kind secret, the Secret of Linkerd 2.8. The\n"
             "output holds the token: it is as secret as that. Flags are those of `linkerd multicluster link-gen`.\n",
    .examples = "link-gen --context east --cluster-name east | kubectl --context west apply -f -\n"
                "link-gen --context east --cluster-name east --kind secret | kubectl --context west apply -f -\n"
                "link-gen --context kind-east --cluster-name east --api-server-address https://192.0.2.1:6443\n",
    .exit_codes = "0  printed\n"
                  "1  the target could not be read, or cannot be linked as it is\n"
                  "2  the command line is wrong\n"
                  "130  interrupted\n",
    .options = table,
    .run = run,
};
