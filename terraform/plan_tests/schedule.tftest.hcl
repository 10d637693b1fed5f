mock_provider "google" {
  source          = "./plan_tests/mocks"
  override_during = plan
}

run "the_schedule_starts_the_job" {
  command = plan

  assert {
    condition     = toset(keys(google_cloud_scheduler_job.main)) == toset(["run"])
    error_message = "There is another schedule."
  }
  assert {
    condition = (
      google_cloud_scheduler_job.main["run"].schedule == "30 6 * * 1-5"
      && google_cloud_scheduler_job.main["run"].time_zone == "Asia/Shanghai"
      && google_cloud_scheduler_job.main["run"].paused == false
      && google_cloud_scheduler_job.main["run"].attempt_deadline == "180s"
      && google_cloud_scheduler_job.main["run"].deletion_policy == "PREVENT"
    )
    error_message = "It starts at another time."
  }
  assert {
    condition = (
      google_cloud_scheduler_job.main["run"].http_target[0].http_method == "POST"
      && google_cloud_scheduler_job.main["run"].http_target[0].uri == "https://run.googleapis.com/v2/projects/my-project/locations/asia-east1/jobs/batch-orchestrator:run"
      && base64decode(google_cloud_scheduler_job.main["run"].http_target[0].body) == "{}"
      && google_cloud_scheduler_job.main["run"].http_target[0].headers == tomap({ "Content-Type" = "application/json" })
    )
    error_message = "It sends another request."
  }
  assert {
    condition = (
      google_cloud_scheduler_job.main["run"].http_target[0].oauth_token[0].service_account_email == "batch-orchestrator-scheduler@my-project.iam.gserviceaccount.com"
      && google_cloud_scheduler_job.main["run"].http_target[0].oauth_token[0].scope == "https://www.googleapis.com/auth/cloud-platform"
      && length(google_cloud_scheduler_job.main["run"].http_target[0].oidc_token) == 0
    )
    error_message = "It shows another identity."
  }
  assert {
    condition = (
      google_cloud_scheduler_job.main["run"].retry_config[0].retry_count == 3
      && google_cloud_scheduler_job.main["run"].retry_config[0].max_retry_duration == "0s"
      && google_cloud_scheduler_job.main["run"].retry_config[0].min_backoff_duration == "30s"
      && google_cloud_scheduler_job.main["run"].retry_config[0].max_backoff_duration == "600s"
      && google_cloud_scheduler_job.main["run"].retry_config[0].max_doublings == 5
    )
    error_message = "It tries again in another way."
  }
}

run "the_schedule_with_all_that_can_be_said_of_it" {
  command = plan

  variables {
    alerts              = { notification_channels = ["projects/my-project/notificationChannels/1"], success_by = "09:00" }
    deletion_protection = false
    schedule = {
      again                    = true
      cron                     = "*/15 0-6,22 1,15 jan-jun *"
      time_zone                = "America/Argentina/Buenos_Aires"
      paused                   = true
      attempt_deadline_seconds = 300
      retry                    = { count = 5, max_backoff_seconds = 60, max_doublings = 2, max_duration_seconds = 900, min_backoff_seconds = 5 }
    }
  }

  assert {
    condition = (
      google_cloud_scheduler_job.main["run"].schedule == "*/15 0-6,22 1,15 jan-jun *"
      && google_cloud_scheduler_job.main["run"].time_zone == "America/Argentina/Buenos_Aires"
      && google_cloud_scheduler_job.main["run"].paused == true
      && google_cloud_scheduler_job.main["run"].attempt_deadline == "300s"
      && google_cloud_scheduler_job.main["run"].deletion_policy == "DELETE"
      && google_cloud_scheduler_job.main["run"].retry_config[0].retry_count == 5
      && google_cloud_scheduler_job.main["run"].retry_config[0].max_retry_duration == "900s"
      && google_cloud_scheduler_job.main["run"].retry_config[0].min_backoff_duration == "5s"
      && google_cloud_scheduler_job.main["run"].retry_config[0].max_backoff_duration == "60s"
      && google_cloud_scheduler_job.main["run"].retry_config[0].max_doublings == 2
    )
    error_message = "What the variable `schedule` says has not arrived."
  }
  assert {
    condition = (
      jsondecode(base64decode(google_cloud_scheduler_job.main["run"].http_target[0].body)) == { overrides = { containerOverrides = [{ args = ["run", "--again"] }] } }
      && base64decode(google_cloud_scheduler_job.main["verify"].http_target[0].body) == "{}"
      && { for key, grant in google_cloud_run_v2_job_iam_member.scheduler : key => grant.role } == { run = "roles/run.jobsExecutorWithOverrides", verify = "roles/run.invoker" }
    )
    error_message = "A start does not make everything again, or the schedule may do more than that."
  }
}

