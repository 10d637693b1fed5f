# A bucket of its own: a run overwrites its lease every few seconds, and versions would keep every renewal for good. Soft
# delete keeps each for a week: some 720 of 1 KB in three hours. The lease is never too old: each start writes it anew.
resource "google_storage_bucket" "runs" {
  project                     = var.project_id
  name                        = "${var.project_id}-${var.name}-runs"
  location                    = var.region
  labels                      = var.labels
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = var.force_destroy
  deletion_policy             = var.force_destroy ? "DELETE" : "ABANDON"

  versioning {
    enabled = false
  }

  soft_delete_policy {
    retention_duration_seconds = 7 * 24 * 3600
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      age = var.runs_retention_days
    }
  }

  depends_on = [google_project_service.main]
}

# objectUser, not objectCreator: overwriting an object needs the right to delete it.
resource "google_storage_bucket_iam_member" "runs_job" {
  bucket = google_storage_bucket.runs.name
  role   = "roles/storage.objectUser"
  member = google_service_account.job.member
}
