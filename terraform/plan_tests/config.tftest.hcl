mock_provider "google" {
  source          = "./plan_tests/mocks"
  override_during = plan
}

run "terraform_owns_the_config" {
  command = plan

  assert {
    condition = (
      toset(values(google_storage_bucket_object.owned)[*].name) == toset([for name in fileset("config", "*.json") : "config/${name}"])
      && contains(keys(google_storage_bucket_object.owned), "ticker_list.json")
      && length(google_storage_bucket_object.seeded) == 0
      && alltrue([for object in google_storage_bucket_object.owned : object.content_type == "application/json" && object.bucket == google_storage_bucket.config.name])
      && alltrue([for name, object in google_storage_bucket_object.owned : nonsensitive(object.content) == file("config/${name}")])
    )
    error_message = "Other objects are written."
  }
  assert {
    condition     = length(google_storage_bucket_iam_member.config_operators) == 0
    error_message = "Operators may edit what an apply overwrites."
  }
  assert {
    condition = (
      google_storage_bucket.config.name == "my-project-batch-orchestrator-config"
      && google_storage_bucket.config.uniform_bucket_level_access
      && google_storage_bucket.config.public_access_prevention == "enforced"
      && google_storage_bucket.config.versioning[0].enabled
      && google_storage_bucket.config.soft_delete_policy[0].retention_duration_seconds == 604800
      && google_storage_bucket.config.force_destroy == false
      && google_storage_bucket.config.deletion_policy == "ABANDON"
    )
    error_message = "The config bucket is another."
  }
  assert {
    condition = (
      google_storage_bucket.runs.name == "my-project-batch-orchestrator-runs"
      && google_storage_bucket.runs.uniform_bucket_level_access
      && google_storage_bucket.runs.public_access_prevention == "enforced"
      && google_storage_bucket.runs.versioning[0].enabled == false
      && google_storage_bucket.runs.soft_delete_policy[0].retention_duration_seconds == 0
      && [for rule in google_storage_bucket.runs.lifecycle_rule : "${one(rule.action).type} ${one(rule.condition).age}"] == ["Delete 90"]
      && google_storage_bucket.runs.force_destroy == false
      && google_storage_bucket.runs.deletion_policy == "ABANDON"
    )
    error_message = "The bucket of run records is another."
  }
}

run "operators_own_the_config" {
  command = plan

  variables {
    config_ownership    = "operators"
    force_destroy       = true
    runs_retention_days = 30
  }

  assert {
    condition = (
      toset(values(google_storage_bucket_object.seeded)[*].name) == toset([for name in fileset("config", "*.json") : "config/${name}"])
      && contains(keys(google_storage_bucket_object.seeded), "ticker_list.json")
      && length(google_storage_bucket_object.owned) == 0
      && alltrue([for object in google_storage_bucket_object.seeded : object.deletion_policy == "ABANDON"])
    )
    error_message = "Other objects are seeded, or a destroy takes them along."
  }
  assert {
    condition = (
      { for key, grant in google_storage_bucket_iam_member.config_operators : key => "${grant.bucket} ${grant.role} ${grant.member}" }
      == { "group:cards@example.com" = "my-project-batch-orchestrator-config roles/storage.objectUser group:cards@example.com" }
    )
    error_message = "The operators cannot edit their config."
  }
  assert {
    condition = (
      google_storage_bucket.config.force_destroy && google_storage_bucket.config.deletion_policy == "DELETE"
      && google_storage_bucket.runs.force_destroy && google_storage_bucket.runs.deletion_policy == "DELETE"
      && one(google_storage_bucket.runs.lifecycle_rule[0].condition).age == 30
    )
    error_message = "What the variables say of the buckets has not arrived."
  }
}

run "images_are_kept_where_they_are_deployed" {
  command = plan

  assert {
    condition = {
      for policy in google_artifact_registry_repository.main.cleanup_policies :
      policy.id => "${policy.action} ${policy.condition[0].tag_state} ${coalesce(policy.condition[0].older_than, "always")} ${jsonencode(policy.condition[0].tag_prefixes)}"
      } == {
      keep-deployed = "KEEP TAGGED always [\"deployed-\"]"
      delete-old    = "DELETE ANY 7776000s null"
    }
    error_message = "Other images are kept, or others go."
  }
  assert {
    condition = (
      google_artifact_registry_repository.main.repository_id == "batch-orchestrator"
      && google_artifact_registry_repository.main.format == "DOCKER"
      && google_artifact_registry_repository.main.cleanup_policy_dry_run == false
    )
    error_message = "The repository is another."
  }
}

run "the_config_of_this_root" {
  command = plan

  assert {
    condition     = local.config_faults == []
    error_message = "Terraform finds fault with the config that the job takes."
  }
}

# The same file beside documents with one fault of each kind, and one that only begins with a byte order mark.
run "a_faulty_config" {
  command = plan

  module {
    source = "./plan_tests/faulty"
  }

  assert {
    condition = local.config_faults == [
      "config/ticker_list.json is not JSON; correct it.",
      "config/card_types.json does not exist; the job needs it.",
      "config/card_target.json is no object that the job reads; correct its name or remove it.",
    ]
    error_message = "Other faults are found."
  }

  expect_failures = [check.config]
}
