variable "alerts" {
  description = "Who gets a mail (`notification_channels`, by their full names) when a run fails, cannot be started, or has not succeeded by `success_by` (HH:MM, every day, in the schedule's time zone; at the schedule's own minute it would fail, as the night has only begun; leave a night the time that it takes, an engine's `patience_seconds`, and six times its timeout)."
  type = object({
    notification_channels = list(string)
    success_by            = string
  })
  default = null

  validation {
    condition     = var.alerts == null || length(try(var.alerts.notification_channels, [])) > 0
    error_message = "alerts.notification_channels: is empty; name a channel, or leave alerts out."
  }
  validation {
    condition     = var.alerts == null || can(regex("^([01][0-9]|2[0-3]):[0-5][0-9]$", var.alerts.success_by))
    error_message = "alerts.success_by: is not a time of day; write HH:MM."
  }
}

variable "build" {
  description = "Deploys merges: the connected `repository`, the `branch` whose pushes are deployed, and whether a merge also makes the bucket's config the same as terraform/config/ (`ships_config`)."
  type = object({
    branch       = optional(string, "main")
    repository   = string
    ships_config = optional(bool, true)
  })
  default = null

  validation {
    condition     = var.build == null || can(regex("^projects/[^/]+/locations/${var.region}/connections/[^/]+/repositories/[^/]+$", var.build.repository))
    error_message = "build.repository: is not a connected repository of this region; write projects/PROJECT/locations/${var.region}/connections/CONNECTION/repositories/REPO, with the NAME that `gcloud builds repositories list --connection=CONNECTION --region=${var.region}` prints."
  }
}

variable "card_url" {
  description = "Where a made card's picture is: the pages and tables of runs link to it. `{date}`, `{ticker}` and `{card_type}` are replaced."
  type        = string
  default     = null

  validation {
    condition     = var.card_url == null || can(regex("^https://[^/?#{}]+([/?#]([^{}]|\\{(date|ticker|card_type)\\})*)?$", var.card_url))
    error_message = "card_url: is not an https URL with no other braces than {date}, {ticker} and {card_type}; write one such as https://cards.example.com/{date}/{ticker}/{card_type}.png."
  }
}

variable "engines" {
  description = "The engines of the job, each by `service`, a Cloud Run service (in `project` and `region`) that Terraform looks up and lets the job call, or by `url`, which its owner has to let the job call. What else is left out has the job's own default. `attempts` counts only for qa, and `batch_size` only for an engine that takes batches."
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
    condition     = toset(keys(var.engines)) == toset(local.engine_names)
    error_message = "engines: are not those of the job; name ${join(", ", local.engine_names)}, each once."
  }
  validation {
    condition     = alltrue([for engine in var.engines : (engine.service == null) != (engine.url == null)])
    error_message = "engines: one has neither service nor url, or both; give one of the two."
  }
  validation {
    condition     = alltrue([for engine in var.engines : engine.url == null || can(regex("^https://[^/]+", engine.url))])
    error_message = "engines: a url does not begin with https://; write the engine's https URL."
  }
  validation {
    condition     = alltrue([for engine in values(var.engines)[*].timeout_seconds : try(engine >= 1 && engine <= 3600, true)])
    error_message = "engines: one has a timeout_seconds that is not from 1 to 3600; Cloud Run ends every request after an hour."
  }
  validation {
    condition     = alltrue([for engine in values(var.engines)[*].attempts : try(engine == max(1, min(floor(engine), 20)), true)])
    error_message = "engines: one has attempts that are not a whole number from 1 to 20."
  }
  validation {
    condition     = alltrue([for name, engine in var.engines : try(engine.concurrency == max(1, min(floor(engine.concurrency), name == "qa" ? 8192 : 1024)), true)])
    error_message = "engines: one has a concurrency that is not a whole number from 1 to 1024, or to 8192 for qa."
  }
  validation {
    condition     = alltrue([for engine in values(var.engines)[*].batch_size : try(engine == max(1, min(floor(engine), 1000)), true)])
    error_message = "engines: one has a batch_size that is not a whole number from 1 to 1000."
  }
  validation {
    condition     = alltrue([for engine in values(var.engines)[*].patience_seconds : try(engine >= 0 && engine <= 86400, true)])
    error_message = "engines: one has a patience_seconds that is not from 0 to 86400, the seconds of a day."
  }
  validation {
    condition     = alltrue([for engine in values(var.engines)[*].per_minute : try(engine == max(1, min(floor(engine), 60000)), true)])
    error_message = "engines: one has a per_minute that is not a whole number from 1 to 60000; without a quota, leave it out."
  }
}

