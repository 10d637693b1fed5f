mock_provider "google" {
  source          = "./plan_tests/mocks"
  override_during = plan
}

run "the_job_as_it_is_by_default" {
  command = plan

  assert {
    condition = {
      for env in google_cloud_run_v2_job.main["run"].template[0].template[0].containers[0].env : env.name => env.value
      } == {
      CONFIG_URI                                     = "gs://my-project-batch-orchestrator-config/config"
      DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA = "true"
      FINANCIAL_ENGINE_URL                           = "https://financial-engine-abc123-de.a.run.app"
      GOOGLE_CLOUD_PROJECT                           = "my-project"
      GOOGLE_CLOUD_REGION                            = "asia-east1"
      NEWS_ENGINE_URL                                = "https://engine-abc123-de.a.run.app"
      QA_ENGINE_URL                                  = "https://engine-abc123-de.a.run.app"
      REPORT_LANGUAGE                                = "en"
      RUNS_URI                                       = "gs://my-project-batch-orchestrator-runs/runs"
      RUN_DATE                                       = "today"
      RUN_DEADLINE_SECONDS                           = "10740"
      RUN_TIME_ZONE                                  = "Asia/Shanghai"
      TASK_MAX_RETRIES                               = "1"
      TRADING_ENGINE_URL                             = "https://engine-abc123-de.a.run.app"
    }
    error_message = "The job's environment is another."
  }

  assert {
    condition     = toset(keys(google_cloud_run_v2_job.main)) == toset(["run"])
    error_message = "There is another job."
  }
  assert {
    condition = (
      google_cloud_run_v2_job.main["run"].name == "batch-orchestrator"
      && google_cloud_run_v2_job.main["run"].location == "asia-east1"
      && google_cloud_run_v2_job.main["run"].deletion_protection
      && google_cloud_run_v2_job.main["run"].start_execution_token == null
      && google_cloud_run_v2_job.main["run"].run_execution_token == null
    )
    error_message = "The job is another."
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
      google_cloud_run_v2_job.main["run"].template[0].template[0].containers[0].image == var.image
      && google_cloud_run_v2_job.main["run"].template[0].template[0].containers[0].args == null
      && google_cloud_run_v2_job.main["run"].template[0].template[0].containers[0].resources[0].limits == tomap({ cpu = "1", memory = "512Mi" })
    )
    error_message = "The container is another."
  }
}

run "the_job_with_all_that_can_be_said_of_it" {
  command = plan

  variables {
    card_url            = "https://cards.example.com/{date}/{ticker}/{card_type}.png"
    deletion_protection = false
    job                 = { cpu = 2, memory_mib = 1024, max_retries = 3, task_timeout_seconds = 21600, deadline_seconds = 20000 }
    labels              = { team = "cards" }
    network             = { network = "vpc", subnetwork = "jobs", egress = "ALL_TRAFFIC", tags = ["engines"] }
    engines = {
      financial = { service = "financial-engine", timeout_seconds = 1800, concurrency = 2, attempts = 3, batch_size = 10 }
      trading   = { service = "trading-engine", audience = "https://trading.example.com" }
      news      = { url = "https://news.example.com/api/", timeout_seconds = 300.25 }
      qa        = { service = "qa-engine", concurrency = 32 }
    }
  }

  assert {
    condition = {
      for env in google_cloud_run_v2_job.main["run"].template[0].template[0].containers[0].env : env.name => env.value
      } == {
      CARD_URL                                       = "https://cards.example.com/{date}/{ticker}/{card_type}.png"
      CONFIG_URI                                     = "gs://my-project-batch-orchestrator-config/config"
      DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA = "true"
      FINANCIAL_ENGINE_ATTEMPTS                      = "3"
      FINANCIAL_ENGINE_BATCH_SIZE                    = "10"
      FINANCIAL_ENGINE_CONCURRENCY                   = "2"
      FINANCIAL_ENGINE_TIMEOUT                       = "1800"
      FINANCIAL_ENGINE_URL                           = "https://financial-engine-abc123-de.a.run.app"
      GOOGLE_CLOUD_PROJECT                           = "my-project"
      GOOGLE_CLOUD_REGION                            = "asia-east1"
      NEWS_ENGINE_TIMEOUT                            = "300.25"
      NEWS_ENGINE_URL                                = "https://news.example.com/api"
      QA_ENGINE_CONCURRENCY                          = "32"
      QA_ENGINE_URL                                  = "https://engine-abc123-de.a.run.app"
      REPORT_LANGUAGE                                = "en"
      RUNS_URI                                       = "gs://my-project-batch-orchestrator-runs/runs"
      RUN_DATE                                       = "today"
      RUN_DEADLINE_SECONDS                           = "20000"
      RUN_TIME_ZONE                                  = "Asia/Shanghai"
      TASK_MAX_RETRIES                               = "3"
      TRADING_ENGINE_AUDIENCE                        = "https://trading.example.com https://engine-abc123-de.a.run.app"
      TRADING_ENGINE_URL                             = "https://engine-abc123-de.a.run.app"
    }
    error_message = "The job's environment is another."
  }
  assert {
    condition = (
      !google_cloud_run_v2_job.main["run"].deletion_protection
      && google_cloud_run_v2_job.main["run"].labels == tomap({ team = "cards" })
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
