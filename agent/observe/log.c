#include "agent/observe/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "base/text.h"

enum {
    LINE_BYTES = 8192,
    BURST = 20,           /* lines of one event in BURST_S seconds */
    BURST_S = 10,
    EVENTS = 128,         /* event names that are counted; there are far fewer */
    NUMBERS = 8,
};

static enum log_level threshold = LOG_INFO;
static enum log_format line_format = LOG_LOGFMT;

/* How often an event was logged of late. */
static struct counter {
    const char *event;
    int64_t window_s;
    unsigned lines;
    uint64_t suppressed;
} counters[EVENTS];

enum err_code log_parse_level(const char *text, enum log_level *ret_level, struct err *reterr) {
    static const struct {
        const char *word;
        enum log_level level;
    } words[] = {{"debug", LOG_DEBUG}, {"trace", LOG_DEBUG},   {"info", LOG_INFO},    {"warn", LOG_WARN},
                 {"warning", LOG_WARN}, {"error", LOG_ERROR}, {"fatal", LOG_ERROR}, {"panic", LOG_ERROR}};
    for (size_t i = 0; i < ARRAY_COUNT(words); i++)
        if (strcmp(words[i].word, text) == 0) {
            *ret_level = words[i].level;
            return ERR_OK;
        }
    return err_set(reterr, ERR_INVALID, "\"%.40s\" is not a log level: use debug, info, warn or error", text);
}

enum err_code log_parse_format(const char *text, enum log_format *ret_format, struct err *reterr) {
    if (strcmp(text, "json") == 0)
        *ret_format = LOG_JSON;
    else if (strcmp(text, "logfmt") == 0 || strcmp(text, "plain") == 0 || strcmp(text, "text") == 0)
        *ret_format = LOG_LOGFMT;
    else
        return err_set(reterr, ERR_INVALID, "\"%.40s\" is not a log format: use logfmt or json", text);
    return ERR_OK;
}

void log_setup(enum log_level level, enum log_format format) {
    threshold = level;
    line_format = format;
}

bool log_enabled(enum log_level level) {
    return level >= threshold;
}

const char *log_u64(uint64_t value) {
    static char texts[NUMBERS][24];
    static unsigned next;
    char *text = texts[next++ % NUMBERS];
    (void)snprintf(text, sizeof(texts[0]), "%" PRIu64, value);
    return text;
}

/* ---- writing ---- */

static void put_json(struct strbuf *line, const char *text) {
    strbuf_append_char(line, '"');
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\')
            strbuf_printf(line, "\\%c", *c);
        else if ((unsigned char)*c < 0x20)
            strbuf_printf(line, "\\u%04x", (unsigned)*c);
        else
            strbuf_append_char(line, *c);
    }
    strbuf_append_char(line, '"');
}

static bool needs_quotes(const char *text) {
    return text[0] == '\0' || strpbrk(text, " =\"\\\n\r\t") != NULL;
}

static void put_field(struct strbuf *line, const char *name, const char *value) {
    if (line_format == LOG_JSON) {
        if (line->length > 1)
            strbuf_append_char(line, ',');
        put_json(line, name);
        strbuf_append_char(line, ':');
        put_json(line, value);
        return;
    }
    strbuf_printf(line, "%s%s=", line->length > 0 ? " " : "", name);
    if (needs_quotes(value))
        put_json(line, value);
    else
        strbuf_append(line, value);
}

static int64_t now_us(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now); /* lint: allow, a stamp for people */
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static struct counter *counter_of(const char *event) {
    for (size_t i = 0; i < EVENTS; i++) {
        if (counters[i].event == NULL)
            counters[i].event = event;
        if (strcmp(counters[i].event, event) == 0)
            return &counters[i];
    }
    return NULL;
}

/* @return whether the line may pass; then *ret_suppressed were held back before it. */
static bool admit(const char *event, int64_t time_us, uint64_t *ret_suppressed) {
    struct counter *counter = counter_of(event);
    int64_t window_s = time_us / 1000000 / BURST_S;
    *ret_suppressed = 0;
    if (counter == NULL)
        return true;
    if (counter->window_s != window_s) {
        counter->window_s = window_s;
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

static void write_line(struct strbuf *line) {
    strbuf_append(line, line_format == LOG_JSON ? "}\n" : "\n");
    const char *text = strbuf_text(line);
    /* One write for one line: lines of several processes do not mix. A full pipe loses the line, never blocks for long. */
    ssize_t written = write(STDERR_FILENO, text, line->length);
    (void)written;
}

void log_event(enum log_level level, const char *event, const char *message, ...) {
    static const char *const names[] = {[LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error"};
    int64_t time_us = now_us();
    uint64_t suppressed = 0;
    if (!log_enabled(level) || (level != LOG_DEBUG && !admit(event, time_us, &suppressed)))
        return;
    struct strbuf line;
    char stamp[TEXT_TIME_BYTES];
    text_format_time_micro(time_us, stamp);
    strbuf_init(&line, LINE_BYTES);
    if (line_format == LOG_JSON)
        strbuf_append_char(&line, '{');
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
    if (suppressed > 0)
        put_field(&line, "suppressed", log_u64(suppressed));
    write_line(&line);
    strbuf_done(&line);
}
