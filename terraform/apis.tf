locals {
  apis = concat(
    [
      "artifactregistry.googleapis.com",
      "cloudresourcemanager.googleapis.com",
      "cloudscheduler.googleapis.com",
      "iam.googleapis.com",
      "logging.googleapis.com",
      "monitoring.googleapis.com",
      "run.googleapis.com",
      "storage.googleapis.com",
    ],
    var.build == null ? [] : [
      "cloudbuild.googleapis.com",
      "containeranalysis.googleapis.com", # holds the provenance of images
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
