/* links: agent_net agent_loop base http_bench.c fake_server.c fake_dns.c */
#include "agent/net/http_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "http_bench.h"
#include "sweep.h"

/* The alphabet again and again. Compressed by 129, which is more than lists of Kubernetes are. */
enum { PERIOD = 26, MATCH_BYTES = 258, MATCHES = 8 << 10 };
/* Of a body that an inbox holds whole. */
enum { SMALL_MATCHES = HTTP_INBOX_BYTES / MATCH_BYTES - 1 };

/* --- bodies --- */

enum shape { SHAPE_LENGTH, SHAPE_CHUNKS, SHAPE_CLOSE };

struct body {
    char *bytes; /* as sent, with the head */
    size_t count, room;
    size_t text_bytes; /* as read */
    size_t cut_bytes;  /* left out at the end */
    enum shape shape;
};

static void put(struct body *body, const void *bytes, size_t count)
{
    if (body->count + count > body->room) {
        body->room = 2 * (body->count + count);
        body->bytes = realloc(body->bytes, body->room);
        assert_non_null(body->bytes);
    }
    memcpy(body->bytes + body->count, bytes, count);
    body->count += count;
}

static void put_text(struct body *body, const char *text) { put(body, text, strlen(text)); }

static char letter(size_t at) { return (char)('a' + at % PERIOD); }

static void put_letters(struct body *body, size_t from, size_t count)
{
    char *letters = malloc(count);
    assert_non_null(letters);
    for (size_t i = 0; i < count; i++)
        letters[i] = letter(from + i);
    put(body, letters, count);
    free(letters);
}

static uint32_t crc32_of_letters(size_t count)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < count; i++) {
        crc ^= (uint8_t)letter(i);
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc;
}

/* Bits of a deflate block: fields begin with their lowest bit, codes with their highest. */
struct bits {
    struct body *body;
    uint32_t held;
    unsigned count;
};

static void put_field(struct bits *bits, uint32_t value, unsigned width)
{
    bits->held |= value << bits->count;
    for (bits->count += width; bits->count >= 8; bits->count -= 8) {
        put(bits->body, &(uint8_t){(uint8_t)bits->held}, 1);
        bits->held >>= 8;
    }
}

static void put_code(struct bits *bits, uint32_t code, unsigned width)
{
    while (width-- > 0)
        put_field(bits, code >> width & 1, 1);
}

static void put_u32(struct body *body, uint32_t value)
{
    for (int i = 0; i < 4; i++, value >>= 8)
        put(body, &(uint8_t){(uint8_t)value}, 1);
}

/* RFC 1951 3.2.6, fixed codes: the letters once, then "258 bytes from 26 bytes before" again and again, of 16 bits each. */
static void put_gzip(struct body *body, size_t matches)
{
    static const uint8_t HEAD[10] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3};
    struct bits bits = {.body = body};
    put(body, HEAD, sizeof(HEAD));
    put_field(&bits, 1, 1); /* the last block */
    put_field(&bits, 1, 2);
    for (size_t i = 0; i < PERIOD; i++)
        put_code(&bits, 0x30 + (uint32_t)letter(i), 8);
    for (size_t i = 0; i < matches; i++) {
        put_code(&bits, 0xc5, 8);
        put_code(&bits, 9, 5);
        put_field(&bits, PERIOD - 25, 3);
    }
    put_code(&bits, 0, 7);
    put_field(&bits, 0, 7); /* to the end of the byte, at least */
    body->text_bytes = PERIOD + matches * MATCH_BYTES;
    put_u32(body, crc32_of_letters(body->text_bytes));
    put_u32(body, (uint32_t)body->text_bytes);
}

static void put_chunks(struct body *body, const struct body *content)
{
    enum { CHUNK = 5000 };
    char line[32];
    for (size_t at = 0; at < content->count; at += CHUNK) {
        size_t count = content->count - at < CHUNK ? content->count - at : CHUNK;
        (void)snprintf(line, sizeof(line), "%zx\r\n", count);
        put_text(body, line);
        put(body, content->bytes + at, count);
        put_text(body, "\r\n");
    }
    put_text(body, "0\r\n\r\n");
}

