locals {
  deadline_seconds = coalesce(var.job.deadline_seconds, var.job.task_timeout_seconds - 60)

  # The job's environment variables, except those that the platform sets.
  environment = merge(
    { for name, value in { CARD_URL = var.card_url, NOTIFY_ONLY = try(var.notify.only, null) } : name => value if value != null },
    {
      CONFIG_URI           = "gs://${google_storage_bucket.config.name}/${local.config_prefix}"
      GOOGLE_CLOUD_PROJECT = var.project_id
      GOOGLE_CLOUD_REGION  = var.region
      REPORT_LANGUAGE      = var.language
      RUN_DATE             = "today"
      RUN_DEADLINE_SECONDS = tostring(local.deadline_seconds)
      RUN_TIME_ZONE        = var.schedule.time_zone
      RUNS_URI             = "gs://${google_storage_bucket.runs.name}/runs"

      # Otherwise the storage library would read the bucket's own metadata, for which the job has no permission.
      DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA = "true"
    },
    [
      for name, engine in local.engines : {
        for key, value in {
          URL         = engine.url
          AUDIENCE    = engine.audience == null ? null : "${engine.audience} ${engine.url}" # the job uses an audience for this URL only
          TIMEOUT     = engine.timeout_seconds
          CONCURRENCY = engine.concurrency
          ATTEMPTS    = engine.attempts
          BATCH_SIZE  = engine.batch_size
        } : "${upper(name)}_ENGINE_${key}" => tostring(value) if value != null
      }
    ]...
  )

  # The run, and the job that verifies it (verify.tf). Empty if there is no image yet.
  jobs = {
    for key, job in { run = local.run, verify = local.verify } : key => job
    if var.image != null && (key == "run" || var.alerts != null)
  }
  run = {
    name            = var.name
    args            = null
    body            = var.schedule.again ? jsonencode({ overrides = { containerOverrides = [{ args = ["run", "--again"] }] } }) : "{}"
    cron            = var.schedule.cron
    max_retries     = var.job.max_retries
    timeout_seconds = var.job.task_timeout_seconds
  }
}

resource "google_cloud_run_v2_job" "main" {
  for_each = local.jobs

  project             = var.project_id
  location            = var.region
  name                = each.value.name
  labels              = var.labels
  deletion_protection = var.deletion_protection

  template {
    labels      = var.labels
    task_count  = 1 # the barrier between data and cards holds only inside one task
    parallelism = 1

    template {
      service_account       = google_service_account.job.email
      execution_environment = "EXECUTION_ENVIRONMENT_GEN2"
      max_retries           = each.value.max_retries
      timeout               = "${each.value.timeout_seconds}s"

      containers {
        image = var.image
        args  = each.value.args

        resources {
          limits = { cpu = tostring(var.job.cpu), memory = "${var.job.memory_mib}Mi" }
        }

        dynamic "env" {
          for_each = merge(local.environment, { TASK_MAX_RETRIES = tostring(each.value.max_retries) })
          content {
            name  = env.key
            value = env.value
          }
        }

        dynamic "env" {
          for_each = local.secrets
          content {
            name = env.key
            value_source {
              secret_key_ref {
                secret  = env.value
                version = "latest"
              }
            }
          }
        }
      }

      dynamic "vpc_access" {
        for_each = var.network[*]
        content {
          egress = vpc_access.value.egress
          network_interfaces {
            network    = vpc_access.value.network
            subnetwork = vpc_access.value.subnetwork
            tags       = vpc_access.value.tags
          }
        }
      }
    }
  }

  lifecycle {
    ignore_changes = [client, client_version] # the tool that changed the job last
  }

  # The job must have its permissions before it can be started.
  depends_on = [
    google_artifact_registry_repository.main,
    google_cloud_run_v2_service_iam_member.engine,
    google_project_service.main,
    google_secret_manager_secret_iam_member.job,
    google_storage_bucket_iam_member.config_job,
    google_storage_bucket_iam_member.runs_job,
    google_storage_bucket_object.owned,
    google_storage_bucket_object.seeded,
  ]
}
