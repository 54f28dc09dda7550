/* links: agent_kube mirror base scenario.c ../unit/fake_loop.c ../unit/fake_http.c */
/* Plays one scenario of tests/replay/list_watch/ (tests/replay/README.md tells the words): once to the letter, then with each of its
 * allocations failing, and then with each of its requests finding no descriptor for a connection. In these runs the course may differ from what is
 * written; where it does, every connection is cut and a server that holds what `finally` names answers from then on. In the end the owner must have
 * exactly that. */
#include "agent/kube/list_watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/kube/setup.h"
#include "tests/replay/scenario.h"
#include "tests/unit/fake_http.h"
#include "tests/unit/fake_loop.h"
#include "tests/unit/list_watch_words.h"
#include "tests/unit/sweep.h"

enum { NAMES = 16, NAME_BYTES = 32, RECOVERY_MS = 30 * 60 * 1000 };

struct name {
    char text[NAME_BYTES];
    bool stale; /* not named by the listing under way */
};

/* Requests for whose connections there is no descriptor: so many from the n-th on. */
struct refusal {
    unsigned n, calls;
    unsigned started; /* how many were made in the end */
    bool named;       /* the owner was told why */
};

struct replay {
    const struct scenario *scenario;
    const struct scenario_line *line; /* the one that is played */
    bool strict;                      /* every line has to be true; else the first that is not ends the script */
    bool derailed;
    struct refusal *refusal; /* NULL: every request gets its connection */
    struct loop *loop;
    struct http *http;
    struct kube_client *client;
    struct list_watch *watch;
    struct http_call *call; /* that the script answers; NULL when none */
    int64_t retry_after_ms;
    uint64_t trickle_ms; /* between the bytes of the next answer */
    char log[2048];      /* what the owner was told since the last `owner` line */
    char error[512];
    char untakeable[NAME_BYTES]; /* the word in the log whose object the owner cannot take, once */
    struct name names[NAMES];    /* what the owner has */
    unsigned name_count;
};

/* ---- what is not as it is written ---- */

static void derail(struct replay *replay, const char *what, const char *seen)
{
    if (replay->strict)
        fail_msg("%s:%u: %s\n    %s\n  but: %s", replay->scenario->path, replay->line->number, replay->line->text, what,
                 seen);
    replay->derailed = true;
}

/* Time passes; the agent may give up its request meanwhile. */
static void advance(struct replay *replay, uint64_t ms)
{
    const void *before = replay->call != NULL ? replay->call->transfer : NULL;
    fake_loop_advance(replay->loop, ms);
    if (replay->call != NULL && replay->call->transfer != before)
        replay->call = NULL;
}

/* ---- the owner ---- */

static void note(struct replay *replay, const char *word)
{
    size_t used = strlen(replay->log);
    (void)snprintf(replay->log + used, sizeof(replay->log) - used, "%s%s", used > 0 ? " " : "", word);
}

static struct name *find_name(struct replay *replay, const char *text)
{
    for (unsigned i = 0; i < replay->name_count; i++)
        if (strcmp(replay->names[i].text, text) == 0)
            return &replay->names[i];
    return NULL;
}

static void put_name(struct replay *replay, const char *text)
{
    struct name *name = find_name(replay, text);
    if (name == NULL) {
        assert_true(replay->name_count < NAMES);
        name = &replay->names[replay->name_count++];
        (void)snprintf(name->text, sizeof(name->text), "%s", text);
    }
    name->stale = false;
}

static void drop_name(struct replay *replay, struct name *name)
{
    if (name != NULL)
        *name = replay->names[--replay->name_count];
}

static enum err_code on_object(void *context, enum change change, const struct json_tree *object)
{
    struct replay *replay = context;
    const char *name = json_tree_text(json_tree_get(json_tree_get(object, "metadata"), "name"));
    char word[NAME_BYTES];
    if (name == NULL)
        return ERR_INVALID;
    (void)snprintf(word, sizeof(word), "%c:%.24s", "LAMD"[change], name);
    if (strcmp(replay->untakeable, word) == 0) {
        replay->untakeable[0] = '\0';
        note(replay, "nomem");
        return ERR_NOMEM;
    }
    note(replay, word);
    if (change == CHANGE_DELETED)
        drop_name(replay, find_name(replay, name));
    else
        put_name(replay, name);
    return ERR_OK;
}

