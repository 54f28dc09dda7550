/* links: agent_control agent_kube agent_observe mirror health base fake_loop.c fake_http.c control_bench.c */
/* agent/control/renewal.c: tokens of targets on a clock that the test moves, with API servers that give tokens and keep Secrets. */
#include "agent/control/renewal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/kube/base64.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "tests/unit/control_bench.h"
#include "tests/unit/fake_http.h"

enum { MINUTE_MS = 60 * 1000, HOUR_S = 3600 };
static const int64_t start_s = 1787306400; /* of the bench's clock */

#define RENEW "\"svcmirror.io/renew-token\":\"24h\""
#define COPY "\"svcmirror.io/copy\":\"linkerd/cluster-credentials-east\""
#define TOKEN_PATH "/api/v1/namespaces/mc/serviceaccounts/svcmirror-remote/token"

/* What answers: a Secret, a target that gives tokens, and who wrote what. */
struct server {
    const char *annotations; /* of the Secret, JSON members */
    char kubeconfig[2048];   /* in it */
    char secret[4096];
    char copied[2048];                           /* the kubeconfig that was written to the copy, "" when none was */
    unsigned version, given, writes;             /* of the Secret; tokens; writes of it */
    int64_t gives_s;                             /* how long a token lasts, whatever was asked for; 0: as asked */
    long long asked_s;                           /* in the last TokenRequest */
    int token_status, write_status, copy_status; /* what requests are answered with; 0: well */
    const char *lie;                             /* in place of a token; NULL: one of the account */
    bool holds;                                  /* TokenRequests are not answered */
    struct bench *bench;
};

static void make_token(int64_t from_s, int64_t until_s, const char *subject, char token[512])
{
    char claims[256];
    struct strbuf encoded;
    (void)snprintf(claims, sizeof(claims), "{\"iat\":%lld,\"exp\":%lld,\"sub\":\"%s\"}", (long long)from_s,
                   (long long)until_s, subject);
    strbuf_init(&encoded, 512);
    base64_encode(&encoded, claims, strlen(claims));
    (void)snprintf(token, 512, "a.%.*s.b", (int)strcspn(strbuf_text(&encoded), "="), strbuf_text(&encoded));
    strbuf_done(&encoded);
}

static void make_kubeconfig(struct server *server, const char *token)
{
    (void)snprintf(server->kubeconfig, sizeof(server->kubeconfig),
                   "# ours\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n"
                   "clusters: [{name: c, cluster: {server: \"https://east:6443\"}}]\n"
                   "users:\n- name: u\n  user:\n    token: %s\n",
                   token);
}

/* The Secret as the API server has it. */
static const char *secret_of(struct server *server)
{
    struct strbuf encoded;
    strbuf_init(&encoded, 4096);
    base64_encode(&encoded, server->kubeconfig, strlen(server->kubeconfig));
    (void)snprintf(
        server->secret, sizeof(server->secret),
        "{\"kind\":\"Secret\",\"metadata\":{\"namespace\":\"mc\",\"name\":\"a\",\"uid\":\"u\",\"resourceVersion\":\"%"
        "u\","
        "\"annotations\":{\"mirror.linkerd.io/cluster-name\":\"east\",\"mirror.linkerd.io/"
        "remote-cluster-domain\":\"cluster.local\",\"mirror.linkerd.io/remote-cluster-l5d-ns\":\"linkerd\"%s%s}},"
        "\"type\":\"mirror.linkerd.io/remote-kubeconfig\",\"data\":{\"kubeconfig\":\"%s\"}}",
        server->version, server->annotations[0] != '\0' ? "," : "", server->annotations, strbuf_text(&encoded));
    strbuf_done(&encoded);
    return server->secret;
}

/* The bench answers a GET of the Secret from its table. */
static void publish(struct server *server)
{
    server->version++;
    (void)bench_serve(server->bench, "/api/v1/namespaces/mc/secrets/a", NULL, secret_of(server));
}

