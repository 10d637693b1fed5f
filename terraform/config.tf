locals {
  config_uri = "gs://${google_storage_bucket.config.name}/config"
}

resource "google_storage_bucket" "config" {
  project                     = var.project_id
  name                        = "${var.project_id}-${var.name}-config"
  location                    = var.region
  labels                      = var.labels
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = var.force_destroy
  deletion_policy             = var.force_destroy ? "DELETE" : "ABANDON"

  versioning {
    enabled = true
  }

  soft_delete_policy {
    retention_duration_seconds = 7 * 24 * 3600
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      num_newer_versions         = 10
      days_since_noncurrent_time = 90
    }
  }

  depends_on = [google_project_service.main]
}

# Written once, or again if one was deleted. From then on people edit the objects in the bucket, or merges replace them
# (cloudbuild.yaml). All is ignored: if the object in the bucket is another, the provider plans new hashes, whatever else is ignored.
resource "google_storage_bucket_object" "config" {
  for_each = fileset("${path.module}/config", "*.json")

  bucket          = google_storage_bucket.config.name
  name            = "config/${each.value}"
  content         = file("${path.module}/config/${each.value}")
  content_type    = "application/json"
  deletion_policy = "ABANDON"

  lifecycle {
    ignore_changes       = all
    replace_triggered_by = [google_storage_bucket.config.name]
  }
}

resource "google_storage_bucket_iam_member" "config_job" {
  bucket = google_storage_bucket.config.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.job.member
}
