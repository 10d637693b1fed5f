variable "alerts" {
  description = "Who gets a mail (`notification_channels`, by their full names) when a run fails, cannot be started, or has not succeeded by `success_by` (HH:MM in the schedule's time zone, on the days of the run)."
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
    condition     = alltrue([for name in try(var.alerts.notification_channels, []) : can(regex("^projects/[^/]+/notificationChannels/[^/]+$", name))])
    error_message = "alerts.notification_channels: has what is not a channel's full name; write projects/PROJECT/notificationChannels/NUMBER, as `gcloud beta monitoring channels list` prints it."
  }
  validation {
    condition     = var.alerts == null || can(regex("^([01][0-9]|2[0-3]):[0-5][0-9]$", var.alerts.success_by))
    error_message = "alerts.success_by: is not a time of day; write HH:MM."
  }
  validation {
    # It can be compared only if the schedule has a single hour and minute.
    condition = try(
      tonumber(split(":", var.alerts.success_by)[0]) * 60 + tonumber(split(":", var.alerts.success_by)[1])
      > tonumber(local.cron_fields[1]) * 60 + tonumber(local.cron_fields[0]),
      true
    )
    error_message = "alerts.success_by: is not later in the day than schedule.cron; on most days it would find no run of the day."
  }
}

variable "bootstrap" {
  description = "Makes everything except the job and its schedule: for the very first apply, when there is no image yet (`make apply BOOTSTRAP=1`)."
  type        = bool
  default     = false
  nullable    = false
}

variable "build" {
  description = "The Cloud Build triggers: the connected `repository` (projects/P/locations/R/connections/C/repositories/N, in this region), the `branch` whose pushes are deployed, and the bucket and prefix of the Terraform state."
  type = object({
    branch       = optional(string, "main")
    repository   = string
    state_bucket = string
    state_prefix = optional(string, "batch-orchestrator")
  })
  default = null

  validation {
    condition     = var.build == null || can(regex("^projects/[^/]+/locations/${var.region}/connections/[^/]+/repositories/[^/]+$", var.build.repository))
    error_message = "build.repository: is not a connected repository of this region; write projects/PROJECT/locations/${var.region}/connections/NAME/repositories/NAME, as `gcloud builds repositories list` prints it."
  }
  validation {
    condition     = var.build == null || can(regex("^[0-9A-Za-z_][0-9A-Za-z._+-]*(/[0-9A-Za-z_][0-9A-Za-z._+-]*)*$", var.build.branch))
    error_message = "build.branch: is not the name of a branch; write the name alone, such as main or release-1.0, not a pattern."
  }
  validation {
    condition     = var.build == null || can(regex("^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$", var.build.state_bucket))
    error_message = "build.state_bucket: is not the name of a bucket; write it without gs://."
  }
  validation {
    condition     = var.build == null || terraform.workspace == "default"
    error_message = "build: belongs into the workspace default, which the builds plan and apply; set it to null here."
  }
}

variable "card_url" {
  description = "Where a made card's picture is, such as https://cards.example.com/{date}/{ticker}/{card_type}.png: the pages and tables of runs link to it. `{date}`, `{ticker}` and `{card_type}` are replaced."
  type        = string
  default     = null

  validation {
    condition     = var.card_url == null || can(regex("^https://[0-9A-Za-z.-]+(:[0-9]+)?/\\S*$", var.card_url))
    error_message = "card_url: is not an https URL; write https://, the host, and a path with {date}, {ticker} and {card_type} where they belong."
  }
  validation {
    condition     = length(regexall("[{}]", replace(coalesce(var.card_url, "-"), "/\\{(date|ticker|card_type)\\}/", ""))) == 0
    error_message = "card_url: has a brace that belongs to none of {date}, {ticker} and {card_type}; these alone are replaced."
  }
}

variable "config_ownership" {
  description = "Who owns the config objects. `terraform`: each apply writes those of terraform/config. `operators`: the first apply writes them, then people edit them in the bucket."
  type        = string
  default     = "terraform"
  nullable    = false

  validation {
    condition     = contains(["terraform", "operators"], var.config_ownership)
    error_message = "config_ownership: is neither \"terraform\" nor \"operators\"."
  }
}