static void give_token(struct server *server, struct http_call *call)
{
    json_t *body = json_loadb(call->request_body, call->request_body_bytes, 0, NULL);
    const json_t *spec = json_object_get(body, "spec");
    char token[512], answer[700];
    server->asked_s = json_integer_value(json_object_get(spec, "expirationSeconds"));
    json_decref(body);
    if (server->holds)
        return;
    if (server->token_status != 0) {
        fake_http_answer(call, server->token_status, "{\"kind\":\"Status\",\"message\":\"no\"}");
        return;
    }
    int64_t now_s = loop_wall_us(server->bench->loop) / 1000000;
    make_token(now_s, now_s + (server->gives_s > 0 ? server->gives_s : server->asked_s),
               "system:serviceaccount:mc:svcmirror-remote", token);
    server->given++;
    (void)snprintf(answer, sizeof(answer), "{\"kind\":\"TokenRequest\",\"status\":{\"token\":\"%s\"}}",
                   server->lie != NULL ? server->lie : token);
    fake_http_answer(call, 201, answer);
}

static void read_patch(const struct http_call *call, char kubeconfig[2048], char version[32])
{
    struct arena arena;
    const char *text = "";
    size_t bytes = 0;
    json_t *body = json_loadb(call->request_body, call->request_body_bytes, 0, NULL);
    const char *named = json_string_value(json_object_get(json_object_get(body, "metadata"), "resourceVersion"));
    arena_init(&arena, 1 << 16);
    assert_int_equal(base64_decode(&arena,
                                   json_string_value(json_object_get(json_object_get(body, "data"), "kubeconfig")),
                                   &text, &bytes, NULL),
                     ERR_OK);
    (void)snprintf(kubeconfig, 2048, "%s", text);
    (void)snprintf(version, 32, "%s", named != NULL ? named : "");
    arena_done(&arena);
    json_decref(body);
}

static void write_secret(struct server *server, struct http_call *call)
{
    char version[32], now[32];
    char kubeconfig[2048];
    if (server->write_status != 0) {
        fake_http_answer(call, server->write_status, "{\"kind\":\"Status\",\"message\":\"no\"}");
        return;
    }
    read_patch(call, kubeconfig, version);
    (void)snprintf(now, sizeof(now), "%u", server->version);
    if (strcmp(version, now) != 0) {
        fake_http_answer(call, 409, "{\"kind\":\"Status\",\"reason\":\"Conflict\"}");
        return;
    }
    (void)snprintf(server->kubeconfig, sizeof(server->kubeconfig), "%s", kubeconfig);
    server->writes++;
    publish(server);
    fake_http_answer(call, 200, server->secret);
}

static bool on_write(struct bench *bench, struct http_call *call)
{
    struct server *server = bench->context;
    const char *path = fake_http_path(call);
    char version[32];
    if (strcmp(path, TOKEN_PATH) == 0)
        give_token(server, call);
    else if (strstr(path, "/namespaces/mc/secrets/a?") != NULL)
        write_secret(server, call);
    else if (strstr(path, "/namespaces/linkerd/secrets/cluster-credentials-east?") != NULL && server->copy_status != 0)
        fake_http_answer(call, server->copy_status, "{\"kind\":\"Status\",\"message\":\"no\"}");
    else if (strstr(path, "/namespaces/linkerd/secrets/cluster-credentials-east?") != NULL) {
        read_patch(call, server->copied, version);
        fake_http_answer(call, 200, "{}");
    } else
        return false;
    return true;
}

/* A link whose token was issued an hour before the start, for so long. */
static void open_link(struct bench *bench, struct server *server, const char *annotations, int64_t life_s)
{
    char token[512];
    *server = (struct server){.annotations = annotations, .bench = bench};
    make_token(start_s - HOUR_S, start_s - HOUR_S + life_s, "system:serviceaccount:mc:svcmirror-remote", token);
    make_kubeconfig(server, token);
    bench_init(bench, false);
    bench->on_write = on_write;
    bench->context = server;
    (void)bench_serve(bench, BENCH_SERVICES, "Service", "");
    publish(server);
    (void)bench_serve(bench, BENCH_SECRETS, "Secret", server->secret);
}

/* The watch shows the Secret as it is now. */
static void show(struct bench *bench, struct server *server)
{
    bench_tell(bench, BENCH_SECRETS, "MODIFIED", secret_of(server));
}

static double renewals(const struct bench *bench, const char *result)
{
    char series[128];
    (void)snprintf(series, sizeof(series), "svcmirror_token_renewals_total{target_cluster_name=\"east\",result=\"%s\"}",
                   result);
    return bench_metric(bench, series);
}