variable "force_destroy" {
  description = "Whether a destroy also deletes the two buckets and everything in them. Otherwise they stay."
  type        = bool
  default     = false
  nullable    = false
}

variable "job" {
  description = "What an execution gets: `cpu`, `memory_mib`, `task_timeout_seconds` for one attempt (60 seconds before it ends, no more calls are started), and `max_retries`."
  type = object({
    cpu                  = optional(number, 1)
    max_retries          = optional(number, 1)
    memory_mib           = optional(number, 512)
    task_timeout_seconds = optional(number, 10800)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.job.task_timeout_seconds > 60
    error_message = "job.task_timeout_seconds: is not above 60, the seconds that a run needs to close its record; write as many as a night takes, and these."
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
  description = "The name of the job, for good. The names of everything else start with it."
  type        = string
  default     = "batch-orchestrator"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,18}[a-z0-9]$", var.name))
    error_message = "name: is not 3 to 20 lower-case letters, digits and dashes, starting with a letter; an account's name, which adds to it, takes no more."
  }
}

variable "network" {
  description = "Sends the job's traffic through a VPC: `network` and `subnetwork` by name, network `tags`, and all traffic (`egress = \"ALL_TRAFFIC\"`) or only that to private addresses."
  type = object({
    egress     = optional(string, "PRIVATE_RANGES_ONLY")
    network    = string
    subnetwork = string
    tags       = optional(list(string), [])
  })
  default = null
}

variable "notify" {
  description = "Where the job sends a message when a run has ended: the secret that holds a webhook's URL, and the `signing_secret` with which the bot is signed, both by their names in Secret Manager. With `only = \"failures\"`, a success is told only if it is the first after a failure."
  type = object({
    only           = optional(string, "all")
    secret         = string
    signing_secret = optional(string)
  })
  default = null
}

variable "people" {
  description = "Who may look (`viewers`), also start the job and edit its config (`operators`), and also start it with other arguments and variables (`maintainers`, who thereby have all rights of the job's account)."
  type = object({
    maintainers = optional(set(string), [])
    operators   = optional(set(string), [])
    viewers     = optional(set(string), [])
  })
  default  = {}
  nullable = false

  validation {
    condition = alltrue([
      for member in flatten([for list in var.people : tolist(list)]) :
      can(regex("^(user|group|serviceAccount):[^\\s:]+@[^\\s:]+$|^principal(Set)?://\\S+$", member))
    ])
    error_message = "people: one is not a member; write group:cards@example.com, user:… or serviceAccount:…."
  }
}

variable "project_id" {
  description = "The project that holds all of this."
  type        = string
  nullable    = false
}

variable "region" {
  description = "The region of job, schedule, buckets and images, such as asia-east1, for good."
  type        = string
  nullable    = false
}

variable "runs_retention_days" {
  description = "How many days the records of runs are kept: at least 90, since the 60 nights that are read take 84 days if there are five in a week."
  type        = number
  default     = 90
  nullable    = false

  validation {
    condition     = var.runs_retention_days >= 90
    error_message = "runs_retention_days: is below 90; the job reads 60 nights, and five in a week take 84 days. Write 90 or more."
  }
}

variable "schedule" {
  description = "When the job starts: `cron` in `time_zone` (an IANA name), and whether it is `paused`. A start is for the day of the latest scheduled one. To be changed here alone: the job would not know of another schedule in the console."
  type = object({
    cron      = string
    paused    = optional(bool, false)
    time_zone = string
  })
  nullable = false

  validation {
    condition = can(regex(
      "^([0-9*,/-]+ +){3}([0-9*,/-]|JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)+ +([0-9*,/-]|SUN|MON|TUE|WED|THU|FRI|SAT)+$",
      upper(trimspace(var.schedule.cron))
    ))
    error_message = "schedule.cron: is not a cron line; write minute, hour, day of the month, month and day of the week, such as \"30 6 * * 1-5\"."
  }
}
