/* links: agent_kube agent_loop mirror base fake_http.c */
/* Real programs on the real loop; only the API server is played. */
#include "agent/kube/exec_plugin.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/kube/setup.h"
#include "base/strbuf.h"
#include "tests/unit/fake_http.h"
#include "tests/unit/sweep.h"
#include "tests/unit/test_certificate.h"

enum { PATIENCE_MS = 20000 };

static char folder[] = "/tmp/test_exec_plugin_XXXXXX", program[128];

static const char *path_of(const char *name)
{
    static char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

/* Under another name first: a program that is open for writing cannot be run. */
static void write_file(const char *name, const char *text)
{
    char target[128];
    (void)snprintf(target, sizeof(target), "%s", path_of(name));
    FILE *file = fopen(path_of("new"), "we");
    assert_non_null(file);
    (void)fputs(text, file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path_of("new"), 0700), 0);
    assert_int_equal(rename(path_of("new"), target), 0);
}

static void read_file(const char *name, char *buffer, size_t bytes)
{
    FILE *file = fopen(path_of(name), "re");
    size_t length = file != NULL ? fread(buffer, 1, bytes - 1, file) : 0;
    buffer[length] = '\0';
    if (file != NULL)
        (void)fclose(file);
}

static void write_script(const char *body)
{
    char text[8192];
    (void)snprintf(text, sizeof(text), "#!/bin/sh\n%s\n", body);
    write_file("plugin", text);
}

/* ---- running one ---- */

struct bench {
    struct loop *loop;
    struct loop_timer *patience;
    struct exec_plugin *plugin;
    unsigned answered;
    char token[128], cert[4096];
    int64_t expires_us;
    struct err error;
    bool free_plugin; /* in the callback */
};

static const char *const no_env[] = {NULL};
static const char *plain_argv[] = {program, NULL};

static struct exec_config plain_config(void)
{
    return (struct exec_config){.api_version = "client.authentication.k8s.io/v1",
                                .command = program,
                                .argv = plain_argv,
                                .env = no_env,
                                .mode = EXEC_NEVER_ASKS};
}

static void on_answer(void *context, const struct exec_credential *answer, const struct err *error)
{
    struct bench *bench = context;
    bench->answered++;
    bench->error = error != NULL ? *error : (struct err){0};
    assert_true((answer == NULL) == (error != NULL));
    (void)snprintf(bench->token, sizeof(bench->token), "%s",
                   answer != NULL && answer->token != NULL ? answer->token : "");
    (void)snprintf(bench->cert, sizeof(bench->cert), "%s",
                   answer != NULL && answer->cert_pem != NULL ? answer->cert_pem : "");
    bench->expires_us = answer != NULL ? answer->expires_us : 0;
    if (bench->free_plugin)
        exec_plugin_free(TAKE(bench->plugin));
    loop_stop(bench->loop);
}

static void on_impatient(void *context)
{
    (void)context;
    fail_msg("nothing came for %d ms", PATIENCE_MS);
}

static enum err_code open_bench(struct bench *bench, const struct exec_config *config, bool may_ask)
{
    *bench = (struct bench){.loop = loop_new()};
    if (bench->loop == NULL || (bench->patience = loop_timer_new(bench->loop, on_impatient, bench)) == NULL)
        return ERR_NOMEM;
    return exec_plugin_new(bench->loop, config, may_ask, on_answer, bench, &bench->plugin, NULL);
}

static void close_bench(struct bench *bench)
{
    exec_plugin_free(bench->plugin);
    loop_timer_free(bench->patience);
    if (bench->loop != NULL)
        loop_free(bench->loop);
}

static void run_once(struct bench *bench)
{
    unsigned before = bench->answered;
    loop_timer_start(bench->patience, PATIENCE_MS);
    exec_plugin_start(bench->plugin);
    exec_plugin_start(bench->plugin);          /* it runs already */
    assert_int_equal(bench->answered, before); /* never from inside */
    loop_run(bench->loop);
    assert_int_equal(bench->answered, before + 1);
}

#define ANSWER(status)                                                                                                 \
    "{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1\",\"status\":{" status "}}"

