/* svcmirror export, unexport: marks services of a target, or Services in manifests, as exported, and takes the marks away. */
#include <stdio.h>
#include <string.h>

#include "agent/commands/cluster.h"
#include "agent/commands/command.h"
#include "agent/commands/export_filter.h"
#include "agent/commands/export_marks.h"
#include "agent/commands/manifest_source.h"
#include "agent/commands/output.h"
#include "agent/commands/told.h"
#include "base/mem.h"
#include "base/text.h"

enum { OUTPUT_BYTES = 64 << 20 };

static enum err_code check_service_name(const char *text, struct err *reterr)
{
    if (text_is_dns1123_label(text))
        return ERR_OK;
    return err_set(reterr, ERR_INVALID,
                   "\"%.80s\" is no name of a Service: small letters, digits and - are allowed, 63 at most", text);
}

static enum err_code check_filename(const char *text, struct err *reterr)
{
    if (text[0] != '\0')
        return ERR_OK;
    return err_set(reterr, ERR_INVALID, "it is empty: name a file, - for standard input, a folder or a URL");
}

/* What a word names: "web", or as kubectl and -o name write it, "service/web". */
static const char *named_service(const char *word)
{
    static const char *const prefixes[] = {"service/", "services/", "svc/"};
    for (size_t i = 0; i < ARRAY_COUNT(prefixes); i++)
        if (text_starts_with(word, prefixes[i]))
            return word + strlen(prefixes[i]);
    return word;
}

/* What is said of --all and --filename differs between the two commands. */
#define SELECTION_OPTIONS(all_text, filename_text)                                                                     \
    {.name = "namespace",                                                                                              \
     .letter = 'n',                                                                                                    \
     .value_name = "NAME",                                                                                             \
     .check = command_check_namespace,                                                                                 \
     .help = "namespace of the services; without it that of the context, else \"default\""},                           \
        {.name = "all-namespaces",                                                                                     \
         .letter = 'A',                                                                                                \
         .type = OPTION_BOOL,                                                                                          \
         .help = "services of all namespaces, with --selector or --all"},                                              \
        {.name = "selector",                                                                                           \
         .letter = 'l',                                                                                                \
         .value_name = "SELECTOR",                                                                                     \
         .help = "those with these labels, as for kubectl: app=web,tier!=test"},                                       \
        {.name = "all", .type = OPTION_BOOL, .help = (all_text)},                                                      \
        {.name = "filename", .letter = 'f', .value_name = "FILE", .check = check_filename, .help = (filename_text)},   \
        {.name = "dry-run",                                                                                            \
         .choices = "none|client|server",                                                                              \
         .fallback = "none",                                                                                           \
         .help = "client: only say what would change; server: have the API server judge it too"},                      \
        TOLD_OPTION(", to services of a cluster"),                                                                     \
        {.name = "kubeconfig", .value_name = "FILE", .help = "kubeconfig of the target cluster"},                      \
    {                                                                                                                  \
        .name = "context", .value_name = "NAME", .help = "context of the kubeconfig"                                   \
    }
#define MODE_OPTION(text)                                                                                              \
    {                                                                                                                  \
        .name = "mode", .value_name = "MODE[,MODE]", .help = text                                                      \
    }

static const struct option export_options[] = {
    MODE_OPTION("for Links: gateway, remote-discovery or federated; federated may stand beside one of the others. "
                "Without this and --gateway-name it is gateway"),
    {.name = "gateway-name",
     .value_name = "NAME",
     .check = check_service_name,
     .help = "for Linkerd 2.8: the gateway's Service, in annotations; --mode gateway may stand beside it"},
    {.name = "gateway", .value_name = "NAME", .alias_of = "gateway-name"},
    {.name = "gateway-namespace",
     .value_name = "NAME",
     .fallback = "linkerd-multicluster",
     .check = command_check_namespace,
     .help = "namespace of that gateway"},
    {.name = "overwrite", .type = OPTION_BOOL, .help = "change services that are exported in another way already"},
    SELECTION_OPTIONS("all services of the namespace, but for gateways and the API server's own",
                      "marks Services in manifests and prints these, without a cluster: a file, -, a folder or a URL"),
    {0},
};