static void on_begin(void *context)
{
    struct replay *replay = context;
    note(replay, "begin");
    for (unsigned i = 0; i < replay->name_count; i++)
        replay->names[i].stale = true;
}

static void on_end(void *context)
{
    struct replay *replay = context;
    note(replay, "end");
    for (unsigned i = 0; i < replay->name_count;)
        if (replay->names[i].stale)
            drop_name(replay, &replay->names[i]);
        else
            i++;
}

static void on_state(void *context, const struct list_watch_state *state)
{
    struct replay *replay = context;
    char word[LIST_WATCH_WORD_BYTES];
    (void)snprintf(replay->error, sizeof(replay->error), "%s", state->error.text);
    if (replay->refusal != NULL && strstr(replay->error, "Too many open files") != NULL)
        replay->refusal->named = true;
    note(replay, list_watch_word(state, word));
}

/* Whether the owner has what the line `finally VERSION NAME...` names, and nothing else. */
static bool has_all(struct replay *replay, const struct scenario_line *finally)
{
    for (unsigned i = 2; i < finally->word_count; i++)
        if (find_name(replay, finally->words[i]) == NULL)
            return false;
    return replay->name_count == finally->word_count - 2;
}

/* ---- the server's words ---- */

/* Appends {"metadata":{"name":"a","resourceVersion":"1"}} for "a@1". */
static void append_object(struct strbuf *text, const char *kind, const char *word)
{
    const char *at = strchr(word, '@');
    size_t length = at != NULL ? (size_t)(at - word) : strlen(word);
    strbuf_append(text, "{");
    if (kind != NULL)
        strbuf_printf(text, "\"kind\":\"%s\",\"apiVersion\":\"v1\",", kind);
    strbuf_printf(text, "\"metadata\":{\"name\":\"%.*s\",\"resourceVersion\":\"%s\"}}", (int)length, word,
                  at != NULL ? at + 1 : "1");
}

static void append_list(struct strbuf *text, const char *kind, const char *version, const char *token,
                        const struct scenario_line *line, unsigned from)
{
    strbuf_printf(text, "{\"kind\":\"%s\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"%s\"", kind,
                  version);
    if (token != NULL)
        strbuf_printf(text, ",\"continue\":\"%s\"", token);
    strbuf_append(text, "},\"items\":[");
    for (unsigned i = from; i < line->word_count; i++) {
        strbuf_append(text, i > from ? "," : "");
        append_object(text, NULL, line->words[i]);
    }
    strbuf_append(text, "]}");
}

static void append_status(struct strbuf *text, const struct scenario_line *line)
{
    bool too_large = strcmp(line->words[2], "ResourceVersionTooLarge") == 0;
    strbuf_printf(text,
                  "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"code\":%s,",
                  line->words[1]);
    if (too_large)
        strbuf_append(text,
                      "\"reason\":\"Timeout\",\"message\":\"Timeout: Too large resource version: 30, current: 20\","
                      "\"details\":{\"causes\":[{\"reason\":\"ResourceVersionTooLarge\"}],\"retryAfterSeconds\":1}}");
    else
        strbuf_printf(text, "\"reason\":\"%s\",\"message\":\"%s\"}", line->words[2], scenario_rest(line, 3));
}

static void append_event(struct strbuf *text, const char *type, const char *kind, const char *word)
{
    strbuf_printf(text, "{\"type\":\"%s\",\"object\":", type);
    append_object(text, kind, word);
    strbuf_append(text, "}\n");
}

static void append_bookmark(struct strbuf *text, const char *version, bool ends)
{
    strbuf_printf(
        text, "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Service\",\"metadata\":{\"resourceVersion\":\"%s\"%s}}}\n",
        version, ends ? ",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}" : "");
}

/* ---- the server ---- */