static void takes_answers(void **state)
{
    (void)state;
    static const struct {
        const char *script;
        enum err_code code;
        const char *token; /* or words of the error */
        int64_t expires_us;
    } cases[] = {
        {"echo '" ANSWER("\"token\":\"abc\"") "'", ERR_OK, "abc", 0},
        {"echo noise >&2; echo '" ANSWER("\"token\":\"abc\",\"expirationTimestamp\":\"2033-05-18T03:33:20Z\"") "'",
         ERR_OK, "abc", INT64_C(2000000000000000)},
        /* A child that lives on, with the pipe in its hand, is not waited for. */
        {"sleep 600 & echo '" ANSWER("\"token\":\"abc\"") "'", ERR_OK, "abc", 0},
        {"exit 0", ERR_PROTOCOL, "not JSON", 0},
        {"echo top-secret", ERR_PROTOCOL, "not JSON (line 1)", 0},
        {"echo '[1]'", ERR_PROTOCOL, "not an ExecCredential", 0},
        {"echo "
         "'{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/"
         "v1beta1\",\"status\":{\"token\":\"top-secret\"}}'",
         ERR_PROTOCOL, "another version than client.authentication.k8s.io/v1", 0},
        {"echo '" ANSWER("") "'", ERR_PROTOCOL, "neither a token nor", 0},
        {"echo '" ANSWER("\"token\":\"top-secret x\"") "'", ERR_PROTOCOL, "characters that no token has", 0},
        {"echo '" ANSWER("\"token\":\"top-secret\",\"expirationTimestamp\":\"soon\"") "'", ERR_PROTOCOL,
         "expirationTimestamp", 0},
        {"echo '" ANSWER("\"clientKeyData\":\"top-secret\"") "'", ERR_PROTOCOL, "must be given together", 0},
        {"echo '" ANSWER("\"clientCertificateData\":\"top-secret\",\"clientKeyData\":\"top-secret\"") "'", ERR_TLS,
         "clientCertificateData: not a PEM", 0},
        {"echo top-secret; printf 'log in first:\\n\\033[31m aws sso login\\n' >&2; exit 3", ERR_IO,
         "ended with status 3: log in first: [31m aws sso login", 0},
        {"kill -9 $$", ERR_IO, "killed by signal 9", 0},
        {"yes top-secret", ERR_LIMIT, "printed more than", 0},
        {"yes warning | head -c 100000 >&2; echo '" ANSWER("\"token\":\"abc\"") "'", ERR_OK, "abc", 0},
    };
    const struct exec_config config = plain_config();
    struct bench bench;
    assert_int_equal(open_bench(&bench, &config, false), ERR_OK);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        write_script(cases[i].script);
        run_once(&bench);
        const char *got = cases[i].code == ERR_OK ? bench.token : bench.error.text;
        if (bench.error.code != cases[i].code || strstr(got, cases[i].token) == NULL)
            fail_msg("case %zu: %s: %s%s", i, err_code_name(bench.error.code), bench.error.text, bench.token);
        assert_null(strstr(bench.error.text, "top-secret")); /* what it printed is never shown */
        if (bench.error.code != ERR_OK)
            assert_non_null(strstr(bench.error.text, program));
        assert_int_equal(bench.expires_us, cases[i].expires_us);
    }
    close_bench(&bench);
}

/* Arguments, environment, standard input, and nothing else of this process. */
static void is_run_as_it_was_told(void **state)
{
    (void)state;
    static const char *const env[] = {"GREETING=from the kubeconfig", NULL};
    const char *argv[] = {program, "$(touch /tmp/never)", "two words", NULL};
    struct exec_config config = plain_config();
    config.argv = argv;
    config.env = env;
    config.cluster = "{\"server\":\"https://x\"}";
    assert_int_equal(setenv("GREETING", "from outside", 1), 0);
    assert_int_equal(setenv("KEPT", "kept", 1), 0);
    assert_int_equal(setenv("KUBERNETES_EXEC_INFO", "stale", 1), 0);
    int inherited = open("/dev/null", O_RDONLY); // NOLINT: without O_CLOEXEC on purpose
    assert_true(inherited >= 3);
    (void)signal(SIGPIPE, SIG_IGN); /* as the agent does: the program must not inherit it */
    char script[1024];
    (void)snprintf(script, sizeof(script),
                   "{ printf '%%s|' \"$1\" \"$2\" \"$GREETING\" \"$KEPT\" \"$KUBERNETES_EXEC_INFO\"; "
                   "wc -c; [ -e /proc/self/fd/%d ] && echo leaked; grep SigIgn /proc/self/status; } >'%s'\n"
                   "echo '" ANSWER("\"token\":\"t\"") "'",
                   inherited, path_of("seen"));
    write_script(script);
    struct bench bench;
    assert_int_equal(open_bench(&bench, &config, false), ERR_OK);
    run_once(&bench);
    assert_string_equal(bench.token, "t");
    char seen[1024];
    read_file("seen", seen, sizeof(seen));
    char *ignored = strstr(seen, "SigIgn:");
    assert_non_null(ignored);
    assert_int_equal(strtoull(ignored + strlen("SigIgn:"), NULL, 16) & (1U << (SIGPIPE - 1)), 0);
    *ignored = '\0';
    assert_string_equal(seen,
                        "$(touch /tmp/never)|two words|from the kubeconfig|kept|"
                        "{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1\",\"spec\":"
                        "{\"interactive\":false,\"cluster\":{\"server\":\"https://x\"}}}|0\n");
    (void)close(inherited);
    close_bench(&bench);
}

