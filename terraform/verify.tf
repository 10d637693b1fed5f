# No metric shows that a daily run did not happen: an alert on absence can wait for at most 23.5 hours. So a second job
# looks for today's success at the hour of `success_by`, on the days of the run, and fails if there is none.
locals {
  verify = {
    name            = "${var.name}-verify"
    args            = ["verify"]
    body            = "{}"
    cron            = join(" ", concat(local.success_by, slice(local.cron_fields, 2, 5)))
    max_retries     = 0 # a failure is the answer that there is no success yet; a retry would send a second message
    timeout_seconds = 300
  }
  cron_fields = split(" ", replace(var.schedule.cron, "/ +/", " "))
  success_by  = [for part in reverse(split(":", try(var.alerts.success_by, "0:0"))) : tostring(tonumber(part))]
}
