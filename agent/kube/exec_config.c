#include "agent/kube/exec_config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/kube/base64.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/text.h"

enum { MAX_WORDS = 256, PATH_ARENA_BYTES = 1 << 20, CA_BYTES = 2 << 20 };

static const char api_group[] = "client.authentication.k8s.io/";

static enum err_code no_memory(struct err *reterr) { return err_set(reterr, ERR_NOMEM, "out of memory"); }

static const char *text_of(const json_t *object, const char *field)
{
    const char *text = json_string_value(json_object_get(object, field));
    return text != NULL && text[0] != '\0' ? text : NULL;
}

/* ---- reading ---- */

static enum err_code read_version(const json_t *exec, struct exec_config *config, struct err *reterr)
{
    config->api_version = text_of(exec, "apiVersion");
    if (config->api_version == NULL)
        return err_set(reterr, ERR_INVALID, "it has no apiVersion: write client.authentication.k8s.io/v1");
    const char *version =
        text_starts_with(config->api_version, api_group) ? config->api_version + sizeof(api_group) - 1 : "";
    if (strcmp(version, "v1") != 0 && strcmp(version, "v1beta1") != 0)
        return err_set(
            reterr, ERR_INVALID,
            "apiVersion \"%.80s\" is none of client.authentication.k8s.io/v1 and v1beta1: a newer version of the "
            "program may know them",
            config->api_version);
    return ERR_OK;
}

static enum err_code read_mode(const json_t *exec, struct exec_config *config, struct err *reterr)
{
    static const char *const modes[] = {
        [EXEC_NEVER_ASKS] = "Never", [EXEC_ASKS_IF_IT_CAN] = "IfAvailable", [EXEC_ALWAYS_ASKS] = "Always"};
    const char *mode = text_of(exec, "interactiveMode");
    config->mode = EXEC_ASKS_IF_IT_CAN;
    if (mode == NULL && text_ends_with(config->api_version, "/v1beta1"))
        return ERR_OK;
    for (size_t i = 0; mode != NULL && i < ARRAY_COUNT(modes); i++) {
        config->mode = (enum exec_mode)i;
        if (strcmp(mode, modes[i]) == 0)
            return ERR_OK;
    }
    return err_set(reterr, ERR_INVALID, "interactiveMode \"%.40s\" is none of Never, IfAvailable and Always",
                   mode != NULL ? mode : "");
}

static enum err_code read_argv(struct arena *arena, const json_t *exec, struct exec_config *config, struct err *reterr)
{
    const json_t *args = json_object_get(exec, "args");
    size_t count = json_array_size(args);
    if (count > MAX_WORDS)
        return err_set(reterr, ERR_INVALID, "it has more than %d args", MAX_WORDS);
    const char **argv = arena_array(arena, count + 2, sizeof(*argv));
    if (argv == NULL)
        return no_memory(reterr);
    argv[0] = config->command;
    for (size_t i = 0; i < count; i++) {
        const char *arg = json_string_value(json_array_get(args, i));
        if (arg == NULL)
            return err_set(reterr, ERR_INVALID, "args[%zu] is not a text", i);
        argv[i + 1] = arena_strdup(arena, arg);
    }
    config->argv = argv;
    return ERR_OK;
}

static enum err_code read_env(struct arena *arena, const json_t *exec, struct exec_config *config, struct err *reterr)
{
    const json_t *env = json_object_get(exec, "env");
    size_t count = json_array_size(env);
    if (count > MAX_WORDS)
        return err_set(reterr, ERR_INVALID, "it has more than %d env", MAX_WORDS);
    const char **lines = arena_array(arena, count + 1, sizeof(*lines));
    if (lines == NULL)
        return no_memory(reterr);
    for (size_t i = 0; i < count; i++) {
        const json_t *one = json_array_get(env, i);
        const char *name = text_of(one, "name"), *value = json_string_value(json_object_get(one, "value"));
        if (name == NULL || strchr(name, '=') != NULL)
            return err_set(reterr, ERR_INVALID, "env[%zu] has no name that a variable can have", i);
        lines[i] = arena_printf(arena, "%s=%s", name, value != NULL ? value : "");
    }
    config->env = lines;
    return ERR_OK;
}

static enum err_code read_command(struct arena *arena, const json_t *exec, const char *directory,
                                  struct exec_config *config, struct err *reterr)
{
    const char *command = text_of(exec, "command");
    if (command == NULL)
        return err_set(reterr, ERR_INVALID, "it has no command");
    if (command[0] != '/' && strchr(command, '/') != NULL && directory != NULL)
        config->command = arena_printf(arena, "%s/%s", directory, command);
    else
        config->command = arena_strdup(arena, command);
    return config->command != NULL ? ERR_OK : no_memory(reterr);
}

/* ---- what the program is told of the cluster ---- */

static bool add(json_t *object, const char *name, json_t *value) /* steals value */
{
    return value != NULL && json_object_set_new(object, name, value) == 0;
}

static json_t *encoded(const char *ca_pem)
{
    struct strbuf text;
    strbuf_init(&text, CA_BYTES);
    base64_encode(&text, ca_pem, strlen(ca_pem));
    json_t *value = strbuf_error(&text) == ERR_OK ? json_string(strbuf_text(&text)) : NULL;
    strbuf_done(&text);
    return value;
}

/* The cluster's extension of the name that is kept for this, any JSON. */
static const json_t *extension(const json_t *cluster)
{
    const json_t *extensions = json_object_get(cluster, "extensions");
    for (size_t i = 0; i < json_array_size(extensions); i++) {
        const json_t *one = json_array_get(extensions, i);
        if (text_equal(json_string_value(json_object_get(one, "name")), "client.authentication.k8s.io/exec"))
            return json_object_get(one, "extension");
    }
    return NULL;
}

