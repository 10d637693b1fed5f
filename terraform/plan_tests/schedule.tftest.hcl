mock_provider "google" {
  source          = "./plan_tests/mocks"
  override_during = plan
}

# Before, no plan knows the engines' URLs.
run "the_api_of_the_engines_is_on" {
  plan_options {
    target = [google_project_service.run]
  }
}

run "the_schedule_starts_the_job" {
  command = plan

  assert {
    condition = (
      toset(keys(google_cloud_scheduler_job.main)) == toset(["run"])
      && google_cloud_scheduler_job.main["run"].schedule == "30 6 * * 1-5"
      && google_cloud_scheduler_job.main["run"].time_zone == "Asia/Shanghai"
      && google_cloud_scheduler_job.main["run"].paused == false
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
    error_message = "A field of the retries is not set; the first apply would drop them all."
  }
  assert {
    condition     = length(google_monitoring_alert_policy.execution) + length(google_monitoring_alert_policy.log) == 0
    error_message = "There is an alert without a channel."
  }
}

run "what_watches_the_run" {
  command = plan

  variables {
    alerts   = { notification_channels = ["projects/my-project/notificationChannels/1"], success_by = "09:05" }
    schedule = { cron = " 0 22  * * mon-FRI", time_zone = "Asia/Shanghai", paused = true }
  }

  assert {
    condition = (
      google_cloud_run_v2_job.main["verify"].name == "batch-orchestrator-verify"
      && google_cloud_run_v2_job.main["verify"].template[0].template[0].timeout == "300s"
      && google_cloud_run_v2_job.main["verify"].template[0].template[0].containers[0].args == tolist(["verify"])
      && google_cloud_run_v2_job.main["verify"].template[0].template[0].containers[0].image == "us-docker.pkg.dev/cloudrun/container/job"
      && google_cloud_run_v2_job.main["verify"].template[0].template[0].max_retries == 0
      && [
        for env in google_cloud_run_v2_job.main["verify"].template[0].template[0].containers[0].env : env
        if !contains(["JOB_TO_START", "RUN_DEADLINE_SECONDS"], env.name)
        ] == [
        for env in google_cloud_run_v2_job.main["run"].template[0].template[0].containers[0].env : env
        if env.name != "RUN_DEADLINE_SECONDS"
      ]
      && [
        for env in google_cloud_run_v2_job.main["verify"].template[0].template[0].containers[0].env : env.value
        if contains(["JOB_TO_START", "RUN_DEADLINE_SECONDS", "RUN_SCHEDULE"], env.name)
      ] == ["batch-orchestrator", "240", " 0 22  * * mon-FRI"]
    )
    error_message = "The verification does not look where the run writes."
  }
  assert {
    condition = (
      google_cloud_scheduler_job.main["run"].paused && google_cloud_scheduler_job.main["verify"].paused
      && google_cloud_scheduler_job.main["verify"].schedule == "5 9 * * *"
      && google_cloud_scheduler_job.main["verify"].time_zone == "Asia/Shanghai"
      && google_cloud_scheduler_job.main["verify"].http_target[0].uri == "https://run.googleapis.com/v2/projects/my-project/locations/asia-east1/jobs/batch-orchestrator-verify:run"
    )
    error_message = "The verification comes at another time."
  }
  assert {
    condition = {
      for alert in google_monitoring_alert_policy.execution : alert.display_name => alert.conditions[0].condition_threshold[0].filter
      } == {
      "batch-orchestrator: a start failed, or a command was refused" = "metric.type = \"run.googleapis.com/job/completed_execution_count\" AND resource.type = \"cloud_run_job\" AND resource.labels.job_name = \"batch-orchestrator\" AND metric.labels.result = \"failed\""
      "batch-orchestrator: no success by the hour"                   = "metric.type = \"run.googleapis.com/job/completed_execution_count\" AND resource.type = \"cloud_run_job\" AND resource.labels.job_name = \"batch-orchestrator-verify\" AND metric.labels.result = \"failed\""
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
    condition = { for key, alert in google_monitoring_alert_policy.log : key => alert.conditions[0].condition_matched_log[0].filter } == {
      engine       = "resource.type = \"cloud_run_job\" AND resource.labels.job_name = \"batch-orchestrator\" AND jsonPayload.event = \"engine.failing\" AND jsonPayload.seconds >= 300"
      notification = "resource.type = \"cloud_run_job\" AND resource.labels.job_name = (\"batch-orchestrator\" OR \"batch-orchestrator-verify\") AND jsonPayload.event = \"notification.failed\""
      record       = "resource.type = \"cloud_run_job\" AND resource.labels.job_name = \"batch-orchestrator\" AND jsonPayload.event = \"run.finished\" AND jsonPayload.unrecorded > 0"
      scheduler    = "resource.type = \"cloud_scheduler_job\" AND resource.labels.job_id = (\"batch-orchestrator\" OR \"batch-orchestrator-verify\") AND severity >= ERROR"
    }
    error_message = "The alerts on logs watch something else."
  }
  assert {
    condition = alltrue([
      for alert in concat(values(google_monitoring_alert_policy.execution), values(google_monitoring_alert_policy.log)) : (
        alert.notification_channels == tolist(["projects/my-project/notificationChannels/1"])
        && alert.alert_strategy[0].auto_close == "1800s"
        && strcontains(alert.documentation[0].content, "(https://console.cloud.google.com/run/jobs/details/asia-east1/batch-orchestrator/executions?project=my-project)")
      )
    ])
    error_message = "An alert tells nobody, or only once, or has no link to the job's executions."
  }
  assert {
    condition     = alltrue([for alert in google_monitoring_alert_policy.log : alert.alert_strategy[0].notification_rate_limit[0].period == "3600s" && try(length(alert.conditions[0].condition_matched_log[0].label_extractors), 0) == 0])
    error_message = "A log match needs a rate limit; a label whose value changes would open an incident at each line."
  }
}

run "no_alert_on_messages_that_nobody_asked_for" {
  command = plan

  variables {
    alerts = { notification_channels = ["projects/my-project/notificationChannels/1"], success_by = "09:05" }
    notify = null
  }

  assert {
    condition     = toset(keys(google_monitoring_alert_policy.log)) == toset(["engine", "record", "scheduler"])
    error_message = "There is an alert on messages, though none is sent."
  }
}
