/* links: */
/* A bare load program, the floor that the agent's figures are compared with: sends requests to one API server as fast as it takes them, so many at a
 * time, and nothing in between. Run by the bench; prints one line of JSON.
 *
 * Requests are JSON lines on standard input: {"method", "path", "body", "type", "then"}. `body` is an object, absent for none, and `type` its content
 * type, application/json by default. `then` is a request that follows when this one was answered: "@UID@" in its body stands for the uid in the
 * answer, as an EndpointSlice names the Service that owns it. */
#include <curl/curl.h>
#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_PARALLEL = 256, UID_BYTES = 36, ANSWER_BYTES = 4096 };

struct request {
    const char *method;
    char *url, *body;
    struct curl_slist *headers; /* of bodies; NULL without one */
    struct request *then;
};

struct slot {
    CURL *easy;
    struct request *request;
    char *body;                /* with the uid in its place; NULL: as the request has it */
    char answer[ANSWER_BYTES]; /* its beginning, where an object's metadata is */
    size_t answered;
    unsigned long long received;
};

struct load {
    struct request *requests;
    size_t count, next, done, failed;
    unsigned long long bytes;
    double rate; /* requests a second; 0: as fast as they are answered */
    double began;
    char first_failure[512];
    struct slot slots[MAX_PARALLEL];
};

static double now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void die(const char *what)
{
    (void)fprintf(stderr, "load: %s\n", what);
    exit(2);
}

static void *need(void *pointer)
{
    if (pointer == NULL)
        die("out of memory");
    return pointer;
}

static void read_request(const json_t *object, const char *server, struct request *ret_request)
{
    const char *path = json_string_value(json_object_get(object, "path")),
               *method = json_string_value(json_object_get(object, "method")),
               *type = json_string_value(json_object_get(object, "type"));
    const json_t *body = json_object_get(object, "body"), *then = json_object_get(object, "then");
    if (path == NULL || method == NULL)
        die("a request needs a method and a path");
    *ret_request =
        (struct request){.method = need(strdup(method)), .url = need(malloc(strlen(server) + strlen(path) + 1))};
    (void)strcpy(stpcpy(ret_request->url, server), path);
    if (body != NULL) {
        char header[128];
        ret_request->body = need(json_dumps(body, JSON_COMPACT));
        (void)snprintf(header, sizeof(header), "Content-Type: %s", type != NULL ? type : "application/json");
        ret_request->headers = need(curl_slist_append(NULL, header));
    }
    if (then != NULL) {
        ret_request->then = need(calloc(1, sizeof(struct request)));
        read_request(then, server, ret_request->then);
    }
}

static void read_requests(struct load *load, const char *server)
{
    char *line = NULL;
    size_t size = 0, room = 0;
    while (getline(&line, &size, stdin) > 0) {
        json_error_t error;
        json_t *object = json_loads(line, 0, &error);
        if (object == NULL)
            die(error.text);
        if (load->count == room) {
            room = room == 0 ? 1024 : room * 2;
            load->requests = need(realloc(load->requests, room * sizeof(struct request)));
        }
        read_request(object, server, &load->requests[load->count++]);
        json_decref(object);
    }
    free(line);
}

static size_t take_answer(char *data, size_t size, size_t count, void *user)
{
    struct slot *slot = user;
    size_t bytes = size * count, room = ANSWER_BYTES - 1 - slot->answered, kept = bytes < room ? bytes : room;
    (void)memcpy(slot->answer + slot->answered, data, kept);
    slot->answered += kept;
    slot->answer[slot->answered] = '\0';
    slot->received += bytes;
    return bytes;
}

/* The request's body with the uid of the object that was answered. */
static char *body_for(const struct request *then, const char *answer)
{
    const char *uid = strstr(answer, "\"uid\":\""), *at = strstr(then->body, "@UID@");
    if (at == NULL)
        return NULL;
    if (uid == NULL || strlen(uid) < 7 + UID_BYTES)
        die("the answer has no uid");
    char *body = need(malloc(strlen(then->body) + UID_BYTES));
    char *end = mempcpy(body, then->body, (size_t)(at - then->body));
    end = mempcpy(end, uid + 7, UID_BYTES);
    (void)strcpy(end, at + 5);
    return body;
}

static void send_request(CURLM *multi, struct slot *slot, struct request *request, char *body)
{
    const char *sent = body != NULL ? body : request->body;
    free(slot->body);
    slot->request = request;
    slot->body = body;
    slot->answered = 0;
    (void)curl_easy_setopt(slot->easy, CURLOPT_URL, request->url);
    (void)curl_easy_setopt(slot->easy, CURLOPT_HTTPHEADER, request->headers);
    if (sent != NULL) {
        (void)curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDS, sent);
        (void)curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDSIZE, (long)strlen(sent));
    } else
        (void)curl_easy_setopt(slot->easy, CURLOPT_HTTPGET, 1L);
    (void)curl_easy_setopt(slot->easy, CURLOPT_CUSTOMREQUEST, request->method);
    (void)curl_multi_add_handle(multi, slot->easy);
}

static void note_failure(struct load *load, const struct slot *slot, CURLcode result, long status)
{
    if (load->failed++ > 0)
        return;
    (void)snprintf(load->first_failure, sizeof(load->first_failure), "%s %s: %s %ld %.200s", slot->request->method,
                   slot->request->url, curl_easy_strerror(result), status, slot->answer);
}

