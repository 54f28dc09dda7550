/* links: agent_admin agent_control agent_kube agent_net agent_observe agent_loop mirror health base descriptors.c http_bench.c fake_server.c fake_dns.c fake_gateway.c */
/* What makes descriptors, while there are none: each of the parts that do, over real sockets, files and programs, with each of its descriptors
 * refused. What goes wrong says so by the system's name for it, and works as soon as there are descriptors again. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/admin/listener.h"
#include "agent/admin/server.h"
#include "agent/control/identity.h"
#include "agent/kube/exec_plugin.h"
#include "agent/kube/list_watch.h"
#include "agent/kube/setup.h"
#include "agent/net/probe.h"
#include "agent/observe/process.h"
#include "tests/unit/descriptors.h"
#include "tests/unit/fake_gateway.h"
#include "tests/unit/http_bench.h"

enum { PATIENCE_MS = 20000 };

static char folder[] = "/tmp/test_descriptors_XXXXXX";

static const char *path_of(const char *name)
{
    static char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

/* An error is to name its cause. c-ares and libmicrohttpd do not; the resolver looks whether there is a descriptor by then, and the admin server
 * names both causes that it can have. */
static enum err_code clean(const struct err *error)
{
    static const char *const WORDS[] = {"Too many open files", "Could not contact DNS servers",
                                        "or of file descriptors"};
    for (size_t i = 0; i < ARRAY_COUNT(WORDS); i++)
        if (strstr(error->text, WORDS[i]) != NULL)
            return error->code;
    fail_msg("in want of descriptors the error is %s: %s", err_code_name(error->code), error->text);
    return error->code;
}

/* ---- the stand-ins ---- */

static void every_call_is_stood_in_for(void **state)
{
    (void)state;
    int fds[2];
    unsigned long before = descriptors_count();
    unsigned open_before = descriptors_open();
    descriptors_fail_at(1, 3);
    errno = 0;
    assert_int_equal(open("/dev/null", O_RDONLY | O_CLOEXEC), -1);
    assert_int_equal(errno, EMFILE);
    assert_null(fopen("/dev/null", "re"));
    assert_int_equal(pipe2(fds, O_CLOEXEC), -1);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0); /* the fourth */
    descriptors_fail_at(0, 0);
    assert_int_equal(descriptors_count() - before, 4);
    assert_int_equal(descriptors_open(), open_before + 2);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

static enum err_code leak_one(void *context)
{
    int *kept = context;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), other = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && other >= 0)
        (void)close(fd);
    else
        *kept = fd; /* the mistake: what there is when the second fails is forgotten */
    (void)close(other);
    return ERR_OK;
}

/* What the sweep goes by. */
static void a_leak_is_found(void **state)
{
    (void)state;
    int kept = -1;
    unsigned before = descriptors_open();
    descriptors_fail_at(2, 1);
    assert_int_equal(leak_one(&kept), ERR_OK);
    descriptors_fail_at(0, 0);
    assert_int_equal(descriptors_open(), before + 1);
    (void)close(kept);
}

/* ---- the loop ---- */

static void on_signal(void *context) { (void)context; }

static enum err_code make_loop(void)
{
    errno = 0;
    struct loop *loop = loop_new();
    enum err_code code = loop != NULL ? loop_on_signal(loop, SIGUSR1, on_signal, NULL) : ERR_NOMEM;
    assert_true(code == ERR_OK || errno == EMFILE); /* agent/commands/run.c names it */
    loop_free(loop);
    return code;
}

/* With room for so many, and not with the n-th refused: libev aborts where it gets none for its signals, and the loop looks whether there is one
 * right before that. */
