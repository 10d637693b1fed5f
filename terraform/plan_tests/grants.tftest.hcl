# Every grant, and no other of the same kind; tests/deploy/terraform/test_plans.py proves that there is no other kind.

mock_provider "google" {
  source          = "./plan_tests/mocks"
  override_during = plan
}

run "without_a_build" {
  command = plan

  assert {
    condition = {
      for key, grant in google_cloud_run_v2_service_iam_member.engine : key => "${grant.project} ${grant.location} ${grant.name} ${grant.role} ${grant.member}"
      } == {
      for name in ["financial", "trading", "news", "qa"] : name =>
      "my-project asia-east1 ${name}-engine roles/run.invoker serviceAccount:batch-orchestrator-job@my-project.iam.gserviceaccount.com"
    }
    error_message = "The job may call something else."
  }
  assert {
    condition = (
      google_storage_bucket_iam_member.config_job.bucket == "my-project-batch-orchestrator-config"
      && google_storage_bucket_iam_member.config_job.role == "roles/storage.objectViewer"
      && google_storage_bucket_iam_member.config_job.member == "serviceAccount:batch-orchestrator-job@my-project.iam.gserviceaccount.com"
      && google_storage_bucket_iam_member.runs_job.bucket == "my-project-batch-orchestrator-runs"
      && google_storage_bucket_iam_member.runs_job.role == "roles/storage.objectUser"
      && google_storage_bucket_iam_member.runs_job.member == "serviceAccount:batch-orchestrator-job@my-project.iam.gserviceaccount.com"
    )
    error_message = "The job may read or write something else."
  }
  assert {
    condition = {
      for key, grant in google_cloud_run_v2_job_iam_member.scheduler : key => "${grant.name} ${grant.role} ${grant.member}"
      } == {
      run = "batch-orchestrator roles/run.invoker serviceAccount:batch-orchestrator-scheduler@my-project.iam.gserviceaccount.com"
    }
    error_message = "The scheduler may start something else."
  }
  assert {
    condition = (
      { for key, grant in google_cloud_run_v2_job_iam_member.operators : key => "${grant.name} ${grant.role} ${grant.member}" }
      == { "group:cards@example.com" = "batch-orchestrator roles/run.jobsExecutor group:cards@example.com" }
      && { for key, grant in google_cloud_run_v2_job_iam_member.viewers : key => "${grant.name} ${grant.role} ${grant.member}" }
      == { "group:cards@example.com" = "batch-orchestrator roles/run.viewer group:cards@example.com" }
      && { for key, grant in google_storage_bucket_iam_member.runs_viewers : key => "${grant.bucket} ${grant.role} ${grant.member}" }
      == { "group:cards@example.com" = "my-project-batch-orchestrator-runs roles/storage.objectViewer group:cards@example.com" }
      && { for key, grant in google_storage_bucket_iam_member.config_viewers : key => "${grant.bucket} ${grant.role} ${grant.member}" }
      == { "group:cards@example.com" = "my-project-batch-orchestrator-config roles/storage.objectViewer group:cards@example.com" }
      && { for key, grant in google_project_iam_member.viewers : key => "${grant.project} ${grant.role} ${grant.member}" }
      == { "group:cards@example.com" = "my-project roles/logging.viewer group:cards@example.com" }
      && length(google_storage_bucket_iam_member.config_operators) == 0
      && length(google_cloud_run_v2_job_iam_member.maintainers) == 0
    )
    error_message = "The operators may do something else."
  }
  assert {
    condition = length(concat(
      values(google_service_account.builder), values(google_project_iam_member.builder_logs), values(google_project_iam_member.builder_refresh),
      google_project_iam_member.build_schedules, values(google_cloud_run_v2_job_iam_member.build), values(google_service_account_iam_member.build),
      google_cloudbuild_trigger.build, google_cloudbuild_trigger.review
    )) == 0
    error_message = "There is something of a build that nobody asked for."
  }
}