run "what_watches_the_run" {
  command = plan

  variables {
    alerts = { notification_channels = ["projects/my-project/notificationChannels/1"], success_by = "09:05" }
  }

  assert {
    condition     = toset(keys(google_cloud_run_v2_job.main)) == toset(["run", "verify"])
    error_message = "The verification is missing."
  }
  assert {
    condition = (
      google_cloud_run_v2_job.main["verify"].name == "batch-orchestrator-verify"
      && google_cloud_run_v2_job.main["verify"].template[0].template[0].timeout == "300s"
      && google_cloud_run_v2_job.main["verify"].template[0].template[0].containers[0].args == tolist(["verify"])
      && google_cloud_run_v2_job.main["verify"].template[0].template[0].containers[0].image == var.image
      && google_cloud_run_v2_job.main["verify"].template[0].template[0].max_retries == 0
      && [
        for env in google_cloud_run_v2_job.main["verify"].template[0].template[0].containers[0].env : env
        if env.name != "TASK_MAX_RETRIES"
        ] == [
        for env in google_cloud_run_v2_job.main["run"].template[0].template[0].containers[0].env : env
        if env.name != "TASK_MAX_RETRIES"
      ]
    )
    error_message = "The verification does not look where the run writes."
  }
  assert {
    condition = (
      google_cloud_scheduler_job.main["verify"].schedule == "5 9 * * 1-5"
      && google_cloud_scheduler_job.main["verify"].time_zone == "Asia/Shanghai"
      && google_cloud_scheduler_job.main["verify"].http_target[0].uri == "https://run.googleapis.com/v2/projects/my-project/locations/asia-east1/jobs/batch-orchestrator-verify:run"
      && google_cloud_scheduler_job.main["verify"].http_target[0].oauth_token[0].service_account_email == "batch-orchestrator-scheduler@my-project.iam.gserviceaccount.com"
    )
    error_message = "The verification comes at another time."
  }

  assert {
    condition = {
      for key, alert in google_monitoring_alert_policy.execution : alert.display_name => alert.conditions[0].condition_threshold[0].filter
      } == {
      "batch-orchestrator: the run failed"         = "metric.type = \"run.googleapis.com/job/completed_execution_count\" AND resource.type = \"cloud_run_job\" AND resource.labels.job_name = \"batch-orchestrator\" AND metric.labels.result = \"failed\""
      "batch-orchestrator: no success by the hour" = "metric.type = \"run.googleapis.com/job/completed_execution_count\" AND resource.type = \"cloud_run_job\" AND resource.labels.job_name = \"batch-orchestrator-verify\" AND metric.labels.result = \"failed\""
    }
    error_message = "The alerts watch something else."
  }
  assert {
    condition = alltrue([
      for alert in google_monitoring_alert_policy.execution : (
        alert.conditions[0].condition_threshold[0].comparison == "COMPARISON_GT"
        && alert.conditions[0].condition_threshold[0].threshold_value == 0
        && alert.conditions[0].condition_threshold[0].duration == "0s"
        && alert.conditions[0].condition_threshold[0].aggregations[0].per_series_aligner == "ALIGN_SUM"
      )
    ])
    error_message = "One failure is not enough."
  }
  assert {
    condition     = google_monitoring_alert_policy.scheduler[0].conditions[0].condition_matched_log[0].filter == "resource.type = \"cloud_scheduler_job\" AND resource.labels.job_id = (\"batch-orchestrator\" OR \"batch-orchestrator-verify\") AND severity >= ERROR"
    error_message = "The scheduler's alert watches something else."
  }
  assert {
    condition = alltrue([
      for alert in concat(values(google_monitoring_alert_policy.execution), google_monitoring_alert_policy.scheduler) :
      alert.notification_channels == tolist(["projects/my-project/notificationChannels/1"]) && alert.alert_strategy[0].auto_close == "1800s"
    ])
    error_message = "An alert tells nobody, or only once."
  }
  assert {
    condition     = google_monitoring_alert_policy.scheduler[0].alert_strategy[0].notification_rate_limit[0].period == "3600s"
    error_message = "A log match needs a rate limit."
  }
  assert {
    condition = alltrue([
      for alert in concat(values(google_monitoring_alert_policy.execution), google_monitoring_alert_policy.scheduler) :
      strcontains(alert.documentation[0].content, "(https://console.cloud.google.com/run/jobs/details/asia-east1/batch-orchestrator/executions?project=my-project)")
    ])
    error_message = "An alert has no link to the job's executions."
  }
}

run "nobody_to_tell" {
  command = plan

  assert {
    condition     = length(google_monitoring_alert_policy.execution) + length(google_monitoring_alert_policy.scheduler) == 0
    error_message = "There is an alert without a channel."
  }
}
