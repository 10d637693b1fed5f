locals {
  repository = "${var.region}-docker.pkg.dev/${var.project_id}/${var.name}"
  image_name = "${local.repository}/job"
}

resource "google_artifact_registry_repository" "main" {
  #checkov:skip=CKV_GCP_84:Google's own key encrypts it; an image holds no secret, and a lost key would lose every rollback.

  project                = var.project_id
  location               = var.region
  repository_id          = var.name
  description            = "Images of ${var.name}"
  format                 = "DOCKER"
  labels                 = var.labels
  cleanup_policy_dry_run = false

  # KEEP overrides DELETE. Without immutable_tags, since a tagged image could never be cleaned up with it.
  cleanup_policies {
    id     = "keep-deployed"
    action = "KEEP"
    condition {
      tag_state    = "TAGGED"
      tag_prefixes = ["deployed-"]
    }
  }

  cleanup_policies {
    id     = "delete-old"
    action = "DELETE"
    condition {
      tag_state  = "ANY"
      older_than = "${90 * 24 * 3600}s"
    }
  }

  depends_on = [google_project_service.main]
}
