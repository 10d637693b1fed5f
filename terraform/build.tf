# Two accounts: one for builds of the main branch, one for pull requests, whose code was not reviewed yet.
locals {
  builders = { for key, builder in {
    build = {
      title  = "Builds and ships ${var.name}"
      state  = "roles/storage.objectUser"
      config = var.config_ownership == "terraform" ? "roles/storage.objectUser" : "roles/storage.objectViewer"
    }
    review = {
      title  = "Tests and plans pull requests of ${var.name}"
      state  = "roles/storage.objectViewer"
      config = "roles/storage.objectViewer"
    }
  } : key => builder if var.build != null }

  build_on = length(local.builders) > 0

  # Cloud Build takes a regular expression (RE2), in which an unescaped dot would match any character.
  branch_pattern = try("^${replace(var.build.branch, "/[\\\\.+*?()|\\[\\]{}^$]/", "\\$0")}$", null)

  # The substitutions that both triggers pass to their builds.
  substitutions = {
    _CONFIG_OWNERSHIP = var.config_ownership
    _STATE_BUCKET     = try(var.build.state_bucket, null)
    _STATE_PREFIX     = try(var.build.state_prefix, null)
  }

  role_prefix = replace(var.name, "-", "_") # a role's id takes no dashes
}

resource "google_service_account" "builder" {
  for_each = local.builders

  project      = var.project_id
  account_id   = "${var.name}-${each.key}"
  display_name = each.value.title

  depends_on = [google_project_service.main]
}

# --- what both may do: write their logs, read the state, and read what a refresh reads ---

resource "google_project_iam_member" "builder_logs" {
  for_each = google_service_account.builder

  project = var.project_id
  role    = "roles/logging.logWriter"
  member  = each.value.member
}

resource "google_storage_bucket_iam_member" "builder_state" {
  for_each = local.builders

  bucket = var.build.state_bucket
  role   = each.value.state
  member = google_service_account.builder[each.key].member
}

resource "google_storage_bucket_iam_member" "builder_config" {
  for_each = local.builders

  bucket = google_storage_bucket.config.name
  role   = each.value.config
  member = google_service_account.builder[each.key].member
}

resource "google_project_iam_custom_role" "refresh" {
  count = local.build_on ? 1 : 0

  project     = var.project_id
  role_id     = "${local.role_prefix}_refresh"
  title       = "Refresh the Terraform state of ${var.name}"
  description = "Reads what is in the root, IAM policies included; no data, no right to change anything"
  permissions = [
    "artifactregistry.repositories.get",
    "artifactregistry.repositories.getIamPolicy",
    "cloudbuild.builds.get", # of triggers, too
    "cloudscheduler.jobs.get",
    "iam.roles.get",
    "iam.serviceAccounts.get",
    "iam.serviceAccounts.getIamPolicy",
    "monitoring.alertPolicies.get",
    "resourcemanager.projects.get",
    "resourcemanager.projects.getIamPolicy",
    "run.jobs.get",
    "run.jobs.getIamPolicy",
    "run.operations.get", # to wait for an update's end
    "secretmanager.secrets.getIamPolicy",
    "serviceusage.services.get",
    "serviceusage.services.list",
    "storage.buckets.get",
    "storage.buckets.getIamPolicy",
  ]

  depends_on = [google_project_service.main]
}

resource "google_project_iam_member" "builder_refresh" {
  for_each = google_service_account.builder

  project = var.project_id
  role    = google_project_iam_custom_role.refresh[0].id
  member  = each.value.member
}

# The engines may be in other projects.
resource "google_cloud_run_v2_service_iam_member" "builder_refresh" {
  for_each = merge([
    for builder in keys(local.builders) : {
      for name, engine in local.engine_services : "${builder}-${name}" => merge(engine, { builder = builder })
    }
  ]...)

  project  = each.value.project
  location = each.value.region
  name     = each.value.service
  role     = "roles/run.viewer"
  member   = google_service_account.builder[each.value.builder].member
}

# --- what only a merge may do: push images, update jobs and schedules in place, and attach the two accounts to them ---

resource "google_artifact_registry_repository_iam_member" "build" {
  count = local.build_on ? 1 : 0

  project    = var.project_id
  location   = var.region
  repository = google_artifact_registry_repository.main.repository_id
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.builder["build"].member
}

resource "google_cloud_run_v2_job_iam_member" "build" {
  for_each = { for key, job in google_cloud_run_v2_job.main : key => job if local.build_on }

  project  = var.project_id
  location = var.region
  name     = each.value.name
  role     = google_project_iam_custom_role.jobs[0].id
  member   = google_service_account.builder["build"].member
}

# Every predefined role that may update a Cloud Run job may also run it with any overrides, and delete it.
resource "google_project_iam_custom_role" "jobs" {
  count = local.build_on ? 1 : 0

  project     = var.project_id
  role_id     = "${local.role_prefix}_jobs"
  title       = "Update the jobs of ${var.name}"
  description = "Changes jobs in place"
  permissions = ["run.jobs.get", "run.jobs.update"]

  depends_on = [google_project_service.main]
}

# A schedule has no IAM policy of its own, and every predefined role that may update one may also create, delete and
# run it.
resource "google_project_iam_custom_role" "schedules" {
  count = local.build_on ? 1 : 0

  project     = var.project_id
  role_id     = "${local.role_prefix}_schedules"
  title       = "Update the schedules of ${var.name}"
  description = "Changes schedules in place"
  permissions = ["cloudscheduler.jobs.enable", "cloudscheduler.jobs.pause", "cloudscheduler.jobs.update"]

  depends_on = [google_project_service.main]
}

resource "google_project_iam_member" "build_schedules" {
  count = local.build_on ? 1 : 0

  project = var.project_id
  role    = google_project_iam_custom_role.schedules[0].id
  member  = google_service_account.builder["build"].member
}

resource "google_service_account_iam_member" "build" {
  for_each = {
    for key, account in { job = google_service_account.job, scheduler = google_service_account.scheduler } : key => account
    if local.build_on
  }

  service_account_id = each.value.name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.builder["build"].member
}

# --- the triggers; the repository is connected by hand ---

resource "google_cloudbuild_trigger" "build" {
  count = local.build_on ? 1 : 0

  project         = var.project_id
  location        = var.region
  name            = "${var.name}-build"
  description     = "Tests, builds and ships what is merged"
  filename        = "cloudbuild.yaml"
  service_account = google_service_account.builder["build"].id
  substitutions   = merge(local.substitutions, { _IMAGE = local.image_name })

  repository_event_config {
    repository = var.build.repository
    push {
      branch = local.branch_pattern
    }
  }

  depends_on = [google_project_service.main]
}

resource "google_cloudbuild_trigger" "review" {
  count = local.build_on ? 1 : 0

  project         = var.project_id
  location        = var.region
  name            = "${var.name}-review"
  description     = "Tests and plans a pull request, once a maintainer has written /gcbrun there"
  filename        = "terraform/review.cloudbuild.yaml"
  service_account = google_service_account.builder["review"].id
  substitutions   = local.substitutions

  repository_event_config {
    repository = var.build.repository
    pull_request {
      branch          = local.branch_pattern
      comment_control = "COMMENTS_ENABLED"
    }
  }

  depends_on = [google_project_service.main]
}