/* @param size  letters, or matches when compressed. */
static struct body make_body(enum shape shape, bool gzip, size_t size)
{
    struct body content = {0}, body = {.shape = shape};
    char head[200];
    if (gzip)
        put_gzip(&content, size);
    else
        put_letters(&content, 0, size);
    (void)snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\n%s", gzip ? "Content-Encoding: gzip\r\n" : "");
    put_text(&body, head);
    (void)snprintf(head, sizeof(head), "Content-Length: %zu\r\n\r\n", content.count);
    if (shape == SHAPE_LENGTH)
        put_text(&body, head);
    else
        put_text(&body, shape == SHAPE_CHUNKS ? "Transfer-Encoding: chunked\r\n\r\n" : "Connection: close\r\n\r\n");
    if (shape == SHAPE_CHUNKS)
        put_chunks(&body, &content);
    else
        put(&body, content.bytes, content.count);
    body.text_bytes = gzip ? content.text_bytes : size;
    free(content.bytes);
    return body;
}

/* --- readers --- */

enum { MAX_READERS = 4 };

struct lane;

struct reader {
    struct http_call call; /* first */
    struct lane *lane;
    size_t bytes;
    unsigned pieces, finished;
    struct err error;
    /* What it does at which piece; 0: never. */
    unsigned cancels_at, refuses_at, frees_origin_at, says_at, timer_at;
    struct loop_timer *timer;
    struct reader *cancels;
    unsigned sleep_ms; /* in each piece */
};

/* A bench with a watch on every turn. */
struct lane {
    struct http_bench bench;
    struct loop_timer *ticker;
    unsigned ticks;          /* while something was read: a timer that is due in every turn */
    size_t turn_bytes;       /* handed over in this turn */
    size_t most_turn_bytes;  /* and in any */
    size_t most_inbox_bytes; /* that waited at a turn's end */
    struct reader *readers[MAX_READERS];
    unsigned wanted; /* stops the loop when so many have finished */
    unsigned finished;
    const struct body *body;       /* what the server sends */
    const struct body *other_body; /* and to all but the first connection */
    struct fake_server_connection *first;
    unsigned over_turns;                  /* that ended with a call over, but not finished */
    struct fake_server_connection *ends;  /* when all of it is sent */
    struct fake_server_connection *quiet; /* was answered with a head only */
};

static void send_body(struct fake_server_connection *connection, void *context)
{
    struct lane *lane = context;
    fake_server_send_bytes(connection, lane->body->bytes, lane->body->count - lane->body->cut_bytes);
    if (lane->body->shape == SHAPE_CLOSE)
        lane->ends = connection;
}

static void on_tick(void *context)
{
    struct lane *lane = context;
    lane->ticks++;
    loop_timer_start(lane->ticker, 0);
}

static bool on_turn(void *context)
{
    struct lane *lane = context;
    if (lane->turn_bytes > lane->most_turn_bytes)
        lane->most_turn_bytes = lane->turn_bytes;
    lane->turn_bytes = 0;
    if (lane->ends != NULL && lane->ends->unsent_bytes == 0)
        fake_server_end(TAKE(lane->ends), false);
    for (size_t i = 0; i < MAX_READERS; i++) {
        const struct http_transfer *transfer = lane->readers[i] != NULL ? lane->readers[i]->call.transfer : NULL;
        if (transfer == NULL)
            continue;
        if (transfer->inbox.length > lane->most_inbox_bytes)
            lane->most_inbox_bytes = transfer->inbox.length;
        if (!transfer->is_over)
            continue;
        lane->over_turns++;
        assert_false(transfer->deadline != NULL && loop_timer_active(transfer->deadline));
        assert_false(transfer->idle != NULL && loop_timer_active(transfer->idle));
    }
    return false;
}

