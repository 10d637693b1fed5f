locals {
  job_flags      = "${var.name} --project=${var.project_id} --region=${var.region}"
  executions_url = "https://console.cloud.google.com/run/jobs/details/${var.region}/${var.name}/executions?project=${var.project_id}"
}

output "config_ownership" {
  description = "Who owns the config objects; decides in the make targets whether a fault in config/ stops a plan"
  value       = var.config_ownership
}

output "config_uri" {
  description = "Where the job reads its configuration"
  value       = local.environment.CONFIG_URI
}

output "console" {
  description = "Where to look in the console"
  value = {
    config   = "https://console.cloud.google.com/storage/browser/${google_storage_bucket.config.name}?project=${var.project_id}"
    images   = "https://console.cloud.google.com/artifacts/docker/${var.project_id}/${var.region}/${var.name}?project=${var.project_id}"
    job      = local.executions_url
    runs     = "https://console.cloud.google.com/storage/browser/${google_storage_bucket.runs.name}?project=${var.project_id}"
    schedule = "https://console.cloud.google.com/cloudscheduler?project=${var.project_id}"
  }
}

output "engine_grants" {
  description = "The commands that allow the job to call the engines with only a URL; run each in the engine's project"
  value = {
    for name, engine in local.engines : name =>
    "gcloud run services add-iam-policy-binding SERVICE --project=PROJECT --region=REGION --role=roles/run.invoker --member=${google_service_account.job.member} # the service at ${engine.url}"
    if engine.service == null
  }
}

output "execute_command" {
  description = "Starts the job now and waits for its end"
  value       = "gcloud run jobs execute ${local.job_flags} --wait"
}

output "image" {
  description = "The image that is deployed; null if there is none"
  value       = var.image
}

output "image_name" {
  description = "Where images are pushed to"
  value       = local.image_name
}

output "logs_command" {
  description = "Follows the job's log"
  value       = "gcloud beta run jobs logs tail ${local.job_flags}"
}

output "next_steps" {
  description = "What to do now"
  value = var.image == null ? join("\n", [
    "Everything is made except the job and its schedule, which need an image.",
    "1. gcloud auth configure-docker ${var.region}-docker.pkg.dev",
    "2. make push",
    "3. make apply IMAGE=${local.image_name}@sha256:…, as that prints it",
    ]) : join("\n", [
    var.schedule.paused ? "The schedule is paused." : "The job starts at \"${var.schedule.cron}\" (${var.schedule.time_zone}).",
    "To start it now: make execute",
    "To follow it: make logs",
  ])
}

output "runs_uri" {
  description = "Where the job records its runs"
  value       = local.environment.RUNS_URI
}
