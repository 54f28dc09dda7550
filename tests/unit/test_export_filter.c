/* links: agent_commands */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "agent/commands/export_filter.h"
#include "agent/kube/setup.h"
#include "base/mem.h"
#include "tests/unit/sweep.h"

#define M "mirror.linkerd.io/"

static const struct export_marks GATEWAY = {.exported = "true"};
static const struct export_marks ANNOTATED = {.annotated = true,
                                              .gateway_name = "ambassador",
                                              .gateway_namespace = "edge"};

/* What a run gave. */
static struct strbuf output, told;
static json_t *skipped;
static struct err error;

static enum err_code run(const struct export_marks *marks, bool unexport, const char *text)
{
    strbuf_done(&output);
    strbuf_done(&told);
    json_decref(skipped);
    strbuf_init(&output, 1 << 20);
    strbuf_init(&told, 1 << 20);
    skipped = json_object();
    error = (struct err){0};
    struct export_filter filter = {
        .marks = marks, .unexport = unexport, .output = &output, .told = &told, .skipped = skipped};
    return export_filter_run(&filter, "web.yaml", text, &error);
}

static int forget(void **state)
{
    (void)state;
    strbuf_done(&output);
    strbuf_done(&told);
    json_decref(TAKE(skipped));
    return 0;
}

static void assert_skipped(const char *expected)
{
    char *text = json_dumps(skipped, JSON_COMPACT);
    assert_string_equal(text, expected);
    mem_free(text);
}

#define WEB                                                                                                            \
    "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\n  labels: {\"on\": \"yes\"}\nspec:\n  ports:\n"            \
    "  - port: 80\n    targetPort: http\n"

static void services_are_marked_and_all_else_passes_byte_for_byte(void **state)
{
    (void)state;
    static const char OTHER[] = "# a note\napiVersion: apps/v1\nkind: Deployment\nspec: {mode: 0644,   on: yes}\n";
    char text[1024];
    (void)snprintf(text, sizeof(text), "---\n%s---\n%s---\n# nothing\n", OTHER, WEB);
    assert_int_equal(run(&ANNOTATED, false, text), ERR_OK);
    (void)snprintf(text, sizeof(text),
                   "%s---\napiVersion: v1\nkind: Service\nmetadata:\n  name: web\n  labels:\n    \"on\": \"yes\"\n"
                   "  annotations:\n    mirror.linkerd.io/gateway-name: ambassador\n"
                   "    mirror.linkerd.io/gateway-ns: edge\nspec:\n  ports:\n  - port: 80\n    targetPort: http\n",
                   OTHER);
    assert_string_equal(strbuf_text(&output), text);
    assert_string_equal(strbuf_text(&told), "service \"web\" exported\n");
    assert_skipped("{\"Deployment\":1}");
}

static void lists_are_gone_through(void **state)
{
    (void)state;
    static const char LIST[] =
        "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{"
        "\"name\":\"web\"},\"spec\":{\"ports\":[{\"port\":80}]}},{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\"},{"
        "\"apiVersion\":\"serving.knative.dev/v1\",\"kind\":\"Service\"}]}\n";
    assert_int_equal(run(&GATEWAY, false, LIST), ERR_OK);
    assert_string_equal(strbuf_text(&output),
                        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata:\n"
                        "    name: web\n    labels:\n      mirror.linkerd.io/exported: \"true\"\n  spec:\n    ports:\n"
                        "    - port: 80\n- apiVersion: v1\n  kind: ConfigMap\n- apiVersion: serving.knative.dev/v1\n"
                        "  kind: Service\n");
    assert_skipped("{\"ConfigMap\":1,\"Service\":1}");
}

static void what_would_not_be_mirrored_is_left_as_it_is(void **state)
{
    (void)state;
    static const char MIRROR[] = "apiVersion: v1\nkind: Service\nmetadata:\n  name: web-east\n  labels:\n"
                                 "    " M "mirrored-service: \"true\"\nspec: {ports: [{port: 80}]}\n";
    assert_int_equal(run(&GATEWAY, false, MIRROR), ERR_OK);
    assert_string_equal(strbuf_text(&output), MIRROR);
    assert_string_equal(strbuf_text(&told),
                        "service \"web-east\" skipped: it is itself the mirror of another cluster's service\n");
}

static void twice_is_as_once_and_back_again(void **state)
{
    (void)state;
    assert_int_equal(run(&GATEWAY, false, WEB), ERR_OK);
    char *once = mem_strdup(strbuf_text(&output));
    assert_int_equal(run(&GATEWAY, false, once), ERR_OK);
    assert_string_equal(strbuf_text(&output), once);
    assert_string_equal(strbuf_text(&told), "service \"web\" unchanged\n");
    assert_int_equal(run(NULL, true, once), ERR_OK);
    assert_string_equal(strbuf_text(&told), "service \"web\" unexported\n");
    assert_null(strstr(strbuf_text(&output), M));
    mem_free(once);
}

static void faults_name_file_document_and_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
        enum err_code code;
    } CASES[] = {
        {"a: [\n", "web.yaml: document 1: line 2", ERR_INVALID},
        {WEB "---\njust words\n", "web.yaml: document 2: it is no Kubernetes object", ERR_INVALID},
        {"apiVersion: v1\nkind: Service\nmetadata: {name: web, annotations: {" M "gateway-name: other}}\n"
         "spec: {ports: [{port: 80}]}\n",
         "document 1: service/web has " M "gateway-name=other already", ERR_CONFLICT},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        assert_int_equal(run(&ANNOTATED, false, CASES[i].text), CASES[i].code);
        if (strstr(error.text, CASES[i].words) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", error.text, CASES[i].words);
    }
}

