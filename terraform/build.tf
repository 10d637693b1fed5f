# Two accounts: one deploys merges; the other tests pull requests, whose code nobody has reviewed yet, and may write logs.
locals {
  builders = var.build == null ? {} : {
    build  = { title = "Tests, builds and deploys what is merged", filename = "cloudbuild.yaml" }
    review = { title = "Tests a pull request, once a maintainer has written /gcbrun there", filename = "terraform/review.cloudbuild.yaml" }
  }

  # Cloud Build takes a regular expression (RE2), in which an unescaped dot would match any character.
  branch_pattern = try("^${replace(var.build.branch, "/[\\\\.+*?()|\\[\\]{}^$]/", "\\$0")}$", null)
  ships_config   = try(var.build.ships_config, false)
}

resource "google_service_account" "builder" {
  for_each = local.builders

  project      = var.project_id
  account_id   = "${var.name}-${each.key}"
  display_name = each.value.title

  depends_on = [google_project_service.main]
}

resource "google_project_iam_member" "builder" {
  for_each = local.builders

  project = var.project_id
  role    = "roles/logging.logWriter"
  member  = google_service_account.builder[each.key].member
}

# --- what a merge needs beyond that: it pushes images, sets those of the jobs, and may ship the config ---

resource "google_artifact_registry_repository_iam_member" "build" {
  count = var.build == null ? 0 : 1

  project    = var.project_id
  location   = var.region
  repository = google_artifact_registry_repository.main.repository_id
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.builder["build"].member
}

# An update reads the job, replaces it, and reads it until it is ready: `run.jobs.get` and `run.jobs.update`, no operation.
# `build.check` starts it with other arguments, and reads the execution until it ends: `run.jobs.runWithOverrides` and
# `run.executions.get`, which this role has too.
resource "google_cloud_run_v2_job_iam_member" "build" {
  for_each = { for key, job in local.jobs : key => job if var.build != null }

  project  = var.project_id
  location = var.region
  name     = google_cloud_run_v2_job.main[each.key].name
  role     = "roles/run.developer"
  member   = google_service_account.builder["build"].member
}

resource "google_service_account_iam_member" "build" {
  count = var.build == null ? 0 : 1

  service_account_id = google_service_account.job.name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.builder["build"].member
}

resource "google_storage_bucket_iam_member" "build" {
  count = local.ships_config ? 1 : 0

  bucket = google_storage_bucket.config.name
  role   = "roles/storage.objectUser"
  member = google_service_account.builder["build"].member
}

# --- the triggers; a person connects the repository ---

resource "google_cloudbuild_trigger" "main" {
  for_each = local.builders

  project         = var.project_id
  location        = var.region
  name            = "${var.name}-${each.key}"
  description     = each.value.title
  filename        = each.value.filename
  service_account = google_service_account.builder[each.key].id
  substitutions = merge(
    local.ships_config ? { _SHIP_TO = local.config_uri } : {},
    each.key == "build" ? { _IMAGE = local.image, _JOBS = local.job_names } : {},
    each.key == "build" && var.build.check ? { _CHECK = "yes" } : {},
  )

  repository_event_config {
    repository = var.build.repository
    dynamic "push" {
      for_each = each.key == "build" ? [local.branch_pattern] : []
      content {
        branch = push.value
      }
    }
    dynamic "pull_request" {
      for_each = each.key == "review" ? [local.branch_pattern] : []
      content {
        branch          = pull_request.value
        comment_control = "COMMENTS_ENABLED"
      }
    }
  }

  # A push could start a build that may not yet do what it has to.
  depends_on = [
    google_artifact_registry_repository_iam_member.build,
    google_cloud_run_v2_job_iam_member.build,
    google_project_iam_member.builder,
    google_service_account_iam_member.build,
    google_storage_bucket_iam_member.build,
  ]
}
