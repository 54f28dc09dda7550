/* links: agent_kube base */
#include "agent/kube/exec_config.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/kube/setup.h"
#include "base/strbuf.h"
#include "tests/unit/sweep.h"

static char folder[] = "/tmp/test_exec_config_XXXXXX";

static const char *path_of(const char *name)
{
    static char paths[4][128];
    static unsigned next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

static void make_program(const char *name, mode_t mode)
{
    FILE *file = fopen(path_of(name), "we");
    assert_non_null(file);
    (void)fputs("#!/bin/sh\n", file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path_of(name), mode), 0);
}

static enum err_code read_config(struct arena *arena, const char *exec, const char *cluster, const char *ca_pem,
                                 const struct exec_config **config, struct err *error)
{
    json_t *json = json_loads(exec, 0, NULL), *beside = json_loads(cluster, 0, NULL);
    enum err_code code = json != NULL && beside != NULL
                             ? exec_config_read(arena, json, beside, ca_pem, "/home/me/.kube", config, error)
                             : ERR_NOMEM;
    json_decref(json);
    json_decref(beside);
    return code;
}

#define V1 "\"apiVersion\":\"client.authentication.k8s.io/v1\",\"interactiveMode\":\"Never\""

static void takes_every_field(void **state)
{
    (void)state;
    struct arena arena, other;
    const struct exec_config *config = NULL;
    struct err error = {0};
    arena_init(&arena, 1 << 20);
    arena_init(&other, 1 << 20);
    const char *exec =
        "{" V1 ",\"command\":\"bin/login\",\"args\":[\"get\",\"\"],\"env\":[{\"name\":\"A\",\"value\":\"b=c\"},"
        "{\"name\":\"E\",\"value\":\"\"}],\"installHint\":\"get it\",\"provideClusterInfo\":\"true\"}";
    const char *cluster = "{\"server\":\"https://x\",\"tls-server-name\":\"y\",\"insecure-skip-tls-verify\":\"false\","
                          "\"disable-compression\":\"true\",\"extensions\":[{\"name\":\"other\",\"extension\":1},"
                          "{\"name\":\"client.authentication.k8s.io/exec\",\"extension\":{\"audience\":\"z\"}}]}";
    if (read_config(&arena, exec, cluster, "PEM", &config, &error) != ERR_OK)
        fail_msg("%s", error.text);
    config = exec_config_copy(&other, config);
    arena_done(&arena); /* nothing of the copy is in it */
    assert_string_equal(config->command, "/home/me/.kube/bin/login");
    assert_string_equal(config->argv[0], "/home/me/.kube/bin/login");
    assert_string_equal(config->argv[1], "get");
    assert_string_equal(config->argv[2], "");
    assert_null(config->argv[3]);
    assert_string_equal(config->env[0], "A=b=c");
    assert_string_equal(config->env[1], "E=");
    assert_null(config->env[2]);
    assert_string_equal(config->install_hint, "get it");
    assert_int_equal(config->mode, EXEC_NEVER_ASKS);
    assert_string_equal(config->cluster,
                        "{\"certificate-authority-data\":\"UEVN\",\"server\":\"https://x\",\"tls-server-name\":\"y\","
                        "\"disable-compression\":true,\"config\":{\"audience\":\"z\"}}");
    arena_done(&other);
}

