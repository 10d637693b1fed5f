mock_provider "google" {
  source          = "./plan_tests/mocks"
  override_during = plan
}

# Before, no plan knows the engines' URLs.
run "the_api_of_the_engines_is_on" {
  plan_options {
    target = [google_project_service.run]
  }
}

run "the_job_as_it_is_by_default" {
  command = plan

  variables {
    notify = null
  }
  expect_failures = [check.somebody_is_told]

  assert {
    condition = toset([
      for env in google_cloud_run_v2_job.main["run"].template[0].template[0].containers[0].env : env.name
      if strcontains(env.name, "_ENGINE_")
    ]) == toset([for name in keys(var.engines) : "${upper(name)}_ENGINE_URL"])
    error_message = "Of an engine the job is given its URL, and nothing that is as the job's own default."
  }
  assert {
    condition = {
      for env in google_cloud_run_v2_job.main["run"].template[0].template[0].containers[0].env : env.name => env.value
      if !strcontains(env.name, "_ENGINE_")
      } == {
      CONFIG_URI                                     = "gs://my-project-batch-orchestrator-config/config"
      DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA = "true"
      GOOGLE_CLOUD_PROJECT                           = "my-project"
      GOOGLE_CLOUD_REGION                            = "asia-east1"
      REPORT_LANGUAGE                                = "en"
      RUNS_URI                                       = "gs://my-project-batch-orchestrator-runs/runs"
      RUN_DEADLINE_SECONDS                           = "10740"
      RUN_SCHEDULE                                   = "30 6 * * 1-5"
      RUN_TIME_ZONE                                  = "Asia/Shanghai"
      TASK_MAX_RETRIES                               = "1"
    }
    error_message = "The job's environment is another."
  }
  assert {
    condition     = toset(keys(google_cloud_run_v2_job.main)) == toset(["run"])
    error_message = "There is another job."
  }
  assert {
    condition = (
      google_cloud_run_v2_job.main["run"].deletion_protection == false
      && google_cloud_run_v2_job.main["run"].start_execution_token == null
      && google_cloud_run_v2_job.main["run"].run_execution_token == null
    )
    error_message = "The job cannot be destroyed, or starts whenever it is applied."
  }
  assert {
    condition = (
      google_cloud_run_v2_job.main["run"].template[0].task_count == 1
      && google_cloud_run_v2_job.main["run"].template[0].parallelism == 1
    )
    error_message = "The barrier holds only inside one task."
  }
  assert {
    condition = (
      google_cloud_run_v2_job.main["run"].template[0].template[0].service_account == "batch-orchestrator-job@my-project.iam.gserviceaccount.com"
      && google_cloud_run_v2_job.main["run"].template[0].template[0].max_retries == 1
      && google_cloud_run_v2_job.main["run"].template[0].template[0].timeout == "10800s"
      && length(google_cloud_run_v2_job.main["run"].template[0].template[0].vpc_access) == 0
    )
    error_message = "The task is another."
  }
  assert {
    condition = (
      google_cloud_run_v2_job.main["run"].template[0].template[0].containers[0].image == "us-docker.pkg.dev/cloudrun/container/job"
      && google_cloud_run_v2_job.main["run"].template[0].template[0].containers[0].resources[0].limits == tomap({ cpu = "1", memory = "512Mi" })
    )
    error_message = "The container is another."
  }
}

run "engines_by_url_and_all_that_can_be_said_of_one" {
  command = plan

  variables {
    engines = merge(var.engines, {
      financial = { url = "https://financial.example.com/v1/" }
      trading   = { service = "trading-engine", project = "other-project", region = "europe-west1" }
      news      = { url = "https://news.example.com", audience = "https://audience.example.com", timeout_seconds = 30, concurrency = 5, patience_seconds = 0, per_minute = 60 }
      qa        = { service = "qa-engine", attempts = 2 }
    })
  }

  assert {
    condition = {
      for env in google_cloud_run_v2_job.main["run"].template[0].template[0].containers[0].env : env.name => env.value
      if can(regex("^(FINANCIAL|NEWS|QA)_", env.name))
      } == {
      FINANCIAL_ENGINE_URL    = "https://financial.example.com/v1"
      NEWS_ENGINE_AUDIENCE    = "https://audience.example.com https://news.example.com"
      NEWS_ENGINE_CONCURRENCY = "5"
      NEWS_ENGINE_PATIENCE    = "0"
      NEWS_ENGINE_PER_MINUTE  = "60"
      NEWS_ENGINE_TIMEOUT     = "30"
      NEWS_ENGINE_URL         = "https://news.example.com"
      QA_ENGINE_ATTEMPTS      = "2"
      QA_ENGINE_URL           = "https://engine-abc123-de.a.run.app"
    }
    error_message = "What the variable `engines` says has not arrived."
  }
  assert {
    condition = {
      for key, grant in google_cloud_run_v2_service_iam_member.engine : key => "${grant.project} ${grant.location} ${grant.name}"
      if contains(["financial", "news", "qa", "trading"], key)
      } == {
      qa      = "my-project asia-east1 qa-engine"
      trading = "other-project europe-west1 trading-engine"
    }
    error_message = "A grant is on what Terraform has not looked up, or one is missing."
  }
}

