check "somebody_is_told" {
  assert {
    condition     = var.alerts != null || var.notify != null
    error_message = "alerts, notify: neither is set, so nobody is told of a night that failed. Set alerts (README.md, \"From nothing to a scheduled run\"): it alone tells of a night that never began."
  }
}

locals {
  # What is so whenever the mail is read: nobody knows by then whether a command still helps.
  page     = "https://storage.cloud.google.com/${google_storage_bucket.runs.name}/runs/index.html"
  recorded = "[The page of the nights](${local.page}) says how the latest night stands, and leads to what to do, as far as it is recorded. If it has nothing of that night, as of a start that never began, open the execution, read the red line, and call an owner of the project with it; do not start the job before."

  # Both show as a failed execution of one of the two jobs.
  execution_alerts = {
    run = {
      title = "${var.name}: a start failed, or a command was refused"
      help  = "The last line of its log says which. ${local.recorded}${try(var.build.check, false) ? " If the execution is the `check` of a merge, no night has failed: its log names the engine that is not healthy, or the fault of the config." : ""}"
    }
    verify = {
      title = "${var.name}: no success by the hour" # without the hour: to change it stays a change of the schedule alone
      help  = "${var.name}-verify found the latest night not done, or could not look. It may be done by now, or be at work. ${local.recorded} If no execution began, the schedule may be paused."
    }
  }
  run_filter = "resource.type = \"cloud_run_job\" AND resource.labels.job_name = \"${var.name}\""
  log_alerts = merge(
    {
      # The job repeats the line every five minutes. No label: one whose value changes would open an incident at each.
      engine = {
        title    = "${var.name}: an engine is out"
        severity = "WARNING"
        help     = "An engine has done no call for five minutes or longer. The start goes on, and nothing has to be started. The latest line `engine.failing` says which engine and since when, its last answer, how many tries may have been charged, and by when the start ends if the engine stays out. If it will not come back, the execution may be cancelled: [these lines](${local.log_url}${urlencode("jsonPayload.event=\"engine.failing\"")}?project=${var.project_id})."
        filter   = "${local.run_filter} AND jsonPayload.event = \"engine.failing\" AND jsonPayload.seconds >= 300"
      }
      # Such a start may have exited with 0: another exit code would have Cloud Run start it again.
      record = {
        title    = "${var.name}: the record is incomplete"
        severity = "ERROR"
        help     = "Storage did not take all results of a start. Do what its message says. If all work is done, or without a message, do not start the job again: it would make, and pay for, what is not recorded. Call an owner of the project, who looks whether the job's account may still write into the bucket of the record. What the start has made is in [its end](${local.log_url}${urlencode("jsonPayload.unrecorded>0")}?project=${var.project_id})."
        filter   = "${local.run_filter} AND jsonPayload.event = \"run.finished\" AND jsonPayload.unrecorded > 0"
      }
      # Then there is no execution that could fail. The log has a line for each attempt, and none says whether it was the last.
      scheduler = {
        title    = "${var.name}: the scheduler could not start it"
        severity = "ERROR"
        help     = "The schedule fired, and an attempt to start the job failed. There are up to four, so an execution may have begun since."
        filter = join(" AND ", [
          "resource.type = \"cloud_scheduler_job\"",
          "resource.labels.job_id = (\"${var.name}\" OR \"${var.name}-verify\")",
          "severity >= ERROR",
        ])
      }
    },
    var.notify == null ? {} : {
      notification = {
        title    = "${var.name}: the message about a run was not sent" # which does not fail the run
        severity = "WARNING"
        help     = "The line `notification.failed` in the execution's log says why. If the chat refused it, its address or its secret is not valid any more: an owner of the project gives it anew. How the night went is on [the page of the nights](${local.page})."
        filter = join(" AND ", [
          "resource.type = \"cloud_run_job\"",
          "resource.labels.job_name = (\"${var.name}\" OR \"${var.name}-verify\")",
          "jsonPayload.event = \"notification.failed\"",
        ])
      }
    },
  )
}

resource "google_monitoring_alert_policy" "execution" {
  for_each = var.alerts == null ? {} : local.execution_alerts

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
        "resource.labels.job_name = \"${local.jobs[each.key].name}\"",
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

resource "google_monitoring_alert_policy" "log" {
  for_each = var.alerts == null ? {} : local.log_alerts

  project               = var.project_id
  display_name          = each.value.title
  combiner              = "OR"
  severity              = each.value.severity
  notification_channels = var.alerts.notification_channels
  user_labels           = var.labels

  conditions {
    display_name = "The log says so"
    condition_matched_log {
      filter = each.value.filter
    }
  }

  alert_strategy {
    auto_close = "1800s"
    notification_rate_limit {
      period = "3600s"
    }
  }

  documentation {
    content   = "${each.value.help}\n\n[Executions and logs](${local.executions_url})"
    mime_type = "text/markdown"
  }

  depends_on = [google_project_service.main]
}
