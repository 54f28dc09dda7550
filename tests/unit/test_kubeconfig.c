/* links: agent_kube base */
#include "agent/kube/kubeconfig.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/kube/base64.h"
#include "agent/kube/kubeconfig_internal.h"
#include "agent/kube/setup.h"
#include "tests/unit/sweep.h"
#include "tests/unit/test_certificate.h"

enum { ARENA_BYTES = 4 << 20 };

static struct test_certificate identity, stranger;
static char identity_data[4096], key_data[4096], stranger_key_data[4096];
static char folder[] = "/tmp/test_kubeconfig_XXXXXX";

static void encode(const char *text, char *buffer, size_t bytes)
{
    struct strbuf encoded;
    strbuf_init(&encoded, bytes - 1);
    base64_encode(&encoded, text, strlen(text));
    assert_int_equal(strbuf_error(&encoded), ERR_OK);
    (void)snprintf(buffer, bytes, "%s", strbuf_text(&encoded));
    strbuf_done(&encoded);
}

static void write_file(const char *name, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    (void)fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static const char *path_of(const char *name)
{
    static char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

/* A whole kubeconfig around the two parts that matter. `%` expansion is the caller's. */
static const char *around(struct arena *arena, const char *cluster, const char *user)
{
    const char *ca = strstr(cluster, "$CA"); /* stands for a good certificate */
    if (ca != NULL)
        cluster = arena_printf(arena, "%.*s%s%s", (int)(ca - cluster), cluster, identity_data, ca + 3);
    return arena_printf(arena,
                        "apiVersion: v1\nkind: Config\ncurrent-context: main\n"
                        "contexts:\n- name: main\n  context: {cluster: east, user: agent, namespace: mirrors}\n"
                        "clusters:\n- name: east\n  cluster:\n%s\n"
                        "users:\n- name: agent\n  user:\n%s\n",
                        cluster, user);
}

static enum err_code parse(struct arena *arena, const char *text, enum kubeconfig_trust trust,
                           struct kubeconfig *config, struct err *error)
{
    return kubeconfig_parse(arena, text, strlen(text), NULL, trust, folder, config, error);
}

/* ---- what is taken ---- */

static void takes_every_field(void **state)
{
    (void)state;
    struct arena arena;
    struct kubeconfig config;
    struct err error = {0};
    arena_init(&arena, ARENA_BYTES);
    const char *cluster = arena_printf(&arena,
                                       "    server: https://10.0.0.1:6443\n    tls-server-name: kubernetes\n"
                                       "    proxy-url: socks5://proxy:1080\n"
                                       "    certificate-authority-data: %s\n    certificate-authority: /does/not/exist",
                                       identity_data);
    const char *user =
        arena_printf(&arena,
                     "    client-certificate-data: %s\n    client-key-data: |\n      %s\n"
                     "    token: |\n      abc.def\n    username: me\n    password: \"p:w\"\n    as: other",
                     identity_data, key_data);
    if (parse(&arena, around(&arena, cluster, user), KUBECONFIG_TARGET, &config, &error) != ERR_OK)
        fail_msg("%s", error.text);
    assert_string_equal(config.context_name, "main");
    assert_string_equal(config.namespace, "mirrors");
    assert_string_equal(config.server, "https://10.0.0.1:6443");
    assert_string_equal(config.tls_server_name, "kubernetes");
    assert_string_equal(config.proxy_url, "socks5://proxy:1080");
    assert_string_equal(config.ca_pem, identity.certificate);
    assert_string_equal(config.cert_pem, identity.certificate);
    assert_string_equal(config.key_pem, identity.key);
    assert_string_equal(config.token, "abc.def");
    assert_string_equal(config.username, "me");
    assert_string_equal(config.password, "p:w");
    assert_string_equal(config.impersonate[0], "Impersonate-User: other");
    assert_null(config.impersonate[1]);
    assert_null(config.exec);
    assert_false(config.insecure_skip_tls_verify);
    assert_false(config.disable_compression);
    assert_null(config.ca_file);
    assert_null(config.token_file);
    arena_done(&arena);
}

static void takes_json_and_another_context(void **state)
{
    (void)state;
    static const char text[] = "{\n\t\"current-context\": \"a\",\n\t\"contexts\": ["
                               "{\"name\":\"a\",\"context\":{\"cluster\":\"x\"}},"
                               "{\"name\":\"b\",\"context\":{\"cluster\":\"y\",\"user\":\"\"}}],\n\t\"clusters\": ["
                               "{\"name\":\"x\",\"cluster\":{\"server\":\"https://x\"}},"
                               "{\"name\":\"y\",\"cluster\":{\"server\":\"http://127.0.0.1:8080\","
                               "\"insecure-skip-tls-verify\":true,\"disable-compression\":true}}]}";
    struct arena arena;
    struct kubeconfig config;
    struct err error = {0};
    arena_init(&arena, ARENA_BYTES);
    if (kubeconfig_parse(&arena, text, strlen(text), "b", KUBECONFIG_TARGET, NULL, &config, &error) != ERR_OK)
        fail_msg("%s", error.text);
    assert_string_equal(config.server, "http://127.0.0.1:8080");
    assert_true(config.insecure_skip_tls_verify);
    assert_true(config.disable_compression);
    assert_null(config.token);
    arena_done(&arena);
}

static void reads_files_of_its_own_only(void **state)
{
    (void)state;
    struct arena arena;
    struct kubeconfig config;
    struct err error = {0};
    arena_init(&arena, ARENA_BYTES);
    write_file("ca.pem", identity.certificate);
    write_file("cert.pem", identity.certificate);
    write_file("key.pem", identity.key);
    write_file("token", "from-file\n");
    const char *text = around(&arena, "    server: https://x\n    certificate-authority: ca.pem",
                              arena_printf(&arena,
                                           "    client-certificate: %s/cert.pem\n    client-key: key.pem\n"
                                           "    token: inline\n    tokenFile: token",
                                           folder));
    if (parse(&arena, text, KUBECONFIG_OWN, &config, &error) != ERR_OK)
        fail_msg("%s", error.text);
    assert_string_equal(config.ca_pem, identity.certificate);
    assert_string_equal(config.key_pem, identity.key);
    assert_string_equal(config.ca_file, path_of("ca.pem"));
    assert_string_equal(config.cert_file, path_of("cert.pem"));
    assert_string_equal(config.token, "from-file"); /* client-go: tokenFile wins over token */
    assert_string_equal(config.token_file, path_of("token"));
    assert_int_equal(parse(&arena, text, KUBECONFIG_TARGET, &config, &error), ERR_INVALID);
    arena_done(&arena);
}

/* ---- what is refused, and how that is said ---- */

struct refusal {
    const char *cluster, *user;
    enum kubeconfig_trust trust;
    enum err_code code;
    const char *words, *more_words;
};

#define GOOD "    server: https://x"

static void says_what_is_wrong(void **state)
{
    (void)state;
    static const struct refusal cases[] = {
        {GOOD, "    exec: {command: sh}", KUBECONFIG_TARGET, ERR_INVALID, "user \"agent\": exec is not allowed",
         "kubectl config view --flatten --raw"},
        {GOOD, "    exec: {command: sh}", KUBECONFIG_OWN, ERR_INVALID, "user \"agent\": exec: it has no apiVersion",
         ""},
        {GOOD, "    exec: {command: sh}\n    token: t", KUBECONFIG_OWN, ERR_INVALID, "exec and token are two ways", ""},
        {GOOD, "    exec: {command: sh}\n    client-certificate: c", KUBECONFIG_OWN, ERR_IO, "client-certificate", ""},
        {GOOD, "    auth-provider: {name: gcp}", KUBECONFIG_TARGET, ERR_INVALID, "auth-provider is not allowed", ""},
        {GOOD, "    auth-provider: {name: gcp}", KUBECONFIG_OWN, ERR_UNSUPPORTED, "auth-provider", "use exec, a token"},
        {GOOD, "    tokenFile: /etc/shadow", KUBECONFIG_TARGET, ERR_INVALID, "tokenFile is not allowed", "--flatten"},
        {GOOD, "    client-certificate: /c", KUBECONFIG_TARGET, ERR_INVALID, "client-certificate is not", "--flatten"},
        {GOOD "\n    certificate-authority: /c", "    token: t", KUBECONFIG_TARGET, ERR_INVALID,
         "certificate-authority is not allowed", "cluster \"east\""},
        {GOOD "\n    certificate-authority: absent.pem", "    token: t", KUBECONFIG_OWN, ERR_IO, "absent.pem: No such",
         "certificate-authority"},
        {GOOD, "    tokenFile: absent", KUBECONFIG_OWN, ERR_IO, "tokenFile", "absent: No such"},
        {GOOD, "    as-groups: [admins]", KUBECONFIG_TARGET, ERR_INVALID, "as-groups without `as`", ""},
        {GOOD, "    token: \"a\\nX-Evil: 1\"", KUBECONFIG_TARGET, ERR_INVALID, "token has a control character", ""},
        {GOOD, "    as: \"a\\rb\"", KUBECONFIG_TARGET, ERR_INVALID,
         "as has a value that is empty, no text, or has a control", ""},
        {GOOD, "    client-certificate-data: aGFsbG8=\n    client-key-data: aGFsbG8=", KUBECONFIG_TARGET, ERR_TLS,
         "client-certificate: not a PEM certificate", ""},
        {GOOD, "    client-certificate-data: '*'", KUBECONFIG_TARGET, ERR_INVALID,
         "client-certificate-data: not base64", ""},
        {GOOD, "    client-key-data: aGFsbG8=", KUBECONFIG_TARGET, ERR_INVALID, "must be given together", ""},
        {GOOD "\n    certificate-authority-data: aGFsbG8=", "    token: t", KUBECONFIG_TARGET, ERR_TLS,
         "certificate-authority: not a PEM certificate", ""},
        {"    insecure-skip-tls-verify: true", "    token: t", KUBECONFIG_TARGET, ERR_INVALID, "has no server", ""},
        {"    server: 10.0.0.1:6443", "    token: t", KUBECONFIG_TARGET, ERR_INVALID, "not a URL", "https://host:port"},
        {"    server: https://x\n    certificate-authority-data: $CA\n    insecure-skip-tls-verify: true",
         "    token: t", KUBECONFIG_TARGET, ERR_INVALID, "contradict each other", "cluster \"east\""},
        {GOOD "\n    proxy-url: ftp://p", "    token: t", KUBECONFIG_TARGET, ERR_INVALID, "proxy-url", "socks5"},
        {"    server: [1]", "    token: t", KUBECONFIG_TARGET, ERR_INVALID, "has no server", ""},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct arena arena;
        struct kubeconfig config;
        struct err error = {0};
        arena_init(&arena, ARENA_BYTES);
        enum err_code code =
            parse(&arena, around(&arena, cases[i].cluster, cases[i].user), cases[i].trust, &config, &error);
        if (code != cases[i].code || strstr(error.text, cases[i].words) == NULL ||
            strstr(error.text, cases[i].more_words) == NULL)
            fail_msg("case %zu: %s: %s", i, err_code_name(code), error.text);
        /* The same without anybody who wants the text. */
        assert_int_equal(parse(&arena, around(&arena, cases[i].cluster, cases[i].user), cases[i].trust, &config, NULL),
                         code);
        arena_done(&arena);
    }
}

/* An encrypted key must neither work by chance nor make the agent ask its terminal. */
static void refuses_keys_with_a_password(void **state)
{
    (void)state;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    BIO *bio = BIO_new(BIO_s_mem());
    unsigned char password[] = "secret";
    assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, key, EVP_aes_256_cbc(), (char *)password, 6, NULL, NULL), 1);
    char pem[2048], encoded[4096];
    test_certificate_text(bio, pem, sizeof(pem));
    encode(pem, encoded, sizeof(encoded));
    EVP_PKEY_free(key);
    struct arena arena;
    struct kubeconfig config;
    struct err error = {0};
    arena_init(&arena, ARENA_BYTES);
    const char *user =
        arena_printf(&arena, "    client-certificate-data: %s\n    client-key-data: %s", identity_data, encoded);
    assert_int_equal(parse(&arena, around(&arena, GOOD, user), KUBECONFIG_TARGET, &config, &error), ERR_TLS);
    assert_non_null(strstr(error.text, "client-key: not a PEM private key that can be read without a password"));
    arena_done(&arena);
}