run "attempts_and_batches_where_there_are_none_are_accepted_with_a_warning" {
  command = plan

  variables {
    engines = {
      for name, engine in var.engines : name => merge(engine, { attempts = 2, batch_size = 2 })
    }
  }
  expect_failures = [check.attempts_and_batches_where_they_count]

  assert {
    condition = [
      for env in google_cloud_run_v2_job.main["run"].template[0].template[0].containers[0].env : env.name
      if can(regex("_(ATTEMPTS|BATCH_SIZE)$", env.name))
    ] == ["FINANCIAL_ENGINE_BATCH_SIZE", "QA_ENGINE_ATTEMPTS", "TRADING_ENGINE_BATCH_SIZE"]
    error_message = "The job is given variables that it does not know, or not the one that it does."
  }
}

run "all_that_can_be_said_of_the_job" {
  command = plan

  variables {
    card_url = "https://cards.example.com/{date}/{ticker}/{card_type}.png"
    job      = { cpu = 2, memory_mib = 1024, max_retries = 3, task_timeout_seconds = 21600 }
    labels   = { team = "cards" }
    language = "zh"
    network  = { network = "vpc", subnetwork = "jobs", egress = "ALL_TRAFFIC", tags = ["engines"] }
    notify   = { secret = "cards-hook", signing_secret = "cards-hook-key", only = "failures" }
  }

  assert {
    condition = {
      for env in google_cloud_run_v2_job.main["run"].template[0].template[0].containers[0].env : env.name => (
        length(env.value_source) == 0 ? env.value : "${env.value_source[0].secret_key_ref[0].secret} ${env.value_source[0].secret_key_ref[0].version}"
      ) if contains(["CARD_URL", "NOTIFY_ONLY", "NOTIFY_SECRET", "NOTIFY_URL", "REPORT_LANGUAGE", "RUN_DEADLINE_SECONDS", "TASK_MAX_RETRIES"], env.name)
      } == {
      CARD_URL             = "https://cards.example.com/{date}/{ticker}/{card_type}.png"
      NOTIFY_ONLY          = "failures"
      NOTIFY_SECRET        = "cards-hook-key latest"
      NOTIFY_URL           = "cards-hook latest"
      REPORT_LANGUAGE      = "zh"
      RUN_DEADLINE_SECONDS = "21540"
      TASK_MAX_RETRIES     = "3"
    }
    error_message = "The job's environment is another."
  }
  assert {
    condition = (
      google_cloud_run_v2_job.main["run"].labels == tomap({ team = "cards" })
      && google_cloud_run_v2_job.main["run"].template[0].labels == tomap({ team = "cards" })
      && google_cloud_run_v2_job.main["run"].template[0].template[0].max_retries == 3
      && google_cloud_run_v2_job.main["run"].template[0].template[0].timeout == "21600s"
      && google_cloud_run_v2_job.main["run"].template[0].template[0].containers[0].resources[0].limits == tomap({ cpu = "2", memory = "1024Mi" })
    )
    error_message = "What the variable `job` says has not arrived."
  }
  assert {
    condition = (
      google_cloud_run_v2_job.main["run"].template[0].template[0].vpc_access[0].egress == "ALL_TRAFFIC"
      && google_cloud_run_v2_job.main["run"].template[0].template[0].vpc_access[0].network_interfaces[0].network == "vpc"
      && google_cloud_run_v2_job.main["run"].template[0].template[0].vpc_access[0].network_interfaces[0].subnetwork == "jobs"
      && google_cloud_run_v2_job.main["run"].template[0].template[0].vpc_access[0].network_interfaces[0].tags == tolist(["engines"])
    )
    error_message = "What the variable `network` says has not arrived."
  }
}
