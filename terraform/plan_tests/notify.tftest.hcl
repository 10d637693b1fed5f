mock_provider "google" {
  source          = "./plan_tests/mocks"
  override_during = plan
}

run "nobody_asked_for_messages" {
  command = plan

  variables {
    alerts = { notification_channels = ["projects/my-project/notificationChannels/1"], success_by = "09:00" }
  }

  assert {
    condition = (
      length(google_secret_manager_secret_iam_member.job) == 0
      && length(google_monitoring_alert_policy.notification) == 0
      && !contains(keys(google_project_service.main), "secretmanager.googleapis.com")
      && alltrue([
        for env in google_cloud_run_v2_job.main["run"].template[0].template[0].containers[0].env : length(env.value_source) == 0
      ])
    )
    error_message = "There is something for messages."
  }
}

run "messages_to_a_bot_that_is_signed" {
  command = plan

  variables {
    alerts = { notification_channels = ["projects/my-project/notificationChannels/1"], success_by = "09:00" }
    job    = { max_retries = 3 }
    notify = { secret = "cards-hook", signing_secret = "cards-hook-key", only = "failures" }
  }

  assert {
    condition = {
      for key, grant in google_secret_manager_secret_iam_member.job : key => "${grant.project} ${grant.secret_id} ${grant.role} ${grant.member}"
      } == {
      NOTIFY_URL    = "my-project cards-hook roles/secretmanager.secretAccessor serviceAccount:batch-orchestrator-job@my-project.iam.gserviceaccount.com"
      NOTIFY_SECRET = "my-project cards-hook-key roles/secretmanager.secretAccessor serviceAccount:batch-orchestrator-job@my-project.iam.gserviceaccount.com"
    }
    error_message = "The job may read another secret, or another may."
  }
  assert {
    condition = alltrue([
      for job in google_cloud_run_v2_job.main : {
        for env in job.template[0].template[0].containers[0].env :
        env.name => "${env.value_source[0].secret_key_ref[0].secret} ${env.value_source[0].secret_key_ref[0].version}" if length(env.value_source) > 0
      } == { NOTIFY_URL = "cards-hook latest", NOTIFY_SECRET = "cards-hook-key latest" }
    ])
    error_message = "A job reads other secrets."
  }
  assert {
    condition     = local.environment.NOTIFY_ONLY == "failures"
    error_message = "Successes are told, too."
  }
  assert {
    condition = {
      for key, job in google_cloud_run_v2_job.main : key => [
        for env in job.template[0].template[0].containers[0].env : env.value if env.name == "TASK_MAX_RETRIES"
      ]
    } == { run = ["3"], verify = ["0"] }
    error_message = "A job takes the retries of another for its own."
  }
  assert {
    condition     = contains(keys(google_project_service.main), "secretmanager.googleapis.com")
    error_message = "The API is off."
  }
  assert {
    condition = (
      google_monitoring_alert_policy.notification[0].conditions[0].condition_matched_log[0].filter
      == "resource.type = \"cloud_run_job\" AND resource.labels.job_name = (\"batch-orchestrator\" OR \"batch-orchestrator-verify\") AND jsonPayload.event = \"notification.failed\""
    )
    error_message = "The alert watches something else."
  }
}

run "messages_to_a_bot_that_is_not_signed_and_no_alerts" {
  command = plan

  variables {
    notify = { secret = "cards-hook" }
  }

  assert {
    condition = (
      { for key, grant in google_secret_manager_secret_iam_member.job : key => grant.secret_id } == { NOTIFY_URL = "cards-hook" }
      && length(google_monitoring_alert_policy.notification) == 0
      && local.environment.NOTIFY_ONLY == "all"
    )
    error_message = "There is something that nobody asked for."
  }
}
