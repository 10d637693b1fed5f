# The job no longer has this variable of the others. Earlier settings may.
check "attempts_are_of_qa_alone" {
  assert {
    condition     = alltrue([for name, engine in var.engines : name == "qa" || engine.attempts == null])
    error_message = "engines: another than qa has attempts, which only qa has, so they change nothing; remove them."
  }
}

locals {
  engine_names = ["financial", "trading", "news", "qa"] # as ENGINES in job/engines/calls.py

  engines = {
    for name, engine in var.engines : name => merge(engine, {
      project = coalesce(engine.project, var.project_id)
      region  = coalesce(engine.region, var.region)
    })
  }
  services = { for name, engine in local.engines : name => engine if engine.service != null }
  urls = {
    for name, engine in local.engines : name =>
    engine.service == null ? trimsuffix(engine.url, "/") : data.google_cloud_run_v2_service.engine[name].uri
  }
}

# Without depends_on: an engine that is missing fails the plan, not the apply.
data "google_cloud_run_v2_service" "engine" {
  for_each = local.services

  project  = each.value.project
  location = each.value.region
  name     = each.value.service
}

resource "google_cloud_run_v2_service_iam_member" "engine" {
  for_each = local.services

  project  = each.value.project
  location = each.value.region
  name     = each.value.service
  role     = "roles/run.invoker"
  member   = google_service_account.job.member
}