static void gives_certificates(void **state)
{
    (void)state;
    struct test_certificate made = test_certificate_make(1950000000);
    json_t *answer =
        json_pack("{s:s,s:s,s:{s:s,s:s}}", "kind", "ExecCredential", "apiVersion", "client.authentication.k8s.io/v1",
                  "status", "clientCertificateData", made.certificate, "clientKeyData", made.key);
    char *text = json_dumps(answer, 0), script[256];
    json_decref(answer);
    write_file("answer", text);
    mem_free(text);
    (void)snprintf(script, sizeof(script), "cat '%s'", path_of("answer"));
    write_script(script);
    const struct exec_config config = plain_config();
    struct bench bench;
    assert_int_equal(open_bench(&bench, &config, false), ERR_OK);
    run_once(&bench);
    assert_string_equal(bench.cert, made.certificate);
    assert_string_equal(bench.token, "");
    close_bench(&bench);
}

static void says_what_is_missing(void **state)
{
    (void)state;
    struct exec_config config = plain_config();
    struct bench bench;
    config.command = "no-such-program-anywhere";
    config.install_hint = "install it from example.com";
    assert_int_equal(open_bench(&bench, &config, false), ERR_OK);
    run_once(&bench);
    assert_int_equal(bench.error.code, ERR_NOT_FOUND);
    assert_non_null(strstr(bench.error.text, "no such program in PATH that may be run: install it from example.com"));
    close_bench(&bench);

    config = plain_config();
    write_file("plugin", "no program");
    assert_int_equal(open_bench(&bench, &config, false), ERR_OK);
    run_once(&bench);
    assert_int_equal(bench.error.code, ERR_IO);
    assert_non_null(strstr(bench.error.text, "cannot be started: Exec format error"));
    assert_int_equal(unlink(program), 0);
    run_once(&bench);
    assert_int_equal(bench.error.code, ERR_NOT_FOUND);
    close_bench(&bench);

    /* Standard input of a test is no terminal. */
    int terminal = dup(STDIN_FILENO), none = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(dup2(none, STDIN_FILENO) == STDIN_FILENO);
    config.mode = EXEC_ALWAYS_ASKS;
    for (int may_ask = 0; may_ask < 2; may_ask++) {
        assert_int_equal(open_bench(&bench, &config, may_ask == 1), ERR_OK);
        run_once(&bench);
        assert_int_equal(bench.error.code, ERR_UNSUPPORTED);
        assert_non_null(strstr(bench.error.text, "interactiveMode: Always"));
        close_bench(&bench);
    }
    (void)dup2(terminal, STDIN_FILENO);
    (void)close(terminal);
    (void)close(none);
}

static bool has_ended(pid_t pid) { return kill(pid, 0) != 0 && errno == ESRCH; }

static pid_t written_pid(const char *name)
{
    char text[32];
    read_file(name, text, sizeof(text));
    return (pid_t)strtol(text, NULL, 10);
}