static void refuses_keys_that_do_not_fit(void **state)
{
    (void)state;
    struct arena arena;
    struct kubeconfig config;
    struct err error = {0};
    arena_init(&arena, ARENA_BYTES);
    const char *user = arena_printf(&arena, "    client-certificate-data: %s\n    client-key-data: %s", identity_data,
                                    stranger_key_data);
    assert_int_equal(parse(&arena, around(&arena, GOOD, user), KUBECONFIG_TARGET, &config, &error), ERR_TLS);
    assert_non_null(strstr(error.text, "client-key: it does not belong"));
    user =
        arena_printf(&arena, "    client-certificate-data: %s\n    client-key-data: %s", identity_data, identity_data);
    assert_int_equal(parse(&arena, around(&arena, GOOD, user), KUBECONFIG_TARGET, &config, &error), ERR_TLS);
    assert_non_null(strstr(error.text, "client-key: not a PEM private key"));
    /* A bundle with a good and a broken certificate. */
    char broken[4096], encoded[8192];
    (void)snprintf(broken, sizeof(broken), "%s-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                   identity.certificate);
    encode(broken, encoded, sizeof(encoded));
    const char *cluster = arena_printf(&arena, GOOD "\n    certificate-authority-data: %s", encoded);
    assert_int_equal(parse(&arena, around(&arena, cluster, "    token: t"), KUBECONFIG_TARGET, &config, &error),
                     ERR_TLS);
    assert_non_null(strstr(error.text, "certificate 2 of it is broken"));
    arena_done(&arena);
}

struct text_case {
    const char *text;
    enum err_code code;
    const char *words;
};

static void says_what_is_no_kubeconfig(void **state)
{
    (void)state;
    static const struct text_case cases[] = {
        {"", ERR_INVALID, "kubeconfig: it is empty"},
        {"# nothing\n", ERR_INVALID, "it is empty"},
        {"hello", ERR_INVALID, "not a map"},
        {"- a\n", ERR_INVALID, "not a map"},
        {"a: [", ERR_INVALID, "line "},
        {"a: \"", ERR_INVALID, "line "},
        {"\xff\xfe\x00", ERR_INVALID, ""},
        {"? [a]\n: b\n", ERR_INVALID, "a key is not a scalar"},
        {"a: &x [1]\nb: *x\n", ERR_INVALID, "line 2: aliases are not allowed"},
        {"kind: Config\n", ERR_INVALID, "kubeconfig: no current-context: set it in the kubeconfig"},
        {"current-context: ''\n", ERR_INVALID, "no current-context"},
        {"current-context: gone\n", ERR_INVALID, "context \"gone\" does not exist in it; it has none"},
        {"current-context: x\ncontexts: [{name: west, context: {}}, {name: east, context: {}}]\n", ERR_INVALID,
         "context \"x\" does not exist in it; it has: west, east"},
        {"current-context: x\ncontexts: [{name: a, context: {}}, {name: b, context: {}}, {name: c, context: {}},\n"
         " {name: d, context: {}}, {name: e, context: {}}, {name: f, context: {}}, {name: g, context: {}}]\n",
         ERR_INVALID, "it has: a, b, c, d, e, and 2 more"},
        {"current-context: a\ncontexts: {}\n", ERR_INVALID, "`contexts` is no list"},
        {"current-context: a\ncontexts: [1, {name: a, context: x}]\n", ERR_INVALID,
         "context \"a\" does not exist in it; it has none"},
        {"current-context: a\ncontexts: [{name: a, context: {}}]\n", ERR_INVALID, "context \"a\" names no cluster"},
        {"current-context: a\ncontexts: [{name: a, context: {cluster: c}}]\n", ERR_INVALID,
         "context \"a\": cluster \"c\" does not exist in it; it has none"},
        {"current-context: a\ncontexts: [{name: a, context: {cluster: c}}]\nclusters: c\n", ERR_INVALID,
         "context \"a\": `clusters` is no list"},
        {"current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\n"
         "clusters: [{name: c, cluster: {server: 'https://x'}}]\n",
         ERR_INVALID, "user \"u\" does not exist"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct arena arena;
        struct kubeconfig config;
        struct err error = {0};
        arena_init(&arena, ARENA_BYTES);
        enum err_code code = parse(&arena, cases[i].text, KUBECONFIG_TARGET, &config, &error);
        if (code != cases[i].code || strstr(error.text, cases[i].words) == NULL)
            fail_msg("case %zu: %s: %s", i, err_code_name(code), error.text);
        arena_done(&arena);
    }
}

static void bounds_what_it_takes(void **state)
{
    (void)state;
    enum { BYTES = (1 << 20) + 1 };
    struct arena arena;
    struct kubeconfig config;
    struct err error = {0};
    char *text = mem_alloc(BYTES + 1);
    assert_non_null(text);
    arena_init(&arena, ARENA_BYTES);
    memset(text, '#', BYTES);
    text[BYTES] = '\0';
    assert_int_equal(parse(&arena, text, KUBECONFIG_TARGET, &config, &error), ERR_LIMIT);
    text[BYTES - 1] = '\0';
    assert_int_equal(parse(&arena, text, KUBECONFIG_TARGET, &config, &error), ERR_INVALID);
    memset(text, '[', BYTES - 1);
    assert_int_equal(parse(&arena, text, KUBECONFIG_TARGET, &config, &error), ERR_LIMIT);
    assert_non_null(strstr(error.text, "nested deeper"));
    for (size_t i = 0; i + 2 < BYTES; i += 2)
        memcpy(text + i, i == 0 ? "[a" : ",a", 2);
    text[BYTES - 2] = ']';
    assert_int_equal(parse(&arena, text, KUBECONFIG_TARGET, &config, &error), ERR_LIMIT);
    assert_non_null(strstr(error.text, "more than"));
    memset(text, 'k', 300);
    (void)snprintf(text + 300, 10, ": 1\n");
    assert_int_equal(parse(&arena, text, KUBECONFIG_TARGET, &config, &error), ERR_LIMIT);
    mem_free(text);
    arena_done(&arena);
}

/* ---- where they are found ---- */

static void finds_the_file(void **state)
{
    (void)state;
    struct arena arena;
    struct kubeconfig config;
    struct err error = {0};
    arena_init(&arena, ARENA_BYTES);
    write_file("one", around(&arena, "    server: https://one", "    token: t"));
    assert_int_equal(mkdir(path_of(".kube"), 0700), 0);
    write_file(".kube/config", around(&arena, "    server: https://home", "    token: t"));

    char list[512];
    (void)snprintf(list, sizeof(list), ":%s/absent:%s/one:%s/.kube/config", folder, folder, folder);
    assert_int_equal(setenv("KUBECONFIG", list, 1), 0);
    assert_int_equal(setenv("HOME", folder, 1), 0);
    assert_int_equal(kubeconfig_load(&arena, NULL, NULL, &config, &error), ERR_OK);
    assert_string_equal(config.server, "https://one");
    assert_int_equal(kubeconfig_load(&arena, path_of(".kube/config"), "main", &config, &error), ERR_OK);
    assert_string_equal(config.server, "https://home");
    assert_int_equal(setenv("KUBECONFIG", "/does/not/exist", 1), 0);
    assert_int_equal(kubeconfig_load(&arena, NULL, NULL, &config, &error), ERR_NOT_FOUND);
    assert_non_null(strstr(error.text, "KUBECONFIG=/does/not/exist"));
    assert_int_equal(unsetenv("KUBECONFIG"), 0);
    assert_int_equal(kubeconfig_load(&arena, "", NULL, &config, &error), ERR_OK);
    assert_string_equal(config.server, "https://home");
    assert_int_equal(kubeconfig_load(&arena, "", "", &config, &error), ERR_OK);
    assert_string_equal(config.context_name, "main");
    assert_int_equal(setenv("HOME", "/nowhere", 1), 0);
    assert_int_equal(kubeconfig_load(&arena, NULL, NULL, &config, &error), ERR_NOT_FOUND);
    assert_string_equal(error.text, "/nowhere/.kube/config: No such file or directory: name one with --kubeconfig");
    assert_int_equal(unsetenv("HOME"), 0);
    assert_int_equal(kubeconfig_load(&arena, NULL, NULL, &config, &error), ERR_NOT_FOUND);
    assert_int_equal(kubeconfig_load(&arena, folder, NULL, &config, &error), ERR_IO);
    assert_non_null(strstr(error.text, "directory"));
    assert_int_equal(kubeconfig_load(&arena, "/dev/zero", NULL, &config, &error), ERR_LIMIT);
    assert_string_equal(error.text, "/dev/zero: larger than 1048576 bytes");
    assert_int_equal(kubeconfig_load(&arena, path_of("absent"), NULL, &config, &error), ERR_IO);
    assert_string_equal(error.text, arena_printf(&arena, "%s: No such file or directory", path_of("absent")));
    assert_int_equal(kubeconfig_load(&arena, path_of("one"), "other", &config, &error), ERR_INVALID);
    assert_string_equal(error.text,
                        arena_printf(&arena, "%s: kubeconfig: context \"other\" does not exist in it; it has: main",
                                     path_of("one")));
    arena_done(&arena);
}

static void knows_what_is_chosen(void **state)
{
    (void)state;
    assert_false(kubeconfig_is_chosen(NULL, NULL));
    assert_false(kubeconfig_is_chosen("", ""));
    assert_true(kubeconfig_is_chosen("f", NULL));
    assert_true(kubeconfig_is_chosen("", "c"));
}

/* As kubectl reads them: https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/ */
static void reads_files_of_a_list_as_one(void **state)
{
    (void)state;
    struct arena arena;
    struct kubeconfig config;
    struct err error = {0};
    arena_init(&arena, ARENA_BYTES);
    assert_int_equal(mkdir(path_of("sub"), 0700), 0);
    write_file("one", "contexts: [{name: west, context: {cluster: west, user: both}}]\n"
                      "clusters: [{name: west, cluster: {server: 'https://west'}}]\n");
    write_file("sub/two", "current-context: east\n"
                          "contexts: [{name: east, context: {cluster: east, user: both}},\n"
                          " {name: west, context: {cluster: east}}]\n"
                          "clusters: [{name: east, cluster: {server: 'https://east', certificate-authority: ca.pem}}]\n"
                          "users: [{name: both, user: {tokenFile: token}}]\n");
    write_file("sub/ca.pem", identity.certificate);
    write_file("sub/token", "of-two");
    write_file("empty", "");
    char list[512];
    (void)snprintf(list, sizeof(list), "%s/empty:%s/one::%s/absent:%s/sub/two", folder, folder, folder, folder);
    assert_int_equal(setenv("KUBECONFIG", list, 1), 0);
    if (kubeconfig_load(&arena, NULL, NULL, &config, &error) != ERR_OK)
        fail_msg("%s", error.text);
    assert_string_equal(config.context_name, "east");
    assert_string_equal(config.server, "https://east");
    assert_string_equal(config.ca_file, path_of("sub/ca.pem"));
    assert_int_equal(kubeconfig_load(&arena, NULL, "west", &config, &error), ERR_OK);
    assert_string_equal(config.server, "https://west"); /* the first of this name */
    assert_string_equal(config.token_file, path_of("sub/token"));
    assert_string_equal(config.token, "of-two");
    assert_int_equal(kubeconfig_load(&arena, NULL, "north", &config, &error), ERR_INVALID);
    assert_string_equal(error.text,
                        arena_printf(&arena,
                                     "KUBECONFIG=%s: kubeconfig: context \"north\" does not exist in it; it "
                                     "has: west, east",
                                     list));
    write_file("sub/two", "a: [");
    assert_int_equal(kubeconfig_load(&arena, NULL, NULL, &config, &error), ERR_INVALID);
    assert_non_null(strstr(error.text, path_of("sub/two")));
    assert_int_equal(setenv("KUBECONFIG", path_of("empty"), 1), 0);
    assert_int_equal(kubeconfig_load(&arena, NULL, NULL, &config, &error), ERR_NOT_FOUND);
    assert_non_null(strstr(error.text, "exists and says anything: name one with --kubeconfig"));
    /* No file at all is passed over, one that cannot be looked at is not. */
    assert_int_equal(setenv("KUBECONFIG", arena_printf(&arena, "%s:%s", path_of("one/x"), path_of("one")), 1), 0);
    assert_int_not_equal(kubeconfig_load(&arena, NULL, "west", &config, &error), ERR_OK);
    assert_non_null(strstr(error.text, path_of("one/x")));
    char *many = mem_zalloc(65536);
    for (unsigned i = 0; i < 257; i++)
        (void)snprintf(many + strlen(many), 256, "%s:", path_of("one"));
    assert_int_equal(setenv("KUBECONFIG", many, 1), 0);
    assert_int_equal(kubeconfig_load(&arena, NULL, "west", &config, &error), ERR_LIMIT);
    mem_free(many);
    assert_int_equal(unsetenv("KUBECONFIG"), 0);
    arena_done(&arena);
}

static void a_pods_account_is_meant_where_nothing_is_chosen(void **state)
{
    (void)state;
    static const struct {
        const char *path, *context, *list, *host;
        bool is_of_pod;
    } CASES[] = {
        {NULL, NULL, NULL, "10.0.0.1", true}, {"", "", "", "10.0.0.1", true},
        {NULL, NULL, NULL, NULL, false},      {"f", NULL, NULL, "10.0.0.1", false},
        {NULL, "c", NULL, "10.0.0.1", false}, {NULL, NULL, "f", "10.0.0.1", false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        assert_int_equal(CASES[i].list != NULL ? setenv("KUBECONFIG", CASES[i].list, 1) : unsetenv("KUBECONFIG"), 0);
        assert_int_equal(CASES[i].host != NULL ? setenv("KUBERNETES_SERVICE_HOST", CASES[i].host, 1)
                                               : unsetenv("KUBERNETES_SERVICE_HOST"),
                         0);
        assert_int_equal(kubeconfig_is_of_pod(CASES[i].path, CASES[i].context), CASES[i].is_of_pod);
    }
    assert_int_equal(unsetenv("KUBECONFIG"), 0);
    assert_int_equal(unsetenv("KUBERNETES_SERVICE_HOST"), 0);
}

static void finds_the_pods_account(void **state)
{
    (void)state;
    struct arena arena;
    struct kubeconfig config;
    struct err error = {0};
    arena_init(&arena, ARENA_BYTES);
    kubeconfig_service_account = folder;
    assert_int_equal(unsetenv("KUBERNETES_SERVICE_HOST"), 0);
    assert_int_equal(kubeconfig_in_cluster(&arena, &config, &error), ERR_NOT_FOUND);
    assert_int_equal(setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1), 0);
    assert_int_equal(setenv("KUBERNETES_SERVICE_PORT", "443", 1), 0);
    write_file("token", "abc\n");
    write_file("ca.crt", identity.certificate);
    assert_int_equal(kubeconfig_in_cluster(&arena, &config, &error), ERR_OK);
    assert_string_equal(config.server, "https://[fd00::1]:443");
    assert_false(config.disable_compression);
    assert_string_equal(config.token, "abc");
    assert_string_equal(config.token_file, path_of("token"));
    assert_null(config.namespace);
    write_file("namespace", "linkerd-multicluster");
    assert_int_equal(setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1", 1), 0);
    assert_int_equal(kubeconfig_in_cluster(&arena, &config, &error), ERR_OK);
    assert_string_equal(config.server, "https://10.0.0.1:443");
    assert_string_equal(config.namespace, "linkerd-multicluster");
    static const char *const bad_tokens[] = {"", " \n", "a b", "a\nb\n"};
    for (size_t i = 0; i < ARRAY_COUNT(bad_tokens); i++) {
        write_file("token", bad_tokens[i]);
        assert_int_equal(kubeconfig_in_cluster(&arena, &config, &error), ERR_INVALID);
    }
    write_file("token", "abc\n");
    write_file("ca.crt", "junk");
    assert_int_equal(kubeconfig_in_cluster(&arena, &config, &error), ERR_TLS);
    assert_int_equal(kubeconfig_in_cluster(&arena, &config, NULL), ERR_TLS);
    arena_done(&arena);
}

/* ---- memory ---- */

static enum err_code sweep_parse(void *context)
{
    struct arena arena;
    struct kubeconfig config;
    struct err error = {0};
    arena_init(&arena, ARENA_BYTES);
    enum err_code code =
        kubeconfig_parse(&arena, context, strlen(context), NULL, KUBECONFIG_TARGET, NULL, &config, &error);
    arena_done(&arena);
    return code;
}

static enum err_code sweep_files(void *context)
{
    (void)context;
    struct arena arena;
    struct kubeconfig config;
    arena_init(&arena, ARENA_BYTES);
    enum err_code code = kubeconfig_load(&arena, NULL, NULL, &config, NULL);
    if (code == ERR_OK)
        code = kubeconfig_in_cluster(&arena, &config, NULL);
    arena_done(&arena);
    return code;
}

static void survives_failing_allocations_with_files(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    write_file("ca.crt", identity.certificate);
    write_file("namespace", "n");
    write_file("token", "t");
    /* One arena allocates rarely: enough text to make it do so in many places. */
    char *filler = mem_zalloc(20001);
    memset(filler, 'x', 20000);
    write_file("one", around(&arena, arena_printf(&arena, "    server: https://%s", filler), "    tokenFile: token"));
    assert_int_equal(setenv("KUBECONFIG", path_of("one"), 1), 0);
    assert_int_equal(setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1", 1), 0);
    assert_int_equal(setenv("KUBERNETES_SERVICE_PORT", "443", 1), 0);
    kubeconfig_service_account = folder;
    assert_true(sweep(sweep_files, NULL) > 10);
    mem_free(filler);
    arena_done(&arena);
}

static void survives_failing_allocations(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    const char *cluster = arena_printf(&arena, GOOD "\n    certificate-authority-data: %s", identity_data);
    const char *user =
        arena_printf(&arena, "    client-certificate-data: %s\n    client-key-data: %s\n    token: a.b.c",
                     identity_data, key_data);
    char *text = mem_strdup(around(&arena, cluster, user));
    assert_true(sweep(sweep_parse, text) > 10);
    mem_free(text);
    arena_done(&arena);
}

/* ---- base64 ---- */

static void decodes_only_base64(void **state)
{
    (void)state;
    static const struct text_case cases[] = {
        {"", ERR_OK, ""},
        {"QQ==", ERR_OK, "A"},
        {"QQ", ERR_OK, "A"},
        {"QUI=", ERR_OK, "AB"},
        {"QUJD", ERR_OK, "ABC"},
        {"QU\n JD\n", ERR_OK, "ABC"},
        {"-_8", ERR_OK, "\xfb\xff"},
        {"+/8=\n", ERR_OK, "\xfb\xff"},
        {"Q", ERR_INVALID, ""},
        {"QQ=", ERR_INVALID, ""},
        {"QQ===", ERR_INVALID, ""},
        {"QUJD=", ERR_INVALID, ""},
        {"QUJD====", ERR_INVALID, ""},
        {"QQ==QQ==", ERR_INVALID, ""},
        {"Q*==", ERR_INVALID, ""},
        {"=", ERR_INVALID, ""},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct arena arena;
        const char *data = NULL;
        size_t bytes = 0;
        arena_init(&arena, ARENA_BYTES);
        enum err_code code = base64_decode(&arena, cases[i].text, &data, &bytes, NULL);
        if (code != cases[i].code || (code == ERR_OK && strcmp(data, cases[i].words) != 0))
            fail_msg("%s: %s", cases[i].text, err_code_name(code));
        arena_done(&arena);
    }
}

static int set_up(void **state)
{
    (void)state;
    kube_setup();
    identity = test_certificate_make(1900000000);
    stranger = test_certificate_make(1900000001);
    encode(identity.certificate, identity_data, sizeof(identity_data));
    encode(identity.key, key_data, sizeof(key_data));
    encode(stranger.key, stranger_key_data, sizeof(stranger_key_data));
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    static const char *const files[] = {"ca.pem", "cert.pem",  "key.pem", "token",      "one",     ".kube/config",
                                        "ca.crt", "namespace", "empty",   "sub/ca.pem", "sub/two", "sub/token"};
    for (size_t i = 0; i < ARRAY_COUNT(files); i++)
        (void)unlink(path_of(files[i]));
    (void)rmdir(path_of(".kube"));
    (void)rmdir(path_of("sub"));
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_every_field),
        cmocka_unit_test(takes_json_and_another_context),
        cmocka_unit_test(reads_files_of_its_own_only),
        cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(refuses_keys_with_a_password),
        cmocka_unit_test(refuses_keys_that_do_not_fit),
        cmocka_unit_test(says_what_is_no_kubeconfig),
        cmocka_unit_test(bounds_what_it_takes),
        cmocka_unit_test(finds_the_file),
        cmocka_unit_test(knows_what_is_chosen),
        cmocka_unit_test(reads_files_of_a_list_as_one),
        cmocka_unit_test(a_pods_account_is_meant_where_nothing_is_chosen),
        cmocka_unit_test(finds_the_pods_account),
        cmocka_unit_test(survives_failing_allocations),
        cmocka_unit_test(survives_failing_allocations_with_files),
        cmocka_unit_test(decodes_only_base64),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