static void open_lane(struct lane *lane, struct body *body)
{
    memset(lane, 0, sizeof(*lane));
    http_bench_open(&lane->bench);
    lane->bench.server.on_request = send_body;
    lane->body = body;
    lane->bench.server.context = lane;
    lane->ticker = loop_timer_new(lane->bench.loop, on_tick, lane);
    assert_int_equal(loop_on_turn(lane->bench.loop, on_turn, lane), ERR_OK);
}

static void close_lane(struct lane *lane)
{
    loop_off_turn(lane->bench.loop, on_turn, lane);
    loop_timer_free(lane->ticker);
    http_bench_done(&lane->bench);
}

static void nap(unsigned ms)
{
    struct timespec time = {.tv_nsec = (long)ms * 1000000};
    (void)nanosleep(&time, NULL);
}

static void check_letters(const struct reader *reader, const char *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (data[i] != letter(reader->bytes + i))
            fail_msg("at %zu: %d", reader->bytes + i, data[i]);
}

static enum err_code on_data(struct http_call *call, const char *data, size_t bytes, struct err *reterr)
{
    struct reader *reader = (struct reader *)call;
    struct lane *lane = reader->lane;
    assert_in_range(bytes, 1, HTTP_PIECE_BYTES);
    assert_int_equal(reader->finished, 0);
    check_letters(reader, data, bytes);
    if (reader->pieces++ == 0 && !loop_timer_active(lane->ticker))
        loop_timer_start(lane->ticker, 0);
    reader->bytes += bytes;
    lane->turn_bytes += bytes;
    nap(reader->sleep_ms);
    if (reader->pieces == reader->says_at)
        fake_server_send(lane->quiet, "1\r\na\r\n");
    if (reader->pieces == reader->timer_at)
        loop_timer_start(reader->timer, 0);
    if (reader->pieces == reader->cancels_at) {
        http_cancel(&reader->cancels->call);
        check_letters(&(struct reader){.bytes = reader->bytes - bytes}, data, bytes); /* still there */
        return reader->cancels == reader ? ERR_CANCELLED : ERR_OK;
    }
    if (reader->pieces == reader->frees_origin_at) {
        http_origin_free(TAKE(lane->bench.origin));
        return ERR_CANCELLED;
    }
    return reader->pieces == reader->refuses_at ? err_set(reterr, ERR_PROTOCOL, "enough") : ERR_OK;
}

static void on_done(struct http_call *call, const struct err *error)
{
    struct reader *reader = (struct reader *)call;
    struct lane *lane = reader->lane;
    assert_int_equal(reader->finished++, 0);
    reader->error = error != NULL ? *error : (struct err){0};
    if (++lane->finished == lane->wanted)
        loop_stop(lane->bench.loop);
}

static enum err_code start_reader(struct lane *lane, struct http_origin *origin, struct reader *reader)
{
    struct err error = {0};
    reader->lane = lane;
    reader->call.path = "/list";
    reader->call.on_data = on_data;
    reader->call.on_done = on_done;
    for (size_t i = 0; i < MAX_READERS; i++) {
        if (lane->readers[i] != NULL)
            continue;
        lane->readers[i] = reader;
        break;
    }
    return http_start(origin, &reader->call, &error);
}

static void read_with(struct lane *lane, struct reader *reader)
{
    assert_int_equal(start_reader(lane, lane->bench.origin, reader), ERR_OK);
}

/* So many at least: several may end in one turn. */
static void await_readers(struct lane *lane, unsigned count)
{
    if (lane->finished >= count)
        return;
    lane->wanted = count;
    lane->bench.wanted = 1; /* more than ever finish there */
    http_bench_await(&lane->bench, 1);
    assert_true(lane->finished >= count);
}

static void expect_whole(const struct reader *reader, const struct body *body)
{
    if (reader->error.code != ERR_OK)
        fail_msg("%s", reader->error.text);
    assert_int_equal(reader->finished, 1);
    assert_int_equal(reader->bytes, body->text_bytes);
}

/* --- the pace --- */

