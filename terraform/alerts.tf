locals {
  # Both show as a failed execution of one of the two jobs.
  execution_alerts = {
    run = {
      job   = local.run.name
      title = "${var.name}: the run failed"
      help  = "The last line of the execution's log says what is missing. Once that is put right, start the job again: `make execute`. The run goes on where it stopped, and no card is made twice."
    }
    verify = {
      job   = local.verify.name
      title = "${var.name}: no success by the hour" # without the hour: to change it stays a change of the schedule alone
      help  = "No run of today has done all its work. Look at the last execution of ${var.name}, then start it again: Execute, or `make execute`."
    }
  }
}

resource "google_monitoring_alert_policy" "execution" {
  for_each = { for key, alert in local.execution_alerts : key => alert if var.alerts != null }

  project               = var.project_id
  display_name          = each.value.title
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = var.alerts.notification_channels
  user_labels           = var.labels

  conditions {
    display_name = "An execution failed"
    condition_threshold {
      filter = join(" AND ", [
        "metric.type = \"run.googleapis.com/job/completed_execution_count\"",
        "resource.type = \"cloud_run_job\"",
        "resource.labels.job_name = \"${each.value.job}\"",
        "metric.labels.result = \"failed\"",
      ])
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"
      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_SUM"
        cross_series_reducer = "REDUCE_SUM"
      }
      trigger {
        count = 1
      }
    }
  }

  alert_strategy {
    auto_close = "1800s" # otherwise tomorrow's failure would join today's incident, and send no mail
  }

  documentation {
    content   = "${each.value.help}\n\n[Executions and logs](${local.executions_url})"
    mime_type = "text/markdown"
  }

  depends_on = [google_project_service.main]
}

# If the scheduler cannot start a job, there is no execution that could fail.
resource "google_monitoring_alert_policy" "scheduler" {
  count = var.alerts == null ? 0 : 1

  project               = var.project_id
  display_name          = "${var.name}: the scheduler could not start it"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = var.alerts.notification_channels
  user_labels           = var.labels

  conditions {
    display_name = "The scheduler's log has an error"
    condition_matched_log {
      filter = join(" AND ", [
        "resource.type = \"cloud_scheduler_job\"",
        "resource.labels.job_id = (\"${local.run.name}\" OR \"${local.verify.name}\")",
        "severity >= ERROR",
      ])
    }
  }

  alert_strategy {
    auto_close = "1800s"
    notification_rate_limit {
      period = "3600s"
    }
  }

  documentation {
    content   = "The schedule fired, the job did not start. To start it by hand: `make execute`.\n\n[Executions and logs](${local.executions_url})"
    mime_type = "text/markdown"
  }

  depends_on = [google_project_service.main]
}

# A message that is not sent does not fail its run. Without this alert, nobody would notice that messages have stopped.
resource "google_monitoring_alert_policy" "notification" {
  count = var.alerts == null || var.notify == null ? 0 : 1

  project               = var.project_id
  display_name          = "${var.name}: the message about a run was not sent"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = var.alerts.notification_channels
  user_labels           = var.labels

  conditions {
    display_name = "The job's log says so"
    condition_matched_log {
      filter = join(" AND ", [
        "resource.type = \"cloud_run_job\"",
        "resource.labels.job_name = (\"${local.run.name}\" OR \"${local.verify.name}\")",
        "jsonPayload.event = \"notification.failed\"",
      ])
    }
  }

  alert_strategy {
    auto_close = "1800s"
    notification_rate_limit {
      period = "3600s"
    }
  }

  documentation {
    content   = "The line `notification.failed` in the execution's log says why. To send a test message, a maintainer runs `make execute ARGS=notify,--test`.\n\n[Executions and logs](${local.executions_url})"
    mime_type = "text/markdown"
  }

  depends_on = [google_project_service.main]
}