static void send_head(struct replay *replay, int status, const char *type)
{
    replay->call->retry_after_ms = replay->retry_after_ms;
    replay->retry_after_ms = -1;
    (void)fake_http_head(replay->call, status, type);
}

static void send_text(struct replay *replay, const char *text)
{
    uint64_t trickle_ms = replay->trickle_ms;
    replay->trickle_ms = 0;
    if (trickle_ms == 0) {
        if (!fake_http_data(replay->call, text))
            replay->call = NULL;
        return;
    }
    for (const char *c = text; *c != '\0' && replay->call != NULL; c++) {
        const char byte[] = {*c, '\0'};
        advance(replay, trickle_ms);
        if (replay->call != NULL && !fake_http_data(replay->call, byte))
            replay->call = NULL;
    }
}

static void send_end(struct replay *replay)
{
    if (replay->call != NULL)
        fake_http_finish(TAKE(replay->call));
}

/* A part of an answer, or with a `status` all of one. Releases the text. */
static void send_buffer(struct replay *replay, int status, struct strbuf *text)
{
    if (strbuf_error(text) != ERR_OK) {
        derail(replay, "is to be sent", "the server has no memory for it");
    } else {
        if (status != 0)
            send_head(replay, status, "application/json");
        if (text->length > 0)
            send_text(replay, strbuf_text(text));
        if (status != 0)
            send_end(replay);
    }
    strbuf_done(text);
}

/* ---- the lines ---- */

static void do_request(struct replay *replay, const struct scenario_line *line)
{
    const char *pattern = scenario_rest(line, 1);
    advance(replay, 0);
    if (replay->call != NULL)
        derail(replay, "the last request was not answered to its end", "it is under way");
    else if (!fake_http_is_next(replay->http, pattern))
        derail(replay, "is to be asked", fake_http_next(replay->http));
    else
        replay->call = fake_http_take(replay->http, pattern);
}

static void do_idle(struct replay *replay, const struct scenario_line *line)
{
    (void)line;
    advance(replay, 0);
    if (!fake_http_is_idle(replay->http))
        derail(replay, "nothing is to be asked", fake_http_next(replay->http));
}

static void do_wait(struct replay *replay, const struct scenario_line *line) { advance(replay, scenario_ms(line, 1)); }

/* The next request comes within [delay, 2 * delay), and not before. */
static void do_backoff(struct replay *replay, const struct scenario_line *line)
{
    uint64_t from_ms = scenario_ms(line, 1), now_ms = loop_now_ms(replay->loop);
    uint64_t at_ms = list_watch_state(replay->watch)->retry_at_ms, due_ms = at_ms > now_ms ? at_ms - now_ms : 0;
    char seen[64];
    (void)snprintf(seen, sizeof(seen), "the next try comes after %lu ms", (unsigned long)due_ms);
    if (due_ms < from_ms || due_ms >= 2 * from_ms) {
        derail(replay, "is the least time to the next try, and less than twice that the most", seen);
        return;
    }
    advance(replay, due_ms - 1);
    if (!fake_http_is_idle(replay->http))
        derail(replay, "nothing is to be asked before", fake_http_next(replay->http));
    advance(replay, 1);
}

static void do_owner(struct replay *replay, const struct scenario_line *line)
{
    const char *expected = scenario_rest(line, 1);
    advance(replay, 0);
    if (strcmp(expected, "nothing") == 0)
        expected = "";
    if (strcmp(replay->log, expected) != 0)
        derail(replay, "is what the owner is to be told", replay->log);
    replay->log[0] = '\0';
}

static void do_says(struct replay *replay, const struct scenario_line *line)
{
    if (strstr(replay->error, scenario_rest(line, 1)) == NULL)
        derail(replay, "is to be in the error", replay->error);
}

static void do_untakeable(struct replay *replay, const struct scenario_line *line)
{
    (void)snprintf(replay->untakeable, sizeof(replay->untakeable), "%s", line->words[1]);
}

static void do_trickle(struct replay *replay, const struct scenario_line *line)
{
    replay->trickle_ms = scenario_ms(line, 1);
}

static void do_retry_after(struct replay *replay, const struct scenario_line *line)
{
    replay->retry_after_ms = (int64_t)scenario_ms(line, 1);
}

