/* links: base */
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

#define REPEAT_10(text) text text text text text text text text text text
#define BYTES_60(c) REPEAT_10(c c c c c c)

static void whole_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t min, max;
        bool valid;
        uint64_t value;
    } CASES[] = {
        {"0", 0, 10, true, 0},
        {"10", 0, 10, true, 10},
        {"010", 0, 10, true, 10},
        {"11", 0, 10, false, 0},
        {"0", 1, 10, false, 0},
        {"18446744073709551615", 0, UINT64_MAX, true, UINT64_MAX},
        {"18446744073709551616", 0, UINT64_MAX, false, 0},
        {"99999999999999999999999", 0, UINT64_MAX, false, 0},
        {"", 0, 10, false, 0},
        {"-1", 0, 10, false, 0},
        {"+1", 0, 10, false, 0},
        {" 1", 0, 10, false, 0},
        {"1 ", 0, 10, false, 0},
        {"1.0", 0, 10, false, 0},
        {"0x1", 0, 10, false, 0},
        {"1e1", 0, 100, false, 0},
        {"\xD9\xA1", 0, 10, false, 0}, /* a digit one, but not an ASCII one */
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        uint64_t value = 77;
        struct err error = {0};
        enum err_code code = text_parse_u64(CASES[i].text, CASES[i].min, CASES[i].max, "the port", &value, &error);
        assert_int_equal(code, CASES[i].valid ? ERR_OK : ERR_INVALID);
        assert_int_equal(error.code, code);
        assert_int_equal(value, CASES[i].valid ? CASES[i].value : 77);
        if (code != ERR_OK)
            assert_true(text_starts_with(error.text, "the port is "));
    }
}

enum { INVALID = -1 };

static void durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms; /* or INVALID */
    } CASES[] = {
        {"0", 0},
        {"0s", 0},
        {"+3s", 3000},
        {"3s", 3000},
        {"250ms", 250},
        {"1m30s", 90000},
        {"1.5h", 5400000},
        {"2h45m30.5s", 9930500},
        {".5s", 500},
        {"1.s", 1000},
        {"1h0m0s", 3600000},
        {"30s1m", 90000}, /* any order, as in Go */
        {"1s1s", 2000},
        {"1ns", 1}, /* rounded up: never earlier than asked */
        {"999999ns", 1},
        {"1000001ns", 2},
        {"0.1ns", 0},
        {"100us", 1},
        {"1000\xC2\xB5s", 1},
        {"2000\xCE\xBCs", 2},
        {"0.3333333333333333333h", 1200000},
        {"0.000000000000000000000000001h", 0},
        {"87600h", 315360000000},
        {"87840h", 316224000000}, /* the bound: ten years of 366 days */
        {"87840.001h", INVALID},
        {"99999999h", INVALID},
        {"18446744073709551616ns", INVALID},
        {"9999999999999999999999999999999999999s", INVALID},
        {"200000000000000000ns200000000000000000ns", INVALID},
        {"", INVALID},
        {"+", INVALID},
        {"-3s", INVALID},
        {"-0", INVALID},
        {"3", INVALID},
        {"s", INVALID},
        {".s", INVALID},
        {".", INVALID},
        {"3 s", INVALID},
        {"3s ", INVALID},
        {"3d", INVALID},
        {"3S", INVALID},
        {"3mss", INVALID},
        {"1.2.3s", INVALID},
        {"1s0", INVALID},
        {"00", INVALID},
        {"++3s", INVALID},
        {"3\xC2s", INVALID},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        uint64_t ms = 77;
        struct err error = {0};
        enum err_code code = text_parse_duration_ms(CASES[i].text, &ms, &error);
        if (CASES[i].ms == INVALID) {
            assert_int_equal(code, ERR_INVALID);
            assert_int_equal(ms, 77);
            assert_non_null(strstr(error.text, CASES[i].text));
        } else {
            if (code != ERR_OK)
                fail_msg("%s", error.text);
            assert_int_equal(ms, CASES[i].ms);
            assert_int_equal(error.code, ERR_OK);
        }
    }
}

