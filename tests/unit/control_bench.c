#include "tests/unit/control_bench.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/net/probe.h"
#include "base/mem.h"
#include "tests/unit/fake_http.h"
#include "tests/unit/fake_loop.h"

/* ---- a resolver that waits for the test ---- */

enum { MAX_QUERIES = 8 };

static struct question {
    struct dns_query *query; /* NULL: free */
    char host[128];
} questions[MAX_QUERIES];

enum err_code dns_start(struct dns *dns, struct dns_query *query, const char *host, struct err *reterr)
{
    (void)dns;
    for (unsigned i = 0; i < MAX_QUERIES; i++) {
        if (questions[i].query != NULL)
            continue;
        questions[i].query = query;
        (void)snprintf(questions[i].host, sizeof(questions[i].host), "%s", host);
        return ERR_OK;
    }
    return err_set(reterr, ERR_LIMIT, "too many questions");
}

void dns_cancel(struct dns_query *query)
{
    for (unsigned i = 0; i < MAX_QUERIES; i++)
        if (questions[i].query == query)
            questions[i].query = NULL;
}

void bench_resolve(const char *host, const char *address)
{
    struct dns_answer answer = {.count = 1, .ttl_ms = 5000};
    struct err error = {0};
    (void)snprintf(answer.addresses[0], sizeof(answer.addresses[0]), "%s", address != NULL ? address : "");
    (void)err_set(&error, ERR_RESOLVE, "resolve %s: no such name", host);
    for (unsigned i = 0; i < MAX_QUERIES; i++) {
        struct dns_query *query = questions[i].query;
        if (query == NULL || strcmp(questions[i].host, host) != 0)
            continue;
        questions[i].query = NULL;
        query->on_done(query, address != NULL ? &answer : NULL, address != NULL ? NULL : &error);
    }
}

/* ---- probes that are answered as the test says ---- */

enum { MAX_ANSWERS = 8, MAX_PENDING = 16 };

struct probe_link {
    struct probe_callbacks callbacks;
    char ip[64];
    uint32_t sent;
    uint32_t pending[MAX_PENDING]; /* 0: free */
    struct probe_link *next;
};

static struct probe_link *probe_links;

static struct {
    char ip[64];
    bool silent;
    struct probe_observation observation;
} answers[MAX_ANSWERS];

