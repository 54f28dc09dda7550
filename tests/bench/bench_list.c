/* links: agent_kube mirror base ../unit/fake_loop.c ../unit/fake_http.c */
/* What a list of very many services does to the loop and to memory while it arrives, by pages and streamed, decoded as the agent decodes it. Prints
 * one line a figure; ends with 1 when a promise is broken: no turn over 20 ms of CPU, and no more than 1 MiB held beside what the owner keeps.
 * Run by `./tests/run bench`, on the release build. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/kube/codec.h"
#include "agent/kube/list_watch.h"
#include "agent/kube/setup.h"
#include "base/mem.h"
#include "tests/unit/fake_http.h"
#include "tests/unit/fake_loop.h"

enum {
    SERVICES = 10000,
    TURN_BYTES = 64 << 10, /* what agent/net delivers in one turn of the loop */
    LIST_BYTES = 64 << 20,
    DECODE_BYTES = 8 << 20,
    PROMISED_TURN_US = 20000,
    PROMISED_HELD_BYTES = 1 << 20,
};

struct bench {
    struct arena scratch;
    unsigned services;
    bool complete;
    size_t base_bytes, peak_bytes; /* of the heap */
};

static size_t heap_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static uint64_t cpu_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static enum err_code on_object(void *context, enum change change, const struct json_tree *object)
{
    struct bench *bench = context;
    struct service service;
    (void)change;
    size_t bytes = heap_bytes();
    if (bytes > bench->peak_bytes)
        bench->peak_bytes = bytes;
    arena_reset(&bench->scratch);
    enum err_code code = codec_read_service(&bench->scratch, object, &service, NULL);
    bench->services += code == ERR_OK;
    return code;
}

static void on_begin(void *context) { (void)context; }

static void on_end(void *context)
{
    struct bench *bench = context;
    bench->complete = true;
}

static void append_service(struct strbuf *text, unsigned number, bool in_stream)
{
    const char *kind = in_stream ? "\"kind\":\"Service\",\"apiVersion\":\"v1\"," : "";
    strbuf_printf(
        text,
        "{%s\"metadata\":{\"name\":\"web-%u\",\"namespace\":\"shop\",\"uid\":\"3f1c9f6e-5c1d-4c57-9f0a-%012u\","
        "\"resourceVersion\":\"%u\",\"creationTimestamp\":\"2026-08-21T10:00:00Z\",\"labels\":{\"app\":\"web\","
        "\"mirror.linkerd.io/"
        "exported\":\"true\"},\"annotations\":{\"note\":\"%0600u\"},\"managedFields\":[{\"manager\":"
        "\"kubectl\",\"operation\":\"Update\",\"apiVersion\":\"v1\",\"time\":\"2026-08-21T10:00:00Z\",\"fieldsType\":"
        "\"FieldsV1\",\"fieldsV1\":{\"f:metadata\":{\"f:labels\":{\".\":{},\"f:app\":{}}},\"f:spec\":{\"f:ports\":{}}}}"
        "]},"
        "\"spec\":{\"ports\":[{\"name\":\"http\",\"protocol\":\"TCP\",\"port\":80,\"targetPort\":8080}],\"clusterIP\":"
        "\"10.0.0.1\",\"type\":\"ClusterIP\",\"sessionAffinity\":\"None\"},\"status\":{\"loadBalancer\":{}}}",
        kind, number, number, number, number);
}

static void write_list(struct strbuf *text)
{
    strbuf_append(
        text,
        "{\"kind\":\"ServiceList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"20000\"},\"items\":[");
    for (unsigned i = 0; i < SERVICES; i++) {
        strbuf_append(text, i > 0 ? "," : "");
        append_service(text, i, false);
    }
    strbuf_append(text, "]}");
}

static void write_stream(struct strbuf *text)
{
    for (unsigned i = 0; i < SERVICES; i++) {
        strbuf_append(text, "{\"type\":\"ADDED\",\"object\":");
        append_service(text, i, true);
        strbuf_append(text, "}\n");
    }
    strbuf_append(text, "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Service\",\"metadata\":{\"resourceVersion\":"
                        "\"20000\",\"annotations\":{"
                        "\"k8s.io/initial-events-end\":\"true\"}}}}\n");
}

/* @return the longest turn. */
static uint64_t feed(struct http_call *call, const struct strbuf *text)
{
    static char piece[TURN_BYTES + 1];
    uint64_t longest_us = 0;
    (void)fake_http_head(call, 200, "application/json");
    for (size_t at = 0; at < text->length; at += TURN_BYTES) {
        size_t bytes = text->length - at < TURN_BYTES ? text->length - at : TURN_BYTES;
        memcpy(piece, text->data + at, bytes);
        piece[bytes] = '\0';
        uint64_t before_us = cpu_us();
        (void)fake_http_data(call, piece);
        uint64_t took_us = cpu_us() - before_us;
        longest_us = took_us > longest_us ? took_us : longest_us;
    }
    return longest_us;
}

static bool measure(const char *name, void (*write)(struct strbuf *text), bool streams)
{
    static const struct kubeconfig kubeconfig = {.server = "https://east:6443"};
    struct bench bench = {0};
    struct strbuf text;
    const struct list_watch_config config = {.resource = "services",
                                             .kind = "Service",
                                             .path = "/api/v1/services",
                                             .on_object = on_object,
                                             .on_begin = on_begin,
                                             .on_end = on_end,
                                             .context = &bench};
    struct list_watch *watch = NULL;
    struct kube_client *client = NULL;
    struct loop *loop = loop_new();
    struct http *http = fake_http_new(loop);
    arena_init(&bench.scratch, DECODE_BYTES);
    strbuf_init(&text, LIST_BYTES);
    write(&text);
    if (strbuf_error(&text) != ERR_OK || kube_client_new(http, loop, &kubeconfig, "east", &client, NULL) != ERR_OK)
        return false;
    if (streams)
        kube_client_stream_lists(client);
    if (list_watch_new(loop, client, &config, &watch, NULL) != ERR_OK)
        return false;
    fake_loop_advance(loop, 0);
    struct http_call *call = fake_http_take(http, "*");
    bench.base_bytes = heap_bytes();
    uint64_t began_us = cpu_us(), longest_us = feed(call, &text);
    if (!streams)
        fake_http_finish(call);
    uint64_t took_us = cpu_us() - began_us;
    size_t held_bytes = bench.peak_bytes - bench.base_bytes;
    printf("%u services %s, %zu KiB: %.0f ms of CPU, longest turn %.2f ms, at most %zu KiB held\n", bench.services,
           name, text.length / 1024, (double)took_us / 1000, (double)longest_us / 1000, held_bytes / 1024);
    bool kept = bench.complete && bench.services == SERVICES && longest_us <= PROMISED_TURN_US &&
                held_bytes <= PROMISED_HELD_BYTES;
    list_watch_free(watch);
    kube_client_free(client);
    http_free(http);
    loop_free(loop);
    strbuf_done(&text);
    arena_done(&bench.scratch);
    return kept;
}

int main(void)
{
    kube_setup();
    bool listed = measure("in a list", write_list, false);
    return measure("in a stream", write_stream, true) && listed ? 0 : 1;
}