static void a_loop(void **state)
{
    (void)state;
    struct rlimit before;
    unsigned open_before = descriptors_open(), room = 0;
    int first_free = dup(STDERR_FILENO);
    (void)close(first_free);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    enum err_code code = ERR_IO;
    for (; code != ERR_OK; room++) {
        const struct rlimit little = {.rlim_cur = (rlim_t)first_free + room, .rlim_max = before.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &little), 0);
        code = make_loop();
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_int_equal(descriptors_open(), open_before);
    }
    assert_in_range(room - 1, 2, 8); /* so many it needs */
}

/* ---- names and HTTP ---- */

/* From nothing: a resolver, an engine, an origin by name, two calls. */
static enum err_code ask(void *context)
{
    struct http_bench *bench = context;
    struct asked one = {.call.timeout_ms = 5000}, two = {.call.timeout_ms = 5000, .streams = true};
    struct asked *const both[] = {&one, &two};
    struct http_origin *origin = NULL;
    struct err error = {0};
    char url[64];
    (void)snprintf(url, sizeof(url), "http://east.example.test:%u", bench->server.port);
    struct dns *dns = dns_new(bench->loop, bench->names.server, &error);
    struct http *http = dns != NULL ? http_new(bench->loop, dns, &error) : NULL;
    if (http != NULL &&
        http_origin_new(http, &(struct http_origin_config){.base_url = url}, &origin, &error) == ERR_OK) {
        for (size_t i = 0; i < ARRAY_COUNT(both); i++)
            http_bench_start_on(bench, origin, both[i], "/p");
        http_bench_await(bench, ARRAY_COUNT(both));
    }
    for (size_t i = 0; i < ARRAY_COUNT(both); i++) {
        if (both[i]->finished > 0 && both[i]->error.code == ERR_OK)
            http_bench_expect_ok(both[i], 200, "hello");
        else if (both[i]->finished > 0)
            error = both[i]->error;
        http_call_done(&both[i]->call);
    }
    http_origin_free(origin);
    http_free(http);
    dns_free(dns);
    fake_server_end_connections(&bench->server, false); /* their other ends are this process's, too */
    return error.code != ERR_OK ? clean(&error) : ERR_OK;
}

static void names_and_calls(void **state)
{
    (void)state;
    struct http_bench bench;
    http_bench_open(&bench);
    bench.names.records[0] =
        (struct fake_dns_record){.name = "east.example.test", .addresses = "127.0.0.1", .ttl_s = 5};
    unsigned long used = sweep_descriptors(ask, &bench);
    print_message("%lu descriptors\n", used);
    assert_true(used >= 3);
    http_bench_done(&bench);
}

/* ---- a collection that is followed ---- */

struct follower {
    struct http_bench *bench;
    struct loop_timer *patience;
    const char *token_file;
    unsigned listed, added, ends, down;
    struct err error;
};

#define ADDED                                                                                                          \
    "{\"type\":\"ADDED\",\"object\":{\"kind\":\"Service\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"b\","         \
    "\"resourceVersion\":\"8\"}}}\n"
#define HEAD "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
#define LIST                                                                                                           \
    "{\"kind\":\"ServiceList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"7\"},\"items\":[{"            \
    "\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"5\"}}]}"

static void serve_collection(struct fake_server_connection *connection, void *context)
{
    (void)context;
    static char list[1024], watch[1024];
    if (list[0] == '\0') {
        (void)snprintf(list, sizeof(list), HEAD "Content-Length: %zu\r\n\r\n%s", strlen(LIST), LIST);
        (void)snprintf(watch, sizeof(watch), HEAD "Transfer-Encoding: chunked\r\n\r\n%zx\r\n%s\r\n", strlen(ADDED),
                       ADDED);
    }
    fake_server_send(connection, strstr(connection->server->last_request, "watch=1") != NULL ? watch : list);
}

static enum err_code on_object(void *context, enum change change, const struct json_tree *object)
{
    (void)object;
    struct follower *follower = context;
    follower->listed += change == CHANGE_LISTED;
    follower->added += change == CHANGE_ADDED;
    if (follower->added > 0)
        loop_stop(follower->bench->loop);
    return ERR_OK;
}

