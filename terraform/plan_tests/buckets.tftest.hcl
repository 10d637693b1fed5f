mock_provider "google" {
  source          = "./plan_tests/mocks"
  override_during = plan
}

run "the_buckets_are_private_and_outlive_a_destroy" {
  command = plan

  assert {
    condition = alltrue([
      for bucket in [google_storage_bucket.config, google_storage_bucket.runs] : (
        bucket.public_access_prevention == "enforced"
        && bucket.uniform_bucket_level_access
        && bucket.force_destroy == false
        && bucket.deletion_policy == "ABANDON"
      )
    ])
    error_message = "A bucket can be public, or a destroy deletes it."
  }
  assert {
    condition = (
      google_storage_bucket.config.name == "my-project-batch-orchestrator-config"
      && google_storage_bucket.config.versioning[0].enabled
      && tolist(google_storage_bucket.config.lifecycle_rule[0].condition)[0].num_newer_versions == 10
      && tolist(google_storage_bucket.config.lifecycle_rule[0].condition)[0].days_since_noncurrent_time == 90
      && length(google_storage_bucket.config.lifecycle_rule) == 1
    )
    error_message = "An edit of the config could not be undone."
  }
  assert {
    condition = (
      google_storage_bucket.runs.name == "my-project-batch-orchestrator-runs"
      && google_storage_bucket.runs.versioning[0].enabled == false
      && google_storage_bucket.runs.soft_delete_policy[0].retention_duration_seconds == 604800
      && tolist(google_storage_bucket.runs.lifecycle_rule[0].condition)[0].age == 90
    )
    error_message = "Every renewal of a lease would be kept for good, a deleted record could not be brought back, or records are kept for another time."
  }
  assert {
    condition = alltrue([
      for object in google_storage_bucket_object.config : object.deletion_policy == "ABANDON" && startswith(object.name, "config/")
    ]) && length(google_storage_bucket_object.config) > 0
    error_message = "The config is not where the job reads it, or a destroy deletes it."
  }
}

run "unless_they_are_to_be_destroyed" {
  command = plan

  variables {
    force_destroy       = true
    runs_retention_days = 120
  }

  assert {
    condition = alltrue([
      for bucket in [google_storage_bucket.config, google_storage_bucket.runs] : bucket.force_destroy && bucket.deletion_policy == "DELETE"
    ])
    error_message = "A bucket would stay."
  }
  assert {
    condition     = tolist(google_storage_bucket.runs.lifecycle_rule[0].condition)[0].age == 120
    error_message = "Records are kept for another time."
  }
}

run "the_latest_images_and_what_is_deployed_are_kept" {
  command = plan

  assert {
    condition = google_artifact_registry_repository.main.cleanup_policy_dry_run == false && {
      for policy in google_artifact_registry_repository.main.cleanup_policies : "${policy.action} ${policy.id}" => (
        length(policy.most_recent_versions) > 0 ? "the latest ${policy.most_recent_versions[0].keep_count}" : join(" ", compact(concat(
          [policy.condition[0].tag_state, policy.condition[0].older_than], coalesce(policy.condition[0].tag_prefixes, [])
        )))
      )
      } == {
      "KEEP keep-deployed" = "TAGGED deployed"
      "KEEP keep-latest"   = "the latest 50"
      "DELETE delete-old"  = "ANY 7776000s"
    }
    error_message = "Other images are deleted."
  }
}