static void periods(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } CASES[] = {
        {"3", 3000},
        {"3s", 3000},
        {"0", 0},
        {"00", 0},
        {"010", 10000},
        {"1m", 60000},
        {"316224000", 316224000000},
        {"316224001", INVALID},
        {"99999999999999999999", INVALID},
        {"", INVALID},
        {"-3", INVALID},
        {"3.5", INVALID},
        {"3.5s", 3500},
        {" 3", INVALID},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        uint64_t ms = 77;
        enum err_code code = text_parse_period_ms(CASES[i].text, &ms, NULL);
        assert_int_equal(code, CASES[i].ms == INVALID ? ERR_INVALID : ERR_OK);
        assert_int_equal(ms, CASES[i].ms == INVALID ? 77 : CASES[i].ms);
    }
}

static void durations_are_written_as_go_does(void **state)
{
    (void)state;
    static const struct {
        uint64_t ms;
        const char *text;
    } CASES[] = {
        {0, "0s"},
        {1, "1ms"},
        {250, "250ms"},
        {999, "999ms"},
        {1000, "1s"},
        {1001, "1.001s"},
        {1500, "1.5s"},
        {1250, "1.25s"},
        {3000, "3s"},
        {60000, "1m0s"},
        {90000, "1m30s"},
        {61500, "1m1.5s"},
        {3600000, "1h0m0s"},
        {5400000, "1h30m0s"},
        {315360000000, "87600h0m0s"},
        {UINT64_MAX, "5124095576030h25m51.615s"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        char text[40];
        text_format_duration_ms(CASES[i].ms, text, sizeof(text));
        assert_string_equal(text, CASES[i].text);
        uint64_t back = 0;
        if (CASES[i].ms < UINT64_MAX) {
            assert_int_equal(text_parse_duration_ms(text, &back, NULL), ERR_OK);
            assert_int_equal(back, CASES[i].ms);
        }
    }
    char small[4];
    text_format_duration_ms(90000, small, sizeof(small));
    assert_string_equal(small, "1m3");
}

static void times(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t us;
        const char *seconds, *micro; /* NULL: invalid */
    } CASES[] = {
        {"1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000Z"},
        {"2026-08-21T10:00:00Z", 1787306400000000, "2026-08-21T10:00:00Z", "2026-08-21T10:00:00.000000Z"},
        {"2026-08-21t10:00:00z", 1787306400000000, "2026-08-21T10:00:00Z", "2026-08-21T10:00:00.000000Z"},
        {"2026-08-21T12:00:00+02:00", 1787306400000000, "2026-08-21T10:00:00Z", "2026-08-21T10:00:00.000000Z"},
        {"2026-08-21T00:30:00-09:30", 1787306400000000, "2026-08-21T10:00:00Z", "2026-08-21T10:00:00.000000Z"},
        {"2026-08-21T10:00:00.5Z", 1787306400500000, "2026-08-21T10:00:00Z", "2026-08-21T10:00:00.500000Z"},
        {"2026-08-21T10:00:00.123456789Z", 1787306400123456, "2026-08-21T10:00:00Z", "2026-08-21T10:00:00.123456Z"},
        {"2000-02-29T23:59:59Z", 951868799000000, "2000-02-29T23:59:59Z", "2000-02-29T23:59:59.000000Z"},
        {"2100-03-01T00:00:00Z", 4107542400000000, "2100-03-01T00:00:00Z", "2100-03-01T00:00:00.000000Z"},
        {"1969-12-31T23:59:59.999999Z", -1, "1969-12-31T23:59:59Z", "1969-12-31T23:59:59.999999Z"},
        {"0001-01-01T00:00:00Z", -62135596800000000, "0001-01-01T00:00:00Z",
         "0001-01-01T00:00:00.000000Z"}, /* Go's zero */
        {"0000-01-01T00:00:00Z", -62167219200000000, "0000-01-01T00:00:00Z", "0000-01-01T00:00:00.000000Z"},
        {"9999-12-31T23:59:59.999999Z", 253402300799999999, "9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999999Z"},
        {"2023-02-29T00:00:00Z", 0, NULL, NULL},
        {"1900-02-29T00:00:00Z", 0, NULL, NULL},
        {"2026-13-01T00:00:00Z", 0, NULL, NULL},
        {"2026-00-01T00:00:00Z", 0, NULL, NULL},
        {"2026-04-31T00:00:00Z", 0, NULL, NULL},
        {"2026-04-00T00:00:00Z", 0, NULL, NULL},
        {"2026-04-01T24:00:00Z", 0, NULL, NULL},
        {"2026-04-01T00:60:00Z", 0, NULL, NULL},
        {"2026-04-01T00:00:60Z", 0, NULL, NULL},
        {"2026-04-01T00:00:00", 0, NULL, NULL},
        {"2026-04-01T00:00:00.Z", 0, NULL, NULL},
        {"2026-04-01T00:00:00Zx", 0, NULL, NULL},
        {"2026-04-01T00:00:00+24:00", 0, NULL, NULL},
        {"2026-04-01T00:00:00+0200", 0, NULL, NULL},
        {"2026-04-01T00:00:00+02:60", 0, NULL, NULL},
        {"2026-04-01 00:00:00Z", 0, NULL, NULL},
        {"2026-4-1T00:00:00Z", 0, NULL, NULL},
        {"26-04-01T00:00:00Z", 0, NULL, NULL},
        {"2026-04-01", 0, NULL, NULL},
        {"2026", 0, NULL, NULL},
        {"", 0, NULL, NULL},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        int64_t us = 77;
        struct err error = {0};
        enum err_code code = text_parse_time_us(CASES[i].text, &us, &error);
        if (!CASES[i].seconds) {
            if (code != ERR_INVALID)
                fail_msg("%s was taken", CASES[i].text);
            assert_int_equal(us, 77);
            continue;
        }
        if (code != ERR_OK)
            fail_msg("%s", error.text);
        assert_int_equal(us, CASES[i].us);
        char text[TEXT_TIME_BYTES];
        text_format_time(us, text);
        assert_string_equal(text, CASES[i].seconds);
        text_format_time_micro(us, text);
        assert_string_equal(text, CASES[i].micro);
    }
}

