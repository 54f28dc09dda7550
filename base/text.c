#include "base/text.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

__extension__ typedef unsigned __int128 uint128;

enum { MS_PER_SECOND = 1000, US_PER_SECOND = 1000000, SECONDS_PER_DAY = 86400 };

static const uint64_t NS_PER_MS = 1000000, NS_PER_SECOND = 1000000000;
static const uint64_t DURATION_MAX_NS = UINT64_C(10) * 366 * 24 * 3600 * 1000000000;

/* No <ctype.h>: its answers depend on the locale, and names on the wire do not. */
static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
static bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }

enum err_code text_parse_u64(const char *text, uint64_t min, uint64_t max, const char *what, uint64_t *ret_value,
                             struct err *reterr)
{
    uint64_t value = 0;
    const char *c = text;
    for (; is_digit(*c); c++) {
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, (uint64_t)(*c - '0'), &value))
            return err_set(reterr, ERR_INVALID, "%s is \"%.40s\", more than %" PRIu64, what, text, max);
    }
    if (c == text || *c != '\0')
        return err_set(reterr, ERR_INVALID, "%s is \"%.40s\", not a whole number", what, text);
    if (value < min || value > max)
        return err_set(reterr, ERR_INVALID, "%s is %" PRIu64 ", not between %" PRIu64 " and %" PRIu64, what, value, min,
                       max);
    *ret_value = value;
    return ERR_OK;
}

/* --- durations --- */

static const struct {
    const char *name;
    uint64_t ns;
} DURATION_UNITS[] = {
    /* "ms" before "m": the first prefix that fits is taken. */
    {"ns", 1},           {"us", 1000},      {"\xC2\xB5s", 1000}, /* micro sign */
    {"\xCE\xBCs", 1000},                                         /* Greek mu */
    {"ms", 1000000},     {"s", 1000000000}, {"m", UINT64_C(60000000000)}, {"h", UINT64_C(3600000000000)},
};

/* Reads one unit and moves *at behind it. @return its nanoseconds, or 0. */
static uint64_t parse_unit(const char **at)
{
    for (size_t i = 0; i < sizeof(DURATION_UNITS) / sizeof(DURATION_UNITS[0]); i++) {
        if (text_starts_with(*at, DURATION_UNITS[i].name)) {
            *at += strlen(DURATION_UNITS[i].name);
            return DURATION_UNITS[i].ns;
        }
    }
    return 0;
}

/* Reads one "1.5h" and adds it to *ns. @return false when it is malformed or the sum too long. */
static bool parse_duration_part(const char **at, uint64_t *ns)
{
    const char *c = *at;
    uint64_t whole = 0, fraction = 0, scale = 1;
    bool any_digit = false;
    for (; is_digit(*c); c++) {
        any_digit = true;
        if (whole > DURATION_MAX_NS)
            return false;
        whole = whole * 10 + (uint64_t)(*c - '0');
    }
    if (*c == '.') {
        for (c++; is_digit(*c); c++) {
            any_digit = true;
            if (scale < UINT64_C(1000000000000000000)) { /* finer digits are less than a nanosecond in any unit */
                fraction = fraction * 10 + (uint64_t)(*c - '0');
                scale *= 10;
            }
        }
    }
    uint64_t unit = any_digit ? parse_unit(&c) : 0;
    if (unit == 0)
        return false;
    uint128 sum = (uint128)*ns + (uint128)whole * unit + (uint128)fraction * unit / scale;
    if (sum > DURATION_MAX_NS)
        return false;
    *ns = (uint64_t)sum;
    *at = c;
    return true;
}

enum err_code text_parse_duration_ms(const char *text, uint64_t *ret_ms, struct err *reterr)
{
    const char *at = text;
    uint64_t ns = 0;
    if (*at == '+')
        at++;
    bool valid = *at != '\0';
    if (strcmp(at, "0") != 0) {
        while (valid && *at != '\0')
            valid = parse_duration_part(&at, &ns);
    }
    if (!valid)
        return err_set(reterr, ERR_INVALID,
                       "\"%.40s\" is not a duration (write e.g. 3s, 250ms or 1m30s; at most 10 years)", text);
    *ret_ms = (ns + NS_PER_MS - 1) / NS_PER_MS;
    return ERR_OK;
}

