# What the variables refuse. Each run breaks one thing in each of some variables, and every one of these has to be refused.
# No variable is checked against another that is broken in the same run.

mock_provider "google" {
  source          = "./plan_tests/mocks"
  override_during = plan
}

variables {
  engines = {
    financial = { service = "financial-engine" }
    trading   = { service = "trading-engine" }
    news      = { service = "news-engine" }
    qa        = { service = "qa-engine" }
  }
  schedule = { cron = "30 6 * * 1-5", time_zone = "Asia/Shanghai" }
}

run "refused_1" {
  command = plan

  variables {
    # a build from another region
    build = { repository = "projects/p/locations/us-east1/connections/c/repositories/r", state_bucket = "my-state" }
    # pictures without TLS
    card_url = "http://cards.example.com/{ticker}.png"
    # config of nobody
    config_ownership = "nobody"
    # three engines
    engines = { for name, engine in var.engines : name => engine if name != "qa" }
    # no image
    image = null
    # a label with capitals
    labels = { Team = "cards" }
    # a language that the job does not have
    language = "zh_CN"
    # a network for some traffic
    network = { network = "vpc", subnetwork = "jobs", egress = "SOME" }
    # a maintainer without a kind
    maintainers = ["me@example.com"]
    # everybody as operator
    operators = ["allUsers"]
    # records for no day
    runs_retention_days = 0
    # a cron with four fields
    schedule = merge(var.schedule, { cron = "30 6 * *" })
    # everybody as viewer
    viewers = ["allUsers"]
  }

  expect_failures = [var.build, var.card_url, var.config_ownership, var.engines, var.image, var.labels, var.language, var.maintainers, var.network, var.operators, var.runs_retention_days, var.schedule, var.viewers]
}

run "refused_2" {
  command = plan

  variables {
    # a build of no branch
    build = { repository = "projects/p/locations/asia-east1/connections/c/repositories/r", state_bucket = "my-state", branch = "^main$" }
    # pictures of a misspelt placeholder
    card_url = "https://cards.example.com/{tickers}.png"
    # a fifth engine
    engines = merge(var.engines, { other = { url = "https://o" } })
    # a bootstrap with an image
    bootstrap = true
    # a label with spaces in its value
    labels = { team = "stock cards" }
    # an operator without its kind
    operators = ["me@example.com"]
    # a cron with six fields
    schedule = merge(var.schedule, { cron = "0 30 6 * * 1-5" })
  }

  expect_failures = [var.build, var.card_url, var.engines, var.image, var.labels, var.operators, var.schedule]
}

run "refused_3" {
  command = plan

  variables {
    # a build with its state at a url
    build = { repository = "projects/p/locations/asia-east1/connections/c/repositories/r", state_bucket = "gs://my-state" }
    # an engine nowhere
    engines = merge(var.engines, { qa = { concurrency = 1 } })
    # an image by its tag
    image = "asia-east1-docker.pkg.dev/my-project/batch-orchestrator/job:latest"
    # a cron with minute 60
    schedule = merge(var.schedule, { cron = "60 6 * * *" })
  }

  expect_failures = [var.build, var.engines, var.image, var.schedule]
}

run "refused_4" {
  command = plan

  variables {
    # an engine by its path
    engines = merge(var.engines, { qa = { service = "projects/p/qa" } })
    # an image with half a digest
    image = "asia-east1-docker.pkg.dev/my-project/batch-orchestrator/job@sha256:0123"
    # a cron with hour 24
    schedule = merge(var.schedule, { cron = "0 24 * * *" })
  }

  expect_failures = [var.engines, var.image, var.schedule]
}

run "refused_5" {
  command = plan

  variables {
    # a project without a service
    engines = merge(var.engines, { qa = { url = "https://q", project = "other-project" } })
    # an image from elsewhere
    image = "asia-east1-docker.pkg.dev/my-project/other/job@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    # a cron with day 0
    schedule = merge(var.schedule, { cron = "0 6 0 * *" })
  }

  expect_failures = [var.engines, var.image, var.schedule]
}

