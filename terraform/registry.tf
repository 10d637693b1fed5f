locals {
  image = "${google_artifact_registry_repository.main.location}-docker.pkg.dev/${var.project_id}/${google_artifact_registry_repository.main.repository_id}/job"
}

resource "google_artifact_registry_repository" "main" {
  project                = var.project_id
  location               = var.region
  repository_id          = var.name
  description            = "Images of ${var.name}"
  format                 = "DOCKER"
  labels                 = var.labels
  cleanup_policy_dry_run = false

  # KEEP overrides DELETE. Each deployment moves the tag, also one of an image of long ago.
  cleanup_policies {
    id     = "keep-deployed"
    action = "KEEP"
    condition {
      tag_state    = "TAGGED"
      tag_prefixes = ["deployed"]
    }
  }

  cleanup_policies {
    id     = "keep-latest"
    action = "KEEP"
    most_recent_versions {
      keep_count = 50
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