static const struct option unexport_options[] = {
    MODE_OPTION("take only these marks away: gateway, remote-discovery, federated. Without it, all of them"),
    SELECTION_OPTIONS(
        "all services of the namespace; those without marks stay as they are",
        "takes the marks off Services in manifests and prints these, without a cluster: a file, -, a folder or a "
        "URL"),
    {0},
};

/* One run of either command. */
struct job {
    const char *command;
    const struct options *options;
    bool unexport;
    bool overwrite;
    const struct export_marks *marks; /* NULL: all, to be taken away */
    struct session *session;
    struct cluster *cluster;
    json_t *services; /* new: those that were chosen */
    json_t *patches;  /* new: for each the change, or null */
};

/* ---- what was asked for ---- */

static bool is_given(const struct options *options, const char *name) { return options_get(options, name)->given; }

static enum err_code check_selection(const struct options *options, struct err *reterr)
{
    bool names = options->argument_count > 0, all = options_get(options, "all")->boolean;
    bool everywhere = options_get(options, "all-namespaces")->boolean, selector = is_given(options, "selector");
    if (is_given(options, "filename") && (names || all || everywhere || selector))
        return err_set(reterr, ERR_INVALID,
                       "--filename takes all Services of the manifests: name no services, and no -l, -A or --all");
    if (is_given(options, "filename") && is_given(options, "output"))
        return err_set(reterr, ERR_INVALID,
                       "--filename prints manifests as they are written: --output is about services of a cluster");
    if (is_given(options, "filename"))
        return ERR_OK;
    if ((names ? 1 : 0) + (selector ? 1 : 0) + (all ? 1 : 0) > 1)
        return err_set(reterr, ERR_INVALID, "services are chosen by name, by --selector or by --all: use one of them");
    if (names && everywhere)
        return err_set(reterr, ERR_INVALID, "a name is in one namespace: use -n, or -A with --selector or --all");
    if (everywhere && is_given(options, "namespace"))
        return err_set(reterr, ERR_INVALID, "--namespace and --all-namespaces contradict each other: use one of them");
    if (!names && !selector && !all)
        return err_set(reterr, ERR_INVALID,
                       "which services? Name them, or use -l SELECTOR, --all, or -f FILE for manifests");
    return ERR_OK;
}

static enum err_code read_marks(struct job *job, struct export_marks *marks, struct err *reterr)
{
    const struct options *options = job->options;
    const char *mode = options_text(options, "mode");
    if (job->unexport && mode == NULL)
        return ERR_OK;
    const char *gateway = job->unexport ? NULL : options_text(options, "gateway-name");
    if (!job->unexport && gateway == NULL && is_given(options, "gateway-namespace"))
        return err_set(reterr, ERR_INVALID, "--gateway-namespace says where --gateway-name is: give that too");
    TRY(export_marks_choose(mode, gateway, job->unexport ? NULL : options_text(options, "gateway-namespace"), marks,
                            reterr));
    job->marks = marks;
    job->overwrite = !job->unexport && options_get(options, "overwrite")->boolean;
    return ERR_OK;
}

/* ---- choosing services in the cluster ---- */

static const char *namespace_of(const struct job *job)
{
    const char *own = cluster_kubeconfig(job->cluster)->namespace, *given = options_text(job->options, "namespace");
    if (options_get(job->options, "all-namespaces")->boolean)
        return NULL;
    return given != NULL ? given : own != NULL && own[0] != '\0' ? own : "default";
}

/* The API server's own Service is in every cluster, and never meant by "all" that is to be exported. */
static bool is_own_of_kubernetes(const json_t *service)
{
    return strcmp(object_meta_text(service, "namespace"), "default") == 0 &&
           strcmp(object_meta_text(service, "name"), "kubernetes") == 0;
}

static enum err_code take_listed(void *context, const json_t *item)
{
    struct job *job = context;
    if (!job->unexport && is_own_of_kubernetes(item))
        return ERR_OK;
    return json_array_append(job->services, mem_unconst(item)) == 0 ? ERR_OK : ERR_NOMEM;
}

