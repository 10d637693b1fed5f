# Who may do what. Each list includes what the one before it may do: viewers, operators, maintainers.
locals {
  viewers = setunion(var.viewers, var.operators, var.maintainers)
  member  = "^(user|group|serviceAccount):[^\\s:]+$|^principal(Set)?://\\S+$"
}

# --- look: at the executions (gcloud does, to wait for one that it started), the records, the config, and the logs ---

resource "google_cloud_run_v2_job_iam_member" "viewers" {
  for_each = { for member in local.viewers : member => google_cloud_run_v2_job.main["run"].name if var.image != null }

  project  = var.project_id
  location = var.region
  name     = each.value
  role     = "roles/run.viewer"
  member   = each.key
}

resource "google_storage_bucket_iam_member" "runs_viewers" {
  for_each = local.viewers

  bucket = google_storage_bucket.runs.name
  role   = "roles/storage.objectViewer"
  member = each.value
}

resource "google_storage_bucket_iam_member" "config_viewers" {
  for_each = local.viewers

  bucket = google_storage_bucket.config.name
  role   = "roles/storage.objectViewer"
  member = each.value
}

resource "google_project_iam_member" "viewers" {
  for_each = local.viewers

  project = var.project_id
  role    = "roles/logging.viewer"
  member  = each.value

  depends_on = [google_project_service.main]
}

# --- start: as it is deployed, and stop what was started; edit the config where it is theirs ---

resource "google_cloud_run_v2_job_iam_member" "operators" {
  for_each = { for member in var.operators : member => google_cloud_run_v2_job.main["run"].name if var.image != null }

  project  = var.project_id
  location = var.region
  name     = each.value
  role     = "roles/run.jobsExecutor"
  member   = each.key
}

resource "google_storage_bucket_iam_member" "config_operators" {
  for_each = var.config_ownership == "operators" ? setunion(var.operators, var.maintainers) : []

  bucket = google_storage_bucket.config.name
  role   = "roles/storage.objectUser"
  member = each.value
}

# --- override: other arguments and variables make the job do anything that its account may do, and send its tokens
# and secrets anywhere. The role includes that of the operators. ---

resource "google_cloud_run_v2_job_iam_member" "maintainers" {
  for_each = { for member in var.maintainers : member => google_cloud_run_v2_job.main["run"].name if var.image != null }

  project  = var.project_id
  location = var.region
  name     = each.value
  role     = "roles/run.jobsExecutorWithOverrides"
  member   = each.key
}

moved {
  from = google_cloud_run_v2_job_iam_member.operators_viewer
  to   = google_cloud_run_v2_job_iam_member.viewers
}

moved {
  from = google_storage_bucket_iam_member.runs_operators
  to   = google_storage_bucket_iam_member.runs_viewers
}
