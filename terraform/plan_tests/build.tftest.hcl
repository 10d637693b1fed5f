mock_provider "google" {
  source          = "./plan_tests/mocks"
  override_during = plan
}

run "a_branch_is_matched_literally" {
  command = plan

  variables {
    build = {
      branch       = "release/v1.0+cards_a-b"
      repository   = "projects/my-project/locations/asia-east1/connections/github/repositories/cards"
      state_bucket = "my-project-terraform"
    }
  }

  assert {
    condition = (
      google_cloudbuild_trigger.build[0].repository_event_config[0].push[0].branch == "^release/v1\\.0\\+cards_a-b$"
      && google_cloudbuild_trigger.review[0].repository_event_config[0].pull_request[0].branch == "^release/v1\\.0\\+cards_a-b$"
    )
    error_message = "The triggers match another pattern."
  }
  # Terraform matches by RE2, as Cloud Build does.
  assert {
    condition = [
      for pushed in ["release/v1.0+cards_a-b", "release/v1x0+cards_a-b", "release/v1.00cards_a-b", "release/v1.0+cards_a-bc", "a/release/v1.0+cards_a-b"] : pushed
      if can(regex(google_cloudbuild_trigger.build[0].repository_event_config[0].push[0].branch, pushed))
    ] == ["release/v1.0+cards_a-b"]
    error_message = "The push of another branch ships."
  }
}

run "a_pattern_is_refused_as_a_branch" {
  command = plan

  variables {
    build = { repository = "projects/p/locations/asia-east1/connections/c/repositories/r", state_bucket = "my-state", branch = "release-.*" }
  }

  expect_failures = [var.build]
}

run "a_folder_of_branches_is_refused_as_a_branch" {
  command = plan

  variables {
    build = { repository = "projects/p/locations/asia-east1/connections/c/repositories/r", state_bucket = "my-state", branch = "release/" }
  }

  expect_failures = [var.build]
}

run "an_option_is_refused_as_a_branch" {
  command = plan

  variables {
    build = { repository = "projects/p/locations/asia-east1/connections/c/repositories/r", state_bucket = "my-state", branch = "-main" }
  }

  expect_failures = [var.build]
}