static bool fill_cluster(json_t *told, const json_t *cluster, const char *ca_pem)
{
    static const char *const texts[] = {"server", "tls-server-name", "proxy-url"};
    static const char *const switches[] = {"insecure-skip-tls-verify", "disable-compression"};
    bool ok = ca_pem == NULL || add(told, "certificate-authority-data", encoded(ca_pem));
    for (size_t i = 0; ok && i < ARRAY_COUNT(texts); i++)
        if (text_of(cluster, texts[i]) != NULL)
            ok = add(told, texts[i], json_string(text_of(cluster, texts[i])));
    for (size_t i = 0; ok && i < ARRAY_COUNT(switches); i++)
        if (text_equal(text_of(cluster, switches[i]), "true"))
            ok = add(told, switches[i], json_true());
    const json_t *config = extension(cluster);
    return ok && (config == NULL || add(told, "config", json_deep_copy(config)));
}

static enum err_code read_cluster(struct arena *arena, const json_t *exec, const json_t *cluster, const char *ca_pem,
                                  struct exec_config *config, struct err *reterr)
{
    if (!text_equal(text_of(exec, "provideClusterInfo"), "true"))
        return ERR_OK;
    json_t *told = json_object();
    char *text = told != NULL && fill_cluster(told, cluster, ca_pem) ? json_dumps(told, JSON_COMPACT) : NULL;
    config->cluster = arena_strdup(arena, text);
    json_decref(told);
    mem_free(text); /* jansson allocates through base/mem */
    return config->cluster != NULL ? ERR_OK : no_memory(reterr);
}

enum err_code exec_config_read(struct arena *arena, const json_t *exec, const json_t *cluster, const char *ca_pem,
                               const char *directory, const struct exec_config **ret_config, struct err *reterr)
{
    struct exec_config *config = ARENA_NEW(arena, struct exec_config);
    if (config == NULL)
        return no_memory(reterr);
    TRY(read_version(exec, config, reterr));
    TRY(read_mode(exec, config, reterr));
    TRY(read_command(arena, exec, directory, config, reterr));
    TRY(read_argv(arena, exec, config, reterr));
    TRY(read_env(arena, exec, config, reterr));
    TRY(read_cluster(arena, exec, cluster, ca_pem, config, reterr));
    config->api_version = arena_strdup(arena, config->api_version);
    config->install_hint = arena_strdup(arena, text_of(exec, "installHint"));
    if (arena_failed(arena))
        return no_memory(reterr);
    *ret_config = config;
    return ERR_OK;
}

/* ---- copies ---- */

const char *const *exec_config_copy_list(struct arena *arena, const char *const *list)
{
    size_t count = 0;
    while (list != NULL && list[count] != NULL)
        count++;
    const char **copy = list != NULL ? arena_array(arena, count + 1, sizeof(*copy)) : NULL;
    for (size_t i = 0; copy != NULL && i < count; i++)
        copy[i] = arena_strdup(arena, list[i]);
    return copy;
}

const struct exec_config *exec_config_copy(struct arena *arena, const struct exec_config *config)
{
    struct exec_config *copy = config != NULL ? ARENA_NEW(arena, struct exec_config) : NULL;
    if (copy == NULL)
        return NULL;
    *copy = (struct exec_config){.api_version = arena_strdup(arena, config->api_version),
                                 .command = arena_strdup(arena, config->command),
                                 .argv = exec_config_copy_list(arena, config->argv),
                                 .env = exec_config_copy_list(arena, config->env),
                                 .install_hint = arena_strdup(arena, config->install_hint),
                                 .cluster = arena_strdup(arena, config->cluster),
                                 .mode = config->mode};
    return copy;
}

/* ---- where programs are ---- */

static bool is_program(const char *path)
{
    struct stat file;
    return path != NULL && stat(path, &file) == 0 && S_ISREG(file.st_mode) && access(path, X_OK) == 0;
}

/* Directories of PATH that are not absolute are left out: a program of the folder that somebody happens to be in is not meant. */
static const char *find_in_path(struct arena *arena, const char *name)
{
    const char *list = getenv("PATH");
    for (const char *at = list != NULL ? list : ""; *at != '\0';) {
        size_t length = strcspn(at, ":");
        const char *path = at[0] == '/' ? arena_printf(arena, "%.*s/%s", (int)length, at, name) : NULL;
        if (is_program(path))
            return path;
        at += length + (at[length] == ':' ? 1 : 0);
    }
    return NULL;
}

const char *exec_config_find(struct arena *arena, const char *command)
{
    if (strchr(command, '/') == NULL)
        return find_in_path(arena, command);
    return is_program(command) ? arena_strdup(arena, command) : NULL;
}

bool exec_config_allowed(const struct exec_config *config, const char *list)
{
    struct arena arena;
    size_t length = 0;
    bool allowed = false;
    arena_init(&arena, PATH_ARENA_BYTES);
    const char *program = exec_config_find(&arena, config->command);
    for (const char *word; !allowed && (word = text_next_word(&list, &length)) != NULL;) {
        const char *name = arena_printf(&arena, "%.*s", (int)length, word);
        const char *permitted = name != NULL ? exec_config_find(&arena, name) : NULL;
        /* By path, not by file: one file may be many programs by its name. */
        allowed = program != NULL && permitted != NULL && permitted[0] == '/' && strcmp(program, permitted) == 0;
    }
    arena_done(&arena);
    return allowed;
}
