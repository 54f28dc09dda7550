#include "agent/kube/exec_plugin.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/kube/exec_answer.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/text.h"

enum {
    ARENA_BYTES = 8 << 20,
    INFO_BYTES = 4 << 20,
    OUTPUT_BYTES = 1 << 20, /* an answer is a few KiB; a chain of certificates some more */
    SAID_BYTES = 4 << 10,   /* of stderr are kept */
    SHOWN_BYTES = 240,      /* and shown */
    CHUNK_BYTES = 4096,
    ASKING_TIMEOUT_MS = 10 * 60 * 1000, /* a person looks for a device, and logs in in a browser */
};

uint64_t exec_plugin_timeout_ms = 60 * 1000;

/* One end of a pipe that the program writes to. */
struct stream {
    struct exec_plugin *plugin;
    struct loop_io *io;
    struct strbuf text;
    int fd; /* -1: closed */
};

struct exec_plugin {
    struct loop *loop;
    struct arena arena; /* behind config */
    const struct exec_config *config;
    bool may_ask;
    exec_plugin_fn fn;
    void *context;
    struct stream output, said;
    struct loop_io *end_io;   /* of end_fd */
    struct loop_timer *timer; /* its time is over, or it could not be started */
    pid_t pid;                /* 0: none */
    int end_fd;               /* readable when the process has ended */
    bool running, asks;
    struct err error; /* why it is being killed, or was not started */
};

/* ---- its end ---- */

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

static void close_stream(struct stream *stream)
{
    loop_io_stop(stream->io);
    close_fd(&stream->fd);
}

/* One that asks is of this process's group, or it could not read from the terminal. */
static void kill_program(const struct exec_plugin *plugin)
{
    if (plugin->pid > 0)
        (void)kill(plugin->asks ? plugin->pid : -plugin->pid, SIGKILL);
}

static void clean_up(struct exec_plugin *plugin)
{
    loop_io_stop(plugin->end_io);
    loop_timer_stop(plugin->timer);
    close_fd(&plugin->end_fd);
    close_stream(&plugin->output);
    close_stream(&plugin->said);
    plugin->pid = 0;
    plugin->running = false;
}

/* What it said, on one line and without what a terminal would take for commands. */
static void show(const struct strbuf *said, char shown[SHOWN_BYTES + 1])
{
    const char *text = strbuf_text(said);
    size_t used = 0;
    bool space = false;
    for (size_t i = 0; i < said->length && used + 2 < SHOWN_BYTES; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c <= ' ' || c >= 127) {
            space = used > 0;
            continue;
        }
        if (space)
            shown[used++] = ' ';
        space = false;
        shown[used++] = (char)c;
    }
    shown[used] = '\0';
}

static enum err_code judge(struct exec_plugin *plugin, int status, struct arena *arena, struct exec_credential *answer,
                           struct err *error)
{
    char shown[SHOWN_BYTES + 1];
    show(&plugin->said.text, shown);
    const char *colon = shown[0] != '\0' ? ": " : "";
    if (plugin->error.code != ERR_OK)
        return err_set(error, plugin->error.code, "%s%s%s", plugin->error.text, colon, shown);
    if (WIFSIGNALED(status))
        return err_set(error, ERR_IO, "it was killed by signal %d%s%s", WTERMSIG(status), colon, shown);
    if (WEXITSTATUS(status) != 0)
        return err_set(error, ERR_IO, "it ended with status %d%s%s", WEXITSTATUS(status), colon, shown);
    return exec_answer_read(arena, strbuf_text(&plugin->output.text), plugin->output.text.length, plugin->config,
                            answer, error);
}

static void conclude(struct exec_plugin *plugin, int status)
{
    struct arena arena;
    struct exec_credential answer = {0};
    struct err error = {0};
    arena_init(&arena, ARENA_BYTES);
    bool good = judge(plugin, status, &arena, &answer, &error) == ERR_OK;
    if (!good)
        (void)err_context(&error, "credential plugin %.120s", plugin->config->command);
    clean_up(plugin);
    strbuf_done(&plugin->output.text); /* it holds secrets: not longer than needed */
    strbuf_done(&plugin->said.text);
    plugin->fn(plugin->context, good ? &answer : NULL, good ? NULL : &error);
    arena_done(&arena);
}

