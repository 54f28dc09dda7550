/* links: agent_commands */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "agent/commands/support_archive.h"
#include "base/mem.h"
#include "tests/unit/sweep.h"

enum { A_NAME = 100, A_PREFIX = 155 };

/* "xxx/yyy": so many letters before and behind the slash; `head` 0: no slash. */
static const char *name_of(size_t head, size_t tail)
{
    static char name[600];
    memset(name, 'x', head);
    memset(name + head, 'y', tail + 1);
    if (head > 0)
        name[head] = '/';
    name[head > 0 ? head + 1 + tail : tail] = '\0';
    return name;
}

static void names_fit_or_are_refused(void **state)
{
    static const struct {
        size_t head, tail;
        bool fits;
    } CASES[] = {{0, 1, true},
                 {0, A_NAME, true},
                 {0, A_NAME + 1, false},
                 {A_PREFIX, A_NAME, true},
                 {A_PREFIX + 1, A_NAME, false},
                 {A_PREFIX, A_NAME + 1, false}};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        char block[TAR_BLOCK_BYTES];
        const char *name = name_of(CASES[i].head, CASES[i].tail);
        assert_int_equal(support_archive_header(name, 10, 0, block), CASES[i].fits);
        if (CASES[i].fits && strlen(name) > A_NAME) {
            assert_memory_equal(block + 345, name, CASES[i].head);
            assert_memory_equal(block, name + CASES[i].head + 1, CASES[i].tail);
        }
    }
}

static void a_header_is_what_tar_writes(void **state)
{
    (void)state;
    char block[TAR_BLOCK_BYTES];
    unsigned sum = 0, told = 0;
    assert_true(support_archive_header("a/b", 1000, 1700000000, block));
    assert_string_equal(block, "a/b");
    assert_string_equal(block + 100, "0000600");
    assert_string_equal(block + 124, "00000001750");
    assert_string_equal(block + 136, "14524770400");
    assert_memory_equal(block + 257,
                        "ustar\0"
                        "00",
                        8);
    assert_int_equal(sscanf(block + 148, "%o", &told), 1);
    for (size_t i = 0; i < sizeof(block); i++)
        sum += i >= 148 && i < 156 ? ' ' : (unsigned char)block[i];
    assert_int_equal(sum, told);
}

static unsigned files_in(const char *folder)
{
    unsigned count = 0;
    DIR *directory = opendir(folder);
    assert_non_null(directory);
    for (const struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory))
        count += entry->d_name[0] != '.' ? 1 : 0;
    (void)closedir(directory);
    return count;
}

struct place {
    char folder[64], path[128];
};

static void open_place(struct place *place)
{
    (void)snprintf(place->folder, sizeof(place->folder), "/tmp/svcmirror-archive-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    (void)snprintf(place->path, sizeof(place->path), "%s/x.tar.gz", place->folder);
}

static void close_place(const struct place *place)
{
    (void)unlink(place->path);
    assert_int_equal(rmdir(place->folder), 0); /* nothing else is left */
}

static void it_is_there_whole_or_not_at_all(void **state)
{
    (void)state;
    struct place place;
    struct support_archive *archive = NULL;
    struct err error = {0};
    open_place(&place);
    assert_int_equal(support_archive_open(place.path, "root", 5, &archive, &error), ERR_OK);
    assert_int_equal(support_archive_add(archive, "a.txt", "hello", 5, &error), ERR_OK);
    assert_int_equal(access(place.path, F_OK), -1);
    assert_int_equal(files_in(place.folder), 1);
    support_archive_free(archive);
    assert_int_equal(files_in(place.folder), 0);

    assert_int_equal(support_archive_open(place.path, "root", 5, &archive, &error), ERR_OK);
    assert_int_equal(support_archive_add(archive, "a.txt", "hello", 5, &error), ERR_OK);
    assert_int_equal(support_archive_add(archive, "empty", "", 0, &error), ERR_OK);
    assert_int_equal(support_archive_add(archive, name_of(0, 300), "", 0, &error), ERR_LIMIT);
    assert_int_equal(support_archive_finish(archive, &error), ERR_OK);
    support_archive_free(archive);
    char content[8 * TAR_BLOCK_BYTES];
    gzFile file = gzopen(place.path, "rb");
    assert_int_equal(gzread(file, content, sizeof(content)), 5 * TAR_BLOCK_BYTES); /* two heads, one body, the end */
    assert_string_equal(content, "root/a.txt");
    assert_memory_equal(content + TAR_BLOCK_BYTES, "hello\0", 6);
    assert_string_equal(content + 2 * TAR_BLOCK_BYTES, "root/empty");
    (void)gzclose(file);
    close_place(&place);
}

static void where_nothing_can_be_written(void **state)
{
    (void)state;
    struct support_archive *archive = NULL;
    struct err error = {0};
    assert_int_equal(support_archive_open("/nonexistent/x", "root", 5, &archive, &error), ERR_IO);
    assert_string_equal(error.text, "/nonexistent/x: No such file or directory");
}

static enum err_code scenario(void *context)
{
    const struct place *place = context;
    struct support_archive *archive = NULL;
    struct err error = {0};
    TRY(support_archive_open(place->path, "root", 5, &archive, &error));
    enum err_code code = support_archive_add(archive, "a.txt", "hello", 5, &error);
    if (code == ERR_OK)
        code = support_archive_finish(archive, &error);
    support_archive_free(archive);
    return code;
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    struct place place;
    open_place(&place);
    assert_true(sweep(scenario, &place) >= 3);
    close_place(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_fit_or_are_refused),        cmocka_unit_test(a_header_is_what_tar_writes),
        cmocka_unit_test(it_is_there_whole_or_not_at_all), cmocka_unit_test(where_nothing_can_be_written),
        cmocka_unit_test(each_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