static void kills_what_takes_too_long(void **state)
{
    (void)state;
    char script[512];
    (void)snprintf(script, sizeof(script), "echo waiting for you >&2; sleep 600 & echo $! >'%s'; wait",
                   path_of("seen"));
    write_script(script);
    const struct exec_config config = plain_config();
    struct bench bench;
    exec_plugin_timeout_ms = 1000;
    assert_int_equal(open_bench(&bench, &config, false), ERR_OK);
    run_once(&bench);
    exec_plugin_timeout_ms = 60000;
    assert_int_equal(bench.error.code, ERR_TIMEOUT);
    assert_non_null(strstr(bench.error.text, "did not end within 1 s and was killed: waiting for you"));
    /* Its children too; init takes a moment to bury them. */
    pid_t child = written_pid("seen");
    assert_true(child > 0);
    for (unsigned i = 0; i < 1000 && !has_ended(child); i++)
        (void)usleep(10000);
    char stat[64], line[256] = "";
    (void)snprintf(stat, sizeof(stat), "/proc/%d/stat", (int)child);
    FILE *file = fopen(stat, "re");
    if (file != NULL) {
        (void)!fgets(line, sizeof(line), file);
        (void)fclose(file);
    }
    assert_true(file == NULL || strstr(line, ") Z ") != NULL);
    close_bench(&bench);
}

/* As whoever started the agent may have left it: then the kernel keeps no word of how children end. */
static void is_answered_where_nobody_hears_of_children(void **state)
{
    (void)state;
    struct bench bench;
    struct exec_config config = plain_config();
    write_script("echo '" ANSWER("\"token\":\"abc\"") "'");
    void (*before)(int) = signal(SIGCHLD, SIG_IGN);
    assert_int_equal(open_bench(&bench, &config, false), ERR_OK);
    run_once(&bench);
    close_bench(&bench);
    (void)signal(SIGCHLD, before);
    assert_int_equal(bench.error.code, ERR_IO);
    assert_non_null(strstr(bench.error.text, "how it ended is not known"));
}

static void on_started(void *context)
{
    struct bench *bench = context;
    if (written_pid("seen") <= 0) {
        loop_timer_start(bench->patience, 10);
        return;
    }
    loop_stop(bench->loop);
}

static void may_go_at_any_time(void **state)
{
    (void)state;
    char script[256];
    (void)unlink(path_of("seen"));
    (void)snprintf(script, sizeof(script), "echo $$ >'%s'; exec sleep 600", path_of("seen"));
    write_script(script);
    const struct exec_config config = plain_config();
    struct bench bench;
    assert_int_equal(open_bench(&bench, &config, false), ERR_OK);
    loop_timer_free(bench.patience);
    bench.patience = loop_timer_new(bench.loop, on_started, &bench);
    exec_plugin_start(bench.plugin);
    loop_timer_start(bench.patience, 10);
    loop_run(bench.loop);
    exec_plugin_free(TAKE(bench.plugin));
    assert_true(has_ended(written_pid("seen")));
    assert_int_equal(bench.answered, 0);
    close_bench(&bench);
    /* In its own callback. */
    write_script("echo '" ANSWER("\"token\":\"t\"") "'");
    assert_int_equal(open_bench(&bench, &config, false), ERR_OK);
    bench.free_plugin = true;
    run_once(&bench);
    assert_string_equal(bench.token, "t");
    close_bench(&bench);
}

/* A program that gives no answer: jansson reads long texts wrong when memory is short. */
static enum err_code sweep_run(void *context)
{
    struct bench bench;
    enum err_code code = open_bench(&bench, context, false);
    if (code == ERR_OK) {
        run_once(&bench);
        code = bench.error.code == ERR_IO ? ERR_OK : bench.error.code;
    }
    close_bench(&bench);
    return code;
}

static void survives_failing_allocations(void **state)
{
    (void)state;
    struct exec_config config = plain_config();
    write_script("echo no >&2; exit 1");
    assert_true(sweep(sweep_run, &config) > 10);
}

/* ---- a client that has one ---- */

struct client_bench {
    struct loop *loop;
    struct loop_timer *poll;
    struct http *http;
    struct kube_client *client;
    unsigned waited;
};

struct asked {
    struct kube_request request;
    struct client_bench *bench;
    unsigned done;
    bool free_client;
    struct err error;
};

static void on_poll(void *context)
{
    struct client_bench *bench = context;
    loop_stop(bench->loop);
}

/* Lets the loop turn until something was asked of the server or came back, but not for ever. */
static void turn(struct client_bench *bench)
{
    loop_timer_start(bench->poll, 5);
    loop_run(bench->loop);
    if (++bench->waited > PATIENCE_MS / 5)
        fail_msg("nothing came for %d ms", PATIENCE_MS);
}