/* A token of a day is renewed when half of it is left, and again after another half day. */
static void a_token_is_renewed_at_half_of_its_life(void **state)
{
    (void)state;
    struct bench bench;
    struct server server;
    char before[2048];
    open_link(&bench, &server, RENEW, 24 * HOUR_S);
    (void)snprintf(before, sizeof(before), "%s", server.kubeconfig);
    assert_int_equal(bench_start(&bench), ERR_OK);
    bench_advance(&bench, (11 * 60 - 2) * (uint64_t)MINUTE_MS);
    assert_int_equal(server.given, 0);
    bench_advance(&bench, 4 * MINUTE_MS);
    assert_int_equal(server.given, 1);
    assert_int_equal(server.asked_s, 24 * HOUR_S);
    assert_int_equal(server.writes, 1);
    assert_true(renewals(&bench, "renewed") == 1);
    /* Nothing but the token is another one. */
    assert_int_equal(strncmp(server.kubeconfig, "# ours\n", 7), 0);
    assert_int_equal(strlen(server.kubeconfig), strlen(before));
    assert_string_not_equal(server.kubeconfig, before);
    show(&bench, &server);
    bench_advance(&bench, 11 * 60 * (uint64_t)MINUTE_MS);
    assert_int_equal(server.given, 1);
    bench_advance(&bench, 2 * 60 * (uint64_t)MINUTE_MS);
    assert_int_equal(server.given, 2);
    assert_int_equal(server.writes, 2);
    assert_int_equal(bench_event_count(&bench, "TokenRenewalFailed"), 0);
    bench_done(&bench);
}

/* A server that gives an hour to who asks for a day is asked once at the start, and then at half of what it gives. */
static void a_server_that_gives_less_is_not_asked_all_the_time(void **state)
{
    (void)state;
    struct bench bench;
    struct server server;
    open_link(&bench, &server, RENEW, HOUR_S + HOUR_S);
    server.gives_s = 2 * HOUR_S;
    assert_int_equal(bench_start(&bench), ERR_OK);
    bench_advance(&bench, 2 * MINUTE_MS);
    assert_int_equal(server.given, 1);
    show(&bench, &server);
    bench_advance(&bench, 55 * MINUTE_MS);
    assert_int_equal(server.given, 1);
    bench_advance(&bench, 10 * MINUTE_MS);
    assert_int_equal(server.given, 2);
    bench_done(&bench);
}

static void what_is_not_to_be_renewed_is_not(void **state)
{
    static const struct {
        const char *annotations, *warning;
        int64_t life_s;
    } cases[] = {
        {"", NULL, 2 * HOUR_S},    /* not asked for */
        {RENEW, NULL, HOUR_S - 1}, /* it has ended: nothing can be asked with it */
        {RENEW, NULL, 3 * HOUR_S}, /* more than half is left: the server gave less than is asked for */
        {"\"svcmirror.io/renew-token\":\"5m\"", "annotation svcmirror.io/renew-token is \"5m\"", 2 * HOUR_S},
        {"\"svcmirror.io/renew-token\":\"soon\"", "write a duration of at least 10m", 2 * HOUR_S},
        {RENEW ",\"svcmirror.io/copy\":\"../x\"", "annotation svcmirror.io/copy is", 2 * HOUR_S},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct bench bench;
        struct server server;
        open_link(&bench, &server, cases[i].annotations, cases[i].life_s);
        assert_int_equal(bench_start(&bench), ERR_OK);
        bench_advance(&bench, 5 * MINUTE_MS);
        const char *warning = target_warning(links_first(bench.control->links));
        if (server.given != 0 || server.asked_s != 0)
            fail_msg("case %zu: renewed", i);
        if (cases[i].warning == NULL ? warning[0] != '\0' : strstr(warning, cases[i].warning) == NULL)
            fail_msg("case %zu: \"%s\"", i, warning);
        bench_done(&bench);
    }
}

static void the_copy_has_the_new_token_too(void **state)
{
    static const struct {
        int copy_status;
        unsigned writes, failures;
    } cases[] = {{0, 1, 0}, {404, 1, 0}, {403, 1, 1}};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct bench bench;
        struct server server;
        open_link(&bench, &server, RENEW "," COPY, 2 * HOUR_S);
        server.copy_status = cases[i].copy_status;
        assert_int_equal(bench_start(&bench), ERR_OK);
        bench_advance(&bench, MINUTE_MS / 2);
        assert_int_equal(server.writes, cases[i].writes);
        assert_int_equal(bench_event_count(&bench, "TokenRenewalFailed"), cases[i].failures);
        if (cases[i].copy_status == 403) { /* what it lacks is written later, without another token */
            assert_string_equal(server.copied, "");
            show(&bench, &server);
            bench_advance(&bench, 2 * MINUTE_MS);
            assert_int_equal(bench_event(&bench, "TokenRenewalFailed")->repeats, 1);
            server.copy_status = 0;
            bench_advance(&bench, 4 * MINUTE_MS);
            assert_int_equal(server.given, 1);
            assert_int_equal(server.writes, 1);
        }
        if (cases[i].copy_status != 404)
            assert_string_equal(server.copied, server.kubeconfig);
        bench_done(&bench);
    }
}

