/* links: base mirror mirror_fixture.c */
#include "mirror/object.h"

#include <string.h>

#include "base/mem.h"
#include "tests/unit/mirror_fixture.h"
#include "tests/unit/sweep.h"

enum { ARENA_BYTES = 1 << 20 };

static const char service_text[] = "shop/web deleting #app=web #tier= @~gateway-name=gw @note=a%b headless selector "
                                   "p=http:80>8080+kubernetes.io/h2c p=dns:53>dns/UDP p=9>9/SCTP";

static const char slice_text[] = "shop/web-1 #app=web #endpointslice.kubernetes.io/managed-by=me "
                                 "#kubernetes.io/service-name=web @note=x owner=u9 type=IPv6 fd00::1 !fd00::2 "
                                 "p=http:8080+grpc p=53/UDP";

/* The copy has to stand when everything it was made of is gone. */
static void a_copy_of_a_service_is_whole_and_on_its_own(void **state)
{
    (void)state;
    struct arena arena, fresh;
    arena_init(&arena, ARENA_BYTES);
    arena_init(&fresh, ARENA_BYTES);
    struct service *original = service_of(&arena, "%s v=12 uid=u1 ours lb=203.0.113.7 lb=gw.example", service_text);
    static const char *const external[] = {"198.51.100.1", ""};
    original->external_ips = external;
    original->external_ip_count = 2;
    original->meta.created_us = 77;
    struct service *copy = service_copy(original);
    assert_non_null(copy);
    arena_done(&arena);
    assert_string_equal(service_words(&fresh, copy, false), service_text);
    assert_string_equal(copy->meta.resource_version, "12");
    assert_string_equal(copy->meta.uid, "u1");
    assert_string_equal(copy->meta.owner_uid, "");
    assert_int_equal(copy->meta.created_us, 77);
    assert_true(copy->meta.made_by_us);
    assert_string_equal(copy->cluster_ip, "None");
    assert_int_equal(copy->ingress_count, 2);
    assert_string_equal(copy->ingress[0].ip, "203.0.113.7");
    assert_string_equal(copy->ingress[1].hostname, "gw.example");
    assert_string_equal(copy->ingress[1].ip, "");
    assert_int_equal(copy->external_ip_count, 2);
    assert_string_equal(copy->external_ips[0], "198.51.100.1");
    assert_true(copy->ports[1].target_port_is_name);
    mem_free(copy);
    arena_done(&fresh);
}

static void a_copy_of_a_slice_is_whole_and_on_its_own(void **state)
{
    (void)state;
    struct arena arena, fresh;
    arena_init(&arena, ARENA_BYTES);
    arena_init(&fresh, ARENA_BYTES);
    struct slice *copy = slice_copy(slice_of(&arena, "%s v=4", slice_text));
    assert_non_null(copy);
    arena_done(&arena);
    assert_string_equal(slice_words(&fresh, copy, NULL, false), slice_text);
    assert_string_equal(copy->service_name, "web");
    assert_string_equal(copy->managed_by, "me");
    assert_string_equal(copy->endpoints[0].hostname, "");
    assert_string_equal(copy->meta.resource_version, "4");
    mem_free(copy);
    arena_done(&fresh);
}

/* The block of a copy of a million alike objects should not hold a million times what is the same in all. */
static void copies_share_what_is_in_very_many(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    struct slice *original = slice_of(&arena, "%s #mirror.linkerd.io/mirrored-service=true", slice_text);
    original->service_name = kv_get(&original->meta.labels, "kubernetes.io/service-name"); /* as decoders have it */
    struct slice *one = slice_copy(original), *other = slice_copy(original);
    assert_non_null(one);
    assert_non_null(other);
    unsigned shared = 0;
    for (size_t i = 0; i < one->meta.labels.count; i++)
        shared += one->meta.labels.items[i].key == other->meta.labels.items[i].key;
    assert_int_equal(shared, 4); /* every key; "app" is one of them */
    assert_ptr_equal(kv_get(&one->meta.labels, "mirror.linkerd.io/mirrored-service"),
                     kv_get(&other->meta.labels, "mirror.linkerd.io/mirrored-service"));
    assert_ptr_not_equal(one->meta.annotations.items[0].key, other->meta.annotations.items[0].key); /* "note" */
    assert_ptr_equal(one->service_name, kv_get(&one->meta.labels, "kubernetes.io/service-name"));
    mem_free(one);
    mem_free(other);
    arena_done(&arena);
}

