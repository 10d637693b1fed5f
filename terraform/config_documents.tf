# The config objects in config/. The complete check is `python -m job plan`, which the make targets and the builds run
# before Terraform. These conditions are only the ones that the job would refuse in every case.
locals {
  config_documents = {
    for name in fileset("${path.module}/config", "*.json") : name => file("${path.module}/config/${name}")
  }
  config_required = ["ticker_list.json", "card_types.json"]
  config_optional = ["card_targets.json", "engine_control.json", "llm_config.json"]

  config_faults = concat(
    [for name, text in local.config_documents : "config/${name} is not JSON; correct it." if !can(jsondecode(trimprefix(text, "\ufeff")))],
    [for name in local.config_required : "config/${name} does not exist; the job needs it." if !contains(keys(local.config_documents), name)],
    [for name in keys(local.config_documents) : "config/${name} is no object that the job reads; correct its name or remove it." if !contains(concat(local.config_required, local.config_optional), name)],
  )
}

# A warning, not an error: a rollback must not fail, and if operators own the config, these files are not used.
check "config" {
  assert {
    condition     = length(local.config_faults) == 0
    error_message = join("\n", local.config_faults)
  }
}
