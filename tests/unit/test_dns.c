/* links: agent_net agent_loop base fake_dns.c */
#include "agent/net/dns.h"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake_dns.h"
#include "sweep.h"

enum { PATIENCE_MS = 20000, QUERIES = 8 };

/* A resolver and its server on one loop. */
struct bench {
    struct loop *loop;
    struct loop_timer *patience, *pause;
    struct fake_dns server;
    struct dns *dns;
    unsigned answered, wanted;
    bool impatient;
};

struct question {
    struct bench *bench;
    struct dns_query query;
    unsigned answered;
    struct dns_answer answer; /* count 0: there was none */
    struct err error;
    struct question *cancels; /* in its callback */
    const char *asks_again;   /* in its callback */
};

/* Whether this process has an /etc/resolv.conf and an /etc/hosts of its own. */
static bool files_are_private;

static void on_patience(void *context)
{
    struct bench *bench = context;
    bench->impatient = true;
    loop_stop(bench->loop);
}

static void on_pause(void *context) { loop_stop(((struct bench *)context)->loop); }

static void bench_init_at(struct bench *bench, const char *ip, uint16_t port)
{
    memset(bench, 0, sizeof(*bench));
    bench->loop = loop_new();
    bench->patience = loop_timer_new(bench->loop, on_patience, bench);
    bench->pause = loop_timer_new(bench->loop, on_pause, bench);
    if (!fake_dns_init(&bench->server, bench->loop, ip, port))
        fail_msg("no DNS server at %s", ip);
}

static void bench_init(struct bench *bench)
{
    struct err error = {0};
    bench_init_at(bench, "127.0.0.1", 0);
    bench->dns = dns_new(bench->loop, bench->server.server, &error);
    if (bench->dns == NULL)
        fail_msg("%s", error.text);
}

static void bench_done(struct bench *bench)
{
    dns_free(bench->dns);
    fake_dns_done(&bench->server);
    loop_timer_free(bench->patience);
    loop_timer_free(bench->pause);
    loop_free(bench->loop);
}

static void run(struct bench *bench)
{
    loop_timer_start(bench->patience, PATIENCE_MS);
    loop_run(bench->loop);
    loop_timer_stop(bench->patience);
    if (bench->impatient)
        fail_msg("%u answers in %d ms instead of %u", bench->answered, PATIENCE_MS, bench->wanted);
}

static void run_for(struct bench *bench, uint64_t ms)
{
    loop_timer_start(bench->pause, ms);
    run(bench);
}

static void on_done(struct dns_query *query, const struct dns_answer *answer, const struct err *error);

static void ask(struct bench *bench, struct question *question, const char *host)
{
    struct err error = {0};
    question->bench = bench;
    question->query.on_done = on_done;
    question->query.context = question;
    unsigned before = bench->answered;
    if (dns_start(bench->dns, &question->query, host, &error) != ERR_OK)
        fail_msg("%s", error.text);
    assert_int_equal(bench->answered, before); /* never from inside start */
}

static void on_done(struct dns_query *query, const struct dns_answer *answer, const struct err *error)
{
    struct question *question = query->context;
    struct bench *bench = question->bench;
    assert_true((answer == NULL) != (error == NULL));
    question->answered++;
    question->answer = answer != NULL ? *answer : (struct dns_answer){0};
    question->error = error != NULL ? *error : (struct err){0};
    if (question->cancels != NULL)
        dns_cancel(&question->cancels->query);
    bench->answered++;
    if (question->asks_again != NULL)
        ask(bench, question, question->asks_again);
    if (bench->answered == bench->wanted)
        loop_stop(bench->loop);
}

static void await(struct bench *bench, unsigned more)
{
    bench->wanted = bench->answered + more;
    run(bench);
}

static void resolve(struct bench *bench, struct question *question, const char *host)
{
    ask(bench, question, host);
    await(bench, 1);
}

/* The addresses as one text. */
static const char *listed(const struct dns_answer *answer)
{
    static char text[DNS_MAX_ADDRESSES * (TEXT_IP_BYTES + 1)];
    text[0] = '\0';
    for (uint32_t i = 0; i < answer->count; i++) {
        size_t length = strlen(text);
        (void)snprintf(text + length, sizeof(text) - length, "%s%s", i > 0 ? " " : "", answer->addresses[i]);
    }
    return text;
}