/* Each failure is told, with what to do; the next try is later each time, and the first that works ends it. */
static void what_fails_is_told_and_tried_again(void **state)
{
    (void)state;
    struct bench bench;
    struct server server;
    open_link(&bench, &server, RENEW, 2 * HOUR_S);
    server.token_status = 403;
    assert_int_equal(bench_start(&bench), ERR_OK);
    bench_advance(&bench, MINUTE_MS / 2);
    assert_true(renewals(&bench, "failed") == 1);
    const struct bench_event *event = bench_event(&bench, "TokenRenewalFailed");
    assert_string_equal(event->type, "Warning");
    assert_string_equal(event->regarding, "a");
    assert_non_null(strstr(event->note, "the token for cluster east could not be renewed: create "));
    assert_non_null(strstr(event->note, "`svcmirror link` gives the right for it"));
    bench_advance(&bench, 10 * MINUTE_MS); /* after 1, 2, 4 min */
    assert_true(renewals(&bench, "failed") == 4);
    server.token_status = 0;
    server.write_status = 403;
    bench_advance(&bench, 10 * MINUTE_MS);
    assert_true(renewals(&bench, "failed") == 5);
    assert_int_equal(server.given, 1);
    server.write_status = 0;
    bench_advance(&bench, 20 * MINUTE_MS);
    assert_int_equal(server.writes, 1);
    assert_true(renewals(&bench, "renewed") == 1);
    bench_done(&bench);
}

/* In the last hour of a token that is hourly tries would be one: they come closer as its end does. */
static void tries_come_closer_towards_the_end(void **state)
{
    (void)state;
    struct bench bench;
    struct server server;
    open_link(&bench, &server, RENEW, 2 * HOUR_S);
    server.token_status = 503;
    assert_int_equal(bench_start(&bench), ERR_OK);
    bench_advance(&bench, 50 * MINUTE_MS);
    assert_true(renewals(&bench, "failed") >= 8);
    server.token_status = 0;
    bench_advance(&bench, 5 * MINUTE_MS);
    assert_true(renewals(&bench, "renewed") == 1);
    bench_done(&bench);
}

/* A target that turned answers what would be more than a token where it is put. */
static void what_is_no_token_of_the_account_is_refused(void **state)
{
    /* {"iat":1,"exp":9999999999,"sub":"system:serviceaccount:mc:svcmirror-remote"}, then of another account, then without an end */
    static const char *const lies[] = {
        "a.eyJpYXQiOjEsImV4cCI6OTk5OTk5OTk5OSwic3ViIjoic3lzdGVtOnNlcnZpY2VhY2NvdW50Om1jOnN2Y21pcnJvci1yZW1vdGUifQ.b\\n "
        " "
        "  tokenFile: /x",
        "a\\n.eyJpYXQiOjEsImV4cCI6OTk5OTk5OTk5OSwic3ViIjoic3lzdGVtOnNlcnZpY2VhY2NvdW50Om1jOnN2Y21pcnJvci1yZW1vdGUifQ.b",
        "a.eyJpYXQiOjEsImV4cCI6OTk5OTk5OTk5OSwic3ViIjoic3lzdGVtOnNlcnZpY2VhY2NvdW50Om1jOm90aGVyIn0.b",
        "a.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQ6bWM6c3ZjbWlycm9yLXJlbW90ZSJ9.b",
        "x",
        "",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(lies); i++) {
        struct bench bench;
        struct server server;
        open_link(&bench, &server, RENEW "," COPY, 2 * HOUR_S);
        server.lie = lies[i];
        assert_int_equal(bench_start(&bench), ERR_OK);
        bench_advance(&bench, MINUTE_MS / 2);
        assert_int_equal(server.given, 1);
        assert_int_equal(server.writes, 0);
        assert_string_equal(server.copied, "");
        assert_non_null(strstr(bench_event(&bench, "TokenRenewalFailed")->note, "without a token of this account"));
        bench_done(&bench);
    }
}