enum err_code text_parse_period_ms(const char *text, uint64_t *ret_ms, struct err *reterr)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || text[digits] != '\0')
        return text_parse_duration_ms(text, ret_ms, reterr);
    uint64_t seconds = 0;
    TRY(text_parse_u64(text, 0, DURATION_MAX_NS / NS_PER_SECOND, "the number of seconds", &seconds, reterr));
    *ret_ms = seconds * MS_PER_SECOND;
    return ERR_OK;
}

void text_format_duration_ms(uint64_t ms, char *buffer, size_t bytes)
{
    if (ms > 0 && ms < MS_PER_SECOND) {
        snprintf(buffer, bytes, "%" PRIu64 "ms", ms);
        return;
    }
    uint64_t seconds = ms / MS_PER_SECOND;
    char fraction[8] = "";
    if (ms % MS_PER_SECOND != 0) {
        snprintf(fraction, sizeof(fraction), ".%03u", (unsigned)(ms % MS_PER_SECOND));
        for (size_t last = strlen(fraction) - 1; fraction[last] == '0'; last--)
            fraction[last] = '\0';
    }
    if (seconds >= 3600)
        snprintf(buffer, bytes, "%" PRIu64 "h%um%u%ss", seconds / 3600, (unsigned)(seconds / 60 % 60),
                 (unsigned)(seconds % 60), fraction);
    else if (seconds >= 60)
        snprintf(buffer, bytes, "%um%u%ss", (unsigned)(seconds / 60), (unsigned)(seconds % 60), fraction);
    else
        snprintf(buffer, bytes, "%u%ss", (unsigned)seconds, fraction);
}

/* --- times --- */

/* Days since 1970-01-01 of a date in the Gregorian calendar, and back. The year is taken to begin in March, so that the
 * leap day is its last one and the lengths of the months before it follow one formula. Years 0 to 9999. */