static void on_begin(void *context) { ((struct follower *)context)->listed = 0; }

static void on_end(void *context) { ((struct follower *)context)->ends++; }

static void on_state(void *context, const struct list_watch_state *state)
{
    struct follower *follower = context;
    if (state->healthy || state->error.code == ERR_OK)
        return;
    follower->down++;
    follower->error = state->error;
    loop_stop(follower->bench->loop);
}

static void on_follower_patience(void *context)
{
    (void)context;
    fail_msg("neither followed nor told why not in %d ms", PATIENCE_MS);
}

/* The same list_watch that met the want goes on by itself once there are descriptors. */
static enum err_code follow(void *context)
{
    struct follower *follower = context;
    struct http_bench *bench = follower->bench;
    struct kube_client *client = NULL;
    struct list_watch *watch = NULL;
    struct err error = {0};
    const struct kubeconfig kubeconfig = {.server = bench->url, .token_file = follower->token_file};
    const struct list_watch_config config = {.resource = "services",
                                             .kind = "Service",
                                             .path = "/api/v1/services",
                                             .on_object = on_object,
                                             .on_begin = on_begin,
                                             .on_end = on_end,
                                             .on_state = on_state,
                                             .context = follower};
    follower->listed = follower->added = follower->ends = follower->down = 0;
    follower->error = (struct err){0};
    enum err_code code = kube_client_new(bench->http, bench->loop, &kubeconfig, "east", &client, &error);
    if (code == ERR_OK)
        code = list_watch_new(bench->loop, client, &config, &watch, &error);
    if (code == ERR_OK) {
        loop_timer_start(follower->patience, PATIENCE_MS);
        loop_run(bench->loop);
        code = follower->error.code;
        error = follower->error;
    }
    if (watch != NULL && follower->down > 0) {
        follower->down = 0;
        descriptors_fail_at(0, 0);
        list_watch_retry_now(watch);
        loop_run(bench->loop);
        assert_int_equal(follower->down, 0);
    }
    if (watch != NULL)
        assert_true(follower->listed == 1 && follower->ends == 1 && follower->added == 1);
    loop_timer_stop(follower->patience);
    list_watch_free(watch);
    kube_client_free(client);
    fake_server_end_connections(&bench->server, false);
    return code != ERR_OK ? clean(&error) : ERR_OK;
}

static void a_collection(void **state)
{
    (void)state;
    struct http_bench bench;
    char token_file[128];
    http_bench_open(&bench);
    bench.server.on_request = serve_collection;
    (void)snprintf(token_file, sizeof(token_file), "%s", path_of("token"));
    struct follower follower = {.bench = &bench,
                                .patience = loop_timer_new(bench.loop, on_follower_patience, NULL),
                                .token_file = token_file};
    unsigned long used = sweep_descriptors(follow, &follower);
    print_message("%lu descriptors\n", used);
    assert_true(used >= 2); /* a token, and a connection */
    loop_timer_free(follower.patience);
    http_bench_done(&bench);
}

/* ---- kubeconfigs and credential plugins ---- */

static enum err_code load_kubeconfig(void *context)
{
    (void)context;
    struct arena arena;
    struct kubeconfig config;
    struct err error = {0};
    arena_init(&arena, 1 << 20);
    enum err_code code = kubeconfig_load(&arena, path_of("kubeconfig"), NULL, &config, &error);
    arena_done(&arena);
    return code != ERR_OK ? clean(&error) : ERR_OK;
}

static void a_kubeconfig(void **state)
{
    (void)state;
    assert_true(sweep_descriptors(load_kubeconfig, NULL) >= 1);
}

struct plugin_bench {
    struct loop *loop;
    struct loop_timer *patience;
    struct exec_config config;
    char token[32];
    struct err error;
};

