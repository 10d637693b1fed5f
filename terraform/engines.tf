locals {
  # Every engine with its service, project and region; `service` is null if only its URL is known.
  engines = {
    for name, engine in var.engines : name => merge(engine, {
      project = coalesce(engine.project, var.project_id)
      region  = coalesce(engine.region, var.region)
      url     = engine.url == null ? data.google_cloud_run_v2_service.engine[name].uri : trimsuffix(engine.url, "/")
    })
  }
  engine_services = { for name, engine in local.engines : name => engine if engine.service != null }

  # The job's defaults for variables that are not set; a test compares them with the job's own.
  engine_defaults = {
    financial = { timeout_seconds = 900, attempts = 4 }
    trading   = { timeout_seconds = 900, attempts = 4 }
    news      = { timeout_seconds = 300, attempts = 4 }
    qa        = { timeout_seconds = 300, attempts = 4 }
  }

  # All attempts of one call of the slowest data engine, and then all of one card.
  engine_seconds = {
    for name, default in local.engine_defaults : name => (
      coalesce(var.engines[name].timeout_seconds, default.timeout_seconds) * coalesce(var.engines[name].attempts, default.attempts)
    )
  }
  longest_seconds = local.engine_seconds.qa + max([for name, seconds in local.engine_seconds : seconds if name != "qa"]...)
}

# Without depends_on: an engine that is missing fails the plan, not the apply.
data "google_cloud_run_v2_service" "engine" {
  for_each = { for name, engine in var.engines : name => engine if engine.url == null }

  project  = coalesce(each.value.project, var.project_id)
  location = coalesce(each.value.region, var.region)
  name     = each.value.service
}

resource "google_cloud_run_v2_service_iam_member" "engine" {
  for_each = local.engine_services

  project  = each.value.project
  location = each.value.region
  name     = each.value.service
  role     = "roles/run.invoker"
  member   = google_service_account.job.member
}
