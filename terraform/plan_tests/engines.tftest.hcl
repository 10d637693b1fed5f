mock_provider "google" {
  source          = "./plan_tests/mocks"
  override_during = plan
}

run "engines_by_name_here_and_elsewhere" {
  command = plan

  variables {
    engines = {
      financial = { service = "financial-engine" }
      trading   = { service = "trading", project = "other-project", region = "europe-west1" }
      news      = { service = "news-engine", url = "https://news.example.com", audience = "https://news-engine.example.com" }
      qa        = { url = "https://qa.example.com:8443/v1/" }
    }
  }

  assert {
    condition = {
      for name, service in data.google_cloud_run_v2_service.engine : name => "${service.project} ${service.location} ${service.name}"
      } == {
      financial = "my-project asia-east1 financial-engine"
      trading   = "other-project europe-west1 trading"
    }
    error_message = "Other services are looked up: only those whose URL is not given are."
  }
  assert {
    condition = {
      for name, grant in google_cloud_run_v2_service_iam_member.engine : name => "${grant.project} ${grant.location} ${grant.name} ${grant.role}"
      } == {
      financial = "my-project asia-east1 financial-engine roles/run.invoker"
      trading   = "other-project europe-west1 trading roles/run.invoker"
      news      = "my-project asia-east1 news-engine roles/run.invoker"
    }
    error_message = "The job may call something else."
  }
  assert {
    condition = {
      for env in google_cloud_run_v2_job.main["run"].template[0].template[0].containers[0].env : env.name => env.value
      if strcontains(env.name, "_ENGINE_")
      } == {
      FINANCIAL_ENGINE_URL = "https://financial-engine-abc123-de.a.run.app"
      TRADING_ENGINE_URL   = "https://engine-abc123-de.a.run.app"
      NEWS_ENGINE_URL      = "https://news.example.com"
      NEWS_ENGINE_AUDIENCE = "https://news-engine.example.com https://news.example.com"
      QA_ENGINE_URL        = "https://qa.example.com:8443/v1"
    }
    error_message = "The job is told of other engines."
  }
  assert {
    condition = output.engine_grants == {
      qa = "gcloud run services add-iam-policy-binding SERVICE --project=PROJECT --region=REGION --role=roles/run.invoker --member=serviceAccount:batch-orchestrator-job@my-project.iam.gserviceaccount.com # the service at https://qa.example.com:8443/v1"
    }
    error_message = "What is not granted is not said."
  }
}

run "engines_on_loopback" {
  command = plan

  variables {
    engines = {
      financial = { url = "http://localhost:8001" }
      trading   = { url = "http://127.0.0.1:8002/" }
      news      = { url = "http://[::1]:8003/x" }
      qa        = { url = "http://127.1.2.3" }
    }
  }

  assert {
    condition     = length(data.google_cloud_run_v2_service.engine) + length(google_cloud_run_v2_service_iam_member.engine) == 0
    error_message = "Something is looked up, or granted."
  }
}
