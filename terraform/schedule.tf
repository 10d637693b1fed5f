locals {
  # The values that each field of a cron line can have: minute, hour, day of the month, month, day of the week.
  cron_values = [
    "[0-5]?[0-9]",
    "(?:[01]?[0-9]|2[0-3])",
    "(?:0?[1-9]|[12][0-9]|3[01])",
    "(?:0?[1-9]|1[0-2]|(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec))",
    "(?:[0-7]|(?i:sun|mon|tue|wed|thu|fri|sat))",
  ]
  cron_steps = [for value in local.cron_values : "(?:\\*|${value}(?:-${value})?)(?:/[1-9][0-9]?)?"]
  cron       = "^${join(" +", [for step in local.cron_steps : "${step}(?:,${step})*"])}$"
}

resource "google_cloud_scheduler_job" "main" {
  for_each = local.jobs

  project          = var.project_id
  region           = var.region
  name             = each.value.name
  description      = "Starts the job ${each.value.name}"
  schedule         = each.value.cron
  time_zone        = var.schedule.time_zone
  paused           = var.schedule.paused
  attempt_deadline = "${var.schedule.attempt_deadline_seconds}s"

  # A later `bootstrap = true` fails here before anything else is destroyed, since the schedule depends on all of it.
  deletion_policy = var.deletion_protection ? "PREVENT" : "DELETE"

  # Sets every field, as the first apply would drop the block otherwise.
  retry_config {
    retry_count          = var.schedule.retry.count
    max_retry_duration   = "${var.schedule.retry.max_duration_seconds}s"
    min_backoff_duration = "${var.schedule.retry.min_backoff_seconds}s"
    max_backoff_duration = "${var.schedule.retry.max_backoff_seconds}s"
    max_doublings        = var.schedule.retry.max_doublings
  }

  http_target {
    http_method = "POST"
    uri         = "https://run.googleapis.com/v2/projects/${var.project_id}/locations/${var.region}/jobs/${each.value.name}:run"
    headers     = { "Content-Type" = "application/json" }
    body        = base64encode(each.value.body)

    oauth_token {
      service_account_email = google_service_account.scheduler.email
      scope                 = "https://www.googleapis.com/auth/cloud-platform"
    }
  }

  depends_on = [
    google_cloud_run_v2_job_iam_member.build,
    google_cloud_run_v2_job_iam_member.maintainers,
    google_cloud_run_v2_job_iam_member.operators,
    google_cloud_run_v2_job_iam_member.scheduler,
    google_cloud_run_v2_job_iam_member.viewers,
  ]
}

# Without `again`, the account of the schedule may override nothing.
resource "google_cloud_run_v2_job_iam_member" "scheduler" {
  for_each = google_cloud_run_v2_job.main

  project  = var.project_id
  location = var.region
  name     = each.value.name
  role     = each.key == "run" && var.schedule.again ? "roles/run.jobsExecutorWithOverrides" : "roles/run.invoker"
  member   = google_service_account.scheduler.member
}