/* ---- while it runs ---- */

static void give_up(struct exec_plugin *plugin, enum err_code code, const char *why)
{
    if (plugin->error.code == ERR_OK)
        (void)err_set(&plugin->error, code, "%s", why);
    kill_program(plugin); /* its end is told like any other */
}

/* @return whether more may come. */
static bool read_some(struct stream *stream)
{
    char chunk[CHUNK_BYTES];
    if (stream->fd < 0)
        return false;
    ssize_t bytes = read(stream->fd, chunk, sizeof(chunk));
    if (bytes > 0)
        strbuf_append_bytes(&stream->text, chunk, (size_t)bytes);
    bool is_output = stream == &stream->plugin->output;
    if (bytes > 0 && is_output && strbuf_error(&stream->text) != ERR_OK)
        give_up(stream->plugin, strbuf_error(&stream->text), "it printed more than an answer may be long");
    if (bytes > 0)
        return true;
    if (bytes == 0 || (errno != EAGAIN && errno != EINTR))
        close_stream(stream);
    return false;
}

static void on_readable(void *context, int fd, unsigned events)
{
    (void)fd;
    (void)events;
    (void)read_some(context);
}

/* What it left in the pipes is read; what a child of its own may still write is not waited for. */
static void on_end(void *context, int fd, unsigned events)
{
    (void)fd;
    (void)events;
    struct exec_plugin *plugin = context;
    int status = 0;
    pid_t pid = waitpid(plugin->pid, &status, WNOHANG);
    if (pid == 0 || (pid < 0 && errno == EINTR))
        return;
    /* Whoever started this process may have had it ignore SIGCHLD: then nobody is told how children end. */
    if (pid < 0 && plugin->error.code == ERR_OK)
        (void)err_set(&plugin->error, ERR_IO, "how it ended is not known: %s", strerror(errno));
    plugin->pid = 0;
    for (size_t bytes = 0; bytes < OUTPUT_BYTES + CHUNK_BYTES && read_some(&plugin->output); bytes += CHUNK_BYTES)
        ;
    for (size_t bytes = 0; bytes < SAID_BYTES && read_some(&plugin->said); bytes += CHUNK_BYTES)
        ;
    conclude(plugin, status);
}

static void on_timer(void *context)
{
    struct exec_plugin *plugin = context;
    char why[64];
    if (plugin->pid == 0) { /* it could not be started */
        conclude(plugin, 0);
        return;
    }
    (void)snprintf(why, sizeof(why), "it did not end within %llu s and was killed",
                   (unsigned long long)((plugin->asks ? ASKING_TIMEOUT_MS : exec_plugin_timeout_ms) / 1000));
    give_up(plugin, ERR_TIMEOUT, why);
}

/* ---- its start ---- */

static bool is_named(const char *line, const char *other)
{
    size_t length = strcspn(line, "=");
    return strncmp(line, other, length + 1) == 0;
}

static bool is_overridden(const struct exec_config *config, const char *line)
{
    for (size_t i = 0; config->env[i] != NULL; i++)
        if (is_named(config->env[i], line))
            return true;
    return text_starts_with(line, "KUBERNETES_EXEC_INFO=");
}

