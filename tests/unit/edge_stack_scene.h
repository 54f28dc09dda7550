/* Clusters with Edge Stack or Emissary as each generation's installation leaves them: whole objects for the tests of `edge-stack prepare`. */
#pragma once

#include <jansson.h>

#include "agent/commands/edge_stack.h"

enum generation { GENERATION_1_5, GENERATION_1_14, GENERATION_3, GENERATION_4, GENERATIONS };

struct scene {
    struct edge_stack_objects objects;
    struct edge_stack_settings settings;
};

/** Fails the test when it cannot be built. End with scene_done(). */
void scene_init(struct scene *scene, enum generation generation);
void scene_done(struct scene *scene);
/** Adds an object of Edge Stack, written as JSON with ' for ". @param spec  its spec. */
void scene_add(struct scene *scene, enum edge_stack_kind kind, const char *namespace, const char *name,
               const char *spec);
/** Puts the plan's changes into the scene, as a server would. */
void scene_apply(struct scene *scene, const struct edge_stack_plan *plan);
/** JSON with ' for "; new. */
json_t *scene_json(const char *text);
