# Earlier settings may have these.
check "attempts_and_batches_where_they_count" {
  assert {
    condition     = length(local.ignored) == 0
    error_message = "${join(", ", local.ignored)}: changes nothing, as the engine has no such setting; remove it."
  }
}

locals {
  # The engines of the job, and which of the settings each has that not all have: ENGINES in job/engines/calls.py.
  own_settings = {
    financial = ["batch_size"]
    trading   = ["batch_size"]
    news      = []
    qa        = ["attempts"]
  }
  ignored = flatten([for name, engine in var.engines : [
    for field in ["attempts", "batch_size"] : "engines[\"${name}\"].${field}"
    if engine[field] != null && !contains(local.own_settings[name], field)
  ]])

  engines = {
    for name, engine in var.engines : name => merge(engine, {
      project = coalesce(engine.project, var.project_id)
      region  = coalesce(engine.region, var.region)
    })
  }
  services = { for name, engine in local.engines : name => engine if engine.service != null }
  urls = {
    for name, engine in local.engines : name =>
    engine.service == null ? try(trimsuffix(engine.url, "/"), "") : data.google_cloud_run_v2_service.engine[name].uri
  }
}

# An engine that is missing fails the plan; or the first apply, which turns on the API with which it is looked up.
data "google_cloud_run_v2_service" "engine" {
  for_each = local.services

  project  = each.value.project
  location = each.value.region
  name     = each.value.service

  depends_on = [google_project_service.run]
}

resource "google_cloud_run_v2_service_iam_member" "engine" {
  for_each = local.services

  project  = each.value.project
  location = each.value.region
  name     = each.value.service
  role     = "roles/run.invoker"
  member   = google_service_account.job.member

  depends_on = [google_project_service.run]
}
