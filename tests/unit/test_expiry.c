/* links: agent_control agent_kube agent_observe mirror health base fake_loop.c fake_http.c control_bench.c */
/* The ends of certificates and tokens, as they come nearer on a clock that the test moves. */
#include "agent/control/expiry.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/kube/base64.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "tests/unit/control_bench.h"

enum { MINUTE_MS = 60 * 1000 };
static const int64_t start_s = 1787306400; /* of the bench's clock: 2026-08-21T10:00:00Z */

static const char *make_token(int64_t issued_s, int64_t expires_s)
{
    static char tokens[4][256];
    static unsigned next;
    char claims[128], *token = tokens[next++ % ARRAY_COUNT(tokens)];
    struct strbuf encoded;
    (void)snprintf(claims, sizeof(claims), "{\"iat\":%lld,\"exp\":%lld}", (long long)issued_s, (long long)expires_s);
    strbuf_init(&encoded, 256);
    base64_encode(&encoded, claims, strlen(claims));
    (void)snprintf(token, sizeof(tokens[0]), "a.%s.b", strbuf_text(&encoded));
    strbuf_done(&encoded);
    return token;
}

static const char *secret_with(const char *token)
{
    char kubeconfig[1024];
    (void)snprintf(
        kubeconfig, sizeof(kubeconfig),
        "{\"current-context\":\"c\",\"contexts\":[{\"name\":\"c\",\"context\":{\"cluster\":\"c\",\"user\":\"u\"}}],"
        "\"clusters\":[{\"name\":\"c\",\"cluster\":{\"server\":\"https://east:6443\"}}],"
        "\"users\":[{\"name\":\"u\",\"user\":{\"token\":\"%s\"}}]}",
        token);
    return bench_secret("a", "east", kubeconfig, 0);
}

static unsigned count(const struct bench *bench, const char *reason) { return bench_event_count(bench, reason); }

/* A token of 12 h: told at 72 min, at 18 min, and at its end. */
static void a_targets_token_is_told_in_time_and_once(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, false);
    (void)bench_serve(&bench, BENCH_SECRETS, "Secret",
                      secret_with(make_token(start_s - 10 * 3600, start_s + 2 * 3600)));
    assert_int_equal(bench_start(&bench), ERR_OK);
    static const char series[] = "svcmirror_credentials_expiry_timestamp_seconds{cluster=\"east\",kind=\"token\"}";
    assert_true(bench_metric(&bench, series) == (double)(start_s + 2 * 3600));
    static const struct {
        uint64_t minutes; /* that pass */
        unsigned expiring, expired;
    } steps[] = {{46, 0, 0}, {3, 1, 0}, {50, 1, 0}, {4, 2, 0}, {16, 2, 0}, {2, 2, 1}, {60, 2, 1}};
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        bench_advance(&bench, steps[i].minutes * MINUTE_MS);
        if (count(&bench, "CredentialsExpiring") != steps[i].expiring ||
            count(&bench, "CredentialsExpired") != steps[i].expired)
            fail_msg("step %zu: %u and %u", i, count(&bench, "CredentialsExpiring"),
                     count(&bench, "CredentialsExpired"));
    }
    const struct bench_event *event = bench_event(&bench, "CredentialsExpired");
    assert_string_equal(event->regarding, "a");
    assert_string_equal(event->type, "Warning");
    assert_non_null(
        strstr(event->note, "the token for cluster east expired at 2026-08-21T12:00:00Z: renew it in Secret a"));
    /* A new one ends it; the next end is news again. */
    int64_t now_s = start_s + 181 * 60;
    bench_tell(&bench, BENCH_SECRETS, "MODIFIED", secret_with(make_token(now_s, now_s + 3600)));
    bench_advance(&bench, MINUTE_MS);
    assert_int_equal(count(&bench, "CredentialsRenewed"), 1);
    assert_string_equal(bench_event(&bench, "CredentialsRenewed")->type, "Normal");
    bench_advance(&bench, 56 * (uint64_t)MINUTE_MS);
    assert_int_equal(count(&bench, "CredentialsExpiring"), 3);
    /* With the link its series goes. */
    bench_tell(&bench, BENCH_SECRETS, "DELETED", secret_with("x"));
    assert_true(bench_metric(&bench, series) == -1);
    bench_done(&bench);
}

static void what_does_not_end_is_not_told(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, false);
    (void)bench_serve(&bench, BENCH_SECRETS, "Secret", secret_with("opaque"));
    assert_int_equal(bench_start(&bench), ERR_OK);
    assert_true(
        bench_metric(&bench, "svcmirror_credentials_expiry_timestamp_seconds{cluster=\"east\",kind=\"token\"}") == -1);
    bench_advance(&bench, 60 * MINUTE_MS);
    assert_int_equal(count(&bench, "CredentialsExpiring") + count(&bench, "CredentialsExpired"), 0);
    bench_done(&bench);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    (void)fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

/* The source's own token: a kubelet that renews it keeps all silent; one that does not is told of the pod. */
static void the_sources_token_is_told_of_the_pod(void **state)
{
    (void)state;
    static const char reloads[] = "svcmirror_credentials_reloads_total{cluster=\"local\",kind=\"token\",result=\"%s\"}";
    char path[] = "/tmp/test_expiry_XXXXXX", changed[128], failed[128];
    (void)snprintf(changed, sizeof(changed), reloads, "changed");
    (void)snprintf(failed, sizeof(failed), reloads, "failed");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    (void)close(fd);
    struct bench bench;
    bench_init(&bench, false);
    bench.source_token = make_token(start_s, start_s + 3600);
    bench.source_token_file = path;
    write_file(path, bench.source_token);
    assert_int_equal(bench_start(&bench), ERR_OK);
    bench_advance(&bench, 48 * MINUTE_MS);
    write_file(path, make_token(start_s + 48 * 60, start_s + 108 * 60));
    bench_advance(&bench, 53 * MINUTE_MS);
    assert_int_equal(count(&bench, "CredentialsExpiring"), 0);
    assert_true(bench_metric(&bench, changed) == 1);
    write_file(path, "");
    bench_advance(&bench, 2 * MINUTE_MS);
    assert_int_equal(count(&bench, "CredentialsExpiring"), 1);
    assert_true(bench_metric(&bench, failed) == 2);
    assert_non_null(strstr(bench_event(&bench, "CredentialsExpiring")->note, "the token for cluster local expires at"));
    assert_true(
        bench_metric(&bench, "svcmirror_credentials_expiry_timestamp_seconds{cluster=\"local\",kind=\"token\"}") ==
        (double)(start_s + 108 * 60));
    bench_done(&bench);
    assert_int_equal(unlink(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_targets_token_is_told_in_time_and_once),
        cmocka_unit_test(what_does_not_end_is_not_told),
        cmocka_unit_test(the_sources_token_is_told_of_the_pod),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
