locals {
  # The job's environment variables, except those that Cloud Run sets.
  environment = merge(
    { for name, value in { CARD_URL = var.card_url, NOTIFY_ONLY = try(var.notify.only, null) } : name => value if value != null },
    {
      CONFIG_URI           = local.config_uri
      GOOGLE_CLOUD_PROJECT = var.project_id
      GOOGLE_CLOUD_REGION  = var.region
      REPORT_LANGUAGE      = var.language
      RUN_DEADLINE_SECONDS = tostring(var.job.task_timeout_seconds - 60) # the rest is for closing the record
      RUN_SCHEDULE         = var.schedule.cron
      RUN_TIME_ZONE        = var.schedule.time_zone
      RUNS_URI             = "gs://${google_storage_bucket.runs.name}/runs"
      TASK_MAX_RETRIES     = tostring(var.job.max_retries) # of the run, for its verification too

      # Otherwise the storage library would read the bucket's own metadata, for which the job has no permission.
      DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA = "true"
    },
    { for name, url in local.urls : "${upper(name)}_ENGINE_URL" => url },
    [
      for name, engine in local.engines : {
        for key, value in {
          AUDIENCE    = engine.audience == null ? null : "${engine.audience} ${local.urls[name]}" # the job uses an audience for this URL only
          TIMEOUT     = engine.timeout_seconds
          CONCURRENCY = engine.concurrency
          ATTEMPTS    = contains(local.own_settings[name], "attempts") ? engine.attempts : null
          PATIENCE    = engine.patience_seconds
          PER_MINUTE  = engine.per_minute
          BATCH_SIZE  = contains(local.own_settings[name], "batch_size") ? engine.batch_size : null
        } : "${upper(name)}_ENGINE_${key}" => tostring(value) if value != null
      }
    ]...
  )
  secrets = {
    for name, secret in {
      NOTIFY_URL    = try(var.notify.secret, null)
      NOTIFY_SECRET = try(var.notify.signing_secret, null)
    } : name => secret if secret != null
  }

  jobs = merge(
    {
      run = {
        name            = var.name
        args            = ["run"]
        cron            = var.schedule.cron
        environment     = {}
        max_retries     = var.job.max_retries
        timeout_seconds = var.job.task_timeout_seconds
      }
    },
    # No metric shows that a daily run did not happen: an alert on absence can wait for at most 23.5 hours. So a second
    # job looks every day at `success_by` whether the latest night is done, and fails if it is not.
    var.alerts == null ? {} : {
      verify = {
        name = "${var.name}-verify"
        args = ["verify"]
        cron = format("%d %d * * *", reverse(split(":", var.alerts.success_by))...)
        environment = {
          JOB_TO_START         = var.name # which its message says how to start
          RUN_DEADLINE_SECONDS = "240"    # for so long it tries to look
        }
        max_retries     = 0 # a failure is an answer; a retry would send a second message
        timeout_seconds = 300
      }
    },
  )
}

resource "google_cloud_run_v2_job" "main" {
  for_each = local.jobs

  project             = var.project_id
  location            = var.region
  name                = each.value.name
  labels              = var.labels
  deletion_protection = false # the records are in the bucket; a job that is gone is made again

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
        # Google's sample, which exists for everybody, until the first deployment sets a digest. It lacks the command, so it
        # fails if somebody starts it. A command drops the image's own CMD: `run` has to be said, too.
        image   = "us-docker.pkg.dev/cloudrun/container/job"
        command = ["python", "-m", "job"]
        args    = each.value.args

        resources {
          limits = { cpu = tostring(var.job.cpu), memory = "${var.job.memory_mib}Mi" }
        }

        dynamic "env" {
          for_each = merge(local.environment, each.value.environment)
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
    # Merges and people deploy images with gcloud; all but the first is what it writes beside the image.
    ignore_changes = [
      template[0].template[0].containers[0].image,
      template[0].labels["client.knative.dev/nonce"],
      template[0].annotations,
      client,
      client_version,
    ]
  }

  # The job must have its permissions before it can be started.
  depends_on = [
    google_cloud_run_v2_service_iam_member.engine,
    google_project_service.main,
    google_project_service.run,
    google_secret_manager_secret_iam_member.job,
    google_storage_bucket_iam_member.config_job,
    google_storage_bucket_iam_member.runs_job,
    google_storage_bucket_object.config,
  ]
}

# A person makes and fills the secrets, so the state has none of their values.
resource "google_secret_manager_secret_iam_member" "job" {
  for_each = local.secrets

  project   = var.project_id
  secret_id = each.value
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.job.member

  depends_on = [google_project_service.main]
}