/* The token stands in a comment as it is, and where it counts with an escape. */
static void a_text_that_hides_its_token_is_left(void **state)
{
    (void)state;
    struct bench bench;
    struct server server;
    char token[512], hidden[1200];
    open_link(&bench, &server, RENEW, 2 * HOUR_S);
    make_token(start_s - HOUR_S, start_s + HOUR_S, "system:serviceaccount:mc:svcmirror-remote", token);
    (void)snprintf(hidden, sizeof(hidden), "\"\\x61%s\" # %s", token + 1, token); /* \x61 is its first letter */
    make_kubeconfig(&server, hidden);
    publish(&server);
    (void)bench_serve(&bench, BENCH_SECRETS, "Secret", server.secret);
    assert_int_equal(bench_start(&bench), ERR_OK);
    bench_advance(&bench, MINUTE_MS / 2);
    assert_int_equal(server.given, 1);
    assert_int_equal(server.writes, 0);
    assert_non_null(strstr(bench_event(&bench, "TokenRenewalFailed")->note, "does not hold its token in one piece"));
    bench_done(&bench);
}

/* Something applies the Secret from a file, again and again. */
static void a_token_that_is_put_back_is_told_and_left_for_an_hour(void **state)
{
    (void)state;
    struct bench bench;
    struct server server;
    char before[2048];
    open_link(&bench, &server, RENEW, 6 * HOUR_S);
    (void)snprintf(before, sizeof(before), "%s", server.kubeconfig);
    assert_int_equal(bench_start(&bench), ERR_OK);
    bench_advance(&bench, 121 * (uint64_t)MINUTE_MS);
    assert_int_equal(server.writes, 1);
    show(&bench, &server);
    bench_advance(&bench, MINUTE_MS);
    (void)snprintf(server.kubeconfig, sizeof(server.kubeconfig), "%s", before);
    publish(&server);
    show(&bench, &server);
    bench_advance(&bench, 30 * MINUTE_MS);
    assert_int_equal(server.given, 1);
    assert_int_equal(bench_event(&bench, "TokenRenewalFailed")->repeats, 0);
    assert_non_null(strstr(bench_event(&bench, "TokenRenewalFailed")->note, "leave data.kubeconfig alone"));
    bench_advance(&bench, 31 * MINUTE_MS);
    assert_int_equal(server.given, 2);
    bench_done(&bench);
}

/* `link` gave it one that lasts less long than what the agent got: it is newer, and renewed in its turn. */
static void a_shorter_token_of_somebody_is_no_old_one(void **state)
{
    (void)state;
    struct bench bench;
    struct server server;
    char token[512];
    open_link(&bench, &server, RENEW, 6 * HOUR_S);
    assert_int_equal(bench_start(&bench), ERR_OK);
    bench_advance(&bench, 121 * (uint64_t)MINUTE_MS);
    assert_int_equal(server.given, 1);
    show(&bench, &server);
    int64_t now_s = loop_wall_us(bench.loop) / 1000000;
    make_token(now_s + 1, now_s + HOUR_S, "system:serviceaccount:mc:svcmirror-remote", token);
    make_kubeconfig(&server, token);
    publish(&server);
    show(&bench, &server);
    bench_advance(&bench, 35 * MINUTE_MS);
    assert_int_equal(server.given, 2);
    assert_int_equal(bench_event_count(&bench, "TokenRenewalFailed"), 0);
    bench_done(&bench);
}

/* A changed duration is asked for at once, where the token's own is another; what comes then counts, even if it is less. */
static void another_duration_is_asked_for_at_once(void **state)
{
    (void)state;
    struct bench bench;
    struct server server;
    open_link(&bench, &server, RENEW, 24 * HOUR_S);
    assert_int_equal(bench_start(&bench), ERR_OK);
    server.annotations = "\"svcmirror.io/renew-token\":\"1440m\"";
    publish(&server);
    show(&bench, &server);
    bench_advance(&bench, 2 * MINUTE_MS);
    assert_int_equal(server.given, 0); /* it is the same one */
    server.gives_s = 36 * HOUR_S;
    server.annotations = "\"svcmirror.io/renew-token\":\"48h\"";
    publish(&server);
    show(&bench, &server);
    bench_advance(&bench, 2 * MINUTE_MS);
    assert_int_equal(server.given, 1);
    assert_int_equal(server.asked_s, 48 * HOUR_S);
    show(&bench, &server);
    bench_advance(&bench, 60 * MINUTE_MS);
    assert_int_equal(server.given, 1);
    bench_done(&bench);
}

