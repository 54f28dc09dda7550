/* svcmirror support-bundle: one archive of everything that tells how the agent and its links are, for whoever is to help. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent/commands/command.h"
#include "agent/commands/output.h"
#include "agent/commands/support_bundle.h"
#include "base/mem.h"

enum { LINES_BYTES = 4 << 20, LINE_BYTES = 16 << 10, NAME_BYTES = 64, MOST_LINES = 1000000 };

static enum err_code check_lines(const char *text, struct err *reterr)
{
    uint64_t lines = 0;
    return text_parse_u64(text, 1, MOST_LINES, "number of lines", &lines, reterr);
}

static const struct option table[] = {
    {.name = "file",
     .letter = 'f',
     .value_name = "FILE",
     .help = "where the archive goes; default: svcmirror-support-<time>.tar.gz in the current folder"},
    {.name = "log-lines",
     .type = OPTION_NUMBER,
     .value_name = "N",
     .fallback = "10000",
     .check = check_lines,
     .help = "the last lines of each log"},
    {.name = "namespace",
     .letter = 'n',
     .value_name = "NAME",
     .fallback = "linkerd-multicluster",
     .help = "namespace of the agent",
     .check = command_check_namespace},
    {.name = "linkerd-namespace",
     .letter = 'L',
     .value_name = "NAME",
     .fallback = "linkerd",
     .help = "namespace of Linkerd's control plane, for the checks",
     .check = command_check_namespace},
    {.name = "kubeconfig", .value_name = "FILE", .help = "kubeconfig of the source cluster"},
    {.name = "context", .value_name = "NAME", .help = "context of the kubeconfig"},
    {0},
};

/* "svcmirror-support-20260102T030405Z". */
static void name_root(int64_t at_s, char root[NAME_BYTES])
{
    time_t at = (time_t)at_s;
    struct tm utc;
    (void)gmtime_r(&at, &utc);
    (void)strftime(root, NAME_BYTES, "svcmirror-support-%Y%m%dT%H%M%SZ", &utc);
}

static enum err_code write_bundle(struct support_bundle *bundle, const char *path, const char *root, int64_t at_s,
                                  struct err *reterr)
{
    bundle->redaction = support_redaction_new();
    if (bundle->redaction == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    TRY(support_bundle_reach(bundle, reterr));
    TRY(support_archive_open(path, root, at_s, &bundle->archive, reterr));
    TRY(support_bundle_collect(bundle, reterr));
    if (session_interrupted(bundle->session))
        return err_set(reterr, ERR_CANCELLED, "interrupted");
    return support_archive_finish(bundle->archive, reterr);
}

static enum exit_code make(struct support_bundle *bundle, const struct options *options)
{
    char root[NAME_BYTES], name[NAME_BYTES + sizeof(".tar.gz")];
    const char *file = options_text(options, "file");
    int64_t at_s = session_wall_us(bundle->session) / 1000000;
    struct err error = {0};
    name_root(at_s, root);
    (void)snprintf(name, sizeof(name), "%s.tar.gz", root);
    const char *path = file != NULL ? file : name;
    if (write_bundle(bundle, path, root, at_s, &error) != ERR_OK) {
        command_complain("support-bundle", "there is no archive: %s", error.text);
        return EXIT_FAILED;
    }
    struct strbuf line;
    strbuf_init(&line, LINE_BYTES);
    strbuf_printf(&line, "%s\n", path);
    bool told = output_print(&line);
    strbuf_done(&line);
    if (bundle->failure_count > 0)
        command_complain("support-bundle", "%u of it could not be had: index.txt in the archive has the list",
                         bundle->failure_count);
    return told && bundle->failure_count == 0 ? EXIT_DONE : EXIT_FAILED;
}

static enum exit_code run(const struct options *options)
{
    struct support_bundle bundle = {.namespace = options_text(options, "namespace"),
                                    .linkerd_namespace = options_text(options, "linkerd-namespace"),
                                    .log_lines = options_get(options, "log-lines")->number};
    struct err error = {0};
    enum exit_code result = EXIT_FAILED;
    strbuf_init(&bundle.files, LINES_BYTES);
    strbuf_init(&bundle.failures, LINES_BYTES);
    enum err_code code = session_new(&bundle.session, &error);
    if (code == ERR_OK)
        code = cluster_open(bundle.session, options_text(options, "kubeconfig"), options_text(options, "context"),
                            &bundle.cluster, &error);
    if (code == ERR_OK)
        result = make(&bundle, options);
    else
        command_complain("support-bundle", "%s", error.text);
    if (bundle.session != NULL && session_interrupted(bundle.session))
        result = EXIT_INTERRUPTED;
    support_archive_free(bundle.archive);
    support_redaction_free(bundle.redaction);
    json_decref(bundle.server_version);
    strbuf_done(&bundle.files);
    strbuf_done(&bundle.failures);
    cluster_free(bundle.cluster);
    session_free(bundle.session);
    return result;
}

const struct command command_support_bundle = {
    .name = "support-bundle",
    .group = GROUP_LOOK,
    .summary = "Put everything that tells how the agent and its links are into one archive",
    .about =
        "What each replica says (its API, metrics, logs), Links, Secrets without their values, mirrors with their\n"
        "endpoints, gateways of the targets, Leases, Events, versions, and what `check` says. No token, key or\n"
        "password is in it; index.txt tells what is there, what is missing and what was left out. It names\n"
        "services, addresses and clusters: look through it before you hand it on. Changes nothing.\n",
    .examples = "support-bundle\n"
                "support-bundle -f /tmp/east-is-dead.tar.gz --log-lines 100000\n",
    .exit_codes = "0  the archive is there, whole; its name is on stdout\n"
                  "1  there is none, or something in it is missing: stderr says what\n"
                  "2  the command line is wrong\n"
                  "130  interrupted: there is no archive\n",
    .options = table,
    .run = run,
};