/* @return whether the slot has something to do still. */
static bool finish_request(struct load *load, CURLM *multi, struct slot *slot, CURLcode result)
{
    long status = 0;
    (void)curl_multi_remove_handle(multi, slot->easy);
    (void)curl_easy_getinfo(slot->easy, CURLINFO_RESPONSE_CODE, &status);
    load->done++;
    load->bytes += slot->received;
    slot->received = 0;
    bool failed = result != CURLE_OK || status < 200 || status >= 300;
    if (failed)
        note_failure(load, slot, result, status);
    struct request *then = slot->request->then;
    if (failed || then == NULL)
        return false;
    send_request(multi, slot, then, body_for(then, slot->answer));
    return true;
}

static bool is_due(const struct load *load)
{
    return load->rate <= 0 || (double)load->next < (now_s() - load->began) * load->rate;
}

static void run(struct load *load, CURLM *multi, unsigned parallel)
{
    unsigned busy = 0;
    load->began = now_s();
    while (load->next < load->count || busy > 0) {
        for (unsigned i = 0; i < parallel && load->next < load->count && is_due(load); i++)
            if (load->slots[i].request == NULL) {
                send_request(multi, &load->slots[i], &load->requests[load->next++], NULL);
                busy++;
            }
        int running, left;
        const CURLMsg *message;
        (void)curl_multi_perform(multi, &running);
        while ((message = curl_multi_info_read(multi, &left)) != NULL) {
            struct slot *slot;
            (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &slot);
            if (!finish_request(load, multi, slot, message->data.result)) {
                slot->request = NULL;
                busy--;
            }
        }
        bool may_send = load->next < load->count && busy < parallel && is_due(load);
        if (!may_send && (busy > 0 || load->next < load->count))
            (void)curl_multi_poll(multi, NULL, 0, load->rate > 0 ? 1 : 1000, NULL);
    }
}

static CURL *make_handle(struct slot *slot, const char *ca, const char *cert, const char *key, const char *token,
                         long http)
{
    CURL *easy = need(curl_easy_init());
    (void)curl_easy_setopt(easy, CURLOPT_CAINFO, ca);
    if (cert != NULL) {
        (void)curl_easy_setopt(easy, CURLOPT_SSLCERT, cert);
        (void)curl_easy_setopt(easy, CURLOPT_SSLKEY, key);
    }
    if (token != NULL) {
        (void)curl_easy_setopt(easy, CURLOPT_XOAUTH2_BEARER, token);
        (void)curl_easy_setopt(easy, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
    }
    (void)curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, http);
    (void)curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L); /* HTTP/2: one connection */
    (void)curl_easy_setopt(easy, CURLOPT_USERAGENT, "load");
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_answer);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, slot);
    (void)curl_easy_setopt(easy, CURLOPT_PRIVATE, slot);
    (void)curl_easy_setopt(easy, CURLOPT_TIMEOUT, 120L);
    return easy;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"server", required_argument, NULL, 's'},
                                            {"cacert", required_argument, NULL, 'a'},
                                            {"cert", required_argument, NULL, 'c'},
                                            {"key", required_argument, NULL, 'k'},
                                            {"token", required_argument, NULL, 't'},
                                            {"parallel", required_argument, NULL, 'p'},
                                            {"rate", required_argument, NULL, 'r'},
                                            {"http2", no_argument, NULL, '2'},
                                            {NULL, 0, NULL, 0}};
    static struct load load;
    const char *server = NULL, *ca = NULL, *cert = NULL, *key = NULL, *token = NULL;
    unsigned parallel = 8;
    long http = CURL_HTTP_VERSION_1_1;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 's':
            server = optarg;
            break;
        case 'a':
            ca = optarg;
            break;
        case 'c':
            cert = optarg;
            break;
        case 'k':
            key = optarg;
            break;
        case 't':
            token = optarg;
            break;
        case 'p':
            parallel = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'r':
            load.rate = strtod(optarg, NULL);
            break;
        case '2':
            http = CURL_HTTP_VERSION_2TLS;
            break;
        default:
            return 2;
        }
    }
    if (server == NULL || ca == NULL || parallel == 0 || parallel > MAX_PARALLEL)
        die("usage: load --server URL --cacert FILE [--cert FILE --key FILE | --token TOKEN] [--parallel N] [--rate R] "
            "[--http2] <REQUESTS");
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    CURLM *multi = need(curl_multi_init());
    (void)curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)parallel);
    read_requests(&load, server);
    for (unsigned i = 0; i < parallel; i++)
        load.slots[i].easy = make_handle(&load.slots[i], ca, cert, key, token, http);
    run(&load, multi, parallel);
    double seconds = now_s() - load.began;
    json_t *result =
        json_pack("{s:f, s:I, s:I, s:I, s:s}", "seconds", seconds, "requests", (json_int_t)load.done, "failed",
                  (json_int_t)load.failed, "bytes", (json_int_t)load.bytes, "first_failure", load.first_failure);
    char *text = need(json_dumps(result, JSON_COMPACT));
    (void)puts(text);
    return load.failed == 0 ? 0 : 1; /* the system takes back the rest */
}
