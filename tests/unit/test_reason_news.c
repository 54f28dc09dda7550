/* links: base health */
#include "health/reason_news.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* An address that is probed, and who hears of it. */
struct scene {
    struct verdict_machine machine;
    struct reason_news news;
    uint64_t now_ms;
    unsigned told;            /* how often there was news */
    enum probe_reason before; /* of the last news */
};

static void open_scene(struct scene *scene)
{
    const struct verdict_config config = {.period_ms = 1000, .failure_threshold = 3};
    *scene = (struct scene){.now_ms = 0};
    verdict_init(&scene->machine, &config, 0, 0);
}

/* Probes once a second, with that result each time. */
static void probe(struct scene *scene, enum probe_reason reason, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        uint64_t sequence = verdict_sent(&scene->machine, scene->now_ms);
        (void)verdict_result(&scene->machine, sequence, reason, 0, scene->now_ms);
        if (reason_news_take(&scene->news, &scene->machine, scene->now_ms, &scene->before))
            scene->told++;
        scene->now_ms += 1000;
    }
}

static void a_verdict_tells_its_own_reason(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene);
    assert_int_equal(scene.news.reason, REASON_NONE);
    probe(&scene, REASON_OK, 3);
    probe(&scene, REASON_REFUSED, 2); /* alive all the same */
    assert_int_equal(scene.news.reason, REASON_OK);
    probe(&scene, REASON_REFUSED, 5);
    probe(&scene, REASON_OK_OTHER_BODY, 1);
    assert_int_equal(scene.news.reason, REASON_OK_OTHER_BODY);
    assert_int_equal(scene.told, 0);
}

static void another_reason_is_told_once(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene);
    probe(&scene, REASON_REFUSED, 10);
    probe(&scene, REASON_NO_ROUTE, 200);
    assert_int_equal(scene.told, 1);
    assert_int_equal(scene.before, REASON_REFUSED);
    probe(&scene, REASON_AUTH_REFUSED, 200);
    assert_int_equal(scene.told, 2);
    assert_int_equal(scene.before, REASON_NO_ROUTE);
    probe(&scene, REASON_OK, 10); /* alive: its own news */
    assert_int_equal(scene.told, 2);
    probe(&scene, REASON_OK_OTHER_BODY, 10);
    assert_int_equal(scene.told, 3);
    assert_int_equal(scene.before, REASON_OK);
}

static void a_reason_that_was_told_may_be_told_again_after_a_minute(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene);
    probe(&scene, REASON_OK, 10);
    probe(&scene, REASON_OK_OTHER_BODY, 10);
    probe(&scene, REASON_OK, 30);
    assert_int_equal(scene.told, 1); /* OK was told less than a minute ago, with the verdict ... */
    probe(&scene, REASON_OK, 30);
    assert_int_equal(scene.told, 2); /* ... and is in the end */
    assert_int_equal(scene.news.told, REASON_OK);
}

static void flapping_does_not_flood(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene);
    probe(&scene, REASON_REFUSED, 3);
    for (unsigned i = 0; i < 300; i++) /* ten minutes */
        probe(&scene, i % 2 == 0 ? REASON_CONNECT_TIMEOUT : REASON_REFUSED, 2);
    assert_in_range(scene.told, 10, 21);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_verdict_tells_its_own_reason),
        cmocka_unit_test(another_reason_is_told_once),
        cmocka_unit_test(a_reason_that_was_told_may_be_told_again_after_a_minute),
        cmocka_unit_test(flapping_does_not_flood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
