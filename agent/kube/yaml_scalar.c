#include "agent/kube/yaml_scalar.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { NUMBER_BYTES = 64 };

static bool is_one_of(const char *text, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(text, words[i]) == 0)
            return true;
    return false;
}

/* Copies without the underscores that may stand between digits. @return false when it is too long for a number. */
static bool copy_digits(const char *text, char buffer[NUMBER_BYTES])
{
    size_t used = 0;
    for (; *text != '\0'; text++) {
        if (*text == '_')
            continue;
        if (used + 1 == NUMBER_BYTES)
            return false;
        buffer[used++] = *text;
    }
    buffer[used] = '\0';
    return used > 0;
}

/* Go's strconv.ParseInt(text, 0, 64): 0x, 0o, 0b, and octal after any other leading 0. */
static bool read_integer(const char *text, json_int_t *ret_value)
{
    const char *digits = text + (text[0] == '+' || text[0] == '-' ? 1 : 0);
    int base = 10;
    if (digits[0] == '0' && digits[1] != '\0') {
        char kind = (char)tolower((unsigned char)digits[1]);
        base = kind == 'x' ? 16 : kind == 'b' ? 2 : 8;
        digits += kind == 'x' || kind == 'b' || kind == 'o' ? 2 : 1;
    }
    if (!isalnum((unsigned char)digits[0])) /* strtoull() takes blanks and a sign */
        return false;
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(digits, &end, base);
    unsigned long long most = text[0] == '-' ? 1ULL << 63 : (1ULL << 63) - 1;
    if (*end != '\0' || errno != 0 || value > most)
        return false;
    *ret_value = text[0] == '-' ? (json_int_t)(0 - value) : (json_int_t)value;
    return true;
}

/* [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? */
static bool is_real(const char *text)
{
    const char *at = text + (text[0] == '+' || text[0] == '-' ? 1 : 0);
    size_t whole = strspn(at, "0123456789"), fraction = 0;
    at += whole;
    if (*at == '.') {
        fraction = strspn(++at, "0123456789");
        at += fraction;
    }
    if (whole + fraction == 0)
        return false;
    if (*at == 'e' || *at == 'E') {
        at += at[1] == '-' || at[1] == '+' ? 2 : 1;
        size_t exponent = strspn(at, "0123456789");
        if (exponent == 0)
            return false;
        at += exponent;
    }
    return *at == '\0';
}

/* @return whether it is a number that JSON has; then `ret_value` is new, or NULL when out of memory. */
static bool read_number(const char *text, json_t **ret_value)
{
    char digits[NUMBER_BYTES];
    json_int_t integer = 0;
    if (strchr("+-.0123456789", text[0]) == NULL || !copy_digits(text, digits))
        return false;
    if (read_integer(digits, &integer)) {
        *ret_value = json_integer(integer);
        return true;
    }
    double real = is_real(digits) ? strtod(digits, NULL) : 0;
    if (!is_real(digits) || real - real != 0) /* beyond what a double holds */
        return false;
    *ret_value = json_real(real);
    return true;
}

json_t *yaml_scalar(const char *text, size_t bytes)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
    static const char *const yes[] = {"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"};
    static const char *const no[] = {"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"};
    json_t *number = NULL;
    if (is_one_of(text, nulls, ARRAY_COUNT(nulls)))
        return json_null();
    if (is_one_of(text, yes, ARRAY_COUNT(yes)))
        return json_true();
    if (is_one_of(text, no, ARRAY_COUNT(no)))
        return json_false();
    return read_number(text, &number) ? number : json_stringn(text, bytes);
}
