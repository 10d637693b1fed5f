# Each refusal by itself: the sample with one thing wrong.

mock_provider "google" {
  source          = "./tests/mocks"
  override_during = plan
}

run "alerts_without_a_channel" {
  command = plan
  variables {
    alerts = { notification_channels = [], success_by = "09:00" }
  }
  expect_failures = [var.alerts]
}

run "alerts_to_an_address" {
  command = plan
  variables {
    alerts = { notification_channels = ["me@example.com"], success_by = "09:00" }
  }
  expect_failures = [var.alerts]
}

run "alerts_at_no_time_of_day" {
  command = plan
  variables {
    alerts = { notification_channels = ["projects/p/notificationChannels/1"], success_by = "24:00" }
  }
  expect_failures = [var.alerts]
}

run "alerts_before_the_run" {
  command = plan
  variables {
    alerts = { notification_channels = ["projects/p/notificationChannels/1"], success_by = "06:30" }
  }
  expect_failures = [var.alerts]
}

run "a_build_from_another_region" {
  command = plan
  variables {
    build = { repository = "projects/p/locations/us-east1/connections/c/repositories/r", state_bucket = "my-state" }
  }
  expect_failures = [var.build]
}

run "a_build_of_no_branch" {
  command = plan
  variables {
    build = { repository = "projects/p/locations/asia-east1/connections/c/repositories/r", state_bucket = "my-state", branch = "^main$" }
  }
  expect_failures = [var.build]
}

run "a_build_with_its_state_at_a_url" {
  command = plan
  variables {
    build = { repository = "projects/p/locations/asia-east1/connections/c/repositories/r", state_bucket = "gs://my-state" }
  }
  expect_failures = [var.build]
}

run "config_of_nobody" {
  command = plan
  variables {
    config_ownership = "nobody"
  }
  expect_failures = [var.config_ownership]
}

run "no_image" {
  command = plan
  variables {
    image = null
  }
  expect_failures = [var.image]
}

run "a_bootstrap_with_an_image" {
  command = plan
  variables {
    bootstrap = true
  }
  expect_failures = [var.image]
}

run "an_image_by_its_tag" {
  command = plan
  variables {
    image = "asia-east1-docker.pkg.dev/my-project/batch-orchestrator/job:latest"
  }
  expect_failures = [var.image]
}

run "an_image_with_half_a_digest" {
  command = plan
  variables {
    image = "asia-east1-docker.pkg.dev/my-project/batch-orchestrator/job@sha256:0123"
  }
  expect_failures = [var.image]
}

