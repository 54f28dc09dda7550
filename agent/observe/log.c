#include "agent/observe/log.h"

#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"

enum {
    LINE_BYTES = 8192, /* a pipe takes up to 4096 bytes in one piece; few lines are longer */
    TAIL_BYTES = 64,   /* kept free for `suppressed`, `truncated` and the end of the line */
    VALUE_BYTES = 2048,
    BURST = 20, /* lines of one event in BURST_US */
    BURST_US = 10 * 1000 * 1000,
    EVENTS = 192, /* event names that are counted; there are fewer */
    NUMBERS = 8,
};

static enum log_level threshold = LOG_INFO;
static enum log_format line_format = LOG_LOGFMT;

/* How often an event was logged of late. */
static struct counter {
    const char *event; /* NULL: unused, and so are all after it */
    int64_t since_us;
    unsigned lines;
    uint64_t suppressed;
} counters[EVENTS];

enum err_code log_parse_level(const char *text, enum log_level *ret_level, struct err *reterr)
{
    static const struct {
        const char *word;
        enum log_level level;
    } words[] = {
        {"debug", LOG_DEBUG},  {"trace", LOG_DEBUG}, {"info", LOG_INFO},   {"warn", LOG_WARN},
        {"warning", LOG_WARN}, {"error", LOG_ERROR}, {"fatal", LOG_ERROR}, {"panic", LOG_ERROR},
    };
    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        if (strcmp(words[i].word, text) == 0) {
            *ret_level = words[i].level;
            return ERR_OK;
        }
    }
    return err_set(reterr, ERR_INVALID, "\"%.40s\" is not a log level: use debug, info, warn or error", text);
}

enum err_code log_parse_format(const char *text, enum log_format *ret_format, struct err *reterr)
{
    if (strcmp(text, "json") == 0)
        *ret_format = LOG_JSON;
    else if (strcmp(text, "logfmt") == 0 || strcmp(text, "plain") == 0 || strcmp(text, "text") == 0)
        *ret_format = LOG_LOGFMT;
    else
        return err_set(reterr, ERR_INVALID, "\"%.40s\" is not a log format: use logfmt or json", text);
    return ERR_OK;
}

void log_setup(enum log_level level, enum log_format format)
{
    threshold = level;
    line_format = format;
}

bool log_enabled(enum log_level level) { return level >= threshold; }

const char *log_u64(uint64_t value)
{
    static char texts[NUMBERS][24];
    static unsigned next;
    char *text = texts[next++ % NUMBERS];
    (void)snprintf(text, sizeof(texts[0]), "%" PRIu64, value);
    return text;
}

/* ---- text that may come from anywhere ---- */

/* @return the bytes of the UTF-8 character at `text`, 0 when it is none (RFC 3629: no overlong forms, no surrogates). */
static size_t character_bytes(const unsigned char *text)
{
    unsigned lead = text[0];
    if (lead < 0x80)
        return 1;
    size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4)
        return 0;
    for (size_t i = 1; i < bytes; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    unsigned second = text[1];
    if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) || (lead == 0xf0 && second < 0x90) ||
        (lead == 0xf4 && second > 0x8f))
        return 0;
    return bytes;
}

/* Control characters, those of a terminal (0x1b, 0x7f, C1) included: a foreign text must not draw over the log. */
static bool is_control(const unsigned char *text)
{
    return text[0] < 0x20 || text[0] == 0x7f || (text[0] == 0xc2 && text[1] < 0xa0);
}

/* ---- the line ----
 * In a fixed buffer, so that a line about memory having run out needs none. */

struct line {
    size_t used, limit;
    bool full;  /* something did not fit */
    bool empty; /* no field yet */
    char bytes[LINE_BYTES];
};

static void put_bytes(struct line *line, const void *bytes, size_t count)
{
    if (line->full || count > line->limit - line->used) {
        line->full = true;
        return;
    }
    memcpy(line->bytes + line->used, bytes, count);
    line->used += count;
}

static void put(struct line *line, const char *text) { put_bytes(line, text, strlen(text)); }

static void put_character(struct line *line, const unsigned char *text, size_t bytes)
{
    char escape[8];
    if (bytes == 0) {
        put(line, "\xef\xbf\xbd"); /* U+FFFD */
    } else if (*text == '"' || *text == '\\') {
        put_bytes(line, "\\", 1);
        put_bytes(line, text, 1);
    } else if (is_control(text)) {
        (void)snprintf(escape, sizeof(escape), "\\u%04x", bytes == 1 ? *text : text[1]);
        put(line, *text == '\n' ? "\\n" : *text == '\t' ? "\\t" : escape);
    } else {
        put_bytes(line, text, bytes);
    }
}

/* A JSON string; a value that is too long ends in "...". */
static void put_quoted(struct line *line, const char *value)
{
    const unsigned char *text = (const unsigned char *)value;
    put(line, "\"");
    for (size_t at = 0; text[at] != '\0';) {
        size_t bytes = character_bytes(text + at);
        if (at + bytes > VALUE_BYTES) {
            put(line, "...");
            break;
        }
        put_character(line, text + at, bytes);
        at += bytes > 0 ? bytes : 1;
    }
    put(line, "\"");
}