variable "deletion_protection" {
  description = "Protects job and schedule from being destroyed. Before a destroy, apply `false`."
  type        = bool
  default     = true
  nullable    = false
}

variable "engines" {
  description = "The engines financial, trading, news and qa. `service` is the name of a Cloud Run service (in `project` and `region`, by default this root's): Terraform looks up its URL and lets the job call it. With `url` alone, Terraform neither looks up nor grants anything: the output engine_grants has the commands for it. A field that is left out has the job's own default: `audience` of the tokens, `timeout_seconds` of one attempt, `concurrency`, `attempts`, and `batch_size` (tickers per call, financial and trading only)."
  type = map(object({
    attempts        = optional(number)
    audience        = optional(string)
    batch_size      = optional(number)
    concurrency     = optional(number)
    project         = optional(string)
    region          = optional(string)
    service         = optional(string)
    timeout_seconds = optional(number)
    url             = optional(string)
  }))
  nullable = false

  validation {
    condition     = toset(keys(var.engines)) == toset(["financial", "trading", "news", "qa"])
    error_message = "engines: are not the four; name financial, trading, news and qa, each once."
  }
  validation {
    condition     = alltrue([for engine in var.engines : engine.service != null || engine.url != null])
    error_message = "engines: one has neither service nor url; give one of them."
  }
  validation {
    condition     = alltrue([for engine in var.engines : engine.service == null || can(regex("^[a-z]([a-z0-9-]{0,47}[a-z0-9])?$", engine.service))])
    error_message = "engines: a service is not the name of a Cloud Run service; write the name alone."
  }
  validation {
    condition     = alltrue([for engine in var.engines : engine.service != null || (engine.project == null && engine.region == null)])
    error_message = "engines: project and region say where a service is; give the service too, or leave them out."
  }
  validation {
    condition = alltrue([
      for engine in var.engines : engine.url == null || can(regex("^(https://([0-9A-Za-z._~-]+|\\[[0-9A-Fa-f:.]+\\])|http://(localhost|127(\\.(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])){3}|\\[::1\\]))(:[0-9]{1,5})?(/[!-~]*)?$", engine.url))
    ])
    error_message = "engines: a url is not an https URL in ASCII, or has a user name or a password; set it to the engine's https URL; http goes to loopback only."
  }
  validation {
    condition     = !anytrue([for engine in var.engines : can(regex("[?#\\\\]|/[.]{1,2}(/|$)", engine.url))])
    error_message = "engines: a url has a query, a fragment, a backslash, or dots for a path segment; set it to the engine's https URL."
  }
  validation {
    condition     = alltrue([for engine in var.engines : engine.audience == null || can(regex("\\S", engine.audience))])
    error_message = "engines: an audience is blank; correct it or leave it out."
  }
  validation {
    condition     = alltrue([for engine in var.engines : engine.timeout_seconds == null || try(engine.timeout_seconds >= 1 && engine.timeout_seconds <= 3600, false)])
    error_message = "engines: a timeout_seconds is not a number of seconds from 1 to 3600; correct it or leave it out."
  }
  validation {
    condition     = alltrue([for name, engine in var.engines : engine.concurrency == null || try(engine.concurrency == floor(engine.concurrency) && engine.concurrency >= 1 && engine.concurrency <= (name == "qa" ? 8192 : 1024), false)])
    error_message = "engines: a concurrency is not a whole number from 1 to 1024, or to 8192 for qa; correct it or leave it out."
  }
  validation {
    condition     = alltrue([for engine in var.engines : engine.attempts == null || try(contains(range(1, 21), engine.attempts), false)])
    error_message = "engines: an attempts is not a whole number from 1 to 20; correct it or leave it out."
  }
  validation {
    condition     = alltrue([for engine in var.engines : engine.batch_size == null || try(contains(range(1, 1001), engine.batch_size), false)])
    error_message = "engines: a batch_size is not a whole number from 1 to 1000; correct it or leave it out."
  }
  validation {
    condition     = alltrue([for name, engine in var.engines : engine.batch_size == null || contains(["financial", "trading"], name)])
    error_message = "engines: only financial and trading have a batch_size; leave it out elsewhere."
  }
}

