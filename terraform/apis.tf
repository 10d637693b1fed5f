locals {
  apis = concat(
    [
      "artifactregistry.googleapis.com",
      "cloudbuild.googleapis.com", # `make deploy` builds there if there is no Docker
      "cloudscheduler.googleapis.com",
      "iam.googleapis.com",
      "logging.googleapis.com",
      "monitoring.googleapis.com",
      "storage.googleapis.com",
    ],
    var.notify == null ? [] : ["secretmanager.googleapis.com"],
  )
}

resource "google_project_service" "main" {
  for_each = toset(local.apis)

  project            = var.project_id
  service            = each.value
  disable_on_destroy = false # others in the project may need it
}

# Engines are looked up while planning, unless this API is turned on only then.
resource "google_project_service" "run" {
  project            = var.project_id
  service            = "run.googleapis.com"
  disable_on_destroy = false

  lifecycle {
    precondition {
      condition     = length(local.refused) == 0
      error_message = join("\n", local.refused)
    }
  }
}

moved {
  from = google_project_service.main["run.googleapis.com"]
  to   = google_project_service.run
}
