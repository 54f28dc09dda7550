#include "agent/commands/linkerd_config.h"

#include <string.h>

#include "agent/commands/resource.h"
#include "agent/kube/yaml.h"

/* An empty text is as good as none: so it is for Linkerd's templates. */
static const char *text_at(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL && text[0] != '\0' ? text : NULL;
}

static const char *value_of(const json_t *values, const char *key)
{
    const char *text = text_at(values, key);
    return text != NULL ? text : text_at(json_object_get(values, "global"), key);
}

static void read_domains(struct linkerd_config *config)
{
    config->cluster_domain = value_of(config->settings, "clusterDomain");
    config->trust_domain = config->is_2_8 ? text_at(json_object_get(config->settings, "identityContext"), "trustDomain")
                                          : value_of(config->settings, "identityTrustDomain");
    if (config->trust_domain == NULL)
        config->trust_domain = config->cluster_domain;
}

enum err_code linkerd_config_read(const json_t *config_map, struct linkerd_config *ret_config, struct err *reterr)
{
    const json_t *data = json_object_get(config_map, "data");
    const char *values = json_string_value(json_object_get(data, "values"));
    const char *global = json_string_value(json_object_get(data, "global")), *text = values != NULL ? values : global;
    *ret_config = (struct linkerd_config){0};
    if (text == NULL)
        return ERR_OK;
    enum err_code code = yaml_parse_manifest(text, strlen(text), &ret_config->settings, reterr);
    if (code != ERR_OK) {
        (void)err_context(reterr, "ConfigMap %s/linkerd-config", object_meta_text(config_map, "namespace"));
        return code;
    }
    ret_config->is_2_8 = values == NULL;
    read_domains(ret_config);
    return ERR_OK;
}

void linkerd_config_done(struct linkerd_config *config)
{
    json_decref(config->settings);
    *config = (struct linkerd_config){0};
}
