# The bucket of the config objects, and the objects of config/ that are written there (config_documents.tf).
locals {
  config_prefix = "config"
}

resource "google_storage_bucket" "config" {
  #checkov:skip=CKV_GCP_62:Audit logs, if on, show who read or wrote an object; usage logs would need a third bucket.

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

resource "google_storage_bucket_object" "owned" {
  for_each = var.config_ownership == "terraform" ? local.config_documents : {}

  bucket       = google_storage_bucket.config.name
  name         = "${local.config_prefix}/${each.key}"
  content      = each.value
  content_type = "application/json"
}

resource "google_storage_bucket_object" "seeded" {
  for_each = var.config_ownership == "operators" ? local.config_documents : {}

  bucket          = google_storage_bucket.config.name
  name            = "${local.config_prefix}/${each.key}"
  content         = each.value
  content_type    = "application/json"
  deletion_policy = "ABANDON"

  lifecycle {
    ignore_changes = [content, detect_md5hash, content_type, metadata, cache_control]
  }

  # When the ownership changes, the objects of one owner are deleted before those of the other are created.
  depends_on = [google_storage_bucket_object.owned]
}

resource "google_storage_bucket_iam_member" "config_job" {
  bucket = google_storage_bucket.config.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.job.member
}
