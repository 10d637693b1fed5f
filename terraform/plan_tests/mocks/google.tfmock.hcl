# What Google would fill in, as far as something else is made of it.

mock_data "google_cloud_run_v2_service" {
  defaults = { uri = "https://engine-abc123-de.a.run.app" }
}

override_data {
  target = data.google_cloud_run_v2_service.engine["financial"]
  values = { uri = "https://financial-engine-abc123-de.a.run.app" }
}

override_resource {
  target = google_service_account.job
  values = {
    email  = "batch-orchestrator-job@my-project.iam.gserviceaccount.com"
    member = "serviceAccount:batch-orchestrator-job@my-project.iam.gserviceaccount.com"
    name   = "projects/my-project/serviceAccounts/batch-orchestrator-job@my-project.iam.gserviceaccount.com"
  }
}

override_resource {
  target = google_service_account.scheduler
  values = {
    email  = "batch-orchestrator-scheduler@my-project.iam.gserviceaccount.com"
    member = "serviceAccount:batch-orchestrator-scheduler@my-project.iam.gserviceaccount.com"
  }
}

override_resource {
  target = google_service_account.builder["build"]
  values = {
    id     = "projects/my-project/serviceAccounts/batch-orchestrator-build@my-project.iam.gserviceaccount.com"
    member = "serviceAccount:batch-orchestrator-build@my-project.iam.gserviceaccount.com"
  }
}

override_resource {
  target = google_service_account.builder["review"]
  values = {
    id     = "projects/my-project/serviceAccounts/batch-orchestrator-review@my-project.iam.gserviceaccount.com"
    member = "serviceAccount:batch-orchestrator-review@my-project.iam.gserviceaccount.com"
  }
}