static void every_day_goes_there_and_back(void **state)
{
    (void)state;
    const int64_t day_us = INT64_C(86400) * 1000000;
    for (int64_t day = -719528; day < 2932897; day += 17) { /* years 0 to 9999 */
        char text[TEXT_TIME_BYTES];
        text_format_time(day * day_us, text);
        int64_t us = 0;
        assert_int_equal(text_parse_time_us(text, &us, NULL), ERR_OK);
        assert_int_equal(us, day * day_us);
    }
}

static void times_outside_the_format_are_clamped(void **state)
{
    (void)state;
    char text[TEXT_TIME_BYTES];
    text_format_time_micro(INT64_MAX, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999999Z");
    text_format_time_micro(INT64_MIN, text);
    assert_string_equal(text, "0000-01-01T00:00:00.000000Z");
}

static void addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum ip_family family;
        const char *canonical;
    } CASES[] = {
        {"10.0.0.1", IP_V4, "10.0.0.1"},
        {"255.255.255.255", IP_V4, "255.255.255.255"},
        {"0.0.0.0", IP_V4, "0.0.0.0"},
        {"::", IP_V6, "::"},
        {"::1", IP_V6, "::1"},
        {"1::", IP_V6, "1::"},
        {"2001:DB8::0001", IP_V6, "2001:db8::1"},
        {"2001:db8:0:0:0:0:2:1", IP_V6, "2001:db8::2:1"},
        {"2001:db8:0:1:1:1:1:1", IP_V6, "2001:db8:0:1:1:1:1:1"}, /* one group is not shortened */
        {"2001:0:0:1:0:0:0:1", IP_V6, "2001:0:0:1::1"},          /* the longest run */
        {"2001:db8:0:0:1:0:0:1", IP_V6, "2001:db8::1:0:0:1"},    /* the first of equals */
        {"0:0:1::", IP_V6, "0:0:1::"},
        {"::2:3:4:5:6:7:8", IP_V6, "0:2:3:4:5:6:7:8"},
        {"1:2:3:4:5:6:7:8", IP_V6, "1:2:3:4:5:6:7:8"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", IP_V6, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
        {"::ffff:10.0.0.1", IP_V4, "10.0.0.1"},
        {"::FFFF:0a00:0001", IP_V4, "10.0.0.1"},
        {"::1.2.3.4", IP_V6, "::102:304"},
        {"64:ff9b::1.2.3.4", IP_V6, "64:ff9b::102:304"},
        {"10.0.0", IP_NONE, NULL},
        {"10.0.0.256", IP_NONE, NULL},
        {"10.0.0.01", IP_NONE, NULL},
        {"10.0.0.1.", IP_NONE, NULL},
        {" 10.0.0.1", IP_NONE, NULL},
        {"10.0.0.1:80", IP_NONE, NULL},
        {"[::1]", IP_NONE, NULL},
        {"fe80::1%eth0", IP_NONE, NULL},
        {"1::2::3", IP_NONE, NULL},
        {"1:2:3:4:5:6:7", IP_NONE, NULL},
        {"1:2:3:4:5:6:7:8:9", IP_NONE, NULL},
        {"12345::", IP_NONE, NULL},
        {"gateway.example.com", IP_NONE, NULL},
        {"0x7f.1", IP_NONE, NULL},
        {"", IP_NONE, NULL},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        char canonical[TEXT_IP_BYTES] = "untouched";
        enum ip_family family = text_parse_ip(CASES[i].text, canonical);
        if (family != CASES[i].family)
            fail_msg("%s: family %d", CASES[i].text, (int)family);
        assert_string_equal(canonical, CASES[i].canonical ? CASES[i].canonical : "untouched");
    }
}