run "the_scheduler_starts_the_verification_too" {
  command = plan

  variables {
    alerts = { notification_channels = ["projects/my-project/notificationChannels/1"], success_by = "09:00" }
  }

  assert {
    condition = {
      for key, grant in google_cloud_run_v2_job_iam_member.scheduler : key => "${grant.name} ${grant.role}"
      } == {
      run    = "batch-orchestrator roles/run.invoker"
      verify = "batch-orchestrator-verify roles/run.invoker"
    }
    error_message = "The scheduler may start something else."
  }
}

run "people_who_look_who_start_and_who_override" {
  command = plan

  variables {
    config_ownership = "operators"
    maintainers      = ["user:maintainer@example.com"]
    operators        = ["user:operator@example.com"]
    viewers          = ["user:viewer@example.com", "user:operator@example.com"]
  }

  assert {
    condition = alltrue([
      for grants in [
        google_cloud_run_v2_job_iam_member.viewers, google_storage_bucket_iam_member.runs_viewers,
        google_storage_bucket_iam_member.config_viewers, google_project_iam_member.viewers
      ] : toset(keys(grants)) == toset(["user:maintainer@example.com", "user:operator@example.com", "user:viewer@example.com"])
    ])
    error_message = "Somebody cannot look, or somebody else can."
  }
  assert {
    condition = (
      toset(keys(google_cloud_run_v2_job_iam_member.operators)) == toset(["user:operator@example.com"])
      && { for key, grant in google_cloud_run_v2_job_iam_member.maintainers : key => "${grant.name} ${grant.role} ${grant.member}" }
      == { "user:maintainer@example.com" = "batch-orchestrator roles/run.jobsExecutorWithOverrides user:maintainer@example.com" }
      && toset(keys(google_storage_bucket_iam_member.config_operators)) == toset(["user:maintainer@example.com", "user:operator@example.com"])
    )
    error_message = "Somebody cannot do what is theirs, or can do more."
  }
}

