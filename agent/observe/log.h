/* Log lines: one event a line on stderr, logfmt or JSON. A line has ts, level, event (stable snake_case name), msg, and fields. Library code does
 * not log; the first layer that can act logs once. Never a token, a key or a whole Secret.
 *
 *   log_info("link_ready", "link is synced", "cluster", "east", "services", log_u64(12), NULL);
 *
 * Fields are name, value pairs of strings ended by NULL; a NULL value leaves the pair out. Same-event lines over 20 in 10 s are suppressed, and
 * the next one that passes carries suppressed=N. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum log_level {
    LOG_DEBUG,
    LOG_INFO,
    LOG_WARN,
    LOG_ERROR,
    LOG_OFF, /* only for log_setup(): nothing is logged, e.g. by a command that tells everything itself */
};
enum log_format { LOG_LOGFMT, LOG_JSON };

/** Levels "debug", "info", "warn" ("warning"), "error" ("fatal", "panic"); formats "logfmt" ("plain", "text"), "json": Linkerd's words too. */
enum err_code log_parse_level(const char *text, enum log_level *ret_level, struct err *reterr) MUST_USE;
enum err_code log_parse_format(const char *text, enum log_format *ret_format, struct err *reterr) MUST_USE;
void log_setup(enum log_level level, enum log_format format);
bool log_enabled(enum log_level level);

void log_event(enum log_level level, const char *event, const char *message, ...) __attribute__((sentinel));
#define log_debug(...) (log_enabled(LOG_DEBUG) ? log_event(LOG_DEBUG, __VA_ARGS__) : (void)0)
#define log_info(...) log_event(LOG_INFO, __VA_ARGS__)   /* a state changed */
#define log_warn(...) log_event(LOG_WARN, __VA_ARGS__)   /* degraded and retrying; says what happens next */
#define log_error(...) log_event(LOG_ERROR, __VA_ARGS__) /* a person must act; says what to do */

/** A number as a field value; valid until the 8th further call. */
const char *log_u64(uint64_t value);
