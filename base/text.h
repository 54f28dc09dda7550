/* Small conversions between text and numbers, durations, times and addresses. No locale, no clock, no allocation. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/** Decimal digits only (no sign, no space). @return ERR_OK or ERR_INVALID (`what` names the value in the text). */
enum err_code text_parse_u64(const char *text, uint64_t min, uint64_t max, const char *what, uint64_t *ret_value,
                             struct err *reterr) MUST_USE;

/** A Go duration ("3s", "1m30s", "250ms", "1.5h") in milliseconds, rounded up; also "0". Negative values, unknown units
 *  and overflow (over 10 years) are ERR_INVALID. Source: Go's time.ParseDuration. */
enum err_code text_parse_duration_ms(const char *text, uint64_t *ret_ms, struct err *reterr) MUST_USE;
/** As above, or a bare integer of seconds: the two spellings of `mirror.linkerd.io/probe-period`. */
enum err_code text_parse_period_ms(const char *text, uint64_t *ret_ms, struct err *reterr) MUST_USE;
/** Writes e.g. "3s", "250ms", "1m30s", the way Go's Duration.String() does. */
void text_format_duration_ms(uint64_t ms, char *buffer, size_t bytes);

/** RFC 3339 in UTC or with offset, fraction optional. Microseconds since 1970. */
enum err_code text_parse_time_us(const char *text, int64_t *ret_us, struct err *reterr) MUST_USE;
enum { TEXT_TIME_BYTES = 32 };
/** "2026-08-21T10:00:00Z" (metav1.Time) and "2026-08-21T10:00:00.000000Z" (metav1.MicroTime); years 0 to 9999, other
 *  times become the nearest of these. */
void text_format_time(int64_t us, char buffer[TEXT_TIME_BYTES]);
void text_format_time_micro(int64_t us, char buffer[TEXT_TIME_BYTES]);

enum ip_family { IP_NONE, IP_V4, IP_V6 };
enum { TEXT_IP_BYTES = 46 };
/** @return the family of a literal address and its canonical form (RFC 5952), or IP_NONE for anything else. An
 *  IPv4-mapped IPv6 address is IPv4, as in Go's net.ParseIP: the API server takes it for nothing else. */
enum ip_family text_parse_ip(const char *text, char ret_canonical[TEXT_IP_BYTES]);

/** Whether the API server takes the canonical address for an endpoint: not unspecified, loopback or link-local. Source: Kubernetes,
 *  ValidateEndpointIP. */
bool text_ip_may_be_endpoint(enum ip_family family, const char *canonical);

/** Whether the range "10.96.0.0/16" or "fd00:96::/112" holds the literal address. What is no range holds none. */
bool text_cidr_covers(const char *cidr, const char *address);

/** RFC 1123 label (a-z, 0-9, - between, at most 63 bytes): a Service's name from Kubernetes 1.36 on, which before had to begin with a letter, and a
 *  namespace's. */
bool text_is_dns1123_label(const char *text);
/** RFC 1123 subdomain (labels joined by dots, at most 253 bytes). */
bool text_is_dns1123_subdomain(const char *text);
/** Kubernetes label value: "" or at most 63 of [A-Za-z0-9._-], beginning and ending alphanumeric. */
bool text_is_label_value(const char *text);
/** Kubernetes label key: a label value that is not empty, perhaps behind a DNS subdomain and a slash. */
bool text_is_label_key(const char *text);
enum { TEXT_REQUEST_PATH_MAX = 1022 };
/** Whether `text`, its leading slashes left out, can follow the "/" of an HTTP request line: visible ASCII without '#', at most
 *  TEXT_REQUEST_PATH_MAX bytes (RFC 9112 section 3.2). "" can. */
bool text_is_request_path(const char *text);
/** The next word of a list that commas or blanks separate. Moves `list` behind it.
 *  @return borrowed from the list, `ret_length` bytes; NULL at its end. */
const char *text_next_word(const char **list, size_t *ret_length);
/** Whether such a list has the word. "" is in none. */
bool text_list_has(const char *list, const char *word);
bool text_starts_with(const char *text, const char *prefix);
bool text_ends_with(const char *text, const char *suffix);
/** How many of its first bytes are ASCII, and not NUL. `text` has `bytes` and need not end with a NUL. */
size_t text_ascii_bytes(const char *text, size_t bytes);
/** How many bytes the text's first character has; 0: it is not UTF-8 (RFC 3629, section 4). A text that ended early, by its NUL, is not. */
size_t text_utf8_bytes(const char *text);
bool text_equal(const char *a, const char *b); /* NULL equals NULL only */
