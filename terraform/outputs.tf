locals {
  job_names      = join(" ", [for job in google_cloud_run_v2_job.main : job.name]) # the run first
  where          = "--region=${var.region} --project=${var.project_id}"
  executions_url = "https://console.cloud.google.com/run/jobs/details/${var.region}/${var.name}/executions?project=${var.project_id}"
  log_url        = "https://console.cloud.google.com/logs/query;query=" # then what is looked for
}

output "console" {
  description = "Where to look in the console"
  value = {
    config   = "https://console.cloud.google.com/storage/browser/${google_storage_bucket.config.name}?project=${var.project_id}"
    job      = local.executions_url
    runs     = "https://console.cloud.google.com/storage/browser/${google_storage_bucket.runs.name}?project=${var.project_id}"
    schedule = "https://console.cloud.google.com/cloudscheduler?project=${var.project_id}"
  }
}

output "execute_command" {
  description = "Starts the job now and waits for its end"
  value       = "gcloud run jobs execute ${var.name} ${local.where} --wait"
}

output "image" {
  description = "Where images are pushed to"
  value       = local.image
}

output "job_account" {
  description = "The job's account, which engines that are given by url have to let in: roles/run.invoker"
  value       = google_service_account.job.email
}

output "jobs" {
  description = "The jobs that `make deploy` sets the image of"
  value       = local.job_names
}

output "logs_command" {
  description = "Follows the job's log"
  value       = "gcloud beta run jobs logs tail ${var.name} ${local.where}"
}