variable "force_destroy" {
  description = "Whether a destroy also deletes the buckets and everything in them. Otherwise they stay."
  type        = bool
  default     = false
  nullable    = false
}

variable "image" {
  description = "The image by its digest, in this root's own repository: REGION-docker.pkg.dev/PROJECT/NAME/job@sha256:…"
  type        = string
  default     = null

  validation {
    condition     = var.image != null || var.bootstrap
    error_message = "image: is missing; give the image by its digest (`make apply` takes the deployed one by itself). For the very first apply, when there is none yet: make apply BOOTSTRAP=1."
  }
  validation {
    condition     = var.image == null || !var.bootstrap
    error_message = "bootstrap: is for the very first apply, without an image; leave it out now that there is one."
  }
  validation {
    condition     = var.image == null || can(regex("^[^@:]+@sha256:[0-9a-f]{64}$", var.image))
    error_message = "image: is not fixed by a digest; end it with @sha256: and the digest's 64 characters: a tag would be another image tomorrow."
  }
  validation {
    condition     = var.image == null || startswith(coalesce(var.image, "-"), "${local.repository}/")
    error_message = "image: is not in ${local.repository}; push it there: only there is it kept from cleanup."
  }
}

variable "job" {
  description = "What an execution gets: `cpu`, `memory_mib`, `task_timeout_seconds` for one attempt, `max_retries` (a retry continues the run), and `deadline_seconds`, after which the run starts no call (by default 60 seconds before the timeout)."
  type = object({
    cpu                  = optional(number, 1)
    deadline_seconds     = optional(number)
    max_retries          = optional(number, 1)
    memory_mib           = optional(number, 512)
    task_timeout_seconds = optional(number, 10800)
  })
  default  = {}
  nullable = false

  validation {
    condition     = contains([1, 2, 4, 6, 8], var.job.cpu)
    error_message = "job.cpu: is not 1, 2, 4, 6 or 8."
  }
  validation {
    condition     = var.job.memory_mib == floor(var.job.memory_mib) && var.job.memory_mib >= 512 && var.job.memory_mib <= 32768
    error_message = "job.memory_mib: is not a whole number from 512 to 32768."
  }
  validation {
    # Cloud Run's own limits; without this check only the apply would fail.
    condition = alltrue([
      for cpu, mib in { "1" = [512, 4096], "2" = [512, 8192], "4" = [2048, 16384], "6" = [4096, 24576], "8" = [4096, 32768] } :
      var.job.memory_mib >= mib[0] && var.job.memory_mib <= mib[1] if tostring(var.job.cpu) == cpu
    ])
    error_message = "job.memory_mib: does not go with job.cpu; 1 takes up to 4096, 2 up to 8192, 4 from 2048 to 16384, 6 from 4096 to 24576, 8 from 4096 to 32768."
  }
  validation {
    # 4,096 calls in flight over TLS take 290 MiB, 8,192 take 470.
    condition     = var.job.memory_mib >= 1024 || try(coalesce(var.engines.qa.concurrency, 1) < 4096, true)
    error_message = "job.memory_mib: is less than 1024, which the qa engine's concurrency needs from 4096 on; raise the one or lower the other."
  }
  validation {
    condition     = contains(range(0, 11), var.job.max_retries)
    error_message = "job.max_retries: is not a whole number from 0 to 10."
  }
  validation {
    condition     = var.job.task_timeout_seconds == floor(var.job.task_timeout_seconds) && var.job.task_timeout_seconds >= 120 && var.job.task_timeout_seconds <= 604800
    error_message = "job.task_timeout_seconds: is not a whole number from 120 to 604800 (7 days)."
  }
  validation {
    condition     = var.job.deadline_seconds == null || try(var.job.deadline_seconds == floor(var.job.deadline_seconds) && var.job.deadline_seconds >= 1, false)
    error_message = "job.deadline_seconds: is not a whole number of seconds from 1; correct it or leave it out."
  }
  validation {
    condition     = coalesce(var.job.deadline_seconds, 1) <= var.job.task_timeout_seconds - 60
    error_message = "job.deadline_seconds: leaves less than 60 seconds before task_timeout_seconds; the record could not be closed."
  }
  validation {
    condition = try(
      coalesce(var.job.deadline_seconds, var.job.task_timeout_seconds - 60) >= local.longest_seconds,
      true # the engines are not the four, and say so themselves
    )
    error_message = "job: the deadline comes before all attempts of the slowest data engine and of a card have had their time (attempts times timeout_seconds of both); raise task_timeout_seconds and deadline_seconds, or lower the engines' attempts or timeout_seconds."
  }
}