static void empty_objects_are_copied_too(void **state)
{
    (void)state;
    /* Absent texts may be NULL in what is given; a copy has none. */
    const struct service bare = {0};
    struct service *copy = service_copy(&bare);
    assert_non_null(copy);
    assert_string_equal(copy->meta.name, "");
    assert_string_equal(copy->cluster_ip, "");
    assert_null(copy->ports);
    mem_free(copy);
    const struct slice none = {0};
    struct slice *slice = slice_copy(&none);
    assert_non_null(slice);
    assert_string_equal(slice->service_name, "");
    mem_free(slice);
}

static enum err_code copy_both(void *context)
{
    const struct service *service = context;
    struct service *copy = service_copy(service);
    mem_free(copy);
    return copy != NULL ? ERR_OK : ERR_NOMEM;
}

static void a_copy_is_one_block(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    assert_int_equal(sweep(copy_both, service_of(&arena, "%s", service_text)), 1);
    arena_done(&arena);
}

static void keys_are_formatted_and_split(void **state)
{
    (void)state;
    static const struct {
        const char *namespace, *name, *key;
    } CASES[] = {{"shop", "web", "shop/web"}, {"", "web", "/web"}, {"a", "b/c", "a/b/c"}, {"", "", "/"}};
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        char key[OBJECT_KEY_BYTES], namespace[OBJECT_KEY_BYTES];
        object_key_format(key, CASES[i].namespace, CASES[i].name);
        assert_string_equal(key, CASES[i].key);
        assert_string_equal(object_key(&arena, CASES[i].namespace, CASES[i].name), CASES[i].key);
        assert_string_equal(object_key_split(key, namespace), CASES[i].name);
        assert_string_equal(namespace, CASES[i].namespace);
    }
    char namespace[OBJECT_KEY_BYTES];
    assert_string_equal(object_key_split("bare", namespace), "bare");
    assert_string_equal(namespace, "");
    arena_done(&arena);
}

static void overlong_keys_are_cut(void **state)
{
    (void)state;
    char name[2000], key[OBJECT_KEY_BYTES], namespace[OBJECT_KEY_BYTES];
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    object_key_format(key, "shop", name);
    assert_int_equal(strlen(key), OBJECT_KEY_BYTES - 1);
    name[1500] = '/';
    assert_string_equal(object_key_split(name, namespace), name + 1501);
    assert_int_equal(strlen(namespace), OBJECT_KEY_BYTES - 1);
}

static void names_are_those_of_the_api(void **state)
{
    (void)state;
    assert_string_equal(protocol_name(PROTOCOL_TCP), "TCP");
    assert_string_equal(protocol_name(PROTOCOL_UDP), "UDP");
    assert_string_equal(protocol_name(PROTOCOL_SCTP), "SCTP");
    assert_string_equal(address_type_name(ADDRESS_IPV4), "IPv4");
    assert_string_equal(address_type_name(ADDRESS_IPV6), "IPv6");
    assert_string_equal(address_type_name(ADDRESS_FQDN), "FQDN");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_of_a_service_is_whole_and_on_its_own),
        cmocka_unit_test(a_copy_of_a_slice_is_whole_and_on_its_own),
        cmocka_unit_test(copies_share_what_is_in_very_many),
        cmocka_unit_test(empty_objects_are_copied_too),
        cmocka_unit_test(a_copy_is_one_block),
        cmocka_unit_test(keys_are_formatted_and_split),
        cmocka_unit_test(overlong_keys_are_cut),
        cmocka_unit_test(names_are_those_of_the_api),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
