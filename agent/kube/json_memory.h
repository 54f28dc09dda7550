/* Jansson's memory comes from base/mem, so that tests can make its allocations fail too. */
#pragma once

/** Idempotent. Called wherever JSON values are first made; those made before it are released correctly all the same. */
void json_memory_init(void);