static bool needs_quotes(const char *value)
{
    const unsigned char *text = (const unsigned char *)value;
    for (size_t at = 0; text[at] != '\0';) {
        size_t bytes = character_bytes(text + at);
        if (bytes == 0 || is_control(text + at) || strchr(" =\"\\", text[at]) != NULL || at + bytes > VALUE_BYTES)
            return true;
        at += bytes;
    }
    return text[0] == '\0';
}

/* All of the field or nothing of it. */
static void put_field(struct line *line, const char *name, const char *value)
{
    size_t before = line->used;
    bool json = line_format == LOG_JSON;
    if (line->full)
        return;
    if (!line->empty)
        put(line, json ? "," : " ");
    if (json) {
        put_quoted(line, name);
        put(line, ":");
    } else {
        put(line, name);
        put(line, "=");
    }
    if (json || needs_quotes(value))
        put_quoted(line, value);
    else
        put(line, value);
    if (line->full)
        line->used = before;
    else
        line->empty = false;
}

static void begin_line(struct line *line)
{
    line->used = 0;
    line->limit = sizeof(line->bytes) - TAIL_BYTES;
    line->full = false;
    line->empty = true;
    if (line_format == LOG_JSON)
        put(line, "{");
}

static void end_line(struct line *line, uint64_t suppressed)
{
    bool truncated = line->full;
    line->full = false;
    line->limit = sizeof(line->bytes) - sizeof("}\n");
    if (truncated)
        put_field(line, "truncated", "true");
    if (suppressed > 0)
        put_field(line, "suppressed", log_u64(suppressed));
    line->limit = sizeof(line->bytes);
    put(line, line_format == LOG_JSON ? "}\n" : "\n");
}

/* Whether stderr takes PIPE_BUF bytes without making us wait: a pipe whose reader is stuck does not. */
static bool takes_more(void)
{
    struct pollfd where = {.fd = STDERR_FILENO, .events = POLLOUT};
    return poll(&where, 1, 0) == 1 && (where.revents & POLLOUT) != 0;
}

/* In pieces that a pipe takes whole, so that lines of several processes do not mix. What stderr does not take is lost: the agent does not
 * stand still for its log. */
static void write_line(const struct line *line)
{
    static bool is_cut; /* the last line has no end */
    if (is_cut && (!takes_more() || write(STDERR_FILENO, "\n", 1) != 1))
        return;
    is_cut = false;
    for (size_t done = 0; done < line->used;) {
        size_t bytes = line->used - done < PIPE_BUF ? line->used - done : PIPE_BUF;
        ssize_t written = takes_more() ? write(STDERR_FILENO, line->bytes + done, bytes) : -1;
        if (written <= 0) {
            is_cut = done > 0;
            return;
        }
        done += (size_t)written;
    }
}

/* ---- how often ---- */

static int64_t now_us(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* @return NULL when there are more events than are counted. */
static struct counter *counter_of(const char *event)
{
    for (size_t i = 0; i < EVENTS; i++) {
        if (counters[i].event == NULL)
            counters[i].event = event;
        if (strcmp(counters[i].event, event) == 0)
            return &counters[i];
    }
    return NULL;
}

/* @return whether the line may pass; then *ret_suppressed were held back before it. */
static bool admit(const char *event, uint64_t *ret_suppressed)
{
    struct counter *counter = counter_of(event);
    if (counter == NULL)
        return true;
    int64_t now = now_us(CLOCK_MONOTONIC);
    if (counter->lines == 0 || now - counter->since_us >= BURST_US) {
        counter->since_us = now;
        counter->lines = 0;
    }
    if (counter->lines >= BURST) {
        counter->suppressed++;
        return false;
    }
    counter->lines++;
    *ret_suppressed = counter->suppressed;
    counter->suppressed = 0;
    return true;
}

void log_event(enum log_level level, const char *event, const char *message, ...)
{
    static const char *const names[] = {
        [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error"};
    uint64_t suppressed = 0;
    /* Who asks for debug lines wants all of them. */
    if (!log_enabled(level) || (level != LOG_DEBUG && !admit(event, &suppressed)))
        return;
    struct line line;
    char stamp[TEXT_TIME_BYTES];
    text_format_time_micro(now_us(CLOCK_REALTIME), stamp);
    begin_line(&line);
    put_field(&line, "ts", stamp);
    put_field(&line, "level", names[level]);
    put_field(&line, "event", event);
    put_field(&line, "msg", message);
    va_list fields;
    va_start(fields, message);
    for (const char *name; (name = va_arg(fields, const char *)) != NULL;) {
        const char *value = va_arg(fields, const char *);
        if (value != NULL)
            put_field(&line, name, value);
    }
    va_end(fields);
    end_line(&line, suppressed);
    write_line(&line);
}
