variable "alerts" {
  description = "Who gets a mail (`notification_channels`) of a failure, and if by `success_by` (HH:MM, in the schedule's time zone) the night is not done."
  type = object({
    notification_channels = list(string)
    success_by            = string
  })
  default = null

  validation {
    condition     = var.alerts == null || try(length(var.alerts.notification_channels) > 0, false)
    error_message = "alerts.notification_channels: is empty; name a channel, or leave alerts out."
  }
  validation {
    condition     = var.alerts == null || can(regex("^([01][0-9]|2[0-3]):[0-5][0-9]$", var.alerts.success_by))
    error_message = "alerts.success_by: is not a time of day; write HH:MM."
  }
}

variable "build" {
  description = "Deploys merges to `branch` of the connected `repository`, and with `ships_config` its config; with `check`, it then runs the job's `check`."
  type = object({
    branch       = optional(string, "main")
    check        = optional(bool, false)
    repository   = string
    ships_config = optional(bool, true)
  })
  default = null

  validation {
    condition     = var.build == null || can(regex("^[^\\s~^:?*\\[\\\\]+$", var.build.branch)) && !can(regex("^(refs/|-)", var.build.branch))
    error_message = "build.branch: is not the name of a branch; write it alone, such as main."
  }
  validation {
    condition = var.build == null || can(regex("^projects/[^/]+/locations/${var.region}/connections/[^/]+/repositories/[^/]+$", var.build.repository))
    error_message = join("", [
      "build.repository: is not a connected repository of this region; write projects/PROJECT/locations/${var.region}/connections/CONNECTION/",
      "repositories/REPO, with the NAME that `gcloud builds repositories list --connection=CONNECTION --region=${var.region}` prints."
    ])
  }
}

variable "card_url" {
  description = "Where a made card's picture is: the pages and tables of runs link to it. `{date}`, `{ticker}` and `{card_type}` are replaced."
  type        = string
  default     = null

  validation {
    condition     = var.card_url == null || can(regex("^https://[A-Za-z0-9._:\\[\\]-]+([/?#]([^{}\\s\\\\]|\\{(date|ticker|card_type)\\})*)?$", var.card_url))
    error_message = "card_url: is not an https URL with no other braces than these; write one such as https://example.com/{date}/{ticker}/{card_type}.png."
  }
}

variable "engines" {
  description = "The engines, each by `service`, which Terraform looks up and lets the job call, or by `url`. What is left out has the job's own default."
  type = map(object({
    attempts         = optional(number)
    audience         = optional(string)
    batch_size       = optional(number)
    concurrency      = optional(number)
    patience_seconds = optional(number)
    per_minute       = optional(number)
    project          = optional(string)
    region           = optional(string)
    service          = optional(string)
    timeout_seconds  = optional(number)
    url              = optional(string)
  }))
  nullable = false

  validation {
    condition     = toset(keys(var.engines)) == toset(keys(local.own_settings))
    error_message = "engines: are not those of the job; name ${join(", ", keys(local.own_settings))}, each once."
  }
}

variable "force_destroy" {
  description = "Whether a destroy also deletes the two buckets and everything in them. Otherwise they stay."
  type        = bool
  default     = false
  nullable    = false
}

variable "job" {
  description = "What an execution gets: `cpu`, `memory_mib`, `max_retries`, and for each attempt `task_timeout_seconds`, in whose last 60 no call is started."
  type = object({
    cpu                  = optional(number, 1)
    max_retries          = optional(number, 1)
    memory_mib           = optional(number, 512)
    task_timeout_seconds = optional(number, 10800)
  })
  default  = {}
  nullable = false

  validation {
    condition     = contains([1, 2, 4, 6, 8], var.job.cpu)
    error_message = "job.cpu: is not 1, 2, 4, 6 or 8, which Cloud Run has for a job; write one of these."
  }
  validation {
    condition     = var.job.max_retries == max(0, min(floor(var.job.max_retries), 10))
    error_message = "job.max_retries: is not a whole number from 0 to 10."
  }
  validation {
    # By the CPUs, as Cloud Run allows it; another number of CPUs is a fault of its own.
    condition = try(
      var.job.memory_mib == floor(var.job.memory_mib)
      && var.job.memory_mib >= { 1 = 512, 2 = 512, 4 = 2048, 6 = 4096, 8 = 4096 }[var.job.cpu]
      && var.job.memory_mib <= 4096 * var.job.cpu,
      !contains([1, 2, 4, 6, 8], var.job.cpu)
    )
    error_message = join(" ", [
      "job.memory_mib: is not a whole number that Cloud Run allows for this job.cpu;",
      "write 512 to 4096 for 1, 512 to 8192 for 2, 2048 to 16384 for 4, 4096 to 24576 for 6, 4096 to 32768 for 8."
    ])
  }
  validation {
    condition     = var.job.task_timeout_seconds == max(61, min(floor(var.job.task_timeout_seconds), 604800))
    error_message = "job.task_timeout_seconds: is not a whole number from 61 to 604800; write the seconds that a night takes, and 60 to close its record."
  }
}

variable "labels" {
  description = "Labels of everything that can have labels."
  type        = map(string)
  default     = {}
  nullable    = false

}

variable "language" {
  description = "The language of the pages and of the messages about runs: `en` or `zh`."
  type        = string
  default     = "en"
  nullable    = false

  validation {
    condition     = contains(["en", "zh"], var.language)
    error_message = "language: is not one that the job speaks; write en or zh."
  }
}