run "refused_6" {
  command = plan

  variables {
    # a region without a service
    engines = merge(var.engines, { qa = { url = "https://q", region = "us-east1" } })
    # a cron with month 13
    schedule = merge(var.schedule, { cron = "0 6 1 13 *" })
  }

  expect_failures = [var.engines, var.schedule]
}

run "refused_7" {
  command = plan

  variables {
    # an engine in the clear
    engines = merge(var.engines, { qa = { url = "http://qa.example.com" } })
    # a cron with weekday 8
    schedule = merge(var.schedule, { cron = "0 6 * * 8" })
  }

  expect_failures = [var.engines, var.schedule]
}

run "refused_8" {
  command = plan

  variables {
    # an engine that only looks like loopback
    engines = merge(var.engines, { qa = { url = "http://127.0.0.1.example.com" } })
    # a cron with words
    schedule = merge(var.schedule, { cron = "every 24 hours" })
  }

  expect_failures = [var.engines, var.schedule]
}

run "refused_9" {
  command = plan

  variables {
    # an engine with a query
    engines = merge(var.engines, { qa = { url = "https://q/?a=1" } })
    # a cron with a step of 0
    schedule = merge(var.schedule, { cron = "*/0 6 * * *" })
  }

  expect_failures = [var.engines, var.schedule]
}

run "refused_10" {
  command = plan

  variables {
    # an engine with a fragment
    engines = merge(var.engines, { qa = { url = "https://q/#a" } })
    # a cron with an empty list
    schedule = merge(var.schedule, { cron = "1, 6 * * *" })
  }

  expect_failures = [var.engines, var.schedule]
}

run "refused_11" {
  command = plan

  variables {
    # an engine with a password
    engines = merge(var.engines, { qa = { url = "https://me:secret@q" } })
    # a time zone of an offset
    schedule = merge(var.schedule, { time_zone = "+08:00" })
  }

  expect_failures = [var.engines, var.schedule]
}

run "refused_12" {
  command = plan

  variables {
    # an engine of another scheme
    engines = merge(var.engines, { qa = { url = "ftp://q" } })
    # a time zone of a space
    schedule = merge(var.schedule, { time_zone = "Asia Shanghai" })
  }

  expect_failures = [var.engines, var.schedule]
}

run "refused_13" {
  command = plan

  variables {
    # a blank audience
    engines = merge(var.engines, { qa = { url = "https://q", audience = " " } })
    # a time zone of nothing
    schedule = merge(var.schedule, { time_zone = "" })
  }

  expect_failures = [var.engines, var.schedule]
}

run "refused_14" {
  command = plan

  variables {
    # a timeout of more than an hour
    engines = merge(var.engines, { qa = { url = "https://q", timeout_seconds = 3601 } })
    # an attempt deadline of 10 seconds
    schedule = merge(var.schedule, { attempt_deadline_seconds = 10 })
  }

  expect_failures = [var.engines, var.schedule]
}

run "refused_15" {
  command = plan

  variables {
    # a timeout under a second
    engines = merge(var.engines, { qa = { url = "https://q", timeout_seconds = 0.5 } })
    # six retries
    schedule = merge(var.schedule, { retry = { count = 6 } })
  }

  expect_failures = [var.engines, var.schedule]
}

run "refused_16" {
  command = plan

  variables {
    # a concurrency of 0
    engines = merge(var.engines, { qa = { url = "https://q", concurrency = 0 } })
    # backoffs the wrong way round
    schedule = merge(var.schedule, { retry = { min_backoff_seconds = 60, max_backoff_seconds = 30 } })
  }

  expect_failures = [var.engines, var.schedule]
}

run "refused_17" {
  command = plan

  variables {
    # a concurrency of 8193
    engines = merge(var.engines, { qa = { url = "https://q", concurrency = 8193 } })
    # half a doubling
    schedule = merge(var.schedule, { retry = { max_doublings = 0.5 } })
  }

  expect_failures = [var.engines, var.schedule]
}