/* --- answers --- */

static void both_families_sorted_and_without_duplicates(void **state)
{
    (void)state;
    struct bench bench;
    struct question question = {0};
    bench_init(&bench);
    bench.server.records[0] = (struct fake_dns_record){
        .name = "gw.example.com",
        .addresses = "2001:db8::2,10.0.0.9,2001:db8::1,10.0.0.10,10.0.0.9,192.0.2.1",
        .ttl_s = 30,
    };
    resolve(&bench, &question, "gw.example.com");
    assert_string_equal(listed(&question.answer), "10.0.0.10 10.0.0.9 192.0.2.1 2001:db8::1 2001:db8::2");
    assert_in_range(question.answer.ttl_ms, 29000, 30000);
    assert_int_equal(bench.server.a_questions, 1);
    assert_int_equal(bench.server.aaaa_questions, 1);
    bench_done(&bench);
}

static void literals_answer_themselves(void **state)
{
    (void)state;
    static const char *const CASES[][2] = {{"127.0.0.1", "127.0.0.1"},
                                           {"::1", "::1"},
                                           {"2001:0db8:0::1", "2001:db8::1"},
                                           {"::ffff:10.0.0.1", "10.0.0.1"}};
    struct bench bench;
    bench_init(&bench);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct question question = {0};
        resolve(&bench, &question, CASES[i][0]);
        assert_string_equal(listed(&question.answer), CASES[i][1]);
        assert_true(question.answer.ttl_ms > 0);
    }
    assert_int_equal(bench.server.questions, 0);
    bench_done(&bench);
}

static void equal_questions_are_asked_once_and_answers_kept(void **state)
{
    (void)state;
    struct bench bench;
    struct question questions[QUERIES] = {0};
    bench_init(&bench);
    bench.server.records[0] = (struct fake_dns_record){.name = "a.example.com", .addresses = "10.0.0.1", .ttl_s = 30};
    for (size_t i = 0; i < QUERIES; i++)
        ask(&bench, &questions[i], "a.example.com");
    await(&bench, QUERIES);
    for (size_t i = 0; i < QUERIES; i++)
        assert_string_equal(listed(&questions[i].answer), "10.0.0.1");
    bench.server.records[0].addresses = "10.0.0.2";
    resolve(&bench, &questions[0], "a.example.com");
    assert_string_equal(listed(&questions[0].answer), "10.0.0.1");
    assert_int_equal(bench.server.questions, 2);
    bench_done(&bench);
}

static void the_ttl_is_kept_within_bounds(void **state)
{
    (void)state;
    static const struct {
        uint32_t ttl_s, alias_ttl_s, min_ms, max_ms;
        const char *alias;
    } CASES[] = {
        {.ttl_s = 0, .min_ms = 500, .max_ms = 1000},
        {.ttl_s = 1, .min_ms = 500, .max_ms = 1000},
        {.ttl_s = 60, .min_ms = 59000, .max_ms = 60000},
        {.ttl_s = 86400, .min_ms = 299000, .max_ms = 300000},
        {.ttl_s = 0x7fffffff, .min_ms = 299000, .max_ms = 300000},
        {.ttl_s = 60, .alias = "b.example.net", .alias_ttl_s = 20, .min_ms = 19000, .max_ms = 20000},
        {.ttl_s = 10, .alias = "b.example.net", .alias_ttl_s = 20, .min_ms = 9000, .max_ms = 10000},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct bench bench;
        struct question question = {0};
        bench_init(&bench);
        bench.server.records[0] = (struct fake_dns_record){.name = "a.example.com",
                                                           .addresses = "10.0.0.1,2001:db8::1",
                                                           .ttl_s = CASES[i].ttl_s,
                                                           .alias = CASES[i].alias,
                                                           .alias_ttl_s = CASES[i].alias_ttl_s};
        resolve(&bench, &question, "a.example.com");
        assert_string_equal(listed(&question.answer), "10.0.0.1 2001:db8::1");
        assert_in_range(question.answer.ttl_ms, CASES[i].min_ms, CASES[i].max_ms);
        bench_done(&bench);
    }
}