static void do_finally(struct replay *replay, const struct scenario_line *line)
{
    if (!has_all(replay, line))
        derail(replay, "is what the owner is to have", replay->log);
}

static void do_head(struct replay *replay, const struct scenario_line *line)
{
    send_head(replay, (int)scenario_number(line, 1), line->word_count > 2 ? line->words[2] : "application/json");
}

static void do_data(struct replay *replay, const struct scenario_line *line)
{
    send_text(replay, scenario_rest(line, 1));
}

static void do_end(struct replay *replay, const struct scenario_line *line)
{
    (void)line;
    send_end(replay);
}

static void do_fail(struct replay *replay, const struct scenario_line *line)
{
    static const enum err_code codes[] = {ERR_CONNECT, ERR_RESOLVE, ERR_TLS, ERR_TIMEOUT, ERR_PROTOCOL};
    for (size_t i = 0; i < ARRAY_COUNT(codes); i++)
        if (strcmp(line->words[1], err_code_name(codes[i])) == 0) {
            fake_http_fail(TAKE(replay->call), codes[i], scenario_rest(line, 2));
            return;
        }
    fail_msg("%s:%u: no such failure", replay->scenario->path, line->number);
}

/* What the server says, as a body or as a part of one. */
static void do_say(struct replay *replay, const struct scenario_line *line)
{
    const char *word = line->words[0];
    struct strbuf text;
    int status = 0; /* of a whole answer; 0: a part */
    strbuf_init(&text, 64 << 10);
    if (strcmp(word, "list") == 0) {
        append_list(&text, "ServiceList", line->words[1], NULL, line, 2);
        status = 200;
    } else if (strcmp(word, "page") == 0) {
        append_list(&text, "ServiceList", line->words[1], line->words[2], line, 3);
        status = 200;
    } else if (strcmp(word, "list-of") == 0) {
        append_list(&text, line->words[1], line->words[2], NULL, line, 3);
        status = 200;
    } else if (strcmp(word, "status") == 0) {
        append_status(&text, line);
        status = (int)scenario_number(line, 1);
    } else if (strcmp(word, "answer") == 0) {
        strbuf_append(&text, scenario_rest(line, 2));
        status = (int)scenario_number(line, 1);
    } else if (strcmp(word, "event") == 0) {
        append_event(&text, line->words[1], line->words[2], line->words[3]);
    } else if (strcmp(word, "error") == 0) {
        strbuf_append(&text, "{\"type\":\"ERROR\",\"object\":");
        append_status(&text, line);
        strbuf_append(&text, "}\n");
    } else {
        append_bookmark(&text, line->words[1], strcmp(word, "initial-end") == 0);
    }
    send_buffer(replay, status, &text);
}

/* Several objects in one line: "added a@1 b@2". */
static void do_events(struct replay *replay, const struct scenario_line *line)
{
    const char *type = strcmp(line->words[0], "added") == 0      ? "ADDED"
                       : strcmp(line->words[0], "modified") == 0 ? "MODIFIED"
                                                                 : "DELETED";
    struct strbuf text;
    strbuf_init(&text, 64 << 10);
    for (unsigned i = 1; i < line->word_count; i++)
        append_event(&text, type, "Service", line->words[i]);
    send_buffer(replay, 0, &text);
}

static const struct verb {
    const char *word;
    unsigned words;  /* at least, itself included */
    bool answers;    /* needs a request under way */
    bool needs_head; /* whose answer has begun */
    void (*fn)(struct replay *replay, const struct scenario_line *line);
} verbs[] = {
    {"asks", 2, false, false, do_request},
    {"idle", 1, false, false, do_idle},
    {"wait", 2, false, false, do_wait},
    {"backoff", 2, false, false, do_backoff},
    {"owner", 2, false, false, do_owner},
    {"says", 2, false, false, do_says},
    {"untakeable", 2, false, false, do_untakeable},
    {"trickle", 2, false, false, do_trickle},
    {"retry-after", 2, false, false, do_retry_after},
    {"finally", 2, false, false, do_finally},
    {"head", 2, true, false, do_head},
    {"data", 2, true, true, do_data},
    {"end", 1, true, true, do_end},
    {"fail", 2, true, false, do_fail},
    {"list", 2, true, false, do_say},
    {"page", 3, true, false, do_say},
    {"list-of", 3, true, false, do_say},
    {"status", 3, true, false, do_say},
    {"answer", 2, true, false, do_say},
    {"event", 4, true, true, do_say},
    {"error", 3, true, true, do_say},
    {"bookmark", 2, true, true, do_say},
    {"initial-end", 2, true, true, do_say},
    {"added", 2, true, true, do_events},
    {"modified", 2, true, true, do_events},
    {"deleted", 2, true, true, do_events},
};