run "refused_18" {
  command = plan

  variables {
    # half an attempt
    engines = merge(var.engines, { qa = { url = "https://q", attempts = 1.5 } })
    # a negative duration
    schedule = merge(var.schedule, { retry = { max_duration_seconds = -1 } })
  }

  expect_failures = [var.engines, var.schedule]
}

run "refused_19" {
  command = plan

  variables {
    # alerts without a channel
    alerts = { notification_channels = [], success_by = "09:00" }
    # too many attempts
    engines = merge(var.engines, { qa = { url = "https://q", attempts = 21 } })
  }

  expect_failures = [var.alerts, var.engines]
}

run "refused_20" {
  command = plan

  variables {
    # alerts to an address
    alerts = { notification_channels = ["me@example.com"], success_by = "09:00" }
    # batches of cards
    engines = merge(var.engines, { qa = { url = "https://q", batch_size = 5 } })
  }

  expect_failures = [var.alerts, var.engines]
}

run "refused_21" {
  command = plan

  variables {
    # alerts at no time of day
    alerts = { notification_channels = ["projects/p/notificationChannels/1"], success_by = "24:00" }
    # batches of 0
    engines = merge(var.engines, { trading = { url = "https://t", batch_size = 0 } })
  }

  expect_failures = [var.alerts, var.engines]
}

run "refused_22" {
  command = plan

  variables {
    # alerts before the run
    alerts = { notification_channels = ["projects/p/notificationChannels/1"], success_by = "06:30" }
    # batches of 1001
    engines = merge(var.engines, { trading = { url = "https://t", batch_size = 1001 } })
  }

  expect_failures = [var.alerts, var.engines]
}

run "refused_23" {
  command = plan

  variables {
    # half a cpu
    job = { cpu = 0.5 }
  }

  expect_failures = [var.job]
}

run "refused_24" {
  command = plan

  variables {
    # too little memory
    job = { memory_mib = 256 }
  }

  expect_failures = [var.job]
}

run "refused_25" {
  command = plan

  variables {
    # too many retries
    job = { max_retries = 11 }
  }

  expect_failures = [var.job]
}

run "refused_26" {
  command = plan

  variables {
    # a timeout of more than a week
    job = { task_timeout_seconds = 604801 }
  }

  expect_failures = [var.job]
}

run "refused_27" {
  command = plan

  variables {
    # a deadline of no whole second
    job = { deadline_seconds = 5000.5 }
  }

  expect_failures = [var.job]
}

run "refused_28" {
  command = plan

  variables {
    # a deadline too close to the timeout
    job = { task_timeout_seconds = 10000, deadline_seconds = 9941 }
  }

  expect_failures = [var.job]
}

run "refused_29" {
  command = plan

  variables {
    # a deadline before all attempts of the defaults
    job = { deadline_seconds = 4799 }
  }

  expect_failures = [var.job]
}

run "refused_30" {
  command = plan

  variables {
    # a timeout before all attempts of the defaults
    job = { task_timeout_seconds = 4859 }
  }

  expect_failures = [var.job]
}

run "refused_31" {
  command = plan

  variables {
    # a name too long for its accounts
    name = "batch-orchestrator-two"
  }

  expect_failures = [var.name]
}

run "refused_32" {
  command = plan

  variables {
    # a project by its number
    project_id = "123456789012"
    image      = null
    bootstrap  = true
  }

  expect_failures = [var.project_id]
}

run "refused_33" {
  command = plan

  variables {
    # a zone as region
    region    = "asia-east1-b"
    image     = null
    bootstrap = true
  }

  expect_failures = [var.region]
}

run "refused_34" {
  command = plan

  variables {
    # more memory than one cpu takes
    job = { memory_mib = 4097 }
  }

  expect_failures = [var.job]
}

run "refused_35" {
  command = plan

  variables {
    # less memory than four cpus take
    job = { cpu = 4, memory_mib = 2047 }
  }

  expect_failures = [var.job]
}

run "refused_36" {
  command = plan

  variables {
    # a port that is none
    engines = merge(var.engines, { qa = { url = "https://q:port" } })
  }

  expect_failures = [var.engines]
}

run "refused_37" {
  command = plan

  variables {
    # a host that is not ASCII
    engines = merge(var.engines, { qa = { url = "https://图.example" } })
  }

  expect_failures = [var.engines]
}