static void on_answer(void *context, const struct exec_credential *answer, const struct err *error)
{
    struct plugin_bench *bench = context;
    (void)snprintf(bench->token, sizeof(bench->token), "%s", answer != NULL ? answer->token : "");
    bench->error = error != NULL ? *error : (struct err){0};
    loop_stop(bench->loop);
}

static enum err_code run_plugin(void *context)
{
    struct plugin_bench *bench = context;
    struct exec_plugin *plugin = NULL;
    struct err error = {0};
    bench->token[0] = '\0';
    enum err_code code = exec_plugin_new(bench->loop, &bench->config, false, on_answer, bench, &plugin, &error);
    if (code == ERR_OK) {
        loop_timer_start(bench->patience, PATIENCE_MS);
        exec_plugin_start(plugin);
        loop_run(bench->loop);
        loop_timer_stop(bench->patience);
        code = bench->error.code;
        error = bench->error;
    }
    exec_plugin_free(plugin);
    if (code == ERR_OK)
        assert_string_equal(bench->token, "t");
    return code != ERR_OK ? clean(&error) : ERR_OK;
}

static void a_credential_plugin(void **state)
{
    (void)state;
    static char program[128];
    static const char *argv[] = {program, NULL}, *const env[] = {NULL};
    (void)snprintf(program, sizeof(program), "%s", path_of("plugin"));
    struct plugin_bench bench = {.loop = loop_new(),
                                 .config = {.api_version = "client.authentication.k8s.io/v1",
                                            .command = program,
                                            .argv = argv,
                                            .env = env,
                                            .mode = EXEC_NEVER_ASKS}};
    bench.patience = loop_timer_new(bench.loop, on_follower_patience, NULL);
    unsigned long used = sweep_descriptors(run_plugin, &bench);
    print_message("%lu descriptors\n", used);
    assert_true(used >= 3); /* two pipes, and its end */
    loop_timer_free(bench.patience);
    loop_free(bench.loop);
}

/* ---- probes ---- */

struct probe_bench {
    struct loop *loop;
    struct http *http;
    struct loop_timer *patience;
    struct fake_gateway gateway;
    struct probe_observation seen;
};

static void on_result(void *context, uint32_t id, const struct probe_observation *seen)
{
    (void)id;
    struct probe_bench *bench = context;
    bench->seen = *seen;
    loop_stop(bench->loop);
}

static void on_lost(void *context, const char *how)
{
    (void)context;
    (void)how;
}

/* It is never taken for the gateway's fault. */
static enum err_code probe(void *context)
{
    struct probe_bench *bench = context;
    struct probe_link *link = NULL;
    uint32_t id = 0;
    const struct probe_link_config config = {
        .ip = "127.0.0.1", .port = bench->gateway.port, .path = "/", .host = "h", .timeout_ms = 3000};
    const struct probe_callbacks callbacks = {.on_result = on_result, .on_connection_lost = on_lost, .context = bench};
    TRY(probe_link_new(bench->http, &config, &callbacks, &link, NULL));
    enum err_code code = probe_link_send(link, &id, NULL);
    if (code == ERR_OK) {
        loop_timer_start(bench->patience, PATIENCE_MS);
        loop_run(bench->loop);
        loop_timer_stop(bench->patience);
        if (bench->seen.end != PROBE_ANSWERED && bench->seen.end != PROBE_INTERNAL)
            fail_msg("want of descriptors is taken for end %d of the gateway", (int)bench->seen.end);
        code = bench->seen.end == PROBE_ANSWERED ? ERR_OK : ERR_IO;
    }
    probe_link_free(link);
    fake_gateway_end_connections(&bench->gateway, FAKE_CLOSE); /* their other ends are this process's, too */
    return code;
}