run "an_image_from_elsewhere" {
  command = plan
  variables {
    image = "asia-east1-docker.pkg.dev/my-project/other/job@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  }
  expect_failures = [var.image]
}

run "half_a_cpu" {
  command = plan
  variables {
    job = { cpu = 0.5 }
  }
  expect_failures = [var.job]
}

run "too_little_memory" {
  command = plan
  variables {
    job = { memory_mib = 256 }
  }
  expect_failures = [var.job]
}

run "too_many_retries" {
  command = plan
  variables {
    job = { max_retries = 11 }
  }
  expect_failures = [var.job]
}

run "a_timeout_of_more_than_a_week" {
  command = plan
  variables {
    job = { task_timeout_seconds = 604801 }
  }
  expect_failures = [var.job]
}

run "a_deadline_of_no_whole_second" {
  command = plan
  variables {
    job = { deadline_seconds = 5000.5 }
  }
  expect_failures = [var.job]
}

run "a_deadline_too_close_to_the_timeout" {
  command = plan
  variables {
    job = { task_timeout_seconds = 10000, deadline_seconds = 9941 }
  }
  expect_failures = [var.job]
}

run "a_deadline_before_all_attempts_of_the_defaults" {
  command = plan
  variables {
    job = { deadline_seconds = 4799 }
  }
  expect_failures = [var.job]
}

run "a_timeout_before_all_attempts_of_the_defaults" {
  command = plan
  variables {
    job = { task_timeout_seconds = 4859 }
  }
  expect_failures = [var.job]
}

run "a_label_with_capitals" {
  command = plan
  variables {
    labels = { Team = "cards" }
  }
  expect_failures = [var.labels]
}

run "a_label_with_spaces_in_its_value" {
  command = plan
  variables {
    labels = { team = "stock cards" }
  }
  expect_failures = [var.labels]
}

run "a_name_too_long_for_its_accounts" {
  command = plan
  variables {
    name = "batch-orchestrator-two"
  }
  expect_failures = [var.name]
}

run "a_network_for_some_traffic" {
  command = plan
  variables {
    network = { network = "vpc", subnetwork = "jobs", egress = "SOME" }
  }
  expect_failures = [var.network]
}

run "everybody_as_operator" {
  command = plan
  variables {
    operators = ["allUsers"]
  }
  expect_failures = [var.operators]
}

run "an_operator_without_its_kind" {
  command = plan
  variables {
    operators = ["me@example.com"]
  }
  expect_failures = [var.operators]
}

run "a_project_by_its_number" {
  command = plan
  variables {
    project_id = "123456789012"
    image = null
    bootstrap = true
  }
  expect_failures = [var.project_id]
}

run "a_zone_as_region" {
  command = plan
  variables {
    region = "asia-east1-b"
    image = null
    bootstrap = true
  }
  expect_failures = [var.region]
}

run "records_for_no_day" {
  command = plan
  variables {
    runs_retention_days = 0
  }
  expect_failures = [var.runs_retention_days]
}

run "a_cron_with_four_fields" {
  command = plan
  variables {
    schedule = { cron = "30 6 * *", time_zone = "UTC" }
  }
  expect_failures = [var.schedule]
}

run "a_cron_with_six_fields" {
  command = plan
  variables {
    schedule = { cron = "0 30 6 * * 1-5", time_zone = "UTC" }
  }
  expect_failures = [var.schedule]
}

run "a_cron_with_minute_60" {
  command = plan
  variables {
    schedule = { cron = "60 6 * * *", time_zone = "UTC" }
  }
  expect_failures = [var.schedule]
}

run "a_cron_with_hour_24" {
  command = plan
  variables {
    schedule = { cron = "0 24 * * *", time_zone = "UTC" }
  }
  expect_failures = [var.schedule]
}

run "a_cron_with_day_0" {
  command = plan
  variables {
    schedule = { cron = "0 6 0 * *", time_zone = "UTC" }
  }
  expect_failures = [var.schedule]
}

run "a_cron_with_month_13" {
  command = plan
  variables {
    schedule = { cron = "0 6 1 13 *", time_zone = "UTC" }
  }
  expect_failures = [var.schedule]
}

run "a_cron_with_weekday_8" {
  command = plan
  variables {
    schedule = { cron = "0 6 * * 8", time_zone = "UTC" }
  }
  expect_failures = [var.schedule]
}

run "a_cron_with_words" {
  command = plan
  variables {
    schedule = { cron = "every 24 hours", time_zone = "UTC" }
  }
  expect_failures = [var.schedule]
}

run "a_cron_with_a_step_of_0" {
  command = plan
  variables {
    schedule = { cron = "*/0 6 * * *", time_zone = "UTC" }
  }
  expect_failures = [var.schedule]
}

run "a_cron_with_an_empty_list" {
  command = plan
  variables {
    schedule = { cron = "1, 6 * * *", time_zone = "UTC" }
  }
  expect_failures = [var.schedule]
}

run "a_time_zone_of_an_offset" {
  command = plan
  variables {
    schedule = { cron = "30 6 * * *", time_zone = "+08:00" }
  }
  expect_failures = [var.schedule]
}

run "a_time_zone_of_a_space" {
  command = plan
  variables {
    schedule = { cron = "30 6 * * *", time_zone = "Asia Shanghai" }
  }
  expect_failures = [var.schedule]
}

run "a_time_zone_of_nothing" {
  command = plan
  variables {
    schedule = { cron = "30 6 * * *", time_zone = "" }
  }
  expect_failures = [var.schedule]
}

run "an_attempt_deadline_of_10_seconds" {
  command = plan
  variables {
    schedule = { cron = "30 6 * * *", time_zone = "UTC", attempt_deadline_seconds = 10 }
  }
  expect_failures = [var.schedule]
}

run "six_retries" {
  command = plan
  variables {
    schedule = { cron = "30 6 * * *", time_zone = "UTC", retry = { count = 6 } }
  }
  expect_failures = [var.schedule]
}

run "backoffs_the_wrong_way_round" {
  command = plan
  variables {
    schedule = { cron = "30 6 * * *", time_zone = "UTC", retry = { min_backoff_seconds = 60, max_backoff_seconds = 30 } }
  }
  expect_failures = [var.schedule]
}

run "half_a_doubling" {
  command = plan
  variables {
    schedule = { cron = "30 6 * * *", time_zone = "UTC", retry = { max_doublings = 0.5 } }
  }
  expect_failures = [var.schedule]
}

run "a_negative_duration" {
  command = plan
  variables {
    schedule = { cron = "30 6 * * *", time_zone = "UTC", retry = { max_duration_seconds = -1 } }
  }
  expect_failures = [var.schedule]
}

run "three_engines" {
  command = plan
  variables {
    engines = {
      financial = { url = "https://f" }
      trading = { url = "https://t" }
      news = { url = "https://n" }
    }
  }
  expect_failures = [var.engines]
}

run "a_fifth_engine" {
  command = plan
  variables {
    engines = {
      financial = { url = "https://f" }
      trading = { url = "https://t" }
      news = { url = "https://n" }
      qa = { url = "https://q" }
      other = { url = "https://o" }
    }
  }
  expect_failures = [var.engines]
}

run "an_engine_nowhere" {
  command = plan
  variables {
    engines = {
      financial = { url = "https://f" }
      trading = { url = "https://t" }
      news = { url = "https://n" }
      qa = { concurrency = 1 }
    }
  }
  expect_failures = [var.engines]
}

run "an_engine_by_its_path" {
  command = plan
  variables {
    engines = {
      financial = { url = "https://f" }
      trading = { url = "https://t" }
      news = { url = "https://n" }
      qa = { service = "projects/p/qa" }
    }
  }
  expect_failures = [var.engines]
}

run "a_project_without_a_service" {
  command = plan
  variables {
    engines = {
      financial = { url = "https://f" }
      trading = { url = "https://t" }
      news = { url = "https://n" }
      qa = { url = "https://q", project = "other-project" }
    }
  }
  expect_failures = [var.engines]
}

run "a_region_without_a_service" {
  command = plan
  variables {
    engines = {
      financial = { url = "https://f" }
      trading = { url = "https://t" }
      news = { url = "https://n" }
      qa = { url = "https://q", region = "us-east1" }
    }
  }
  expect_failures = [var.engines]
}

run "an_engine_in_the_clear" {
  command = plan
  variables {
    engines = {
      financial = { url = "https://f" }
      trading = { url = "https://t" }
      news = { url = "https://n" }
      qa = { url = "http://qa.example.com" }
    }
  }
  expect_failures = [var.engines]
}

run "an_engine_that_only_looks_like_loopback" {
  command = plan
  variables {
    engines = {
      financial = { url = "https://f" }
      trading = { url = "https://t" }
      news = { url = "https://n" }
      qa = { url = "http://127.0.0.1.example.com" }
    }
  }
  expect_failures = [var.engines]
}

run "an_engine_with_a_query" {
  command = plan
  variables {
    engines = {
      financial = { url = "https://f" }
      trading = { url = "https://t" }
      news = { url = "https://n" }
      qa = { url = "https://q/?a=1" }
    }
  }
  expect_failures = [var.engines]
}

run "an_engine_with_a_fragment" {
  command = plan
  variables {
    engines = {
      financial = { url = "https://f" }
      trading = { url = "https://t" }
      news = { url = "https://n" }
      qa = { url = "https://q/#a" }
    }
  }
  expect_failures = [var.engines]
}

run "an_engine_with_a_password" {
  command = plan
  variables {
    engines = {
      financial = { url = "https://f" }
      trading = { url = "https://t" }
      news = { url = "https://n" }
      qa = { url = "https://me:secret@q" }
    }
  }
  expect_failures = [var.engines]
}

run "an_engine_of_another_scheme" {
  command = plan
  variables {
    engines = {
      financial = { url = "https://f" }
      trading = { url = "https://t" }
      news = { url = "https://n" }
      qa = { url = "ftp://q" }
    }
  }
  expect_failures = [var.engines]
}

run "a_blank_audience" {
  command = plan
  variables {
    engines = {
      financial = { url = "https://f" }
      trading = { url = "https://t" }
      news = { url = "https://n" }
      qa = { url = "https://q", audience = " " }
    }
  }
  expect_failures = [var.engines]
}

run "a_timeout_of_more_than_an_hour" {
  command = plan
  variables {
    engines = {
      financial = { url = "https://f" }
      trading = { url = "https://t" }
      news = { url = "https://n" }
      qa = { url = "https://q", timeout_seconds = 3601 }
    }
  }
  expect_failures = [var.engines]
}

run "a_timeout_under_a_second" {
  command = plan
  variables {
    engines = {
      financial = { url = "https://f" }
      trading = { url = "https://t" }
      news = { url = "https://n" }
      qa = { url = "https://q", timeout_seconds = 0.5 }
    }
  }
  expect_failures = [var.engines]
}

run "a_concurrency_of_0" {
  command = plan
  variables {
    engines = {
      financial = { url = "https://f" }
      trading = { url = "https://t" }
      news = { url = "https://n" }
      qa = { url = "https://q", concurrency = 0 }
    }
  }
  expect_failures = [var.engines]
}

run "a_concurrency_of_1025" {
  command = plan
  variables {
    engines = {
      financial = { url = "https://f" }
      trading = { url = "https://t" }
      news = { url = "https://n" }
      qa = { url = "https://q", concurrency = 1025 }
    }
  }
  expect_failures = [var.engines]
}

run "half_an_attempt" {
  command = plan
  variables {
    engines = {
      financial = { url = "https://f" }
      trading = { url = "https://t" }
      news = { url = "https://n" }
      qa = { url = "https://q", attempts = 1.5 }
    }
  }
  expect_failures = [var.engines]
}

run "too_many_attempts" {
  command = plan
  variables {
    engines = {
      financial = { url = "https://f" }
      trading = { url = "https://t" }
      news = { url = "https://n" }
      qa = { url = "https://q", attempts = 21 }
    }
  }
  expect_failures = [var.engines]
}

run "batches_of_cards" {
  command = plan
  variables {
    engines = {
      financial = { url = "https://f" }
      trading = { url = "https://t" }
      news = { url = "https://n" }
      qa = { url = "https://q", batch_size = 5 }
    }
  }
  expect_failures = [var.engines]
}

run "batches_of_0" {
  command = plan
  variables {
    engines = {
      financial = { url = "https://f" }
      trading = { url = "https://t", batch_size = 0 }
      news = { url = "https://n" }
      qa = { url = "https://q" }
    }
  }
  expect_failures = [var.engines]
}

run "batches_of_1001" {
  command = plan
  variables {
    engines = {
      financial = { url = "https://f" }
      trading = { url = "https://t", batch_size = 1001 }
      news = { url = "https://n" }
      qa = { url = "https://q" }
    }
  }
  expect_failures = [var.engines]
}

# --- what lies just inside the limits is not refused ---

run "the_narrowest_deadline" {
  command = plan
  variables {
    job = { task_timeout_seconds = 4860, deadline_seconds = 4800 }
  }
  assert {
    condition     = [for env in google_cloud_run_v2_job.main["run"].template[0].template[0].containers[0].env : env.value if env.name == "RUN_DEADLINE_SECONDS"] == ["4800"]
    error_message = "The deadline is another."
  }
}