static void open_client(struct client_bench *bench, const struct exec_config *exec)
{
    const struct kubeconfig config = {.server = "https://east", .exec = exec, .exec_permission = EXEC_ALONE};
    *bench = (struct client_bench){.loop = loop_new()};
    bench->poll = loop_timer_new(bench->loop, on_poll, bench);
    bench->http = fake_http_new(bench->loop);
    assert_int_equal(kube_client_new(bench->http, bench->loop, &config, "east", &bench->client, NULL), ERR_OK);
}

static void close_client(struct client_bench *bench)
{
    kube_client_free(bench->client);
    http_free(bench->http);
    loop_timer_free(bench->poll);
    loop_free(bench->loop);
}

static void on_done(struct kube_request *request, json_t *object, const struct kube_failure *failure)
{
    (void)object;
    struct asked *asked = request->context;
    asked->done++;
    asked->error = failure != NULL ? failure->error : (struct err){0};
    if (asked->free_client)
        kube_client_free(TAKE(asked->bench->client));
}

static void ask(struct client_bench *bench, struct asked *asked, const char *path)
{
    *asked = (struct asked){.bench = bench};
    asked->request = (struct kube_request){
        .verb = "get", .resource = "services", .path = path, .on_done = on_done, .context = asked};
    assert_int_equal(kube_start(bench->client, &asked->request, NULL), ERR_OK);
    assert_int_equal(asked->done, 0);
}

static struct http_call *taken(struct client_bench *bench, const char *line)
{
    while (fake_http_is_idle(bench->http))
        turn(bench);
    return fake_http_take(bench->http, line);
}

/* The script counts its runs in the file `seen` and puts the number into its answer. */
static void write_counting(const char *status)
{
    char script[1024];
    (void)snprintf(script, sizeof(script), "n=$(($(cat '%s')+1)); echo $n >'%s'\ncat <<EOF\n%s\nEOF", path_of("seen"),
                   path_of("seen"), status);
    write_file("seen", "0");
    write_script(script);
}

static void asks_the_plugin_when_it_must(void **state)
{
    (void)state;
    const struct exec_config exec = plain_config();
    struct client_bench bench;
    struct asked one, two;
    write_counting(ANSWER("\"token\":\"t$n\""));
    open_client(&bench, &exec);
    /* Two wait for one run. */
    ask(&bench, &one, "/one");
    ask(&bench, &two, "/two");
    struct http_call *call = taken(&bench, "GET /one");
    assert_string_equal(fake_http_header(call, "Authorization"), "Bearer t1");
    struct http_call *other = taken(&bench, "GET /two");
    assert_string_equal(fake_http_header(other, "Authorization"), "Bearer t1");
    /* Both are refused: one more run serves both; refused again, they are. */
    fake_http_answer(call, 401, "");
    fake_http_answer(other, 401, "");
    call = taken(&bench, "GET /one");
    assert_string_equal(fake_http_header(call, "Authorization"), "Bearer t2");
    fake_http_answer(call, 401, "");
    assert_int_equal(one.done, 1);
    assert_int_equal(one.error.code, ERR_UNAUTHORIZED);
    other = taken(&bench, "GET /two");
    assert_string_equal(fake_http_header(other, "Authorization"), "Bearer t2");
    fake_http_answer(other, 200, "");
    assert_int_equal(two.error.code, ERR_OK);
    /* What is known to be good is used without asking. */
    ask(&bench, &one, "/one");
    call = fake_http_take(bench.http, "GET /one");
    assert_string_equal(fake_http_header(call, "Authorization"), "Bearer t2");
    fake_http_answer(call, 200, "");
    close_client(&bench);
    /* What has ended is not. */
    write_counting(ANSWER("\"token\":\"t$n\",\"expirationTimestamp\":\"2020-01-01T00:00:00Z\""));
    open_client(&bench, &exec);
    for (unsigned i = 1; i < 3; i++) {
        char wanted[32];
        ask(&bench, &one, "/one");
        call = taken(&bench, "GET /one");
        (void)snprintf(wanted, sizeof(wanted), "Bearer t%u", i);
        assert_string_equal(fake_http_header(call, "Authorization"), wanted);
        fake_http_answer(call, 200, "");
    }
    close_client(&bench);
}