static void a_probe(void **state)
{
    (void)state;
    struct probe_bench bench = {.loop = loop_new()};
    bench.http = http_new(bench.loop, NULL, NULL);
    bench.patience = loop_timer_new(bench.loop, on_follower_patience, NULL);
    fake_gateway_init(&bench.gateway, bench.loop, false);
    unsigned long used = sweep_descriptors(probe, &bench);
    print_message("%lu descriptors\n", used);
    assert_true(used >= 1);
    fake_gateway_done(&bench.gateway);
    loop_timer_free(bench.patience);
    http_free(bench.http);
    loop_free(bench.loop);
}

/* ---- the rest of the process ---- */

static void serve_nothing(void *context, const struct admin_request *request, struct admin_response *response)
{
    (void)context;
    (void)request;
    (void)response;
}

static enum err_code serve(void *context)
{
    static const struct admin_route ROUTES[] = {{"/", serve_nothing}, {0}};
    struct admin_server *server = NULL;
    struct err error = {0};
    enum err_code code = admin_server_new(context, "127.0.0.1:0", ROUTES, NULL, &server, &error);
    admin_server_free(server);
    return code != ERR_OK ? clean(&error) : ERR_OK;
}

static void an_admin_server(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    unsigned long used = sweep_descriptors(serve, loop);
    print_message("%lu descriptors\n", used);
    assert_true(used >= 2);
    loop_free(loop);
}

/* An identity whose end nobody can prove is one all the same. */
static enum err_code identify(void *context)
{
    (void)context;
    struct identity *identity = identity_new("one");
    assert_non_null(identity);
    assert_true(strncmp(identity_text(identity), "one_", 4) == 0);
    identity_free(identity);
    return ERR_OK;
}

static void an_identity(void **state)
{
    (void)state;
    assert_true(sweep_descriptors(identify, NULL) >= 2);
}

/* A scrape without them leaves out what it would read from /proc, or has it as of the last. */
static enum err_code scrape(void *context)
{
    (void)context;
    struct process_metrics *process = NULL;
    struct metrics *metrics = metrics_new();
    struct strbuf text;
    strbuf_init(&text, 64 << 10);
    assert_int_equal(process_metrics_new(metrics, "1", &process), ERR_OK);
    metrics_write(metrics, &text);
    assert_non_null(strstr(strbuf_text(&text), "process_max_fds"));
    strbuf_done(&text);
    metrics_free(metrics);
    process_metrics_free(process);
    return ERR_OK;
}

static void a_scrape(void **state)
{
    (void)state;
    assert_true(sweep_descriptors(scrape, NULL) >= 2);
}

/* ---- */

static void write_file(const char *name, const char *text, mode_t mode)
{
    FILE *file = fopen(path_of(name), "we");
    assert_non_null(file);
    (void)fputs(text, file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path_of(name), mode), 0);
}

static int make_files(void **state)
{
    (void)state;
    kube_setup();
    if (mkdtemp(folder) == NULL)
        return -1;
    write_file("token", "t", 0600);
    write_file("kubeconfig",
               "current-context: c\n"
               "contexts: [{name: c, context: {cluster: c, user: u}}]\n"
               "clusters: [{name: c, cluster: {server: 'https://east:6443'}}]\n"
               "users: [{name: u, user: {tokenFile: token}}]\n",
               0600);
    write_file("plugin",
               "#!/bin/sh\n"
               "echo '{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1\","
               "\"status\":{\"token\":\"t\"}}'\n",
               0700);
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    static const char *const NAMES[] = {"token", "kubeconfig", "plugin"};
    for (size_t i = 0; i < ARRAY_COUNT(NAMES); i++)
        (void)unlink(path_of(NAMES[i]));
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_is_stood_in_for),
        cmocka_unit_test(a_leak_is_found),
        cmocka_unit_test(a_loop),
        cmocka_unit_test(names_and_calls),
        cmocka_unit_test(a_collection),
        cmocka_unit_test(a_kubeconfig),
        cmocka_unit_test(a_credential_plugin),
        cmocka_unit_test(a_probe),
        cmocka_unit_test(an_admin_server),
        cmocka_unit_test(an_identity),
        cmocka_unit_test(a_scrape),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
