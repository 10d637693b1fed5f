resource "google_cloud_scheduler_job" "main" {
  for_each = local.jobs

  project     = var.project_id
  region      = var.region
  name        = each.value.name
  description = "Starts the job ${each.value.name}"
  schedule    = each.value.cron
  time_zone   = var.schedule.time_zone
  paused      = var.schedule.paused

  # Sets every field, as the first apply would drop the block otherwise.
  retry_config {
    retry_count          = 3
    max_retry_duration   = "0s"
    min_backoff_duration = "30s"
    max_backoff_duration = "600s"
    max_doublings        = 5
  }

  http_target {
    http_method = "POST"
    uri         = "https://run.googleapis.com/v2/projects/${var.project_id}/locations/${var.region}/jobs/${each.value.name}:run"
    headers     = { "Content-Type" = "application/json" }
    body        = base64encode("{}")

    oauth_token {
      service_account_email = google_service_account.scheduler.email
      scope                 = "https://www.googleapis.com/auth/cloud-platform"
    }
  }

  # A schedule that fires before its account may start the job would only raise an alarm.
  depends_on = [google_cloud_run_v2_job_iam_member.scheduler]
}

resource "google_cloud_run_v2_job_iam_member" "scheduler" {
  for_each = local.jobs

  project  = var.project_id
  location = var.region
  name     = google_cloud_run_v2_job.main[each.key].name
  role     = "roles/run.invoker"
  member   = google_service_account.scheduler.member
}