/* Somebody ran `link` meanwhile: its token is not written over. */
static void a_secret_that_changes_meanwhile_wins(void **state)
{
    (void)state;
    struct bench bench;
    struct server server;
    char token[512];
    open_link(&bench, &server, RENEW, 2 * HOUR_S);
    server.version = 7; /* the one that the GET shows is older */
    assert_int_equal(bench_start(&bench), ERR_OK);
    bench_advance(&bench, MINUTE_MS / 2);
    assert_int_equal(server.given, 1);
    assert_int_equal(server.writes, 0);
    assert_int_equal(bench_event_count(&bench, "TokenRenewalFailed"), 0);
    make_token(start_s, start_s + 48 * HOUR_S, "system:serviceaccount:mc:svcmirror-remote", token);
    make_kubeconfig(&server, token);
    publish(&server);
    /* Not in use before the watch shows it: nothing is asked for. */
    bench_advance(&bench, 2 * MINUTE_MS);
    assert_int_equal(server.given, 1);
    show(&bench, &server);
    bench_advance(&bench, 60 * MINUTE_MS);
    assert_int_equal(server.given, 1);
    bench_done(&bench);
}

/* New credentials, or the link's end, while the target is being asked. */
static void what_is_under_way_ends_with_its_client(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct bench bench;
        struct server server;
        char token[512];
        open_link(&bench, &server, RENEW, 2 * HOUR_S);
        server.holds = true;
        assert_int_equal(bench_start(&bench), ERR_OK);
        bench_advance(&bench, MINUTE_MS / 4);
        assert_int_equal(server.asked_s, 24 * HOUR_S);
        server.asked_s = 0;
        server.holds = false;
        make_token(start_s - 2 * HOUR_S, start_s + HOUR_S, "system:serviceaccount:mc:svcmirror-remote", token);
        make_kubeconfig(&server, token);
        publish(&server);
        if (i == 0) {
            show(&bench, &server);
            bench_advance(&bench, 3 * MINUTE_MS);
            assert_int_equal(server.given, 1); /* the new one is renewed in its turn */
        } else if (i == 1) {
            bench_tell(&bench, BENCH_SECRETS, "DELETED", secret_of(&server));
            bench_advance(&bench, 3 * MINUTE_MS);
            assert_int_equal(server.given, 0);
        }
        bench_done(&bench);
    }
}

static void tokens_of_others_are_left(void **state)
{
    (void)state;
    struct bench bench;
    struct server server;
    char token[512];
    open_link(&bench, &server, RENEW, 2 * HOUR_S);
    make_token(start_s - HOUR_S, start_s + HOUR_S, "somebody", token);
    make_kubeconfig(&server, token);
    publish(&server);
    (void)bench_serve(&bench, BENCH_SECRETS, "Secret", server.secret);
    assert_int_equal(bench_start(&bench), ERR_OK);
    bench_advance(&bench, MINUTE_MS / 2);
    assert_int_equal(server.given, 0);
    assert_non_null(strstr(bench_event(&bench, "TokenRenewalFailed")->note, "the token is no service account's"));
    bench_done(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_renewed_at_half_of_its_life),
        cmocka_unit_test(a_server_that_gives_less_is_not_asked_all_the_time),
        cmocka_unit_test(what_is_not_to_be_renewed_is_not),
        cmocka_unit_test(the_copy_has_the_new_token_too),
        cmocka_unit_test(what_fails_is_told_and_tried_again),
        cmocka_unit_test(tries_come_closer_towards_the_end),
        cmocka_unit_test(what_is_no_token_of_the_account_is_refused),
        cmocka_unit_test(a_text_that_hides_its_token_is_left),
        cmocka_unit_test(a_token_that_is_put_back_is_told_and_left_for_an_hour),
        cmocka_unit_test(a_shorter_token_of_somebody_is_no_old_one),
        cmocka_unit_test(another_duration_is_asked_for_at_once),
        cmocka_unit_test(a_secret_that_changes_meanwhile_wins),
        cmocka_unit_test(what_is_under_way_ends_with_its_client),
        cmocka_unit_test(tokens_of_others_are_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