variable "labels" {
  description = "Labels of everything that can have labels."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for key, value in var.labels : can(regex("^[a-z][a-z0-9_-]{0,62}$", key)) && can(regex("^[a-z0-9_-]{0,63}$", value))])
    error_message = "labels: one has characters other than lower-case letters, digits, _ and -, is longer than 63, or its key does not start with a letter."
  }
}

variable "language" {
  description = "The language of the pages and of the messages about runs: `en`, or `zh` for Chinese. Logs, alerts and the record stay English."
  type        = string
  default     = "en"
  nullable    = false

  validation {
    condition     = contains(["en", "zh"], var.language)
    error_message = "language: is neither \"en\" nor \"zh\"."
  }
}

variable "maintainers" {
  description = "The members who may do what operators may, and start the job with other arguments or variables: another date, `run --again`, which makes every card again, or `resume`. With that, a person has all the rights of the job's account, its tokens and secrets too."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for member in var.maintainers : can(regex(local.member, member))])
    error_message = "maintainers: one is not a member; write group:cards@example.com, user:… or serviceAccount:…."
  }
}

variable "name" {
  description = "The name of the job. The names of everything else start with it."
  type        = string
  default     = "batch-orchestrator"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,18}[a-z0-9]$", var.name))
    error_message = "name: is not 3 to 20 lower-case letters, digits and dashes, starting with a letter."
  }
  validation {
    condition     = terraform.workspace == "default" || endswith(var.name, "-${terraform.workspace}")
    error_message = "name: does not end in -${terraform.workspace}, the Terraform workspace; the values are those of another environment, whose resources an apply would take for its own."
  }
}

variable "network" {
  description = "Sends the job's traffic through a VPC: `network` and `subnetwork` by name, network `tags`, and whether all traffic (`egress = \"ALL_TRAFFIC\"`) or only that to private addresses."
  type = object({
    egress     = optional(string, "PRIVATE_RANGES_ONLY")
    network    = string
    subnetwork = string
    tags       = optional(list(string), [])
  })
  default = null

  validation {
    condition     = var.network == null || contains(["ALL_TRAFFIC", "PRIVATE_RANGES_ONLY"], try(var.network.egress, ""))
    error_message = "network.egress: is neither \"ALL_TRAFFIC\" nor \"PRIVATE_RANGES_ONLY\"."
  }
}

variable "notify" {
  description = "Where the job sends a message when a run has ended: `secret` is the name of a Secret Manager secret of this project that holds the URL of an incoming webhook (Feishu, Lark, DingTalk, WeCom, Slack and the like), `signing_secret` that of one that holds the secret with which the bot is signed. With `only` set to `failures`, there is no message about a success, except about the first after a failure. A person makes and fills both before the apply: a secret without an enabled version keeps the job from starting."
  type = object({
    only           = optional(string, "all")
    secret         = string
    signing_secret = optional(string)
  })
  default = null

  validation {
    condition     = var.notify == null || alltrue([for name in [try(var.notify.secret, ""), coalesce(try(var.notify.signing_secret, null), "none")] : can(regex("^[0-9A-Za-z_-]{1,255}$", name))])
    error_message = "notify: has what is not the name of a secret; write the name alone, as `gcloud secrets list` prints it."
  }
  validation {
    condition     = try(var.notify.secret != var.notify.signing_secret, true)
    error_message = "notify: secret and signing_secret are the same; the URL and the secret with which it is signed are two secrets."
  }
  validation {
    condition     = contains(["all", "failures"], try(var.notify.only, "all"))
    error_message = "notify.only: is neither \"all\" nor \"failures\"."
  }
}