variable "name" {
  description = "The name of the job, for good. The names of everything else contain it."
  type        = string
  default     = "batch-orchestrator"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,18}[a-z0-9]$", var.name))
    error_message = "name: is not 3 to 20 lower-case letters, digits and dashes, starting with a letter; an account's name, which adds to it, takes no more."
  }
}

variable "network" {
  description = "Sends traffic (`egress`: ALL_TRAFFIC, or that to private addresses) through a VPC: `network` and `subnetwork` by name, network `tags`."
  type = object({
    egress     = optional(string, "PRIVATE_RANGES_ONLY")
    network    = string
    subnetwork = string
    tags       = optional(list(string), [])
  })
  default = null

  validation {
    condition     = contains(["ALL_TRAFFIC", "PRIVATE_RANGES_ONLY"], try(var.network.egress, "ALL_TRAFFIC"))
    error_message = "network.egress: is not one that Cloud Run has; write ALL_TRAFFIC or PRIVATE_RANGES_ONLY."
  }
  validation {
    condition     = var.network == null || can(regex("^(projects/[^/]+/global/networks/)?[a-z]([a-z0-9-]*[a-z0-9])?$", var.network.network))
    error_message = "network.network: is not the name of a VPC; write it as `gcloud compute networks list` prints it."
  }
  validation {
    condition     = var.network == null || can(regex("^(projects/[^/]+/regions/[^/]+/subnetworks/)?[a-z]([a-z0-9-]*[a-z0-9])?$", var.network.subnetwork))
    error_message = "network.subnetwork: is not the name of a subnetwork; write it as `gcloud compute networks subnets list` prints it."
  }
}

variable "notify" {
  description = "Where a message about each run (or `only` failures) goes: the names of the `secret` with a webhook's URL and of the `signing_secret`."
  type = object({
    only           = optional(string, "all")
    secret         = string
    signing_secret = optional(string)
  })
  default = null

  validation {
    condition     = contains(["all", "failures"], try(var.notify.only, "all"))
    error_message = "notify.only: is not one that the job knows; write all or failures."
  }
  validation {
    condition     = var.notify == null || can(regex("^(projects/[^/]+/secrets/)?[A-Za-z0-9_-]{1,255}$", var.notify.secret))
    error_message = "notify.secret: is not the name of a secret; write it as `gcloud secrets list` prints it, and not what the secret holds."
  }
  validation {
    condition     = try(var.notify.signing_secret, null) == null || can(regex("^(projects/[^/]+/secrets/)?[A-Za-z0-9_-]{1,255}$", var.notify.signing_secret))
    error_message = "notify.signing_secret: is not the name of a secret; write it as `gcloud secrets list` prints it, and not what the secret holds."
  }
}

variable "people" {
  description = "Who may look (`viewers`), also start the job and edit its config (`operators`), also start it with other arguments (`maintainers`)."
  type = object({
    maintainers = optional(set(string), [])
    operators   = optional(set(string), [])
    viewers     = optional(set(string), [])
  })
  default  = {}
  nullable = false

}

variable "project_id" {
  description = "The project that holds all of this."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id: is not a project's id; write the PROJECT_ID that `gcloud projects list` prints, not its name or number."
  }
}

variable "region" {
  description = "The region of job, schedule, buckets and images, such as asia-east1, for good."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region: is not a region; write one such as asia-east1 (without a zone's letter)."
  }
}

variable "runs_retention_days" {
  description = "How many days the records of runs are kept: at least 90, since the 60 nights that are read take 84 days if there are five in a week."
  type        = number
  default     = 90
  nullable    = false

  validation {
    condition     = var.runs_retention_days == max(90, floor(var.runs_retention_days))
    error_message = "runs_retention_days: is not a whole number from 90 on; the job reads 60 nights, and five in a week take 84 days. Write 90 or more."
  }
}

variable "schedule" {
  description = "When the job starts: `cron` in `time_zone` (an IANA name), unless `paused`. To be changed here alone: the job has a copy of it."
  type = object({
    cron      = string
    paused    = optional(bool, false)
    time_zone = string
  })
  nullable = false

  validation {
    # What a field may have, then the numbers before each step: in their limits, and a range forwards.
    condition = can(regex(
      "^([0-9*,/-]+ +){3}([0-9*,/-]|JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)+ +([0-9*,/-]|SUN|MON|TUE|WED|THU|FRI|SAT)+$",
      upper(trimspace(var.schedule.cron))
      )) && alltrue(flatten([
        for index, field in regexall("[^ ]+", var.schedule.cron) : [
          for piece in split(",", field) : can(regex("^([*]|\\w+(-\\w+)?)(/[1-9][0-9]*)?$", piece)) && try(
            alltrue([
              for number in regexall("[0-9]+", split("/", piece)[0]) :
              number >= [0, 0, 1, 1, 0][index] && number <= [59, 23, 31, 12, 7][index]
            ]) && try(tonumber(regex("^[0-9]+", piece)) <= tonumber(regex("-([0-9]+)", piece)[0]), true),
            true
          )
        ]
    ]))
    error_message = join(" ", [
      "schedule.cron: is not a cron line; write minute (0-59), hour (0-23), day of the month (1-31), month (1-12) and",
      "day of the week (0-7), such as \"30 6 * * 1-5\", in which no range runs backwards."
    ])
  }
  validation {
    condition     = can(regex("^[A-Z][A-Za-z0-9_]*(-[A-Za-z]+)?$|^[A-Z][A-Za-z]+(/[A-Za-z0-9_+-]+)+$", var.schedule.time_zone))
    error_message = "schedule.time_zone: is not an IANA name; write one such as Asia/Shanghai or UTC."
  }
}