static int64_t days_from_date(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static void date_from_days(int64_t days, int *ret_year, int *ret_month, int *ret_day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    *ret_day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
    *ret_month = (int)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
    *ret_year = (int)(year_of_era + era * 400 + (*ret_month <= 2));
}

static int days_in_month(int year, int month)
{
    static const int DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : DAYS[month - 1];
}

/* Reads exactly `digits` digits and moves *at behind them. @return the number, or -1. */
static int parse_digits(const char **at, int digits)
{
    int value = 0;
    for (int i = 0; i < digits; i++) {
        if (!is_digit((*at)[i]))
            return -1;
        value = value * 10 + ((*at)[i] - '0');
    }
    *at += digits;
    return value;
}

/* Moves *at behind `c` (or its lower case). @return whether it was there. */
static bool skip_char(const char **at, char c)
{
    if (**at != c && !(is_upper(c) && **at == c + ('a' - 'A')))
        return false;
    (*at)++;
    return true;
}

static bool parse_date(const char **at, int64_t *ret_days)
{
    int year = parse_digits(at, 4);
    int month = year >= 0 && skip_char(at, '-') ? parse_digits(at, 2) : -1;
    int day = month >= 1 && month <= 12 && skip_char(at, '-') ? parse_digits(at, 2) : -1;
    if (day < 1 || day > days_in_month(year, month))
        return false;
    *ret_days = days_from_date(year, month, day);
    return true;
}

static bool parse_clock(const char **at, int64_t *ret_us)
{
    int hour = parse_digits(at, 2);
    int minute = hour >= 0 && skip_char(at, ':') ? parse_digits(at, 2) : -1;
    int second = minute >= 0 && skip_char(at, ':') ? parse_digits(at, 2) : -1;
    if (second < 0 || hour > 23 || minute > 59 || second > 59)
        return false;
    int64_t fraction_us = 0;
    if (skip_char(at, '.')) {
        if (!is_digit(**at))
            return false;
        for (int64_t weight = US_PER_SECOND / 10; is_digit(**at); weight /= 10, (*at)++)
            fraction_us += weight * (**at - '0');
    }
    *ret_us = ((int64_t)hour * 3600 + minute * 60 + second) * US_PER_SECOND + fraction_us;
    return true;
}

static bool parse_offset(const char **at, int64_t *ret_us)
{
    *ret_us = 0;
    if (skip_char(at, 'Z'))
        return true;
    int sign = skip_char(at, '+') ? 1 : skip_char(at, '-') ? -1 : 0;
    int hour = sign != 0 ? parse_digits(at, 2) : -1;
    int minute = hour >= 0 && skip_char(at, ':') ? parse_digits(at, 2) : -1;
    if (minute < 0 || hour > 23 || minute > 59)
        return false;
    *ret_us = (int64_t)sign * (hour * 3600 + minute * 60) * US_PER_SECOND;
    return true;
}

enum err_code text_parse_time_us(const char *text, int64_t *ret_us, struct err *reterr)
{
    const char *at = text;
    int64_t days, clock_us, offset_us;
    if (!parse_date(&at, &days) || !skip_char(&at, 'T') || !parse_clock(&at, &clock_us) ||
        !parse_offset(&at, &offset_us) || *at != '\0')
        return err_set(reterr, ERR_INVALID, "\"%.40s\" is not a time like 2026-08-21T10:00:00Z", text);
    *ret_us = days * SECONDS_PER_DAY * US_PER_SECOND + clock_us - offset_us;
    return ERR_OK;
}

/* A number in so many digits, and what follows it. @return behind it. */
static char *put_digits(char *at, unsigned number, unsigned digits, char after)
{
    for (unsigned i = digits; i > 0; i--, number /= 10)
        at[i - 1] = (char)('0' + number % 10);
    at[digits] = after;
    return at + digits + 1;
}

/* Writes the time up to its seconds, and `after` and a NUL behind them: each object of a list has one. @return the microseconds that are left. */
static unsigned format_seconds(int64_t us, char buffer[TEXT_TIME_BYTES], char after)
{
    /* RFC 3339 has four digits for the year. */
    const int64_t min_us = days_from_date(0, 1, 1) * SECONDS_PER_DAY * US_PER_SECOND;
    const int64_t max_us = days_from_date(10000, 1, 1) * SECONDS_PER_DAY * US_PER_SECOND - 1;
    us = us < min_us ? min_us : us > max_us ? max_us : us;

    const int64_t day_us = (int64_t)SECONDS_PER_DAY * US_PER_SECOND;
    int64_t days = (us >= 0 ? us : us - day_us + 1) / day_us;
    int64_t rest_us = us - days * day_us;
    unsigned second = (unsigned)(rest_us / US_PER_SECOND);
    int year, month, day;
    date_from_days(days, &year, &month, &day);
    char *at = put_digits(buffer, (unsigned)year, 4, '-');
    at = put_digits(at, (unsigned)month, 2, '-');
    at = put_digits(at, (unsigned)day, 2, 'T');
    at = put_digits(at, second / 3600 % 24, 2, ':');
    at = put_digits(at, second / 60 % 60, 2, ':');
    *put_digits(at, second % 60, 2, after) = '\0';
    return (unsigned)(rest_us % US_PER_SECOND);
}

void text_format_time(int64_t us, char buffer[TEXT_TIME_BYTES]) { (void)format_seconds(us, buffer, 'Z'); }

void text_format_time_micro(int64_t us, char buffer[TEXT_TIME_BYTES])
{
    unsigned fraction = format_seconds(us, buffer, '.');
    *put_digits(buffer + strlen(buffer), fraction, 6, 'Z') = '\0';
}

/* --- addresses --- */

/* RFC 5952: lower case, no leading zeros, the longest run of two or more zero groups (the first of equals) as "::".
 * Not inet_ntop(): glibc's writes "::102:304" in the dotted form. */
static void format_ip6(const uint8_t address[16], char buffer[TEXT_IP_BYTES])
{
    unsigned groups[8];
    for (int i = 0; i < 8; i++)
        groups[i] = (unsigned)address[2 * i] << 8 | address[2 * i + 1];
    int run_start = 8, run_length = 1;
    for (int i = 0; i < 8; i++) {
        int length = 0;
        while (i + length < 8 && groups[i + length] == 0)
            length++;
        if (length > run_length) {
            run_start = i;
            run_length = length;
        }
    }
    size_t used = 0;
    for (int i = 0; i < 8; i++) {
        if (i == run_start) {
            used += (size_t)snprintf(buffer + used, TEXT_IP_BYTES - used, "::");
            i += run_length - 1;
            continue;
        }
        bool colon = i > 0 && i != run_start + run_length;
        used += (size_t)snprintf(buffer + used, TEXT_IP_BYTES - used, colon ? ":%x" : "%x", groups[i]);
    }
}

enum ip_family text_parse_ip(const char *text, char ret_canonical[TEXT_IP_BYTES])
{
    static const uint8_t MAPPED_PREFIX[12] = {[10] = 0xFF, [11] = 0xFF};
    uint8_t address[16];
    const uint8_t *v4 = NULL;
    if (inet_pton(AF_INET, text, address) == 1)
        v4 = address;
    else if (inet_pton(AF_INET6, text, address) != 1)
        return IP_NONE;
    else if (memcmp(address, MAPPED_PREFIX, sizeof(MAPPED_PREFIX)) == 0)
        v4 = address + sizeof(MAPPED_PREFIX);
    if (!v4) {
        format_ip6(address, ret_canonical);
        return IP_V6;
    }
    snprintf(ret_canonical, TEXT_IP_BYTES, "%u.%u.%u.%u", v4[0], v4[1], v4[2], v4[3]);
    return IP_V4;
}

bool text_ip_may_be_endpoint(enum ip_family family, const char *canonical)
{
    uint8_t address[16] = {0};
    if (family == IP_V4 && inet_pton(AF_INET, canonical, address) == 1) {
        bool unspecified = (address[0] | address[1] | address[2] | address[3]) == 0;
        bool link_local =
            (address[0] == 169 && address[1] == 254) || (address[0] == 224 && address[1] == 0 && address[2] == 0);
        return !unspecified && address[0] != 127 && !link_local;
    }
    if (family != IP_V6 || inet_pton(AF_INET6, canonical, address) != 1)
        return false;
    static const uint8_t ZEROS[15] = {0};
    bool unspecified_or_loopback = memcmp(address, ZEROS, sizeof(ZEROS)) == 0 && address[15] <= 1;
    bool link_local =
        (address[0] == 0xFE && (address[1] & 0xC0) == 0x80) || (address[0] == 0xFF && (address[1] & 0x0F) == 0x02);
    return !unspecified_or_loopback && !link_local;
}

static bool prefix_equal(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(a, b, whole) != 0)
        return false;
    return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

bool text_cidr_covers(const char *cidr, const char *address)
{
    char network[TEXT_IP_BYTES];
    const char *slash = strchr(cidr, '/');
    size_t length = slash != NULL ? (size_t)(slash - cidr) : sizeof(network);
    uint8_t a[16], b[16];
    if (length >= sizeof(network))
        return false;
    memcpy(network, cidr, length);
    network[length] = '\0';
    int family = strchr(network, ':') != NULL ? AF_INET6 : AF_INET;
    uint64_t bits = 0;
    struct err error = {0};
    if (text_parse_u64(slash + 1, 0, family == AF_INET6 ? 128 : 32, "prefix", &bits, &error) != ERR_OK)
        return false;
    return inet_pton(family, network, a) == 1 && inet_pton(family, address, b) == 1 &&
           prefix_equal(a, b, (unsigned)bits);
}

/* --- names --- */

enum { LABEL_MAX_BYTES = 63, SUBDOMAIN_MAX_BYTES = 253 };

static bool is_dns_label(const char *text, size_t length)
{
    if (length == 0 || text[0] == '-' || text[length - 1] == '-')
        return false;
    for (size_t i = 0; i < length; i++) {
        if (!is_lower(text[i]) && !is_digit(text[i]) && text[i] != '-')
            return false;
    }
    return true;
}

bool text_is_dns1123_label(const char *text)
{
    size_t length = strnlen(text, LABEL_MAX_BYTES + 1);
    return length <= LABEL_MAX_BYTES && is_dns_label(text, length);
}

bool text_is_dns1123_subdomain(const char *text)
{
    if (strnlen(text, SUBDOMAIN_MAX_BYTES + 1) > SUBDOMAIN_MAX_BYTES)
        return false;
    /* As in Kubernetes, only the whole has a maximum, not each label. */
    for (;;) {
        size_t length = strcspn(text, ".");
        if (!is_dns_label(text, length))
            return false;
        if (text[length] == '\0')
            return true;
        text += length + 1;
    }
}

bool text_is_label_value(const char *text)
{
    size_t length = strnlen(text, LABEL_MAX_BYTES + 1);
    if (length > LABEL_MAX_BYTES)
        return false;
    for (size_t i = 0; i < length; i++) {
        bool alphanumeric = is_lower(text[i]) || is_upper(text[i]) || is_digit(text[i]);
        bool inside = i > 0 && i + 1 < length;
        if (!alphanumeric && !(inside && strchr("._-", text[i])))
            return false;
    }
    return true;
}

bool text_is_label_key(const char *text)
{
    const char *slash = strchr(text, '/');
    if (slash == NULL)
        return text[0] != '\0' && text_is_label_value(text);
    char prefix[SUBDOMAIN_MAX_BYTES + 1];
    size_t bytes = (size_t)(slash - text);
    if (bytes >= sizeof(prefix))
        return false;
    memcpy(prefix, text, bytes);
    prefix[bytes] = '\0';
    return text_is_dns1123_subdomain(prefix) && slash[1] != '\0' && text_is_label_value(slash + 1);
}

bool text_is_request_path(const char *text)
{
    text += strspn(text, "/");
    size_t length = strnlen(text, TEXT_REQUEST_PATH_MAX + 1);
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c <= ' ' || c >= 0x7f || c == '#')
            return false;
    }
    return length <= TEXT_REQUEST_PATH_MAX;
}