static enum err_code choose_services(struct job *job, struct err *reterr)
{
    const char *namespace = namespace_of(job);
    if (job->options->argument_count == 0)
        return cluster_each(job->cluster, &RESOURCE_SERVICE, namespace, options_text(job->options, "selector"),
                            take_listed, job, reterr);
    for (unsigned i = 0; i < job->options->argument_count; i++) {
        json_t *service = NULL;
        TRY(cluster_get(job->cluster, &RESOURCE_SERVICE, namespace, named_service(job->options->arguments[i]), &service,
                        reterr));
        if (json_array_append_new(job->services, service) != 0)
            return err_set(reterr, ERR_NOMEM, "out of memory");
    }
    return ERR_OK;
}

/* ---- planning: nothing is written before all of it is known to be possible ---- */

static void complain_of(const struct job *job, const json_t *service, const char *what, const char *why)
{
    command_complain(job->command, "service/%s in namespace %s %s: %s", object_meta_text(service, "name"),
                     object_meta_text(service, "namespace"), what, why);
}

/* @param[out] ret_patch  new; NULL when nothing is to be changed. @return ERR_OK, ERR_INVALID (told), ERR_NOMEM. */
static enum err_code plan_service(const struct job *job, const json_t *service, json_t **ret_patch)
{
    struct err error = {0};
    bool named = job->options->argument_count > 0;
    const char *obstacle = job->unexport ? NULL : export_marks_obstacle(service, job->marks);
    if (obstacle != NULL) {
        complain_of(job, service, named ? "cannot be mirrored" : "is left out", obstacle);
        return named ? ERR_INVALID : ERR_OK;
    }
    if (!job->unexport && options_get(job->options, "all")->boolean && export_marks_is_gateway(service)) {
        complain_of(job, service, "is left out",
                    "it is a gateway, through which the others are mirrored: name it if it is to be mirrored as well");
        return ERR_OK;
    }
    enum err_code code = job->unexport ? export_marks_remove(service, job->marks, ret_patch, &error)
                                       : export_marks_add(service, job->marks, job->overwrite, ret_patch, &error);
    if (code == ERR_CONFLICT)
        complain_of(job, service, "is exported in another way", error.text);
    return code;
}

static enum err_code plan_all(struct job *job, struct err *reterr)
{
    const json_t *service = NULL;
    size_t index = 0, refused = 0;
    json_array_foreach(job->services, index, service)
    {
        json_t *patch = NULL;
        enum err_code code = plan_service(job, service, &patch);
        if (code == ERR_NOMEM || json_array_append_new(job->patches, patch != NULL ? patch : json_null()) != 0)
            return err_set(reterr, ERR_NOMEM, "out of memory");
        refused += code != ERR_OK ? 1 : 0;
    }
    if (refused > 0)
        return err_set(reterr, ERR_INVALID, "nothing was changed: %zu of %zu services cannot be", refused,
                       json_array_size(job->services));
    return ERR_OK;
}

/* ---- writing ---- */

static void tell(const struct job *job, const json_t *service, const char *outcome)
{
    const struct told what = {.cluster = job->cluster,
                              .resource = &RESOURCE_SERVICE,
                              .namespace = object_meta_text(service, "namespace"),
                              .name = object_meta_text(service, "name"),
                              .outcome = outcome,
                              .run = told_run_of(options_text(job->options, "dry-run")),
                              .with_namespace = options_get(job->options, "all-namespaces")->boolean};
    told(&what);
}

static enum err_code write_all(struct job *job, size_t *ret_done, struct err *reterr)
{
    const char *dry_run = options_text(job->options, "dry-run");
    const struct cluster_write write = {.dry_run = strcmp(dry_run, "server") == 0};
    for (; *ret_done < json_array_size(job->services); (*ret_done)++) {
        const json_t *service = json_array_get(job->services, *ret_done);
        const json_t *patch = json_array_get(job->patches, *ret_done);
        if (!json_is_object(patch)) {
            if (job->options->argument_count > 0)
                tell(job, service, job->unexport ? "not exported" : "unchanged");
            continue;
        }
        if (strcmp(dry_run, "client") != 0)
            TRY(cluster_patch(job->cluster, &RESOURCE_SERVICE, object_meta_text(service, "namespace"),
                              object_meta_text(service, "name"), patch, &write, NULL, reterr));
        tell(job, service, job->unexport ? "unexported" : "exported");
    }
    return ERR_OK;
}