#define LABELLED(labels) "apiVersion: v1\nkind: Service\nmetadata: {name: web, labels: " labels "}\n"
#define DESCRIBED(spec) "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: " spec "\n"
#define NAMED(metadata) "apiVersion: v1\nkind: Service\n" metadata "\nspec: {ports: [{port: 80}]}\n"
#define LISTED(item) "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Pod}, " item "]\n"

static void what_no_api_server_would_take_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } CASES[] = {
        {LABELLED("x"), "Service web: metadata.labels is no map of texts: write KEY: \"VALUE\" below it"},
        {LABELLED("[x]"), "Service web: metadata.labels is no map of texts: write KEY: \"VALUE\" below it"},
        {LABELLED("{" M "exported: true}"),
         "Service web: metadata.labels: the value of " M "exported is no text: write it in quotes"},
        {LABELLED("{a: {b: c}}"), "Service web: metadata.labels: the value of a is no text: write it in quotes"},
        {NAMED("metadata: {name: web, annotations: 1}"),
         "Service web: metadata.annotations is no map of texts: write KEY: \"VALUE\" below it"},
        {NAMED("metadata: {generateName: web-, annotations: {a: 1}}"),
         "Service web-: metadata.annotations: the value of a is no text: write it in quotes"},
        {NAMED("metadata: x"), "Service: metadata is no map: write name: NAME below it"},
        {NAMED("metadata: {name: 5}"), "Service: metadata.name is no text: write it in quotes"},
        {NAMED("metadata: {generateName: 5}"), "Service: metadata.generateName is no text: write it in quotes"},
        {NAMED("metadata: {name: \"\"}"), "Service: it has no metadata.name: give it one"},
        {NAMED("metadata:"), "Service: it has no metadata.name: give it one"},
        {NAMED("type: x"), "Service: it has no metadata.name: give it one"},
        {DESCRIBED("x"), "Service web: spec is no map: write ports: and the like below it"},
        {DESCRIBED("{ports: x}"), "Service web: spec.ports is no list: write - port: NUMBER below it"},
        {DESCRIBED("{ports: [{port: 80}, 81]}"), "Service web: spec.ports: port 2 is no map: write - port: NUMBER"},
        {LISTED("3"), "item 2: it is no Kubernetes object: it has no kind"},
        {LISTED("{apiVersion: v1}"), "item 2: it is no Kubernetes object: it has no kind"},
        {LISTED("{apiVersion: v1, kind: Service}"), "item 2: Service: it has no metadata.name: give it one"},
        {"apiVersion: v1\nkind: List\nitems: x\n",
         "List: items is no list: write its objects below it, each behind a dash"},
    };
    for (size_t i = 0; i < 2 * ARRAY_COUNT(CASES); i++) {
        char expected[ERR_TEXT_BYTES];
        (void)snprintf(expected, sizeof(expected), "web.yaml: document 1: %s", CASES[i / 2].words);
        assert_int_equal(run(i % 2 == 0 ? &GATEWAY : NULL, i % 2 == 1, CASES[i / 2].text), ERR_INVALID);
        assert_string_equal(error.text, expected);
        assert_string_equal(strbuf_text(&output), "");
    }
}

static void what_may_be_left_out_is_no_fault(void **state)
{
    (void)state;
    assert_int_equal(run(&GATEWAY, false, NAMED("metadata: {generateName: web-, labels: null, annotations: {a: }}")),
                     ERR_OK);
    assert_string_equal(strbuf_text(&told), "service \"web-\" exported\n");
    assert_int_equal(run(&GATEWAY, false, DESCRIBED("{type: ExternalName, ports: null}")), ERR_OK);
    assert_int_equal(run(&GATEWAY, false, "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n"), ERR_OK);
    assert_string_equal(strbuf_text(&told), "service \"web\" skipped: it has no ports\n");
    assert_int_equal(run(&GATEWAY, false, "apiVersion: v1\nkind: List\nitems:\n"), ERR_OK);
    assert_skipped("{\"List\":1}");
    assert_int_equal(run(&ANNOTATED, false, NAMED("metadata: {generateName: web-, annotations: {" M "gateway-ns: x}}")),
                     ERR_CONFLICT);
    assert_non_null(strstr(error.text, "service/web- has " M "gateway-ns=x already"));
}

static enum err_code filter_once(void *context)
{
    struct strbuf out, lines;
    strbuf_init(&out, 1 << 20);
    strbuf_init(&lines, 1 << 20);
    struct export_filter filter = {.marks = &ANNOTATED, .output = &out, .told = &lines, .skipped = json_object()};
    enum err_code code = export_filter_run(&filter, "web.yaml", context, NULL);
    json_decref(filter.skipped);
    strbuf_done(&out);
    strbuf_done(&lines);
    return code;
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    static char text[] = WEB "---\nkind: Pod\n";
    (void)sweep(filter_once, text);
}

int main(void)
{
    kube_setup();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(services_are_marked_and_all_else_passes_byte_for_byte, forget),
        cmocka_unit_test_teardown(lists_are_gone_through, forget),
        cmocka_unit_test_teardown(what_would_not_be_mirrored_is_left_as_it_is, forget),
        cmocka_unit_test_teardown(twice_is_as_once_and_back_again, forget),
        cmocka_unit_test_teardown(faults_name_file_document_and_line, forget),
        cmocka_unit_test_teardown(what_no_api_server_would_take_is_refused, forget),
        cmocka_unit_test_teardown(what_may_be_left_out_is_no_fault, forget),
        cmocka_unit_test(each_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