const char *text_next_word(const char **list, size_t *ret_length)
{
    const char *word = *list + strspn(*list, ", \t");
    *ret_length = strcspn(word, ", \t");
    *list = word + *ret_length;
    return *ret_length > 0 ? word : NULL;
}

bool text_list_has(const char *list, const char *word)
{
    size_t wanted = strlen(word), length = 0;
    for (const char *at = text_next_word(&list, &length); at != NULL; at = text_next_word(&list, &length))
        if (length == wanted && strncmp(at, word, length) == 0)
            return true;
    return false;
}

bool text_starts_with(const char *text, const char *prefix) { return strncmp(text, prefix, strlen(prefix)) == 0; }

bool text_ends_with(const char *text, const char *suffix)
{
    size_t length = strlen(text), suffix_length = strlen(suffix);
    return length >= suffix_length && memcmp(text + length - suffix_length, suffix, suffix_length) == 0;
}

bool text_equal(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }

size_t text_ascii_bytes(const char *text, size_t bytes)
{
    static const uint64_t ones = 0x0101010101010101, high = ones << 7;
    size_t at = 0;
    /* Eight at a time: one of them is 0 or beyond 127 if, and only if, a bit of `high` is left. */
    for (uint64_t word = 0; at + sizeof(word) <= bytes; at += sizeof(word)) {
        memcpy(&word, text + at, sizeof(word));
        if (((word | ((word - ones) & ~word)) & high) != 0)
            break;
    }
    while (at < bytes && text[at] != '\0' && (unsigned char)text[at] < 0x80)
        at++;
    return at;
}

static bool continues(char c) { return ((unsigned char)c & 0xC0) == 0x80; }

size_t text_utf8_bytes(const char *text)
{
    unsigned char first = (unsigned char)text[0], second = first >= 0xC2 ? (unsigned char)text[1] : 0;
    if (first < 0x80)
        return 1;
    if (first >= 0xC2 && first <= 0xDF)
        return continues(text[1]) ? 2 : 0;
    if (first >= 0xE0 && first <= 0xEF) {
        bool overlong = first == 0xE0 && second < 0xA0, surrogate = first == 0xED && second > 0x9F;
        return continues(text[1]) && continues(text[2]) && !overlong && !surrogate ? 3 : 0;
    }
    if (first >= 0xF0 && first <= 0xF4) {
        bool overlong = first == 0xF0 && second < 0x90, beyond = first == 0xF4 && second > 0x8F;
        return continues(text[1]) && continues(text[2]) && continues(text[3]) && !overlong && !beyond ? 4 : 0;
    }
    return 0;
}