run "refused_38" {
  command = plan

  variables {
    # a loopback address that is none
    engines = merge(var.engines, { qa = { url = "http://127.0.0.999" } })
  }

  expect_failures = [var.engines]
}

run "refused_39" {
  command = plan

  variables {
    # dots for a path segment
    engines = merge(var.engines, { qa = { url = "https://q/v1/../v2" } })
  }

  expect_failures = [var.engines]
}

run "refused_40" {
  command = plan

  variables {
    # a data engine with as many calls in flight as only qa may have
    engines = merge(var.engines, { news = { url = "https://n", concurrency = 1025 } })
  }

  expect_failures = [var.engines]
}

run "refused_41" {
  command = plan

  variables {
    # half a call in flight
    engines = merge(var.engines, { qa = { url = "https://q", concurrency = 4095.5 } })
  }

  expect_failures = [var.engines]
}

run "refused_42" {
  command = plan

  variables {
    # too little memory for so many calls in flight
    engines = merge(var.engines, { qa = { url = "https://q", concurrency = 4096 } })
    job     = { memory_mib = 1023 }
  }

  expect_failures = [var.job]
}

run "refused_43" {
  command = plan

  variables {
    # a secret by its path
    notify = { secret = "projects/p/secrets/hook" }
  }

  expect_failures = [var.notify]
}

run "refused_44" {
  command = plan

  variables {
    # one secret for both
    notify = { secret = "hook", signing_secret = "hook" }
  }

  expect_failures = [var.notify]
}

run "refused_45" {
  command = plan

  variables {
    # messages about successes alone
    notify = { secret = "hook", only = "successes" }
  }

  expect_failures = [var.notify]
}

# --- what lies just inside the limits is not refused ---

run "the_most_calls_in_flight" {
  command = plan

  variables {
    engines = merge(var.engines, {
      news = { url = "https://n", concurrency = 1024 }
      qa   = { url = "https://q", concurrency = 8192 }
    })
    job = { memory_mib = 1024 }
  }

  assert {
    condition     = local.environment.QA_ENGINE_CONCURRENCY == "8192" && local.environment.NEWS_ENGINE_CONCURRENCY == "1024"
    error_message = "The job gets something else."
  }
}

run "the_narrowest_deadline" {
  command = plan

  variables {
    job = { task_timeout_seconds = 4860, deadline_seconds = 4800 }
  }

  assert {
    condition = [
      for env in google_cloud_run_v2_job.main["run"].template[0].template[0].containers[0].env : env.value
      if env.name == "RUN_DEADLINE_SECONDS"
    ] == ["4800"]
    error_message = "The deadline is another."
  }
}

run "the_least_memory_of_four_cpus" {
  command = plan

  variables {
    job = { cpu = 4, memory_mib = 2048 }
  }

  assert {
    condition     = google_cloud_run_v2_job.main["run"].template[0].template[0].containers[0].resources[0].limits == tomap({ cpu = "4", memory = "2048Mi" })
    error_message = "The container gets something else."
  }
}

run "engines_and_schedule_at_their_limits" {
  command = plan

  variables {
    engines = merge(var.engines, {
      trading = { url = "https://t", batch_size = 1000, concurrency = 1 }
      qa      = { url = "https://q/v1", attempts = 1, audience = "a", concurrency = 4095, timeout_seconds = 3600 }
    })
    schedule = merge(var.schedule, { cron = "*/5 0,23 31 1-12 7", attempt_deadline_seconds = 1800, retry = { count = 5, max_doublings = 0 } })
  }

  assert {
    condition     = local.environment.QA_ENGINE_TIMEOUT == "3600" && local.environment.TRADING_ENGINE_BATCH_SIZE == "1000"
    error_message = "The job gets something else."
  }
  assert {
    condition     = google_cloud_scheduler_job.main["run"].attempt_deadline == "1800s" && google_cloud_scheduler_job.main["run"].schedule == "*/5 0,23 31 1-12 7"
    error_message = "The scheduler gets something else."
  }
}
