mock_provider "google" {
  source          = "./plan_tests/mocks"
  override_during = plan
}

run "what_starts_a_build_and_as_whom" {
  command = plan

  variables {
    alerts = { notification_channels = ["projects/my-project/notificationChannels/1"], success_by = "09:05" }
    build  = { repository = "projects/my-project/locations/asia-east1/connections/github/repositories/cards", branch = "release/v1.0+cards_a-b" }
  }

  assert {
    condition = { for key, trigger in google_cloudbuild_trigger.main : key => "${trigger.location} ${trigger.filename} ${trigger.service_account}" } == {
      build  = "asia-east1 cloudbuild.yaml projects/my-project/serviceAccounts/batch-orchestrator-build@my-project.iam.gserviceaccount.com"
      review = "asia-east1 terraform/review.cloudbuild.yaml projects/my-project/serviceAccounts/batch-orchestrator-review@my-project.iam.gserviceaccount.com"
    }
    error_message = "A trigger runs something else, or as another."
  }
  assert {
    condition = (
      length(google_cloudbuild_trigger.main["build"].repository_event_config[0].pull_request) == 0
      && length(google_cloudbuild_trigger.main["review"].repository_event_config[0].push) == 0
      && google_cloudbuild_trigger.main["review"].repository_event_config[0].pull_request[0].comment_control == "COMMENTS_ENABLED"
    )
    error_message = "A pull request does not wait for a maintainer, or is deployed."
  }
  assert {
    # Terraform matches by RE2, as Cloud Build does.
    condition = alltrue([
      for pattern in [
        google_cloudbuild_trigger.main["build"].repository_event_config[0].push[0].branch,
        google_cloudbuild_trigger.main["review"].repository_event_config[0].pull_request[0].branch,
        ] : [
        for pushed in ["release/v1.0+cards_a-b", "release/v1x0+cards_a-b", "release/v1.00cards_a-b", "release/v1.0+cards_a-bc", "a/release/v1.0+cards_a-b"] :
        pushed if can(regex(pattern, pushed))
      ] == ["release/v1.0+cards_a-b"]
    ])
    error_message = "The push of another branch is deployed."
  }
  assert {
    condition = { for key, trigger in google_cloudbuild_trigger.main : key => trigger.substitutions } == {
      build = tomap({
        _IMAGE   = "asia-east1-docker.pkg.dev/my-project/batch-orchestrator/job"
        _JOBS    = "batch-orchestrator batch-orchestrator-verify"
        _SHIP_TO = "gs://my-project-batch-orchestrator-config/config"
      })
      review = tomap({ _SHIP_TO = "gs://my-project-batch-orchestrator-config/config" })
    }
    error_message = "A build is told something else."
  }
}

run "where_people_own_the_config_and_a_merge_looks_at_the_engines" {
  command = plan

  variables {
    build = { repository = "projects/my-project/locations/asia-east1/connections/github/repositories/cards", ships_config = false, check = true }
  }

  assert {
    condition     = [for key, trigger in google_cloudbuild_trigger.main : key if contains(keys(trigger.substitutions), "_CHECK")] == ["build"]
    error_message = "A merge does not look at the engines, or a pull request does."
  }

  assert {
    condition     = length(google_storage_bucket_iam_member.build) == 0
    error_message = "A build may write what is not its own."
  }
  assert {
    condition     = alltrue([for trigger in google_cloudbuild_trigger.main : !contains(keys(trigger.substitutions), "_SHIP_TO")])
    error_message = "A build would ship the config."
  }
}
