/* A snapshot in which all is right, to spoil one thing of: check_healthy.json, with the rights that `install` gives and trust roots made on
 * the spot. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "agent/commands/check.h"
#include "agent/commands/install_objects.h"
#include "agent/commands/link_renewal.h"
#include "agent/commands/resource.h"
#include "test_certificate.h"

enum { SCENE_NOW_S = 1790000000, SCENE_DAY_S = 86400 };

/* Puts `value` (stolen; NULL takes away) at a path like "targets/0/cluster", whose last step may be new. */
static inline void scene_put(json_t *snapshot, const char *path, json_t *value)
{
    json_t *at = snapshot;
    char step[128];
    for (;;) {
        size_t length = strcspn(path, "/");
        bool last = path[length] == '\0';
        (void)snprintf(step, sizeof(step), "%.*s", (int)length, path);
        if (last)
            break;
        at = json_is_array(at) ? json_array_get(at, (size_t)atoi(step)) : json_object_get(at, step);
        if (at == NULL)
            fail_msg("the scene has no %s", path);
        path += length + 1;
    }
    if (value == NULL)
        assert_int_equal(json_is_array(at) ? json_array_remove(at, (size_t)atoi(step)) : json_object_del(at, step), 0);
    else if (json_is_array(at))
        assert_int_equal(json_array_append_new(at, value), 0);
    else
        assert_int_equal(json_object_set_new(at, step, value), 0);
}

static inline json_t *scene_roots(const char *pem)
{
    return json_pack("{s:{s:{s:s}}}", "value", "data", "ca-bundle.crt", pem);
}

static inline void scene_put_rights(json_t *snapshot)
{
    static const char *const places[][2] = {{"ClusterRole", "clusterRoles"},
                                            {"ClusterRoleBinding", "clusterRoleBindings"},
                                            {"Role", "roles"},
                                            {"RoleBinding", "roleBindings"}};
    const struct install_settings settings = {.namespace = INSTALL_NAMESPACE, .replicas = 1};
    json_t *objects = NULL, *object = NULL, *source = json_object_get(snapshot, "source");
    size_t index = 0;
    assert_int_equal(install_objects(&settings, &objects, NULL), ERR_OK);
    for (size_t i = 0; i < 4; i++) {
        json_t *items = json_array();
        json_array_foreach(objects, index, object)
        {
            if (strcmp(check_text(object, "kind"), places[i][0]) == 0)
                (void)json_array_append(items, object);
        }
        (void)json_object_set_new(source, places[i][1], json_pack("{s:{s:o}}", "value", "items", items));
    }
    json_decref(objects);
}

/* As `link` gives them, for the Secret and for its copy in Linkerd's namespace. */
static inline void scene_put_renewal(json_t *snapshot)
{
    json_t *here = json_array(), *there = json_array(), *source = json_object_get(snapshot, "source");
    assert_true(link_renewal_append(here, "east", INSTALL_NAMESPACE, INSTALL_NAMESPACE, "cluster-credentials-east"));
    assert_true(link_renewal_append(there, "east", INSTALL_NAMESPACE, "linkerd", "cluster-credentials-east"));
    for (size_t i = 0; i < 2; i++) {
        static const char *const lists[] = {"roles", "roleBindings"};
        json_t *items = json_object_get(json_object_get(json_object_get(source, lists[i]), "value"), "items");
        assert_int_equal(json_array_append(items, json_array_get(here, i)), 0);
    }
    json_t *rights = json_pack("{s:{s:{s:{s:[O]}}, s:{s:{s:[O]}}}}", "linkerd", "roles", "value", "items",
                               json_array_get(there, 0), "roleBindings", "value", "items", json_array_get(there, 1));
    assert_non_null(rights);
    scene_put(snapshot, "source/rightsIn", rights);
    json_decref(here);
    json_decref(there);
}

/** @return new. */
static inline json_t *scene_healthy(void)
{
    static struct test_certificate root;
    json_error_t error;
    json_t *snapshot = json_load_file("check_healthy.json", 0, &error);
    if (snapshot == NULL)
        fail_msg("check_healthy.json: %s in line %d", error.text, error.line);
    if (root.certificate[0] == '\0')
        root = test_certificate_make(SCENE_NOW_S + 3000LL * SCENE_DAY_S);
    scene_put(snapshot, "source/trustRoots", scene_roots(root.certificate));
    scene_put(snapshot, "targets/0/trustRoots", scene_roots(root.certificate));
    scene_put_rights(snapshot);
    scene_put_renewal(snapshot);
    return snapshot;
}

/** The check with this description in a result; NULL when it is not there. */
static inline const json_t *scene_find(const json_t *result, const char *description)
{
    const json_t *category = NULL, *entry = NULL;
    size_t index = 0, inner = 0;
    json_array_foreach(json_object_get(result, "categories"), index, category)
    {
        json_array_foreach(json_object_get(category, "checks"), inner, entry)
        {
            const char *text = check_text(entry, "description");
            if (strncmp(text, description, strlen(description)) == 0)
                return entry;
        }
    }
    return NULL;
}