static void expect_bounded(const struct lane *lane, const struct body *body)
{
    size_t turns = body->text_bytes / HTTP_TURN_BYTES;
    assert_in_range(lane->most_turn_bytes, 1, HTTP_TURN_BYTES);
    assert_true(lane->ticks + 2 > turns); /* in each turn the others had theirs */
    assert_in_range(lane->most_inbox_bytes, 1, HTTP_INBOX_BYTES);
}

static void a_large_body_leaves_every_turn_to_others_too(void **state)
{
    (void)state;
    struct fake_certificate root, server;
    fake_certificate_root(&root, "A root");
    fake_certificate_sign(&root, "server", "IP:127.0.0.1", 30, &server);
    for (unsigned i = 0; i < 12; i++) {
        bool tls = i & 1, gzip = i & 2;
        struct body body = make_body((enum shape)(i / 4), gzip, gzip ? 5 * MATCHES / 2 : 3 << 20);
        struct lane lane;
        struct reader reader = {.call.idle_timeout_ms = 5000};
        open_lane(&lane, &body);
        if (tls) {
            http_origin_free(lane.bench.origin);
            fake_server_use_tls(&lane.bench.server, &server, NULL);
            (void)snprintf(lane.bench.url, sizeof(lane.bench.url), "https://127.0.0.1:%u", lane.bench.server.port);
            lane.bench.origin =
                http_bench_origin(&lane.bench,
                                  &(struct http_origin_config){.base_url = lane.bench.url, .ca_pem = root.certificate});
        }
        read_with(&lane, &reader);
        await_readers(&lane, 1);
        expect_whole(&reader, &body);
        expect_bounded(&lane, &body);
        close_lane(&lane);
        free(body.bytes);
    }
}

static void calls_share_a_turn(void **state)
{
    (void)state;
    struct body body = make_body(SHAPE_LENGTH, true, 5 * MATCHES / 2);
    struct lane lane;
    struct reader readers[MAX_READERS] = {0};
    open_lane(&lane, &body);
    for (size_t i = 0; i < MAX_READERS; i++)
        read_with(&lane, &readers[i]);
    await_readers(&lane, 1);
    for (size_t i = 0; i < MAX_READERS; i++)
        assert_true(readers[i].bytes > body.text_bytes / 2); /* nobody waited for another's end */
    await_readers(&lane, MAX_READERS);
    for (size_t i = 0; i < MAX_READERS; i++)
        expect_whole(&readers[i], &body);
    assert_in_range(lane.most_turn_bytes, 1, HTTP_TURN_BYTES);
    close_lane(&lane);
    free(body.bytes);
}

static void read_on(struct lane *lane, struct http_origin *origin, struct reader *reader)
{
    assert_int_equal(start_reader(lane, origin, reader), ERR_OK);
}

/* Three calls of one, and one of another, which has half of it all the same. */
static void origins_have_equal_shares_whatever_their_calls(void **state)
{
    (void)state;
    struct body body = make_body(SHAPE_LENGTH, true, 5 * MATCHES / 2);
    struct lane lane;
    struct reader many[MAX_READERS - 1] = {0}, single = {0};
    open_lane(&lane, &body);
    struct http_origin *other =
        http_bench_origin(&lane.bench, &(struct http_origin_config){.base_url = lane.bench.url});
    for (size_t i = 0; i < ARRAY_COUNT(many); i++)
        read_with(&lane, &many[i]);
    read_on(&lane, other, &single);
    await_readers(&lane, 1);
    expect_whole(&single, &body); /* it is first */
    size_t bytes = 0;
    for (size_t i = 0; i < ARRAY_COUNT(many); i++)
        bytes += many[i].bytes;
    assert_true(bytes < 2 * body.text_bytes); /* and not three times as much as it */
    http_origin_free(other);
    close_lane(&lane);
    free(body.bytes);
}