enum { LABEL_1123 = 1, SUBDOMAIN = 2, LABEL_VALUE_ONLY = 4, LABEL_KEY = 8, LABEL_VALUE = LABEL_VALUE_ONLY | LABEL_KEY };

static void names(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned is;
    } CASES[] = {
        {"web", LABEL_1123 | SUBDOMAIN | LABEL_VALUE},
        {"w", LABEL_1123 | SUBDOMAIN | LABEL_VALUE},
        {"web-east", LABEL_1123 | SUBDOMAIN | LABEL_VALUE},
        {"3scale", LABEL_1123 | SUBDOMAIN | LABEL_VALUE},
        {"7", LABEL_1123 | SUBDOMAIN | LABEL_VALUE},
        {"a.b", SUBDOMAIN | LABEL_VALUE},
        {"a.b-c.0", SUBDOMAIN | LABEL_VALUE},
        {"Web", LABEL_VALUE},
        {"we_b", LABEL_VALUE},
        {"a..b", LABEL_VALUE},
        {"a.-b", LABEL_VALUE},
        {"", LABEL_VALUE_ONLY},
        {"-web", 0},
        {"web-", 0},
        {".web", 0},
        {"web.", 0},
        {"_", 0},
        {"we b", 0},
        {"we/b", LABEL_KEY},
        {"we.b/We_b", LABEL_KEY},
        {"/web", 0},
        {"web/", 0},
        {"We/b", 0},
        {"a/b/c", 0},
        {"web\n", 0},
        {"w\xC3\xA9", 0},
        {BYTES_60("a") "aaa", LABEL_1123 | SUBDOMAIN | LABEL_VALUE},                               /* 63 */
        {BYTES_60("a") "aaaa", SUBDOMAIN},                                                         /* 64 */
        {BYTES_60("a") BYTES_60("b") BYTES_60("c") BYTES_60("d") REPEAT_10("e") "eee", SUBDOMAIN}, /* 253 */
        {BYTES_60("a") BYTES_60("b") BYTES_60("c") BYTES_60("d") REPEAT_10("e") "eeee", 0},        /* 254 */
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        const char *text = CASES[i].text;
        unsigned is = (text_is_dns1123_label(text) ? LABEL_1123 : 0) |
                      (text_is_dns1123_subdomain(text) ? SUBDOMAIN : 0) |
                      (text_is_label_value(text) ? LABEL_VALUE_ONLY : 0) | (text_is_label_key(text) ? LABEL_KEY : 0);
        if (is != CASES[i].is)
            fail_msg("\"%s\": %u instead of %u", text, is, CASES[i].is);
    }
}

