# Each list may do what those before it may: viewers, operators, maintainers.
locals {
  viewers = setunion(var.people.viewers, var.people.operators, var.people.maintainers)

  # Other arguments and variables make the job do anything that its account may do, and send its tokens and secrets
  # anywhere, so only maintainers may override them.
  starters = {
    for member in setunion(var.people.operators, var.people.maintainers) : member =>
    contains(var.people.maintainers, member) ? "roles/run.jobsExecutorWithOverrides" : "roles/run.jobsExecutor"
  }
}

resource "google_cloud_run_v2_job_iam_member" "viewers" {
  for_each = local.viewers

  project  = var.project_id
  location = var.region
  name     = google_cloud_run_v2_job.main["run"].name
  role     = "roles/run.viewer"
  member   = each.value
}

resource "google_cloud_run_v2_job_iam_member" "starters" {
  for_each = local.starters

  project  = var.project_id
  location = var.region
  name     = google_cloud_run_v2_job.main["run"].name
  role     = each.value
  member   = each.key
}

resource "google_storage_bucket_iam_member" "runs_viewers" {
  for_each = local.viewers

  bucket = google_storage_bucket.runs.name
  role   = "roles/storage.objectViewer"
  member = each.value
}

resource "google_storage_bucket_iam_member" "config_people" {
  for_each = local.viewers

  bucket = google_storage_bucket.config.name
  role   = contains(keys(local.starters), each.value) ? "roles/storage.objectUser" : "roles/storage.objectViewer"
  member = each.value
}

resource "google_project_iam_member" "viewers" {
  for_each = local.viewers

  project = var.project_id
  role    = "roles/logging.viewer"
  member  = each.value

  depends_on = [google_project_service.main]
}
