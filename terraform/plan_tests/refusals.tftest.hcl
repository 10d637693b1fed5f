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

run "a_repository_of_another_region" {
  command = plan
  variables {
    build = { repository = "projects/my-project/locations/europe-west1/connections/github/repositories/cards" }
  }
  expect_failures = [var.build]
}

run "a_place_in_the_card_url_that_no_card_has" {
  command = plan
  variables {
    card_url = "https://cards.example.com/{day}/{ticker}.png"
  }
  expect_failures = [var.card_url]
}

run "three_engines" {
  command = plan
  variables {
    engines = { for name, engine in var.engines : name => engine if name != "qa" }
  }
  expect_failures = [var.engines]
}

run "an_engine_that_is_nowhere" {
  command = plan
  variables {
    engines = merge(var.engines, { news = {} })
  }
  expect_failures = [var.engines]
}

run "an_engine_by_service_and_by_url" {
  command = plan
  variables {
    engines = merge(var.engines, { news = { service = "news-engine", url = "https://news.example.com" } })
  }
  expect_failures = [var.engines]
}

run "an_engine_without_tls" {
  command = plan
  variables {
    engines = merge(var.engines, { news = { url = "http://news.example.com" } })
  }
  expect_failures = [var.engines]
}

run "an_attempt_longer_than_an_hour" {
  command = plan
  variables {
    engines = merge(var.engines, { news = { service = "news-engine", timeout_seconds = 3601 } })
  }
  expect_failures = [var.engines]
}

run "twenty_one_attempts" {
  command = plan
  variables {
    engines = merge(var.engines, { news = { service = "news-engine", attempts = 21 } })
  }
  expect_failures = [var.engines]
}

run "half_an_attempt" {
  command = plan
  variables {
    engines = merge(var.engines, { news = { service = "news-engine", attempts = 1.5 } })
  }
  expect_failures = [var.engines]
}

run "patience_below_nothing" {
  command = plan
  variables {
    engines = merge(var.engines, { news = { service = "news-engine", patience_seconds = -1 } })
  }
  expect_failures = [var.engines]
}

run "patience_of_more_than_a_day" {
  command = plan
  variables {
    engines = merge(var.engines, { news = { service = "news-engine", patience_seconds = 86401 } })
  }
  expect_failures = [var.engines]
}

run "no_request_in_a_minute" {
  command = plan
  variables {
    engines = merge(var.engines, { qa = { service = "qa-engine", per_minute = 0 } })
  }
  expect_failures = [var.engines]
}

run "more_requests_in_a_minute_than_the_job_counts" {
  command = plan
  variables {
    engines = merge(var.engines, { qa = { service = "qa-engine", per_minute = 60001 } })
  }
  expect_failures = [var.engines]
}

run "half_a_request_in_a_minute" {
  command = plan
  variables {
    engines = merge(var.engines, { qa = { service = "qa-engine", per_minute = 0.5 } })
  }
  expect_failures = [var.engines]
}

run "no_call_in_flight" {
  command = plan
  variables {
    engines = merge(var.engines, { qa = { service = "qa-engine", concurrency = 0 } })
  }
  expect_failures = [var.engines]
}

run "calls_in_flight_that_only_qa_may_have" {
  command = plan
  variables {
    engines = merge(var.engines, { news = { service = "news-engine", concurrency = 1025 } })
  }
  expect_failures = [var.engines]
}

run "a_batch_too_large" {
  command = plan
  variables {
    engines = merge(var.engines, { financial = { service = "financial-engine", batch_size = 1001 } })
  }
  expect_failures = [var.engines]
}

run "no_time_but_for_closing_the_record" {
  command = plan
  variables {
    job = { task_timeout_seconds = 60 }
  }
  expect_failures = [var.job]
}

run "a_language_that_the_job_does_not_speak" {
  command = plan
  variables {
    language = "fr"
  }
  expect_failures = [var.language]
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

run "records_deleted_that_are_still_read" {
  command = plan
  variables {
    runs_retention_days = 89
  }
  expect_failures = [var.runs_retention_days]
}

run "a_schedule_of_four_fields" {
  command = plan
  variables {
    schedule = { cron = "30 6 * *", time_zone = "Asia/Shanghai" }
  }
  expect_failures = [var.schedule]
}

run "a_schedule_in_words" {
  command = plan
  variables {
    schedule = { cron = "every monday of month 09:00", time_zone = "Asia/Shanghai" }
  }
  expect_failures = [var.schedule]
}

run "a_schedule_in_another_dialect" {
  command = plan
  variables {
    schedule = { cron = "30 6 ? * 1-5", time_zone = "Asia/Shanghai" }
  }
  expect_failures = [var.schedule]
}