enum err_code probe_link_new(struct http *http, const struct probe_link_config *config,
                             const struct probe_callbacks *callbacks, struct probe_link **ret_link, struct err *reterr)
{
    (void)http;
    struct probe_link *link = NEW(struct probe_link);
    if (link == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    link->callbacks = *callbacks;
    (void)snprintf(link->ip, sizeof(link->ip), "%s", config->ip);
    link->next = probe_links;
    probe_links = link;
    *ret_link = link;
    return ERR_OK;
}

enum err_code probe_link_send(struct probe_link *link, uint32_t *ret_id, struct err *reterr)
{
    (void)reterr;
    *ret_id = ++link->sent;
    link->pending[link->sent % MAX_PENDING] = link->sent;
    return ERR_OK;
}

void probe_link_free(struct probe_link *link)
{
    struct probe_link **at = &probe_links;
    if (link == NULL)
        return;
    while (*at != link)
        at = &(*at)->next;
    *at = link->next;
    mem_free(link);
}

unsigned bench_probed(void)
{
    unsigned count = 0;
    for (const struct probe_link *link = probe_links; link != NULL; link = link->next)
        count++;
    return count;
}

void bench_probes_see(const char *ip, const struct probe_observation *answer)
{
    unsigned i = 0;
    while (answers[i].ip[0] != '\0' && strcmp(answers[i].ip, ip) != 0)
        assert_true(++i < MAX_ANSWERS);
    (void)snprintf(answers[i].ip, sizeof(answers[i].ip), "%s", ip);
    answers[i].silent = answer == NULL;
    if (answer != NULL)
        answers[i].observation = *answer;
}

static const struct probe_observation *answer_for(const char *ip)
{
    for (unsigned i = 0; i < MAX_ANSWERS; i++)
        if (strcmp(answers[i].ip, ip) == 0 && !answers[i].silent)
            return &answers[i].observation;
    return NULL;
}

static void answer_probes(void)
{
    for (struct probe_link *link = probe_links; link != NULL; link = link->next)
        for (unsigned i = 0; answer_for(link->ip) != NULL && i < MAX_PENDING; i++) {
            uint32_t id = link->pending[i];
            link->pending[i] = 0;
            if (id != 0)
                link->callbacks.on_result(link->callbacks.context, id, answer_for(link->ip));
        }
}

/* ---- API servers ---- */

/* The listing with the longest path that the request begins with. */
static struct bench_listing *find_listing(struct bench *bench, const char *path)
{
    struct bench_listing *best = NULL;
    for (unsigned i = 0; i < BENCH_LISTINGS && bench->listings[i].path != NULL; i++) {
        struct bench_listing *listing = &bench->listings[i];
        if (strncmp(path, listing->path, strlen(listing->path)) == 0 &&
            (best == NULL || strlen(listing->path) > strlen(best->path)))
            best = listing;
    }
    return best;
}

struct bench_listing *bench_serve(struct bench *bench, const char *path, const char *kind, const char *items)
{
    unsigned i = 0;
    while (i < BENCH_LISTINGS && bench->listings[i].path != NULL && strcmp(bench->listings[i].path, path) != 0)
        i++;
    assert_true(i < BENCH_LISTINGS);
    bench->listings[i].path = path;
    bench->listings[i].kind = kind;
    bench->listings[i].status = 200;
    bench->listings[i].items = items;
    return &bench->listings[i];
}

/* Not from base/mem: what the test says is no allocation of the agent's. */
static char *format(const char *format, ...) PRINTF_LIKE(1, 2);
static char *format(const char *format, ...)
{
    va_list arguments;
    char *text = NULL;
    va_start(arguments, format);
    assert_true(vasprintf(&text, format, arguments) >= 0);
    va_end(arguments);
    return text;
}

static void answer_list(const struct bench_listing *listing, struct http_call *call)
{
    if (listing->status != 200) {
        fake_http_answer(call, listing->status, "{\"kind\":\"Status\"}");
        return;
    }
    if (listing->begin_only != NULL) {
        char *begin = format("{\"items\":[%s,", listing->begin_only);
        if (fake_http_head(call, 200, "application/json"))
            (void)fake_http_data(call, begin);
        free(begin);
        return;
    }
    char *body = format("{\"kind\":\"%sList\",\"metadata\":{\"resourceVersion\":\"5\"},\"items\":[%s]}", listing->kind,
                        listing->items);
    fake_http_answer(call, 200, body);
    free(body);
}

static void copy_text(char *buffer, size_t bytes, const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    (void)snprintf(buffer, bytes, "%s", text != NULL ? text : "");
}

static void keep_event(struct bench *bench, const struct http_call *call)
{
    json_t *json = json_loadb(call->request_body, call->request_body_bytes, 0, NULL);
    if (json == NULL || bench->event_count == BENCH_EVENTS) {
        json_decref(json);
        return;
    }
    struct bench_event *event = &bench->events[bench->event_count++];
    copy_text(event->name, sizeof(event->name), json_object_get(json, "metadata"), "name");
    copy_text(event->reason, sizeof(event->reason), json, "reason");
    copy_text(event->type, sizeof(event->type), json, "type");
    copy_text(event->note, sizeof(event->note), json, "note");
    copy_text(event->regarding, sizeof(event->regarding), json_object_get(json, "regarding"), "name");
    json_decref(json);
}

static void count_event_up(struct bench *bench, const char *path)
{
    const char *name = strrchr(path, '/') + 1;
    for (unsigned i = 0; i < bench->event_count; i++)
        bench->events[i].repeats += strcmp(bench->events[i].name, name) == 0 ? 1 : 0;
}

static void keep_status(struct bench *bench, const struct http_call *call)
{
    size_t bytes = call->request_body_bytes;
    size_t end = bytes < sizeof(bench->status_end) ? bytes : sizeof(bench->status_end) - 1;
    bench->status_writes++;
    bench->status_bytes = bytes;
    (void)snprintf(bench->status, sizeof(bench->status), "%.*s", (int)bytes, call->request_body);
    (void)snprintf(bench->status_end, sizeof(bench->status_end), "%.*s", (int)end, call->request_body + bytes - end);
}

/* @return NULL: it is not refused. */
static const struct bench_refusal *refusal_of(const struct bench *bench, const char *method, const char *path)
{
    for (unsigned i = 0; i < BENCH_REFUSALS; i++) {
        const struct bench_refusal *refusal = &bench->refusals[i];
        if (refusal->path != NULL && strcmp(refusal->method, method) == 0 && strstr(path, refusal->path) != NULL)
            return refusal;
    }
    return NULL;
}

static void accept_write(struct bench *bench, struct http_call *call)
{
    const char *path = fake_http_path(call);
    if (bench->on_write != NULL && bench->on_write(bench, call))
        return;
    if (strstr(path, "/events/") != NULL) {
        count_event_up(bench, path);
    } else if (strstr(path, "/events") != NULL) {
        keep_event(bench, call);
    } else if (strstr(path, "/status") != NULL) {
        keep_status(bench, call);
        bench->held_status = call;
        if (bench->holds_statuses)
            return;
    } else if (strstr(path, "/links/") != NULL) {
        bench->link_patches++;
        (void)snprintf(bench->link_patch, sizeof(bench->link_patch), "%.*s", (int)call->request_body_bytes,
                       call->request_body);
        fake_http_answer(call, bench->link_patch_status != 0 ? bench->link_patch_status : 200, "{\"kind\":\"Status\"}");
        return;
    } else {
        const struct bench_refusal *refusal = refusal_of(bench, call->method, path);
        size_t length = strlen(bench->writes);
        (void)snprintf(bench->writes + length, sizeof(bench->writes) - length,
                       refusal != NULL ? "%s %s %d, " : "%s %s, ", call->method, path,
                       refusal != NULL ? refusal->status : 0);
        if (refusal != NULL) {
            char *body =
                format("{\"kind\":\"Status\",\"reason\":\"%s\"}", refusal->reason != NULL ? refusal->reason : "");
            fake_http_answer(call, refusal->status, body);
            free(body);
            return;
        }
    }
    fake_http_answer(call, 200, "{}");
}

static void answer_get(struct bench_listing *listing, struct http_call *call)
{
    listing->asked++;
    if (listing->kind == NULL)
        fake_http_answer(call, listing->status, listing->items);
    else
        answer_list(listing, call);
}

static void answer(struct bench *bench, struct http_call *call)
{
    /* A watch that never says anything is distrusted. */
    static const char bookmark[] = "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"5\"}}}\n";
    const char *path = fake_http_path(call);
    struct bench_listing *listing = find_listing(bench, path);
    if (call->method != NULL && strcmp(call->method, "GET") != 0)
        accept_write(bench, call);
    else if (listing == NULL)
        fake_http_answer(call, 404, "{\"kind\":\"Status\"}");
    else if (listing->kind == NULL || strstr(path, "watch=") == NULL || listing->status != 200)
        answer_get(listing, call);
    else if (fake_http_head(call, 200, "application/json") && fake_http_data(call, bookmark))
        listing->watch = call;
}

/* Until nothing is asked, nor will be at this time: one turn leads to the next one. */
static void settle(struct bench *bench)
{
    enum { QUIET_TURNS = 3 };
    for (unsigned quiet = 0; quiet < QUIET_TURNS; quiet++) {
        for (; !fake_http_is_idle(bench->http); quiet = 0)
            answer(bench, fake_http_take(bench->http, "*"));
        answer_probes();
        fake_loop_advance(bench->loop, 0);
    }
}

void bench_advance(struct bench *bench, uint64_t ms)
{
    enum { STEP_MS = 50 };
    settle(bench);
    for (uint64_t passed = 0; passed < ms; passed += STEP_MS) {
        fake_loop_advance(bench->loop, STEP_MS);
        settle(bench);
    }
}

void bench_tell(struct bench *bench, const char *path, const char *type, const char *object)
{
    struct bench_listing *listing = find_listing(bench, path);
    assert_non_null(listing);
    assert_non_null(listing->watch);
    char *event = format("{\"type\":\"%s\",\"object\":%s}\n", type, object);
    (void)fake_http_data(listing->watch, event);
    free(event);
    bench_advance(bench, 0);
}

/* ---- life ---- */

/* Without kube_setup(): jansson 2.14 itself crashes when some of its allocations fail. */
void bench_init(struct bench *bench, bool serves_links)
{
    memset(bench, 0, sizeof(*bench));
    memset(questions, 0, sizeof(questions));
    memset(answers, 0, sizeof(answers));
    bench->loop = loop_new();
    bench->http = fake_http_new(bench->loop);
    bench->metrics = metrics_new();
    assert_non_null(bench->metrics);
    (void)bench_serve(bench, BENCH_MIRRORS, "Service", "");
    (void)bench_serve(bench, "/apis/discovery.k8s.io/v1/endpointslices?", "EndpointSlice", "");
    (void)bench_serve(bench, "/api/v1/namespaces?", "Namespace", "");
    (void)bench_serve(bench, BENCH_SECRETS, "Secret", "");
    (void)bench_serve(bench, BENCH_SERVICES, "Service", "");
    if (!serves_links)
        return;
    (void)bench_serve(bench, "/apis/multicluster.linkerd.io", NULL,
                      "{\"kind\":\"APIGroup\",\"versions\":[{\"version\":\"v1alpha3\"}]}");
    (void)bench_serve(bench, "/apis/multicluster.linkerd.io/v1alpha3", NULL,
                      "{\"kind\":\"APIResourceList\",\"resources\":[{\"name\":\"links\"}]}");
    (void)bench_serve(bench, BENCH_LINKS, "Link", "");
}

enum err_code bench_start(struct bench *bench)
{
    const struct kubeconfig source = {.server = "https://source:6443",
                                      .token = bench->source_token,
                                      .token_file = bench->source_token_file};
    const struct control_config config = {.loop = bench->loop,
                                          .http = bench->http,
                                          .metrics = bench->metrics,
                                          .source = &source,
                                          .namespace = "mc",
                                          .instance = "test",
                                          .cluster_name = "",
                                          .allowed_namespaces = "",
                                          .federated_selector = "",
                                          .excluded_annotations = "",
                                          .excluded_labels = "",
                                          .only_link = bench->only_link,
                                          .link_finalizer = bench->link_finalizer,
                                          .max_link_bytes = bench->max_link_bytes,
                                          .leader_elect = bench->leader_elect,
                                          .dry_run = bench->dry_run,
                                          .lease_duration_ms = 15000,
                                          .renew_deadline_ms = 10000,
                                          .retry_period_ms = 2000,
                                          .move_endpoints = true};
    TRY(control_new(&config, &bench->control, NULL));
    bench_advance(bench, 0);
    return ERR_OK;
}

void bench_done(struct bench *bench)
{
    control_free(bench->control);
    http_free(bench->http);
    metrics_free(bench->metrics);
    loop_free(bench->loop);
}

/* ---- what came of it ---- */

unsigned bench_event_count(const struct bench *bench, const char *reason)
{
    unsigned count = 0;
    for (unsigned i = 0; i < bench->event_count; i++)
        count += strcmp(bench->events[i].reason, reason) == 0 ? 1 : 0;
    return count;
}

const struct bench_event *bench_event(const struct bench *bench, const char *reason)
{
    for (unsigned i = bench->event_count; i > 0; i--)
        if (strcmp(bench->events[i - 1].reason, reason) == 0)
            return &bench->events[i - 1];
    fail_msg("there is no Event %s", reason);
    abort(); /* fail_msg() does not return, which the compiler does not know */
}

double bench_metric(const struct bench *bench, const char *series)
{
    struct strbuf text;
    char start[300];
    strbuf_init(&text, 8 << 20);
    metrics_write(bench->metrics, &text);
    (void)snprintf(start, sizeof(start), "\n%s ", series);
    const char *at = strstr(strbuf_text(&text), start);
    double value = at != NULL ? strtod(at + strlen(start), NULL) : -1;
    strbuf_done(&text);
    return value;
}

const char *bench_not_ready(const struct bench *bench)
{
    static char why[1024];
    struct strbuf text;
    const struct admin_source *source = control_source(bench->control);
    strbuf_init(&text, sizeof(why));
    bool ready = source->ready(source->context, &text);
    (void)snprintf(why, sizeof(why), "%s", ready ? "" : strbuf_text(&text));
    strbuf_done(&text);
    return why;
}

static void keep_problem(void *context, const struct link_info *info)
{
    if (!info->refused)
        (void)snprintf(context, 1024, "%s", info->problem);
}

const char *bench_problem(const struct bench *bench)
{
    static char problem[1024];
    const struct admin_source *source = control_source(bench->control);
    (void)snprintf(problem, sizeof(problem), "there is no link");
    source->each_link(source->context, keep_problem, problem);
    return problem;
}

static void keep_gateway(void *context, const struct gateway_info *info) { *(struct gateway_info *)context = *info; }

struct gateway_info bench_gateway(const struct bench *bench)
{
    struct gateway_info info = {0};
    const struct admin_source *source = control_source(bench->control);
    source->each_gateway(source->context, keep_gateway, &info);
    assert_non_null(info.name);
    return info;
}

/* ---- objects ---- */

static const char good[] =
    "{\"clusters\":[{\"name\":\"c\",\"cluster\":{\"server\":\"https://"
    "target:6443\"}}],\"users\":[{\"name\":\"u\",\"user\":"
    "{\"token\":\"t\"}}],\"contexts\":[{\"name\":\"x\",\"context\":{\"cluster\":\"c\",\"user\":\"u\"}}],"
    "\"current-context\":\"x\"}";

const char *bench_secret(const char *name, const char *cluster, const char *kubeconfig, size_t bytes)
{
    static char texts[8][2048];
    static unsigned next;
    unsigned char encoded[1024];
    const char *text = kubeconfig != NULL ? kubeconfig : good;
    size_t length = bytes > 0 ? bytes : strlen(text);
    assert_true(length < 700);
    (void)EVP_EncodeBlock(encoded, (const unsigned char *)text, (int)length);
    char *secret = texts[next++ % ARRAY_COUNT(texts)];
    (void)snprintf(secret, sizeof(texts[0]),
                   "{\"kind\":\"Secret\",\"metadata\":{\"namespace\":\"mc\",\"name\":\"%s\",\"uid\":\"u-%s\","
                   "\"creationTimestamp\":\"2026-01-01T00:00:00Z\",\"annotations\":{\"mirror.linkerd.io/cluster-name\":"
                   "\"%s\",\"mirror.linkerd.io/remote-cluster-domain\":\"cluster.local\",\"mirror.linkerd.io/"
                   "remote-cluster-l5d-ns\":\"linkerd\"}},\"type\":"
                   "\"mirror.linkerd.io/remote-kubeconfig\",\"data\":{\"kubeconfig\":\"%s\"}}",
                   name, name, cluster, (const char *)encoded);
    return secret;
}