/* @return NULL when memory is short. */
static const char **environment(struct arena *arena, const struct exec_config *config, bool interactive)
{
    size_t count = 2;
    struct strbuf info;
    for (size_t i = 0; environ[i] != NULL; i++)
        count++;
    for (size_t i = 0; config->env[i] != NULL; i++)
        count++;
    const char **lines = arena_array(arena, count, sizeof(*lines));
    strbuf_init(&info, INFO_BYTES);
    strbuf_append(&info, "KUBERNETES_EXEC_INFO=");
    exec_answer_ask(&info, config, interactive);
    const char *told = strbuf_error(&info) == ERR_OK ? arena_strdup(arena, strbuf_text(&info)) : NULL;
    strbuf_done(&info);
    if (lines == NULL || told == NULL)
        return NULL;
    count = 0;
    lines[count++] = told;
    for (size_t i = 0; config->env[i] != NULL; i++)
        lines[count++] = config->env[i];
    for (size_t i = 0; environ[i] != NULL; i++)
        if (!is_overridden(config, environ[i]))
            lines[count++] = environ[i];
    return lines;
}

/* The child's end is `theirs`. */
static bool open_pipe(struct stream *stream, int *theirs)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    stream->fd = ends[0];
    *theirs = ends[1];
    return fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0;
}

/* Nothing of this process reaches the program but these three, the environment and, if it asks, the terminal. */
static int spawn(struct exec_plugin *plugin, const char *path, const char **lines, int output, int said)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    if (posix_spawn_file_actions_init(&actions) != 0)
        return ENOMEM;
    if (posix_spawnattr_init(&attributes) != 0) {
        (void)posix_spawn_file_actions_destroy(&actions);
        return ENOMEM;
    }
    int code = plugin->asks ? 0 : posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (code == 0)
        code = posix_spawn_file_actions_adddup2(&actions, output, 1);
    if (code == 0 && said >= 0)
        code = posix_spawn_file_actions_adddup2(&actions, said, 2);
    if (code == 0)
        code = posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    if (!plugin->asks)
        flags |= POSIX_SPAWN_SETPGROUP; /* a group of its own, to be killed as one */
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    (void)posix_spawnattr_setsigdefault(&attributes, &all);
    (void)posix_spawnattr_setflags(&attributes, flags);
    if (code == 0)
        code = posix_spawn(&plugin->pid, path, &actions, &attributes, mem_unconst(plugin->config->argv),
                           mem_unconst(lines));
    if (code != 0)
        plugin->pid = 0;
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&actions);
    return code;
}

static enum err_code watch(struct exec_plugin *plugin, struct err *reterr)
{
    plugin->end_fd = pidfd_open(plugin->pid, 0);
    if (plugin->end_fd < 0 && errno == ESRCH) { /* it is gone already, of which nobody was told: see on_end() */
        plugin->pid = 0;
        return err_set(reterr, ERR_IO, "how it ended is not known: %s", strerror(ESRCH));
    }
    if (plugin->end_fd < 0) {
        enum err_code code = err_set(reterr, ERR_IO, "pidfd_open: %s", strerror(errno));
        kill_program(plugin);
        (void)waitpid(plugin->pid, NULL, 0);
        plugin->pid = 0;
        return code;
    }
    loop_io_start(plugin->end_io, plugin->end_fd, LOOP_READ);
    loop_io_start(plugin->output.io, plugin->output.fd, LOOP_READ);
    if (plugin->said.fd >= 0)
        loop_io_start(plugin->said.io, plugin->said.fd, LOOP_READ);
    loop_timer_start(plugin->timer, plugin->asks ? (uint64_t)ASKING_TIMEOUT_MS : exec_plugin_timeout_ms);
    return ERR_OK;
}

