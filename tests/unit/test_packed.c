/* links: base */
#include "base/packed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sweep.h"

enum { LONG_BYTES = 200000 };

/* @return new: a list of entries as a Link's status has them. */
static char *repeating(void)
{
    char *text = mem_zalloc(LONG_BYTES);
    assert_non_null(text);
    for (size_t used = 0, i = 0; used < LONG_BYTES - 128; i++)
        used += (size_t)snprintf(text + used, LONG_BYTES - used,
                                 "{\"name\":\"web-%zu\",\"namespace\":\"demo\",\"status\":\"True\"},", i);
    return text;
}

static void check_same(const char *text, size_t bytes, size_t most)
{
    struct packed *packed = NULL;
    char *again = NULL;
    size_t length = 0;
    assert_int_equal(packed_new(text, bytes, &packed), ERR_OK);
    assert_in_range(packed_size(packed), 1, most);
    assert_int_equal(packed_text(packed, &again, &length), ERR_OK);
    assert_int_equal(length, bytes);
    assert_memory_equal(again, text, bytes);
    assert_int_equal(again[length], '\0');
    mem_free(again);
    packed_free(packed);
}

static void it_comes_back_as_it_was(void **state)
{
    (void)state;
    char *text = repeating();
    check_same(text, strlen(text), strlen(text) / 8);
    for (size_t bytes = 4090; bytes < 4104; bytes++)
        check_same(text, bytes, bytes + 64);
    check_same("", 0, 64);
    check_same("{}", 2, 64);
    mem_free(text);
}

/* What compression would make longer stays as it is. */
static void noise(void **state)
{
    (void)state;
    char *text = mem_zalloc(LONG_BYTES);
    assert_non_null(text);
    uint32_t seed = 1;
    for (size_t i = 0; i < LONG_BYTES; i++) {
        seed = seed * 1664525U + 1013904223U;
        text[i] = (char)(seed >> 24);
    }
    check_same(text, LONG_BYTES, LONG_BYTES + 64);
    mem_free(text);
}

static void nothing_is_freed(void **state)
{
    (void)state;
    packed_free(NULL);
}

static enum err_code there_and_back(void *context)
{
    const char *text = context;
    struct packed *packed = NULL;
    char *again = NULL;
    size_t bytes = 0;
    enum err_code code = packed_new(text, strlen(text), &packed);
    if (code == ERR_OK)
        code = packed_text(packed, &again, &bytes);
    if (code == ERR_OK)
        assert_string_equal(again, text);
    mem_free(again);
    packed_free(packed);
    return code;
}

static void no_allocation_is_taken_for_granted(void **state)
{
    (void)state;
    char *text = repeating();
    assert_true(sweep(there_and_back, text) > 5);
    mem_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_comes_back_as_it_was),
        cmocka_unit_test(noise),
        cmocka_unit_test(nothing_is_freed),
        cmocka_unit_test(no_allocation_is_taken_for_granted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