/* What is dear to read is read less often. */
static void an_origin_that_takes_long_sits_out(void **state)
{
    (void)state;
    struct body body = make_body(SHAPE_LENGTH, true, 5 * MATCHES / 2);
    struct lane lane;
    struct reader dear = {.sleep_ms = 60}, cheap = {0};
    open_lane(&lane, &body);
    struct http_origin *other =
        http_bench_origin(&lane.bench, &(struct http_origin_config){.base_url = lane.bench.url});
    read_with(&lane, &dear);
    read_on(&lane, other, &cheap);
    await_readers(&lane, 1);
    expect_whole(&cheap, &body);
    assert_true(dear.pieces > 0);
    assert_true(3 * dear.pieces < cheap.pieces);
    http_cancel(&dear.call);
    http_origin_free(other);
    close_lane(&lane);
    free(body.bytes);
}

static void send_head(struct fake_server_connection *connection, void *context)
{
    struct lane *lane = context;
    lane->quiet = connection;
    fake_server_send(connection, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
}

static void an_event_overtakes_a_list(void **state)
{
    (void)state;
    struct body body = make_body(SHAPE_LENGTH, true, 3 * MATCHES / 2);
    struct lane lane;
    struct reader watch = {0}, list = {.says_at = 20};
    open_lane(&lane, &body);
    lane.bench.server.on_request = send_head;
    read_with(&lane, &watch);
    while (lane.quiet == NULL)
        http_bench_run_for(&lane.bench, 10);
    lane.bench.server.on_request = send_body;
    watch.refuses_at = 1; /* ends with its first event */
    read_with(&lane, &list);
    await_readers(&lane, 1);
    assert_int_equal(watch.finished, 1);
    assert_in_range(list.pieces, 20, 20 + 3 * HTTP_TURN_BYTES / HTTP_PIECE_BYTES);
    await_readers(&lane, 2);
    expect_whole(&list, &body);
    close_lane(&lane);
    free(body.bytes);
}

/* --- the end --- */

static void what_came_before_a_break_is_handed_over_first(void **state)
{
    (void)state;
    struct body body = make_body(SHAPE_CHUNKS, true, MATCHES);
    struct lane lane;
    struct reader reader = {0};
    body.cut_bytes = 500;
    open_lane(&lane, &body);
    read_with(&lane, &reader);
    http_bench_run_for(&lane.bench, 300);
    assert_int_equal(reader.finished, 0);
    fake_server_end_connections(&lane.bench.server, false);
    await_readers(&lane, 1);
    assert_int_equal(reader.error.code, ERR_CONNECT);
    assert_true(reader.bytes > body.text_bytes - 501 * MATCH_BYTES / 2 - MATCH_BYTES);
    close_lane(&lane);
    free(body.bytes);
}

/* The connection is gone, or free for others, long before the owner has read all. */
static void a_slow_reader_loses_nothing(void **state)
{
    (void)state;
    static const enum shape SHAPES[] = {SHAPE_LENGTH, SHAPE_CLOSE};
    for (size_t i = 0; i < ARRAY_COUNT(SHAPES); i++) {
        struct body body = make_body(SHAPES[i], true, 3 * MATCHES / 2);
        struct lane lane;
        struct reader reader = {.call.idle_timeout_ms = 1000, .sleep_ms = 6};
        open_lane(&lane, &body);
        read_with(&lane, &reader);
        await_readers(&lane, 1); /* after 1,100 ms at least: while nobody reads, silence does not count */
        expect_whole(&reader, &body);
        close_lane(&lane);
        free(body.bytes);
    }
}

static void send_by_connection(struct fake_server_connection *connection, void *context)
{
    struct lane *lane = context;
    if (lane->first == NULL)
        lane->first = connection;
    const struct body *body = connection == lane->first ? lane->body : lane->other_body;
    fake_server_send_bytes(connection, body->bytes, body->count);
}

static void a_deadline_ends_with_the_answer(void **state)
{
    (void)state;
    struct body large = make_body(SHAPE_LENGTH, true, 5 * MATCHES / 2),
                small = make_body(SHAPE_LENGTH, true, SMALL_MATCHES);
    struct lane lane;
    struct reader hog = {0}, reader = {.call.timeout_ms = 5000};
    open_lane(&lane, &large);
    lane.other_body = &small;
    lane.bench.server.on_request = send_by_connection;
    read_with(&lane, &hog);
    while (hog.pieces == 0)
        http_bench_run_for(&lane.bench, 1);
    read_with(&lane, &reader);
    await_readers(&lane, 2);
    assert_true(lane.over_turns > 0); /* all was received, and not all was handed over: see on_turn() */
    expect_whole(&reader, &small);
    expect_whole(&hog, &large);
    close_lane(&lane);
    free(large.bytes);
    free(small.bytes);
}

static void silence_counts_from_the_last_piece(void **state)
{
    (void)state;
    struct body body = make_body(SHAPE_CHUNKS, true, 6 * MATCHES / 5);
    struct lane lane;
    struct reader reader = {.call.idle_timeout_ms = 800, .sleep_ms = 6};
    body.cut_bytes = 7;
    open_lane(&lane, &body);
    read_with(&lane, &reader);
    await_readers(&lane, 1);
    assert_int_equal(reader.error.code, ERR_TIMEOUT);
    assert_true(reader.bytes > (size_t)MATCHES * MATCH_BYTES);
    close_lane(&lane);
    free(body.bytes);
}

static void a_refusal_ends_the_call_at_once(void **state)
{
    (void)state;
    struct body body = make_body(SHAPE_LENGTH, true, 5 * MATCHES / 2);
    for (unsigned at = 1; at < 40; at += 6) {
        struct lane lane;
        struct reader reader = {.refuses_at = at};
        open_lane(&lane, &body);
        read_with(&lane, &reader);
        await_readers(&lane, 1);
        assert_int_equal(reader.error.code, ERR_PROTOCOL);
        assert_string_equal(reader.error.text, "enough");
        http_bench_run_for(&lane.bench, 20);
        assert_int_equal(reader.pieces, at);
        close_lane(&lane);
    }
    free(body.bytes);
}

/* --- cancelling --- */

static void cancel_at(unsigned piece, size_t matches, bool other)
{
    struct body body = make_body(SHAPE_LENGTH, true, matches);
    struct lane lane;
    struct reader one = {.cancels_at = piece}, two = {0};
    open_lane(&lane, &body);
    one.cancels = other ? &two : &one;
    read_with(&lane, &one);
    read_with(&lane, &two);
    await_readers(&lane, 1);
    http_bench_run_for(&lane.bench, 20);
    assert_int_equal(one.finished, other ? 1 : 0);
    assert_int_equal(two.finished, other ? 0 : 1);
    assert_int_equal(http_origin_in_flight(lane.bench.origin), 0);
    if (!other)
        assert_int_equal(one.pieces, piece);
    expect_whole(other ? &one : &two, &body);
    close_lane(&lane);
    free(body.bytes);
}

static void a_cancelled_call_hands_over_nothing(void **state)
{
    (void)state;
    for (unsigned piece = 1; piece < 20; piece += 6) {
        cancel_at(piece, 3 * MATCHES / 2, false);
        cancel_at(piece, 3 * MATCHES / 2, true);
    }
    /* All was received, and not all was handed over. */
    for (unsigned piece = 1; piece < 4; piece++) {
        cancel_at(piece, SMALL_MATCHES, false);
        cancel_at(piece, SMALL_MATCHES, true);
    }
}

static void on_cancel(void *context)
{
    struct reader *reader = context;
    http_cancel(&reader->call);
    http_cancel(&reader->call);
}

/* While it waits for its next turn. */
static void a_call_may_be_cancelled_between_its_pieces(void **state)
{
    (void)state;
    for (unsigned piece = 1; piece < 40; piece += 6) {
        struct body body = make_body(SHAPE_LENGTH, true, 3 * MATCHES / 2);
        struct lane lane;
        struct reader reader = {.timer_at = piece};
        open_lane(&lane, &body);
        reader.timer = loop_timer_new(lane.bench.loop, on_cancel, &reader);
        read_with(&lane, &reader);
        while (reader.call.transfer != NULL)
            http_bench_run_for(&lane.bench, 10);
        http_bench_run_for(&lane.bench, 20);
        assert_int_equal(reader.finished, 0);
        assert_in_range(reader.pieces, piece, piece + 2 * HTTP_TURN_BYTES / HTTP_PIECE_BYTES);
        assert_int_equal(http_origin_in_flight(lane.bench.origin), 0);
        loop_timer_free(reader.timer);
        close_lane(&lane);
        free(body.bytes);
    }
}

static void an_owner_may_free_the_origin_between_its_pieces(void **state)
{
    (void)state;
    for (unsigned piece = 1; piece < 20; piece += 6) {
        struct body body = make_body(SHAPE_LENGTH, true, 3 * MATCHES / 2);
        struct lane lane;
        struct reader one = {.frees_origin_at = piece}, two = {0};
        open_lane(&lane, &body);
        read_with(&lane, &one);
        read_with(&lane, &two);
        while (lane.bench.origin != NULL)
            http_bench_run_for(&lane.bench, 10);
        http_bench_run_for(&lane.bench, 20);
        assert_int_equal(one.finished + two.finished, 0);
        assert_int_equal(fake_server_open(&lane.bench.server), 0);
        close_lane(&lane);
        free(body.bytes);
    }
}

/* --- want of memory, and of hooks --- */

static enum err_code read_all(void *context)
{
    struct lane *lane = context;
    struct reader reader = {.call.idle_timeout_ms = 4000};
    struct http_origin *origin = NULL;
    struct err error = {0};
    const struct http_origin_config config = {.base_url = lane->bench.url};
    lane->readers[0] = NULL;
    lane->finished = 0;
    enum err_code code = http_origin_new(lane->bench.http, &config, &origin, &error);
    if (code != ERR_OK)
        return code;
    code = start_reader(lane, origin, &reader);
    if (code == ERR_OK) {
        await_readers(lane, 1);
        code = reader.error.code;
    }
    if (code == ERR_OK && reader.bytes != lane->body->text_bytes)
        code = ERR_INVALID;
    http_origin_free(origin);
    return code;
}

static void want_of_memory_ends_the_call(void **state)
{
    (void)state;
    /* Paused, resumed, and read again. */
    struct body body = make_body(SHAPE_CLOSE, true, 3 * SMALL_MATCHES);
    struct lane lane;
    open_lane(&lane, &body);
    assert_true(sweep(read_all, &lane) > 50);
    close_lane(&lane);
    free(body.bytes);
}

static bool no_hook(void *context)
{
    (void)context;
    return false;
}

static void a_loop_without_room_is_told(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct err error = {0};
    while (loop_on_turn(loop, no_hook, NULL) == ERR_OK)
        ;
    assert_null(http_new(loop, NULL, &error));
    assert_int_equal(error.code, ERR_LIMIT);
    loop_free(loop);
    http_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_large_body_leaves_every_turn_to_others_too),
        cmocka_unit_test(calls_share_a_turn),
        cmocka_unit_test(origins_have_equal_shares_whatever_their_calls),
        cmocka_unit_test(an_origin_that_takes_long_sits_out),
        cmocka_unit_test(an_event_overtakes_a_list),
        cmocka_unit_test(what_came_before_a_break_is_handed_over_first),
        cmocka_unit_test(a_slow_reader_loses_nothing),
        cmocka_unit_test(a_deadline_ends_with_the_answer),
        cmocka_unit_test(silence_counts_from_the_last_piece),
        cmocka_unit_test(a_refusal_ends_the_call_at_once),
        cmocka_unit_test(a_cancelled_call_hands_over_nothing),
        cmocka_unit_test(a_call_may_be_cancelled_between_its_pieces),
        cmocka_unit_test(an_owner_may_free_the_origin_between_its_pieces),
        cmocka_unit_test(want_of_memory_ends_the_call),
        cmocka_unit_test(a_loop_without_room_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