variable "operators" {
  description = "The members, usually one group, who may do what viewers may, start the job as it is deployed, cancel an execution, and edit the config if operators own it."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for member in var.operators : can(regex(local.member, member))])
    error_message = "operators: one is not a member; write group:cards@example.com, user:… or serviceAccount:…."
  }
}

variable "project_id" {
  description = "The project that holds all of this."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id: is not the id of a project; it is neither its name nor its number."
  }
}

variable "region" {
  description = "The region of job, schedule, buckets and images, such as asia-east1."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region: is not a region; write one such as asia-east1."
  }
}

variable "runs_retention_days" {
  description = "How many days the records of runs are kept."
  type        = number
  default     = 90
  nullable    = false

  validation {
    condition     = var.runs_retention_days == floor(var.runs_retention_days) && var.runs_retention_days >= 1 && var.runs_retention_days <= 3650
    error_message = "runs_retention_days: is not a whole number from 1 to 3650."
  }
}

variable "schedule" {
  description = "When the job starts: `cron` in `time_zone` (an IANA name, also the zone of the job's \"today\"); whether it is `paused`; whether each start makes everything `again`, instead of continuing the run of its day; and how the scheduler tries again if it could not start the job: `attempt_deadline_seconds` and `retry`."
  type = object({
    again                    = optional(bool, false)
    attempt_deadline_seconds = optional(number, 180)
    cron                     = string
    paused                   = optional(bool, false)
    retry = optional(object({
      count                = optional(number, 3)
      max_backoff_seconds  = optional(number, 600)
      max_doublings        = optional(number, 5)
      max_duration_seconds = optional(number, 0)
      min_backoff_seconds  = optional(number, 30)
    }), {})
    time_zone = string
  })
  nullable = false

  validation {
    condition     = can(regex(local.cron, var.schedule.cron))
    error_message = "schedule.cron: is not a cron line; write minute, hour, day of the month, month and day of the week, such as \"30 6 * * 1-5\"."
  }
  validation {
    condition     = can(regex("^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$", var.schedule.time_zone))
    error_message = "schedule.time_zone: is not a time zone; set it to an IANA name such as Asia/Shanghai."
  }
  validation {
    condition = try(
      var.schedule.attempt_deadline_seconds == floor(var.schedule.attempt_deadline_seconds)
      && var.schedule.attempt_deadline_seconds >= 15 && var.schedule.attempt_deadline_seconds <= 1800,
      false
    )
    error_message = "schedule.attempt_deadline_seconds: is not a whole number from 15 to 1800."
  }
  validation {
    condition     = try(contains(range(0, 6), var.schedule.retry.count), false)
    error_message = "schedule.retry.count: is not a whole number from 0 to 5."
  }
  validation {
    condition = try(
      0 <= var.schedule.retry.min_backoff_seconds && var.schedule.retry.min_backoff_seconds <= var.schedule.retry.max_backoff_seconds
      && var.schedule.retry.max_doublings == floor(var.schedule.retry.max_doublings) && var.schedule.retry.max_doublings >= 0
      && var.schedule.retry.max_duration_seconds >= 0,
      false
    )
    error_message = "schedule.retry: has a negative number, or min_backoff_seconds above max_backoff_seconds."
  }
}

variable "viewers" {
  description = "The members who may look and start nothing: at the job's executions, its config, the records of its runs, and the logs, which is a right on the whole project (`roles/logging.viewer`)."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for member in var.viewers : can(regex(local.member, member))])
    error_message = "viewers: one is not a member; write group:cards@example.com, user:… or serviceAccount:…."
  }
}
