# Where the job sends its message when a run has ended. A person fills the secrets, so the state has none of their values.
locals {
  secrets = {
    for name, secret in {
      NOTIFY_URL    = try(var.notify.secret, null)
      NOTIFY_SECRET = try(var.notify.signing_secret, null)
    } : name => secret if secret != null
  }
}

resource "google_secret_manager_secret_iam_member" "job" {
  for_each = local.secrets

  project   = var.project_id
  secret_id = each.value
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.job.member

  depends_on = [google_project_service.main]
}