static void beginnings_and_ends(void **state)
{
    (void)state;
    static const struct {
        const char *text, *part;
        bool starts, ends;
    } CASES[] = {
        {"web-east", "web", true, false}, {"web-east", "-east", false, true},
        {"web", "web", true, true},       {"web", "web-", false, false},
        {"web", "", true, true},          {"", "", true, true},
        {"", "w", false, false},          {"aba", "a", true, true},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        assert_int_equal(text_starts_with(CASES[i].text, CASES[i].part), CASES[i].starts);
        assert_int_equal(text_ends_with(CASES[i].text, CASES[i].part), CASES[i].ends);
    }
    char a[] = "same", b[] = "same";
    assert_true(text_equal(a, b));
    assert_true(text_equal(NULL, NULL));
    assert_false(text_equal(a, NULL));
    assert_false(text_equal(NULL, b));
    assert_false(text_equal(a, "other"));
}

static void lists_are_read_word_by_word(void **state)
{
    (void)state;
    const char *list = " a,b\t c,, ";
    size_t length;
    const char *word = text_next_word(&list, &length);
    assert_ptr_equal(word, list - 1);
    assert_true(length == 1 && word[0] == 'a');
    assert_non_null(text_next_word(&list, &length));
    assert_non_null(text_next_word(&list, &length));
    assert_null(text_next_word(&list, &length));
    assert_true(text_list_has("west, north", "north"));
    assert_true(text_list_has("west,north", "west"));
    assert_false(text_list_has("west,north", "nor"));
    assert_false(text_list_has("west,north", "northern"));
    assert_false(text_list_has("west,,", ""));
    assert_false(text_list_has("", "west"));
}

static void request_paths_are_judged(void **state)
{
    (void)state;
    char longest[TEXT_REQUEST_PATH_MAX + 2];
    memset(longest, 'x', sizeof(longest));
    longest[TEXT_REQUEST_PATH_MAX] = '\0';
    assert_true(text_is_request_path("-/ambassador/ready"));
    assert_true(text_is_request_path("//ready?x=1"));
    assert_true(text_is_request_path(""));
    assert_true(text_is_request_path(longest));
    assert_false(text_is_request_path("/a b"));
    assert_false(text_is_request_path("/a#b"));
    assert_false(text_is_request_path("/\xc3\xa4"));
    longest[TEXT_REQUEST_PATH_MAX] = 'x';
    longest[TEXT_REQUEST_PATH_MAX + 1] = '\0';
    assert_false(text_is_request_path(longest));
}