static void play_line(struct replay *replay, const struct scenario_line *line)
{
    replay->line = line;
    for (size_t i = 0; i < ARRAY_COUNT(verbs); i++) {
        if (strcmp(verbs[i].word, line->words[0]) != 0)
            continue;
        if (line->word_count < verbs[i].words)
            fail_msg("%s:%u: %s wants more words", replay->scenario->path, line->number, verbs[i].word);
        if (verbs[i].answers && replay->call == NULL)
            derail(replay, "is to be answered", "no request is under way");
        else if (verbs[i].needs_head && replay->call->status == 0)
            fail_msg("%s:%u: `head` comes before that", replay->scenario->path, line->number);
        else
            verbs[i].fn(replay, line);
        return;
    }
    fail_msg("%s:%u: no such word: %s", replay->scenario->path, line->number, line->words[0]);
}

/* ---- a server without faults ---- */

#define GONE "{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\"}"

static void serve_well(struct replay *replay, const struct scenario_line *finally)
{
    struct http_call *call = fake_http_take(replay->http, "*");
    const char *path = fake_http_path(call);
    char place[96];
    struct strbuf text;
    strbuf_init(&text, 64 << 10);
    (void)snprintf(place, sizeof(place), "resourceVersion=%s&", finally->words[1]);
    bool watches = strstr(path, "watch=1") != NULL, streams = strstr(path, "sendInitialEvents=true") != NULL;
    if (!watches)
        append_list(&text, "ServiceList", finally->words[1], NULL, finally, 2);
    for (unsigned i = 2; streams && i < finally->word_count; i++)
        append_event(&text, "ADDED", "Service", finally->words[i]);
    if (streams)
        append_bookmark(&text, finally->words[1], true);
    if (strbuf_error(&text) != ERR_OK) {
        fake_http_fail(call, ERR_CONNECT, "the server has no memory");
    } else if (strstr(path, "continue=") != NULL) { /* no token of before is known */
        fake_http_answer(call, 410, GONE);
    } else if (!watches) {
        fake_http_answer(call, 200, strbuf_text(&text));
    } else if (streams) {
        if (fake_http_head(call, 200, "application/json"))
            (void)fake_http_data(call, strbuf_text(&text));
    } else if (strstr(path, place) != NULL) {
        (void)fake_http_head(call, 200, "application/json");
    } else { /* what came after that version is known to nobody any more */
        fake_http_answer(call, 410, GONE);
    }
    strbuf_done(&text);
}

/* Until the owner has everything, or half an hour has passed. */
static bool recover(struct replay *replay, const struct scenario_line *finally)
{
    uint64_t until_ms = loop_now_ms(replay->loop) + RECOVERY_MS;
    if (replay->call != NULL && replay->derailed)
        fake_http_fail(TAKE(replay->call), ERR_CONNECT, "cut");
    do {
        while (!fake_http_is_idle(replay->http))
            serve_well(replay, finally);
        const struct list_watch_state *state = list_watch_state(replay->watch);
        if (has_all(replay, finally) && state->synced && state->healthy)
            return true;
    } while (fake_loop_advance_to_next(replay->loop) != UINT64_MAX && loop_now_ms(replay->loop) < until_ms);
    return false;
}

/* ---- a run ---- */