static void says_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *exec;
        enum err_code code;
        const char *words;
    } cases[] = {
        {"{\"command\":\"x\"}", ERR_INVALID, "no apiVersion"},
        {"{\"command\":\"x\",\"apiVersion\":\"client.authentication.k8s.io/v1alpha1\"}", ERR_INVALID, "none of client"},
        {"{\"command\":\"x\",\"apiVersion\":\"v1\"}", ERR_INVALID, "none of client"},
        {"{\"command\":\"x\",\"apiVersion\":\"client.authentication.k8s.io/v1\"}", ERR_INVALID, "interactiveMode \"\""},
        {"{\"command\":\"x\",\"apiVersion\":\"client.authentication.k8s.io/v1\",\"interactiveMode\":\"never\"}",
         ERR_INVALID, "interactiveMode \"never\""},
        {"{\"command\":\"x\",\"apiVersion\":\"client.authentication.k8s.io/v1beta1\"}", ERR_OK, ""},
        {"{" V1 "}", ERR_INVALID, "no command"},
        {"{" V1 ",\"command\":\"x\",\"args\":[{}]}", ERR_INVALID, "args[0]"},
        {"{" V1 ",\"command\":\"x\",\"env\":[{\"value\":\"x\"}]}", ERR_INVALID, "env[0]"},
        {"{" V1 ",\"command\":\"x\",\"env\":[{\"name\":\"a=b\",\"value\":\"x\"}]}", ERR_INVALID, "env[0]"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct arena arena;
        const struct exec_config *config = NULL;
        struct err error = {0};
        arena_init(&arena, 1 << 20);
        enum err_code code = read_config(&arena, cases[i].exec, "{}", NULL, &config, &error);
        if (code != cases[i].code || strstr(error.text, cases[i].words) == NULL)
            fail_msg("case %zu: %s: %s", i, err_code_name(code), error.text);
        if (code == ERR_OK)
            assert_int_equal(config->mode, EXEC_ASKS_IF_IT_CAN);
        arena_done(&arena);
    }
}

/* `login` is in PATH; `other/login` is another program of this name. */
static void allows_programs_and_not_names(void **state)
{
    (void)state;
    assert_int_equal(mkdir(path_of("bin"), 0700), 0);
    assert_int_equal(mkdir(path_of("other"), 0700), 0);
    make_program("bin/login", 0700);
    make_program("other/login", 0700);
    make_program("bin/text", 0600);
    assert_int_equal(symlink("login", path_of("bin/alias")), 0);
    char path[256], absolute[128], other[128], list[512];
    (void)snprintf(path, sizeof(path), "relative::/does/not/exist:%s", path_of("bin"));
    assert_int_equal(setenv("PATH", path, 1), 0);
    (void)snprintf(absolute, sizeof(absolute), "%s", path_of("bin/login"));
    (void)snprintf(other, sizeof(other), "%s", path_of("other/login"));
    (void)snprintf(list, sizeof(list), "nothing, %s", absolute);
    const struct {
        const char *command, *list;
        bool allowed;
    } cases[] = {
        {"login", "login", true},  {"login", "a login b", true},  {"login", list, true},
        {absolute, "login", true}, {absolute, absolute, true},    {other, "login", false},
        {other, absolute, false},  {other, other, true},          {"login", "", false},
        {"login", "log", false},   {"login", "logins", false},    {"absent", "absent", false},
        {"text", "text", false},   {"login", "bin/login", false}, {"alias", "login", false},
        {"login", "*", false},     {"bin", "bin", false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const struct exec_config config = {.command = cases[i].command};
        if (exec_config_allowed(&config, cases[i].list) != cases[i].allowed)
            fail_msg("case %zu: %s in \"%s\"", i, cases[i].command, cases[i].list);
    }
}

/* What is read from was parsed before: jansson loses letters when memory is short. */
static enum err_code sweep_read(void *context)
{
    struct arena arena;
    const struct exec_config *config = NULL;
    arena_init(&arena, 1 << 20);
    enum err_code code = exec_config_read(&arena, context, context, "PEM", "/", &config, NULL);
    if (code == ERR_OK && (exec_config_copy(&arena, config) == NULL || arena_failed(&arena)))
        code = ERR_NOMEM;
    arena_done(&arena);
    return code;
}

static void survives_failing_allocations(void **state)
{
    (void)state;
    json_t *exec = json_loads("{" V1 ",\"command\":\"x\",\"args\":[\"a\"],\"env\":[{\"name\":\"n\",\"value\":\"v\"}],"
                              "\"provideClusterInfo\":\"true\",\"server\":\"https://x\"}",
                              0, NULL);
    assert_true(sweep(sweep_read, exec) > 10);
    json_decref(exec);
}

static int make_folder(void **state)
{
    (void)state;
    kube_setup();
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const files[] = {"bin/login", "other/login", "bin/text", "bin/alias"};
    for (size_t i = 0; i < ARRAY_COUNT(files); i++)
        (void)unlink(path_of(files[i]));
    (void)rmdir(path_of("bin"));
    (void)rmdir(path_of("other"));
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_every_field),
        cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(allows_programs_and_not_names),
        cmocka_unit_test(survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