static size_t count_changes(const struct job *job)
{
    const json_t *patch = NULL;
    size_t index = 0, count = 0;
    json_array_foreach(job->patches, index, patch) count += json_is_object(patch) ? 1 : 0;
    return count;
}

/* A gateway that is named wrongly leaves mirrors without endpoints. Who may not look for it is not told. */
static enum err_code tell_missing_gateway(const struct job *job, struct err *reterr)
{
    const char *name = job->unexport ? NULL : options_text(job->options, "gateway-name");
    const char *namespace = name != NULL ? options_text(job->options, "gateway-namespace") : NULL;
    json_t *gateway = NULL;
    if (name == NULL)
        return ERR_OK;
    enum err_code code = cluster_get(job->cluster, &RESOURCE_SERVICE, namespace, name, &gateway, reterr);
    json_decref(gateway);
    if (code == ERR_NOT_FOUND)
        command_complain(job->command,
                         "warning: cluster %s has no Service %s/%s, the gateway: mirrors get no endpoints until it has",
                         cluster_name(job->cluster), namespace, name);
    return code == ERR_NOT_FOUND || code == ERR_FORBIDDEN ? ERR_OK : code;
}

static enum err_code change_cluster(struct job *job, size_t *ret_done, struct err *reterr)
{
    TRY(cluster_open(job->session, options_text(job->options, "kubeconfig"), options_text(job->options, "context"),
                     &job->cluster, reterr));
    job->services = json_array();
    job->patches = json_array();
    if (job->services == NULL || job->patches == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    TRY(choose_services(job, reterr));
    TRY(plan_all(job, reterr));
    TRY(tell_missing_gateway(job, reterr));
    TRY(write_all(job, ret_done, reterr));
    if (count_changes(job) == 0 && job->options->argument_count == 0)
        command_complain(job->command, "nothing to change among %zu services in cluster %s",
                         json_array_size(job->services), cluster_name(job->cluster));
    return ERR_OK;
}

static enum exit_code run_on_cluster(struct job *job)
{
    struct err error = {0};
    size_t done = 0;
    enum err_code code = change_cluster(job, &done, &error);
    bool interrupted = session_interrupted(job->session);
    if (code != ERR_OK && done > 0)
        command_complain(job->command, "%s (%zu of %zu services were dealt with before; run it again to go on)",
                         error.text, done, json_array_size(job->services));
    else if (code != ERR_OK)
        command_complain(job->command, "%s", error.text);
    json_decref(job->patches);
    json_decref(job->services);
    cluster_free(job->cluster);
    return code == ERR_OK ? EXIT_DONE : interrupted ? EXIT_INTERRUPTED : EXIT_FAILED;
}

/* ---- manifests ---- */

static enum err_code filter_text(void *context, const char *name, const char *text, struct err *reterr)
{
    return export_filter_run(context, name, text, reterr);
}

static void tell_filtered(const struct export_filter *filter)
{
    const char *kind = NULL;
    json_t *count = NULL;
    (void)fputs(strbuf_text(filter->told), stderr);
    json_object_foreach(filter->skipped, kind, count)
    {
        struct strbuf line;
        strbuf_init(&line, 1024);
        strbuf_printf(&line, "%" JSON_INTEGER_FORMAT " ", json_integer_value(count));
        output_text(kind, &line);
        (void)fprintf(stderr, "%s passed on as it is\n", strbuf_text(&line));
        strbuf_done(&line);
    }
}

static enum exit_code run_on_manifests(struct job *job)
{
    struct strbuf output, told;
    struct err error = {0};
    strbuf_init(&output, OUTPUT_BYTES);
    strbuf_init(&told, OUTPUT_BYTES);
    struct export_filter filter = {.marks = job->marks,
                                   .unexport = job->unexport,
                                   .overwrite = job->overwrite,
                                   .output = &output,
                                   .told = &told,
                                   .skipped = json_object()};
    const char *file = options_text(job->options, "filename");
    enum err_code code = manifest_source_read(job->session, file, filter_text, &filter, &error);
    if (code != ERR_OK)
        command_complain(job->command, "%s", error.text);
    else if (!output_print(&output))
        code = ERR_IO;
    else
        tell_filtered(&filter);
    if (code == ERR_OK && filter.written == 0)
        command_complain(job->command, "%s holds no objects", strcmp(file, "-") == 0 ? "standard input" : file);
    bool interrupted = session_interrupted(job->session);
    json_decref(filter.skipped);
    strbuf_done(&told);
    strbuf_done(&output);
    return code == ERR_OK ? EXIT_DONE : interrupted ? EXIT_INTERRUPTED : EXIT_FAILED;
}

/* ---- both ---- */

static enum exit_code run_job(struct job *job)
{
    struct export_marks marks;
    struct err error = {0};
    if (check_selection(job->options, &error) != ERR_OK || read_marks(job, &marks, &error) != ERR_OK) {
        command_complain(job->command, "%s", error.text);
        return EXIT_USAGE;
    }
    for (unsigned i = 0; i < job->options->argument_count; i++)
        if (check_service_name(named_service(job->options->arguments[i]), &error) != ERR_OK) {
            command_complain(job->command, "%s", error.text);
            return EXIT_USAGE;
        }
    if (!is_given(job->options, "filename"))
        told_begin(job->options);
    if (session_new(&job->session, &error) != ERR_OK) {
        command_complain(job->command, "%s", error.text);
        return EXIT_FAILED;
    }
    enum exit_code result = is_given(job->options, "filename") ? run_on_manifests(job) : run_on_cluster(job);
    session_free(job->session);
    return result;
}

static enum exit_code run_export(const struct options *options)
{
    struct job job = {.command = "export", .options = options};
    return run_job(&job);
}

static enum exit_code run_unexport(const struct options *options)
{
    struct job job = {.command = "unexport", .options = options, .unexport = true};
    return run_job(&job);
}

const struct command command_export = {
    .name = "export",
    .group = GROUP_SET_UP,
    .summary = "Export services of a target cluster",
    .about = "Runs against the target: the services get the label that Links choose by, or, with --gateway-name, the "
             "two\n"
             "annotations of Linkerd 2.8. What an agent would not mirror is told and left as it is.\n"
             "With -f it reads manifests and prints them marked, as Linkerd 2.8's export-service does.\n",
    .examples = "export web --context east -n demo\n"
                "export -l app=shop --mode remote-discovery,federated --context east -A\n"
                "export web -n demo --gateway-name ambassador --gateway-namespace ambassador\n"
                "export -f web.yaml | kubectl --context east apply -f -\n",
    .exit_codes = "0  done, also when there was nothing to change\n"
                  "1  it did not work, or a service that was named cannot be mirrored; nothing is written then\n"
                  "2  the command line is wrong\n"
                  "130  interrupted; stderr says how far it came\n",
    .options = export_options,
    .argument_names = "[SERVICE...]",
    .max_arguments = OPTIONS_MAX_ARGUMENTS,
    .run = run_export,
};

const struct command command_unexport = {
    .name = "unexport",
    .group = GROUP_SET_UP,
    .summary = "Take services of a target cluster back from being exported",
    .about = "Runs against the target, and takes away what `export` puts on, both for Links and for Linkerd 2.8. The "
             "agents\n"
             "of source clusters remove the mirrors. A service that was not exported stays as it is.\n"
             "With -f it reads manifests and prints them without these marks.\n",
    .examples = "unexport web --context east -n demo\n"
                "unexport --all -A --context east\n"
                "unexport web --mode federated --context east -n demo\n",
    .exit_codes = "0  done, also when there was nothing to take away\n"
                  "1  it did not work, or a service that was named is not there; stderr says how far it came\n"
                  "2  the command line is wrong\n"
                  "130  interrupted; stderr says how far it came\n",
    .options = unexport_options,
    .argument_names = "[SERVICE...]",
    .max_arguments = OPTIONS_MAX_ARGUMENTS,
    .run = run_unexport,
};