static void tells_why_there_are_no_credentials(void **state)
{
    (void)state;
    const struct exec_config exec = plain_config();
    struct client_bench bench;
    struct asked one, two, three;
    write_script("echo not today >&2; exit 1");
    open_client(&bench, &exec);
    ask(&bench, &one, "/one");
    ask(&bench, &two, "/two");
    ask(&bench, &three, "/three");
    kube_cancel(&two.request); /* one that waits is forgotten at once */
    while (three.done == 0)
        turn(&bench);
    assert_int_equal(one.done, 1);
    assert_int_equal(two.done, 0);
    assert_non_null(strstr(one.error.text, "in cluster east: credential plugin"));
    assert_non_null(strstr(three.error.text, "status 1: not today"));
    /* Who is told may end it all. */
    ask(&bench, &one, "/one");
    ask(&bench, &two, "/two");
    one.free_client = true;
    while (one.done == 0)
        turn(&bench);
    assert_int_equal(two.done, 0);
    assert_true(fake_http_is_idle(bench.http));
    close_client(&bench);
}

static void opens_new_connections_for_new_certificates_only(void **state)
{
    (void)state;
    const struct exec_config exec = plain_config();
    struct test_certificate made = test_certificate_make(1950000000), next = test_certificate_make(1960000000);
    struct client_bench bench;
    struct asked asked;
    const struct test_certificate *turns[] = {&made, &made, &next};
    struct http_origin *origins[3];
    open_client(&bench, &exec);
    for (size_t i = 0; i < ARRAY_COUNT(turns); i++) {
        json_t *answer =
            json_pack("{s:s,s:s,s:{s:s,s:s,s:s}}", "kind", "ExecCredential", "apiVersion",
                      "client.authentication.k8s.io/v1", "status", "clientCertificateData", turns[i]->certificate,
                      "clientKeyData", turns[i]->key, "expirationTimestamp", "2020-01-01T00:00:00Z");
        char *text = json_dumps(answer, 0), script[256];
        write_file("answer", text);
        mem_free(text);
        json_decref(answer);
        (void)snprintf(script, sizeof(script), "cat '%s'", path_of("answer"));
        write_script(script);
        ask(&bench, &asked, "/p");
        struct http_call *call = taken(&bench, "GET /p");
        assert_string_equal(fake_http_certificate(call), turns[i]->certificate);
        assert_null(fake_http_header(call, "Authorization"));
        origins[i] = call->origin;
        fake_http_answer(call, 200, "");
    }
    assert_ptr_equal(origins[0], origins[1]);
    assert_ptr_not_equal(origins[1], origins[2]);
    assert_int_equal(kube_client_validity(bench.client, KUBE_CREDENTIAL_CERTIFICATE).until_us,
                     INT64_C(1960000000000000));
    close_client(&bench);
}

static void is_not_run_unless_somebody_permits_it(void **state)
{
    (void)state;
    const struct exec_config exec = plain_config();
    const struct kubeconfig config = {.server = "https://east", .exec = &exec};
    struct loop *loop = loop_new();
    struct http *http = fake_http_new(loop);
    struct kube_client *client = NULL;
    struct err error = {0};
    assert_int_equal(kube_client_new(http, loop, &config, "east", &client, &error), ERR_UNSUPPORTED);
    assert_non_null(strstr(error.text, "may not be run here: allow it with --exec-allow"));
    assert_null(client);
    http_free(http);
    loop_free(loop);
}

static int make_folder(void **state)
{
    (void)state;
    kube_setup();
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(program, sizeof(program), "%s/plugin", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const files[] = {"plugin", "seen", "answer", "new"};
    for (size_t i = 0; i < ARRAY_COUNT(files); i++)
        (void)unlink(path_of(files[i]));
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_answers),
        cmocka_unit_test(is_run_as_it_was_told),
        cmocka_unit_test(gives_certificates),
        cmocka_unit_test(says_what_is_missing),
        cmocka_unit_test(kills_what_takes_too_long),
        cmocka_unit_test(is_answered_where_nobody_hears_of_children),
        cmocka_unit_test(may_go_at_any_time),
        cmocka_unit_test(survives_failing_allocations),
        cmocka_unit_test(asks_the_plugin_when_it_must),
        cmocka_unit_test(tells_why_there_are_no_credentials),
        cmocka_unit_test(opens_new_connections_for_new_certificates_only),
        cmocka_unit_test(is_not_run_unless_somebody_permits_it),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
