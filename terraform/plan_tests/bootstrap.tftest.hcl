mock_provider "google" {
  source          = "./plan_tests/mocks"
  override_during = plan
}

run "the_very_first_apply" {
  command = plan

  variables {
    bootstrap = true
    image     = null
    alerts    = { notification_channels = ["projects/my-project/notificationChannels/1"], success_by = "09:00" }
    build = {
      repository   = "projects/my-project/locations/asia-east1/connections/github/repositories/cards"
      state_bucket = "my-project-terraform"
    }
  }

  assert {
    condition = length(concat(
      values(google_cloud_run_v2_job.main), values(google_cloud_scheduler_job.main), values(google_cloud_run_v2_job_iam_member.operators), values(google_cloud_run_v2_job_iam_member.viewers),
      values(google_cloud_run_v2_job_iam_member.scheduler), values(google_cloud_run_v2_job_iam_member.build)
    )) == 0
    error_message = "There is a job, or something of one, without an image."
  }
  assert {
    condition = (
      length(google_storage_bucket_object.owned) >= 2 && length(google_cloud_run_v2_service_iam_member.engine) == 4
      && length(google_monitoring_alert_policy.execution) == 2 && length(google_cloudbuild_trigger.build) == 1
      && google_artifact_registry_repository.main.repository_id == "batch-orchestrator"
    )
    error_message = "It makes less than everything else."
  }
  assert {
    condition     = output.image == null && strcontains(output.next_steps, "make push\n3. make apply IMAGE=asia-east1-docker.pkg.dev/my-project/batch-orchestrator/job@sha256:")
    error_message = "It does not say what to do next."
  }
}

run "the_second_apply" {
  command = plan

  assert {
    condition = (
      output.image == var.image
      && output.execute_command == "gcloud run jobs execute batch-orchestrator --project=my-project --region=asia-east1 --wait"
      && strcontains(output.next_steps, "make execute")
    )
    error_message = "It does not say what to do next."
  }
}