static enum err_code run(struct exec_plugin *plugin, struct arena *arena, const char *path, struct err *reterr)
{
    int output = -1, said = -1;
    const char **lines = environment(arena, plugin->config, plugin->asks);
    if (lines == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    bool open = open_pipe(&plugin->output, &output) && (plugin->asks || open_pipe(&plugin->said, &said));
    int code = open ? spawn(plugin, path, lines, output, said) : errno;
    close_fd(&output);
    close_fd(&said);
    if (code != 0)
        return err_set(reterr, code == ENOMEM ? ERR_NOMEM : ERR_IO, "it cannot be started: %s", strerror(code));
    return watch(plugin, reterr);
}

static enum err_code start(struct exec_plugin *plugin, struct err *reterr)
{
    struct arena arena;
    const struct exec_config *config = plugin->config;
    bool can_ask = plugin->may_ask && isatty(STDIN_FILENO) == 1;
    plugin->asks = can_ask && config->mode != EXEC_NEVER_ASKS;
    if (config->mode == EXEC_ALWAYS_ASKS && !can_ask)
        return err_set(reterr, ERR_UNSUPPORTED,
                       "it always asks somebody (interactiveMode: Always), and there is no terminal");
    arena_init(&arena, ARENA_BYTES);
    const char *path = exec_config_find(&arena, config->command);
    enum err_code code = ERR_OK;
    if (path != NULL)
        code = run(plugin, &arena, path, reterr);
    else if (arena_failed(&arena))
        code = err_set(reterr, ERR_NOMEM, "out of memory");
    else
        code = err_set(reterr, ERR_NOT_FOUND, "there is no such program%s that may be run%s%.300s",
                       strchr(config->command, '/') == NULL ? " in PATH" : "", config->install_hint != NULL ? ": " : "",
                       config->install_hint != NULL ? config->install_hint : "");
    arena_done(&arena);
    return code;
}

void exec_plugin_start(struct exec_plugin *plugin)
{
    if (plugin->running)
        return;
    plugin->running = true;
    plugin->error = (struct err){0};
    strbuf_init(&plugin->output.text, OUTPUT_BYTES);
    strbuf_init(&plugin->said.text, SAID_BYTES);
    if (start(plugin, &plugin->error) != ERR_OK)
        loop_timer_start(plugin->timer, 0); /* told from the loop, like everything else */
}

bool exec_plugin_running(const struct exec_plugin *plugin) { return plugin->running; }

/* ---- life ---- */

enum err_code exec_plugin_new(struct loop *loop, const struct exec_config *config, bool may_ask, exec_plugin_fn fn,
                              void *context, struct exec_plugin **ret_plugin, struct err *reterr)
{
    struct exec_plugin *plugin = NEW(struct exec_plugin);
    if (plugin == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    plugin->loop = loop;
    plugin->may_ask = may_ask;
    plugin->fn = fn;
    plugin->context = context;
    plugin->output = (struct stream){.plugin = plugin, .fd = -1};
    plugin->said = (struct stream){.plugin = plugin, .fd = -1};
    plugin->end_fd = -1;
    arena_init(&plugin->arena, ARENA_BYTES);
    plugin->config = exec_config_copy(&plugin->arena, config);
    plugin->output.io = loop_io_new(loop, on_readable, &plugin->output);
    plugin->said.io = loop_io_new(loop, on_readable, &plugin->said);
    plugin->end_io = loop_io_new(loop, on_end, plugin);
    plugin->timer = loop_timer_new(loop, on_timer, plugin);
    if (arena_failed(&plugin->arena) || plugin->output.io == NULL || plugin->said.io == NULL ||
        plugin->end_io == NULL || plugin->timer == NULL) {
        exec_plugin_free(plugin);
        return err_set(reterr, ERR_NOMEM, "out of memory");
    }
    *ret_plugin = plugin;
    return ERR_OK;
}

void exec_plugin_free(struct exec_plugin *plugin)
{
    if (plugin == NULL)
        return;
    pid_t pid = plugin->pid;
    kill_program(plugin);
    if (pid > 0)
        (void)waitpid(pid, NULL, 0); /* killed: it ends at once */
    loop_io_free(plugin->output.io);
    loop_io_free(plugin->said.io);
    loop_io_free(plugin->end_io);
    loop_timer_free(plugin->timer);
    close_fd(&plugin->end_fd);
    close_fd(&plugin->output.fd);
    close_fd(&plugin->said.fd);
    strbuf_done(&plugin->output.text);
    strbuf_done(&plugin->said.text);
    arena_done(&plugin->arena);
    mem_free(plugin);
}