static void an_expired_answer_is_asked_again(void **state)
{
    (void)state;
    struct bench bench;
    struct question question = {0};
    bench_init(&bench);
    bench.server.records[0] = (struct fake_dns_record){.name = "a.example.com", .addresses = "10.0.0.1"};
    resolve(&bench, &question, "a.example.com");
    bench.server.records[0].addresses = "10.0.0.2";
    run_for(&bench, 1050);
    resolve(&bench, &question, "a.example.com");
    assert_string_equal(listed(&question.answer), "10.0.0.2");
    bench_done(&bench);
}

static void an_answer_too_long_for_udp_comes_over_tcp(void **state)
{
    (void)state;
    struct bench bench;
    struct question question = {0};
    bench_init(&bench);
    bench.server.records[0] =
        (struct fake_dns_record){.name = "many.example.com", .generate = 90, .ttl_s = 30, .a = FAKE_DNS_TRUNCATED};
    resolve(&bench, &question, "many.example.com");
    assert_int_equal(question.answer.count, DNS_MAX_ADDRESSES);
    assert_int_equal(bench.server.tcp_questions, 1);
    bench_done(&bench);
}

/* --- failures --- */

static void failures_say_which_name_and_why(void **state)
{
    (void)state;
    static const struct {
        struct fake_dns_record record;
        enum err_code code;
        const char *text;
    } CASES[] = {
        {{.name = "other.example.com"}, ERR_RESOLVE, "resolve a.example.com: Domain name not found"},
        {{.name = "a.example.com"}, ERR_RESOLVE, "resolve a.example.com: DNS server returned answer with no data"},
        {{.name = "a.example.com", .a = FAKE_DNS_SERVFAIL, .aaaa = FAKE_DNS_SERVFAIL},
         ERR_RESOLVE,
         "resolve a.example.com: "},
        {{.name = "a.example.com", .addresses = "10.0.0.1", .aaaa = FAKE_DNS_SERVFAIL}, ERR_OK, ""},
        {{.name = "a.example.com", .addresses = "2001:db8::1", .a = FAKE_DNS_NXDOMAIN}, ERR_OK, ""},
        {{.name = "a.example.com", .a = FAKE_DNS_SILENT, .aaaa = FAKE_DNS_SILENT},
         ERR_TIMEOUT,
         "resolve a.example.com: Timeout while contacting DNS servers"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct bench bench;
        struct question question = {0};
        bench_init(&bench);
        bench.server.records[0] = CASES[i].record;
        resolve(&bench, &question, "a.example.com");
        if (question.error.code != CASES[i].code ||
            strncmp(question.error.text, CASES[i].text, strlen(CASES[i].text)) != 0)
            fail_msg("case %zu: %s, \"%s\"", i, err_code_name(question.error.code), question.error.text);
        bench_done(&bench);
    }
}

static void names_that_are_none_fail(void **state)
{
    (void)state;
    char longest[300];
    memset(longest, 'a', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    const char *const NAMES[] = {"", ".", "..", "a..b", longest, "10.0.0.256", "[::1]", "fe80::1%eth0"};
    struct bench bench;
    bench_init(&bench);
    for (size_t i = 0; i < ARRAY_COUNT(NAMES); i++) {
        struct question question = {0};
        resolve(&bench, &question, NAMES[i]);
        if (question.error.code != ERR_RESOLVE)
            fail_msg("\"%s\": %s \"%s\"", NAMES[i], listed(&question.answer), question.error.text);
    }
    bench_done(&bench);
}

static void a_failure_is_kept_for_a_second(void **state)
{
    (void)state;
    struct bench bench;
    struct question question = {0};
    bench_init(&bench);
    bench.server.records[0] = (struct fake_dns_record){.name = "a.example.com",
                                                       .a = FAKE_DNS_SERVFAIL,
                                                       .aaaa = FAKE_DNS_SERVFAIL,
                                                       .addresses = "10.0.0.1"};
    resolve(&bench, &question, "a.example.com");
    assert_int_equal(question.error.code, ERR_RESOLVE);
    unsigned asked = bench.server.questions;
    bench.server.records[0].a = bench.server.records[0].aaaa = FAKE_DNS_ANSWERS;
    resolve(&bench, &question, "a.example.com");
    assert_int_equal(question.error.code, ERR_RESOLVE);
    assert_int_equal(bench.server.questions, asked);
    run_for(&bench, 1050);
    resolve(&bench, &question, "a.example.com");
    assert_string_equal(listed(&question.answer), "10.0.0.1");
    bench_done(&bench);
}

static void servers_must_be_addresses(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct err error = {0};
    assert_null(dns_new(loop, "ns.example.com", &error));
    assert_int_equal(error.code, ERR_INVALID);
    assert_non_null(strstr(error.text, "\"ns.example.com\""));
    assert_non_null(strstr(error.text, "ip[:port]"));
    loop_free(loop);
}

static void the_next_server_stands_in_for_a_dead_one(void **state)
{
    (void)state;
    struct bench bench;
    struct question question = {0};
    char servers[128];
    bench_init_at(&bench, "127.0.0.1", 0);
    /* Nothing listens on the first: the kernel says so at once. */
    (void)snprintf(servers, sizeof(servers), "127.0.0.1:9,%s", bench.server.server);
    bench.dns = dns_new(bench.loop, servers, NULL);
    assert_non_null(bench.dns);
    bench.server.records[0] = (struct fake_dns_record){.name = "a.example.com", .addresses = "10.0.0.1", .ttl_s = 5};
    resolve(&bench, &question, "a.example.com");
    assert_string_equal(listed(&question.answer), "10.0.0.1");
    bench_done(&bench);
}

/* --- cancelling --- */

static void a_cancelled_query_is_not_answered(void **state)
{
    (void)state;
    struct bench bench;
    struct question asked = {0}, ready = {0}, other = {0}, last = {0};
    bench_init(&bench);
    bench.server.records[0] = (struct fake_dns_record){.name = "a.example.com", .addresses = "10.0.0.1", .ttl_s = 5};
    dns_cancel(&asked.query); /* never started */
    ask(&bench, &asked, "a.example.com");
    ask(&bench, &other, "a.example.com");
    dns_cancel(&asked.query);
    dns_cancel(&asked.query);
    await(&bench, 1);
    ask(&bench, &ready, "a.example.com"); /* known: would be answered on the next turn */
    dns_cancel(&ready.query);
    run_for(&bench, 20);
    assert_int_equal(asked.answered + ready.answered, 0);
    assert_int_equal(other.answered, 1);
    dns_cancel(&other.query); /* done long ago */
    /* By another's callback, from the same batch. */
    other.cancels = &last;
    last.cancels = &other;
    ask(&bench, &other, "a.example.com");
    ask(&bench, &last, "a.example.com");
    await(&bench, 1);
    run_for(&bench, 20);
    assert_int_equal(other.answered + last.answered, 2);
    bench_done(&bench);
}

static void freeing_answers_nobody(void **state)
{
    (void)state;
    struct bench bench;
    struct question asked = {0}, ready = {0};
    bench_init(&bench);
    bench.server.silent = true;
    ask(&bench, &asked, "a.example.com");
    ask(&bench, &ready, "127.0.0.1");
    dns_free(TAKE(bench.dns));
    dns_cancel(&asked.query);
    dns_cancel(&ready.query);
    run_for(&bench, 20);
    assert_int_equal(bench.answered, 0);
    bench_done(&bench);
}

static void who_asks_again_in_the_answer_does_not_hold_the_loop(void **state)
{
    (void)state;
    struct bench bench;
    struct question question = {.asks_again = "127.0.0.1"};
    bench_init(&bench);
    ask(&bench, &question, "127.0.0.1");
    run_for(&bench, 20); /* comes back */
    assert_true(question.answered > 1);
    dns_cancel(&question.query);
    bench_done(&bench);
}

/* --- the system's files --- */

static void rewrite(const char *path, const char *text)
{
    struct stat before = {0}, after = {0};
    (void)stat(path, &before);
    do { /* until the file system's clock has moved on */
        FILE *file = fopen(path, "we");
        assert_non_null(file);
        assert_true(fputs(text, file) >= 0);
        assert_int_equal(fclose(file), 0);
        assert_int_equal(stat(path, &after), 0);
    } while (before.st_mtim.tv_sec == after.st_mtim.tv_sec && before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
}

static void the_hosts_file_counts(void **state)
{
    (void)state;
    if (!files_are_private)
        skip();
    struct bench bench;
    struct question question = {0};
    rewrite("/etc/hosts", "127.0.0.1 localhost\n10.9.0.1 gw.hosts.test gw\n2001:db8::9 gw.hosts.test\n");
    bench_init(&bench);
    resolve(&bench, &question, "gw.hosts.test");
    assert_string_equal(listed(&question.answer), "10.9.0.1 2001:db8::9");
    resolve(&bench, &question, "localhost");
    assert_string_equal(question.answer.addresses[0], "127.0.0.1");
    assert_int_equal(bench.server.questions, 0);
    rewrite("/etc/hosts", "127.0.0.1 localhost\n10.9.0.2 gw.hosts.test\n");
    run_for(&bench, 1050);
    resolve(&bench, &question, "gw.hosts.test");
    assert_string_equal(listed(&question.answer), "10.9.0.2");
    bench_done(&bench);
}

static void search_domains_are_tried(void **state)
{
    (void)state;
    if (!files_are_private)
        skip();
    struct bench bench;
    struct question question = {0};
    rewrite("/etc/resolv.conf", "nameserver 127.0.0.1\nsearch none.test cluster.test\noptions ndots:3\n");
    bench_init_at(&bench, "127.0.0.1", 53);
    bench.dns = dns_new(bench.loop, NULL, NULL);
    assert_non_null(bench.dns);
    bench.server.records[0] =
        (struct fake_dns_record){.name = "gw.ns.cluster.test", .addresses = "10.0.0.1", .ttl_s = 5};
    bench.server.records[1] = (struct fake_dns_record){.name = "gw.ns", .addresses = "10.0.0.2", .ttl_s = 5};
    resolve(&bench, &question, "gw.ns");
    assert_string_equal(listed(&question.answer), "10.0.0.1");
    resolve(&bench, &question, "gw.ns.");
    assert_string_equal(listed(&question.answer), "10.0.0.2");
    bench_done(&bench);
}

/* The servers change because the old ones are gone: questions to them are under way, and must not have to time out first. */
static void changed_servers_are_used_at_once(void **state)
{
    (void)state;
    if (!files_are_private)
        skip();
    struct bench bench;
    struct fake_dns old;
    struct question first = {0}, second = {0};
    rewrite("/etc/resolv.conf", "nameserver 127.0.0.2\n");
    bench_init_at(&bench, "127.0.0.3", 53);
    assert_true(fake_dns_init(&old, bench.loop, "127.0.0.2", 53));
    old.silent = true;
    bench.dns = dns_new(bench.loop, NULL, NULL);
    assert_non_null(bench.dns);
    bench.server.records[0] = (struct fake_dns_record){.name = "a.example.com", .addresses = "10.0.0.1", .ttl_s = 5};
    bench.server.records[1] = (struct fake_dns_record){.name = "b.example.com", .addresses = "10.0.0.2", .ttl_s = 5};
    ask(&bench, &first, "a.example.com");
    run_for(&bench, 20);
    assert_int_equal(bench.answered, 0);
    assert_true(old.questions > 0);
    rewrite("/etc/resolv.conf", "nameserver 127.0.0.3\n");
    uint64_t began_us = loop_precise_us(bench.loop);
    ask(&bench, &second, "b.example.com");
    await(&bench, 2);
    assert_true(loop_precise_us(bench.loop) - began_us < 1500000);
    assert_string_equal(listed(&first.answer), "10.0.0.1");
    assert_string_equal(listed(&second.answer), "10.0.0.2");
    fake_dns_done(&old);
    bench_done(&bench);
}

/* --- want of memory --- */

static enum err_code resolve_all(void *context)
{
    struct bench *bench = context;
    struct question question = {.bench = bench}, literal = {.bench = bench};
    struct question *const questions[] = {&question, &literal};
    enum err_code code = ERR_OK;
    struct err error = {0};
    bench->dns = dns_new(bench->loop, bench->server.server, &error);
    if (bench->dns == NULL)
        return error.code;
    bench->wanted = bench->answered;
    for (size_t i = 0; i < ARRAY_COUNT(questions); i++) {
        questions[i]->query.on_done = on_done;
        questions[i]->query.context = questions[i];
        if (dns_start(bench->dns, &questions[i]->query, i == 0 ? "a.example.com" : "10.0.0.7", NULL) == ERR_OK)
            bench->wanted++;
        else
            code = ERR_NOMEM;
    }
    if (bench->wanted > bench->answered)
        run(bench);
    if (code == ERR_OK)
        code = question.error.code != ERR_OK ? question.error.code : literal.error.code;
    /* An allocation that c-ares can do without may cost one of the two families, never both without saying so. */
    if (code == ERR_OK && (question.answer.count == 0 || literal.answer.count != 1))
        code = ERR_INVALID;
    dns_free(TAKE(bench->dns));
    return code;
}

static void want_of_memory_is_told(void **state)
{
    (void)state;
    struct bench bench;
    bench_init_at(&bench, "127.0.0.1", 0);
    bench.server.records[0] =
        (struct fake_dns_record){.name = "a.example.com", .addresses = "10.0.0.1,2001:db8::1", .ttl_s = 5};
    assert_true(sweep(resolve_all, &bench) > 20);
    bench_done(&bench);
}

/* --- a place of its own --- */

static bool write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_CREAT | O_TRUNC, 0644);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        (void)close(fd);
    return ok;
}

static bool enter_namespaces(void)
{
    if (unshare(CLONE_NEWNS | CLONE_NEWNET) == 0)
        return true;
    char uid_map[32], gid_map[32];
    (void)snprintf(uid_map, sizeof(uid_map), "0 %u 1", getuid());
    (void)snprintf(gid_map, sizeof(gid_map), "0 %u 1", getgid());
    return unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET) == 0 && write_file("/proc/self/setgroups", "deny") &&
           write_file("/proc/self/uid_map", uid_map) && write_file("/proc/self/gid_map", gid_map);
}