static enum err_code open_replay(struct replay *replay)
{
    static const struct kubeconfig kubeconfig = {.server = "https://east:6443"};
    const struct list_watch_config config = {.resource = "services",
                                             .kind = "Service",
                                             .path = "/api/v1/services",
                                             .on_object = on_object,
                                             .on_begin = on_begin,
                                             .on_end = on_end,
                                             .on_state = on_state,
                                             .context = replay};
    replay->loop = loop_new();
    replay->http = replay->loop != NULL ? fake_http_new(replay->loop) : NULL;
    if (replay->http == NULL)
        return ERR_NOMEM;
    if (replay->refusal != NULL)
        fake_http_refuse_at(replay->http, replay->refusal->n, replay->refusal->calls);
    TRY(kube_client_new(replay->http, replay->loop, &kubeconfig, "east", &replay->client, NULL));
    if (strcmp(replay->scenario->lines[0].words[0], "streams") == 0)
        kube_client_stream_lists(replay->client);
    return list_watch_new(replay->loop, replay->client, &config, &replay->watch, NULL);
}

static void close_replay(struct replay *replay)
{
    list_watch_free(replay->watch);
    kube_client_free(replay->client);
    http_free(replay->http);
    loop_free(replay->loop);
}

static enum err_code play(const struct scenario *scenario, bool strict, struct refusal *refusal)
{
    struct replay replay = {.scenario = scenario, .strict = strict, .refusal = refusal, .retry_after_ms = -1};
    const struct scenario_line *finally = &scenario->lines[scenario->line_count - 1];
    enum err_code code = open_replay(&replay);
    bool streams = strcmp(scenario->lines[0].words[0], "streams") == 0;
    for (unsigned i = streams; code == ERR_OK && i < scenario->line_count && !replay.derailed; i++)
        play_line(&replay, &scenario->lines[i]);
    if (code == ERR_OK && !strict && !recover(&replay, finally))
        fail_msg("%s: half an hour later the owner does not have everything: %s", scenario->path, replay.log);
    if (refusal != NULL)
        refusal->started = fake_http_started(replay.http);
    close_replay(&replay);
    return code;
}

static bool played; /* to the letter; else the rest only repeats what is wrong */

static void plays_to_the_letter(void **state)
{
    assert_int_equal(play(*state, true, NULL), ERR_OK);
    played = true;
}

static enum err_code play_loosely(void *context) { return play(context, false, NULL); }

static void survives_failing_allocations(void **state)
{
    if (!played)
        skip();
    assert_true(sweep(play_loosely, *state) > 10);
}

/* What agent/net makes of that is shown over real sockets by test_descriptors.c: the call fails, and says why. */
static void survives_requests_without_descriptors(void **state)
{
    static const unsigned CALLS[] = {1, 5};
    if (!played)
        skip();
    for (size_t i = 0; i < ARRAY_COUNT(CALLS); i++) {
        struct refusal refusal = {.calls = CALLS[i], .started = 1};
        for (refusal.n = 1; refusal.n <= refusal.started; refusal.n++) {
            refusal.named = false;
            assert_int_equal(play(*state, false, &refusal), ERR_OK);
            if (refusal.n <= refusal.started && !refusal.named)
                fail_msg("request %u found no descriptor, and the owner was not told so", refusal.n);
        }
        assert_true(refusal.n > 2); /* a list and a watch */
    }
}

int main(int argc, char **argv)
{
    static struct scenario scenario;
    if (argc != 2 || !scenario_read(&scenario, argv[1]))
        return 2;
    const struct scenario_line *last = &scenario.lines[scenario.line_count - 1];
    if (strcmp(last->words[0], "finally") != 0 || last->word_count < 2) {
        (void)fprintf(stderr, "%s:%u: the last line has to be `finally VERSION NAME...`\n", argv[1], last->number);
        return 2;
    }
    kube_setup();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(plays_to_the_letter, &scenario),
        cmocka_unit_test_prestate(survives_failing_allocations, &scenario),
        cmocka_unit_test_prestate(survives_requests_without_descriptors, &scenario),
    };
    int failed = cmocka_run_group_tests_name(argv[1], tests, NULL, NULL);
    scenario_done(&scenario);
    return failed;
}
