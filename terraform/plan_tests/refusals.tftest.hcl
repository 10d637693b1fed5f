# Each validation refuses, with a value that differs from an accepted one in nothing else.

mock_provider "google" {
  source          = "./plan_tests/mocks"
  override_during = plan
}

run "alerts_that_tell_nobody" {
  command = plan
  variables {
    alerts = { notification_channels = [], success_by = "09:00" }
  }
  expect_failures = [var.alerts]
}

run "a_success_by_no_time_of_day" {
  command = plan
  variables {
    alerts = { notification_channels = ["projects/my-project/notificationChannels/1"], success_by = "9:00" }
  }
  expect_failures = [var.alerts]
}

run "a_success_before_the_start" {
  command = plan
  variables {
    alerts = { notification_channels = ["projects/my-project/notificationChannels/1"], success_by = "06:30" }
  }
  expect_failures = [var.alerts]
}

run "a_repository_of_another_region" {
  command = plan
  variables {
    build = { repository = "projects/my-project/locations/europe-west1/connections/github/repositories/cards" }
  }
  expect_failures = [var.build]
}

run "three_engines" {
  command = plan
  variables {
    engines = {
      financial = { service = "financial-engine" }
      trading   = { service = "trading-engine" }
      news      = { service = "news-engine" }
    }
  }
  expect_failures = [var.engines]
}

run "an_engine_that_is_nowhere" {
  command = plan
  variables {
    engines = {
      financial = { service = "financial-engine" }
      trading   = { service = "trading-engine" }
      news      = {}
      qa        = { service = "qa-engine" }
    }
  }
  expect_failures = [var.engines]
}

run "an_engine_by_service_and_by_url" {
  command = plan
  variables {
    engines = {
      financial = { service = "financial-engine" }
      trading   = { service = "trading-engine" }
      news      = { service = "news-engine", url = "https://news.example.com" }
      qa        = { service = "qa-engine" }
    }
  }
  expect_failures = [var.engines]
}

run "an_engine_without_tls" {
  command = plan
  variables {
    engines = {
      financial = { service = "financial-engine" }
      trading   = { service = "trading-engine" }
      news      = { url = "http://news.example.com" }
      qa        = { service = "qa-engine" }
    }
  }
  expect_failures = [var.engines]
}

run "a_name_too_long_for_an_account" {
  command = plan
  variables {
    name = "batch-orchestrator-of"
  }
  expect_failures = [var.name]
}

run "a_person_without_a_kind" {
  command = plan
  variables {
    people = { viewers = ["me@example.com"] }
  }
  expect_failures = [var.people]
}

run "a_schedule_of_four_fields" {
  command = plan
  variables {
    schedule = { cron = "30 6 * *", time_zone = "Asia/Shanghai" }
  }
  expect_failures = [var.schedule]
}