run "with_a_build" {
  command = plan

  override_resource {
    target          = google_project_iam_custom_role.jobs
    override_during = plan
    values          = { id = "projects/my-project/roles/batch_orchestrator_jobs" }
  }

  variables {
    build = {
      repository   = "projects/my-project/locations/asia-east1/connections/github/repositories/cards"
      state_bucket = "my-project-terraform"
    }
  }

  assert {
    condition = (
      { for key, grant in google_storage_bucket_iam_member.builder_state : key => "${grant.bucket} ${grant.role}" }
      == { build = "my-project-terraform roles/storage.objectUser", review = "my-project-terraform roles/storage.objectViewer" }
      && { for key, grant in google_storage_bucket_iam_member.builder_config : key => "${grant.bucket} ${grant.role}" }
      == { build = "my-project-batch-orchestrator-config roles/storage.objectUser", review = "my-project-batch-orchestrator-config roles/storage.objectViewer" }
    )
    error_message = "The builds may read or write something else."
  }
  assert {
    condition = (
      { for key, grant in google_project_iam_member.builder_logs : key => grant.role }
      == { build = "roles/logging.logWriter", review = "roles/logging.logWriter" }
      && toset(keys(google_project_iam_member.builder_refresh)) == toset(["build", "review"])
      && length(google_project_iam_member.build_schedules) == 1
    )
    error_message = "The builds may do something else in the project."
  }
  assert {
    condition = alltrue([
      for permission in google_project_iam_custom_role.refresh[0].permissions : can(regex("[.](get|list|getIamPolicy)$", permission))
    ])
    error_message = "A refresh only reads."
  }
  assert {
    condition = (
      google_project_iam_custom_role.schedules[0].permissions == toset(["cloudscheduler.jobs.enable", "cloudscheduler.jobs.pause", "cloudscheduler.jobs.update"])
      && google_project_iam_custom_role.jobs[0].permissions == toset(["run.jobs.get", "run.jobs.update"])
    )
    error_message = "A build updates schedules and jobs, no more."
  }
  assert {
    condition = (
      toset([for grant in google_cloud_run_v2_service_iam_member.builder_refresh : "${grant.name} ${grant.role}"])
      == toset([for name in ["financial", "trading", "news", "qa"] : "${name}-engine roles/run.viewer"])
      && length(google_cloud_run_v2_service_iam_member.builder_refresh) == 8
    )
    error_message = "The builds may do something else with the engines."
  }
  assert {
    condition = (
      google_artifact_registry_repository_iam_member.build[0].role == "roles/artifactregistry.writer"
      && google_artifact_registry_repository_iam_member.build[0].member == "serviceAccount:batch-orchestrator-build@my-project.iam.gserviceaccount.com"
      && { for key, grant in google_cloud_run_v2_job_iam_member.build : key => "${grant.name} ${grant.role} ${grant.member}" }
      == { run = "batch-orchestrator projects/my-project/roles/batch_orchestrator_jobs serviceAccount:batch-orchestrator-build@my-project.iam.gserviceaccount.com" }
      && { for key, grant in google_service_account_iam_member.build : key => "${grant.role} ${grant.service_account_id}" } == {
        job       = "roles/iam.serviceAccountUser projects/my-project/serviceAccounts/batch-orchestrator-job@my-project.iam.gserviceaccount.com"
        scheduler = "roles/iam.serviceAccountUser projects/my-project/serviceAccounts/batch-orchestrator-scheduler@my-project.iam.gserviceaccount.com"
      }
    )
    error_message = "A merge may ship something else."
  }
  assert {
    condition = (
      google_cloudbuild_trigger.build[0].filename == "cloudbuild.yaml"
      && google_cloudbuild_trigger.review[0].filename == "terraform/review.cloudbuild.yaml"
      && google_cloudbuild_trigger.build[0].service_account == "projects/my-project/serviceAccounts/batch-orchestrator-build@my-project.iam.gserviceaccount.com"
      && google_cloudbuild_trigger.build[0].repository_event_config[0].push[0].branch == "^main$"
      && google_cloudbuild_trigger.review[0].service_account == "projects/my-project/serviceAccounts/batch-orchestrator-review@my-project.iam.gserviceaccount.com"
      && google_cloudbuild_trigger.review[0].repository_event_config[0].pull_request[0].branch == "^main$"
      && google_cloudbuild_trigger.review[0].repository_event_config[0].pull_request[0].comment_control == "COMMENTS_ENABLED"
    )
    error_message = "A trigger runs something else or as another, or a pull request does not wait for a maintainer."
  }
  assert {
    condition = (
      google_cloudbuild_trigger.build[0].substitutions == tomap({
        _CONFIG_OWNERSHIP = "terraform"
        _IMAGE            = "asia-east1-docker.pkg.dev/my-project/batch-orchestrator/job"
        _STATE_BUCKET     = "my-project-terraform"
        _STATE_PREFIX     = "batch-orchestrator"
      })
      && google_cloudbuild_trigger.review[0].substitutions == tomap({
        _CONFIG_OWNERSHIP = "terraform"
        _STATE_BUCKET     = "my-project-terraform"
        _STATE_PREFIX     = "batch-orchestrator"
      })
    )
    error_message = "A build is told something else."
  }
}

run "with_a_build_where_operators_own_the_config" {
  command = plan

  variables {
    config_ownership = "operators"
    build = {
      repository   = "projects/my-project/locations/asia-east1/connections/github/repositories/cards"
      state_bucket = "my-project-terraform"
    }
  }

  assert {
    condition = (
      { for key, grant in google_storage_bucket_iam_member.builder_config : key => grant.role }
      == { build = "roles/storage.objectViewer", review = "roles/storage.objectViewer" }
    )
    error_message = "A build may write what is not its own."
  }
  assert {
    condition = alltrue([
      for trigger in [google_cloudbuild_trigger.build[0], google_cloudbuild_trigger.review[0]] :
      trigger.substitutions._CONFIG_OWNERSHIP == "operators"
    ]) && output.config_ownership == "operators"
    error_message = "A build, or make, takes the config for Terraform's."
  }
}