static bool loopback_up(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    (void)close(fd);
    return ok;
}

static bool cover(const char *path, const char *text)
{
    char file[] = "/tmp/test_dns.XXXXXX";
    int fd = mkstemp(file);
    bool ok = fd >= 0 && write_file(file, text) && mount(file, path, "", MS_BIND, NULL) == 0;
    if (fd >= 0)
        (void)close(fd);
    (void)unlink(file); /* the mount keeps it */
    return ok;
}

/* A network, a resolv.conf and a hosts file that nobody else has: what this machine is configured for plays no part, and
 * the tests may change it. Where that is not allowed, the tests that need it are skipped. */
static void leave_the_machine(void)
{
    files_are_private = enter_namespaces() && mount("", "/", "", MS_REC | MS_PRIVATE, NULL) == 0 && loopback_up() &&
                        cover("/etc/resolv.conf", "nameserver 127.0.0.1\n") &&
                        cover("/etc/hosts", "127.0.0.1 localhost\n");
    if (!files_are_private)
        print_message("no namespaces here: tests of the system's files are skipped\n");
}

int main(void)
{
    leave_the_machine();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_families_sorted_and_without_duplicates),
        cmocka_unit_test(literals_answer_themselves),
        cmocka_unit_test(equal_questions_are_asked_once_and_answers_kept),
        cmocka_unit_test(the_ttl_is_kept_within_bounds),
        cmocka_unit_test(an_expired_answer_is_asked_again),
        cmocka_unit_test(an_answer_too_long_for_udp_comes_over_tcp),
        cmocka_unit_test(failures_say_which_name_and_why),
        cmocka_unit_test(names_that_are_none_fail),
        cmocka_unit_test(a_failure_is_kept_for_a_second),
        cmocka_unit_test(servers_must_be_addresses),
        cmocka_unit_test(the_next_server_stands_in_for_a_dead_one),
        cmocka_unit_test(a_cancelled_query_is_not_answered),
        cmocka_unit_test(freeing_answers_nobody),
        cmocka_unit_test(who_asks_again_in_the_answer_does_not_hold_the_loop),
        cmocka_unit_test(the_hosts_file_counts),
        cmocka_unit_test(search_domains_are_tried),
        cmocka_unit_test(changed_servers_are_used_at_once),
        cmocka_unit_test(want_of_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