/* What the API server refuses: ValidateEndpointIP. */
static void addresses_that_cannot_be_endpoints(void **state)
{
    (void)state;
    static const char *const refused[] = {"0.0.0.0", "127.0.0.1", "127.9.9.9", "169.254.1.1", "224.0.0.9", "::",
                                          "::1",     "fe80::1",   "febf::1",   "ff02::1",     "ff12::1"};
    static const char *const taken[] = {"203.0.113.7", "10.0.0.1", "169.253.0.1", "224.0.1.1",
                                        "2001:db8::1", "fec0::1",  "fd00::1",     "::2"};
    char canonical[TEXT_IP_BYTES];
    for (size_t i = 0; i < ARRAY_COUNT(refused); i++)
        if (text_ip_may_be_endpoint(text_parse_ip(refused[i], canonical), canonical))
            fail_msg("%s", refused[i]);
    for (size_t i = 0; i < ARRAY_COUNT(taken); i++)
        if (!text_ip_may_be_endpoint(text_parse_ip(taken[i], canonical), canonical))
            fail_msg("%s", taken[i]);
    assert_false(text_ip_may_be_endpoint(IP_NONE, "gw.example"));
}

static void ranges_hold_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *cidr, *address;
        bool covers;
    } CASES[] = {
        {"10.96.0.0/16", "10.96.0.1", true},   {"10.96.0.0/16", "10.96.255.255", true},
        {"10.96.0.0/16", "10.97.0.0", false},  {"10.96.0.0/12", "10.111.1.1", true},
        {"10.96.0.0/12", "10.112.0.0", false}, {"10.96.0.7/32", "10.96.0.7", true},
        {"10.96.0.7/32", "10.96.0.8", false},  {"0.0.0.0/0", "203.0.113.7", true},
        {"fd00:96::/112", "fd00:96::7", true}, {"fd00:96::/112", "fd00:97::7", false},
        {"fd00:96::/112", "10.96.0.1", false}, {"10.96.0.0/16", "fd00::1", false},
        {"::/0", "2001:db8::1", true},         {"10.96.0.0/33", "10.96.0.1", false},
        {"10.96.0.0/-1", "10.96.0.1", false},  {"10.96.0.0/", "10.96.0.1", false},
        {"10.96.0.0", "10.96.0.0", false},     {"", "10.96.0.1", false},
        {"/16", "10.96.0.1", false},           {"x/16", "10.96.0.1", false},
        {"10.96.0.0/16", "gw.example", false}, {"10.96.0.0/16", "", false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++)
        if (text_cidr_covers(CASES[i].cidr, CASES[i].address) != CASES[i].covers)
            fail_msg("%s in %s", CASES[i].address, CASES[i].cidr);
}

/* Each byte's place in a text of each length, which are looked at in words and one by one; and each byte there is. */
static void ascii_ends_at_the_first_other_byte(void **state)
{
    (void)state;
    enum { LONGEST = 25 };
    for (size_t bytes = 0; bytes <= LONGEST; bytes++) {
        char *text = malloc(bytes + 1); /* its last byte is not the text's */
        assert_non_null(text);
        for (size_t other = 0; other <= bytes; other++) {
            for (int c = 0; c < 256; c++) {
                memset(text, 'a' + (int)other % 26, bytes + 1);
                text[other] = (char)c;
                bool ends = other < bytes && (c == 0 || c > 127);
                assert_int_equal(text_ascii_bytes(text, bytes), ends ? other : bytes);
            }
        }
        free(text);
    }
    assert_int_equal(text_ascii_bytes("\x01\x01\x01\x01\x01\x01\x01\x7F", 8), 8);
    assert_int_equal(text_ascii_bytes("\x01\x80\0\x01\x01\x01\x01\x7F", 8), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_are_read_word_by_word),
        cmocka_unit_test(ranges_hold_addresses),
        cmocka_unit_test(request_paths_are_judged),
        cmocka_unit_test(addresses_that_cannot_be_endpoints),
        cmocka_unit_test(whole_numbers),
        cmocka_unit_test(durations),
        cmocka_unit_test(periods),
        cmocka_unit_test(durations_are_written_as_go_does),
        cmocka_unit_test(times),
        cmocka_unit_test(every_day_goes_there_and_back),
        cmocka_unit_test(times_outside_the_format_are_clamped),
        cmocka_unit_test(addresses),
        cmocka_unit_test(names),
        cmocka_unit_test(beginnings_and_ends),
        cmocka_unit_test(ascii_ends_at_the_first_other_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
