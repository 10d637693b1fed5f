# The job has these variables of some engines only. Earlier settings may have others.
check "attempts_and_batches_where_they_count" {
  assert {
    condition     = length(local.ignored) == 0
    error_message = "${join(", ", local.ignored)}: changes nothing, since only qa has attempts, and only financial and trading take batches; remove it."
  }
}

locals {
  engine_names = ["financial", "trading", "news", "qa"] # as ENGINES in job/engines/calls.py
  batch_names  = ["financial", "trading"]               # as BATCHES there
  ignored = concat(
    [for name, engine in var.engines : "engines[\"${name}\"].attempts" if name != "qa" && engine.attempts != null],
    [for name, engine in var.engines : "engines[\"${name}\"].batch_size" if !contains(local.batch_names, name) && engine.batch_size != null],
  )

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
