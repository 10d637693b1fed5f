resource "google_service_account" "job" {
  project      = var.project_id
  account_id   = "${var.name}-job"
  display_name = "Runs ${var.name}"

  depends_on = [google_project_service.main]
}

resource "google_service_account" "scheduler" {
  project      = var.project_id
  account_id   = "${var.name}-scheduler"
  display_name = "Starts ${var.name}"

  depends_on = [google_project_service.main]
}
