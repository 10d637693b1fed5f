# What is refused of the entries of lists, maps and objects, with a line for each. A validation would say each condition twice,
# to count the entries and to name them.
locals {
  refused = concat(
    local.misspelt,
    try([for index, name in var.alerts.notification_channels :
      join(" ", [
        "alerts.notification_channels[${index}]: is not a channel's full name; write projects/PROJECT/notificationChannels/NUMBER,",
        "as `gcloud beta monitoring channels list --format='value(name)'` prints it."
      ])
      if !can(regex("^projects/[^/]+/notificationChannels/[0-9]+$", name))
    ], []),
    [for name, engine in var.engines :
      "engines[\"${name}\"]: has neither service nor url, or both; give one of the two."
      if(engine.service == null) == (engine.url == null)
    ],
    flatten([for name, engine in var.engines : [for field, text in local.engine_texts :
      "engines[\"${name}\"].${field}: ${text.otherwise}"
      if engine[field] != null && (!can(regex(text.is, engine[field])) || can(regex(text.has_not, engine[field])))
    ]]),
    flatten([for name, engine in var.engines : [for field, number in local.engine_numbers :
      "engines[\"${name}\"].${field}: is not ${number.whole ? "a whole number " : ""}from ${number.from} to ${number.to}${number.why}."
      if try(engine[field] < number.from || engine[field] > number.to || number.whole && engine[field] != floor(engine[field]), false)
    ]]),
    [for key, value in var.labels :
      "labels[\"${key}\"]: is not a label; write lower-case letters, digits, _ and -, at most 63, the key with a letter first."
      if !can(regex("^[\\p{Ll}\\p{Lo}][\\p{Ll}\\p{Lo}\\p{N}_-]{0,62}=[\\p{Ll}\\p{Lo}\\p{N}_-]{0,63}$", "${key}=${value}"))
    ],
    try([for index, tag in var.network.tags :
      "network.tags[${index}]: is not a network tag; write at most 63 lower-case letters, digits and dashes, with a letter first."
      if !can(regex("^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", tag))
    ], []),
    flatten([for name, list in var.people : [for member in list :
      "people.${name} (${member}): is not a member; write group:cards@example.com, user:… or serviceAccount:…."
      if !can(regex("^(user|group|serviceAccount):[^\\s:]+@[^\\s:]+$|^principal(Set)?://\\S+$", member))
    ]]),
  )

  engine_texts = {
    audience = {
      is        = "^[!-~]+$"
      otherwise = "is empty, or has a space or another character than ASCII; write the service's URL or a custom audience of it, or leave it out."
    }
    project = {
      is        = "^(([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]|[0-9]+)$"
      otherwise = "is not a project's id; write it as `gcloud projects list` prints it."
    }
    region = {
      is        = "^[a-z]+-[a-z]+[0-9]+$"
      otherwise = "is not a region; write one such as asia-east1."
    }
    service = {
      is        = "^[a-z]([a-z0-9-]*[a-z0-9])?$"
      otherwise = "is not the name of a Cloud Run service; write it alone, with project and region beside it if these are others."
    }
    url = {
      is        = "^https://[A-Za-z0-9._:-]+(/[!-~]*)?$"
      has_not   = "[?#\\\\]|/\\.{1,2}(/|$)"
      otherwise = "is not an https URL in ASCII, or has a user, a query, a fragment, a backslash, or dots for a path segment; remove these."
    }
  }
  engine_numbers = {
    attempts         = { whole = true, from = 1, to = 20, why = "" }
    batch_size       = { whole = true, from = 1, to = 1000, why = "" }
    concurrency      = { whole = true, from = 1, to = 8192, why = "" }
    patience_seconds = { whole = false, from = 0, to = 86400, why = ", the seconds of a day" }
    per_minute       = { whole = true, from = 1, to = 60000, why = "; without a quota, leave it out" }
    timeout_seconds  = { whole = false, from = 1, to = 3600, why = "; Cloud Run ends every request after an hour" }
  }

  # The types of the variables drop what they do not know, and a schedule with `pausd = true` would start. So the file is read
  # once more, as it is written.
  written = try(provider::terraform::decode_tfvars(file("${path.module}/terraform.tfvars")), {})
  misspelt = flatten([
    for name, known in merge(
      { for engine, known in var.engines : "engines[\"${engine}\"]" => [keys(known), try(local.written.engines[engine], {})] },
      {
        for name, value in {
          alerts = var.alerts, build = var.build, job = var.job, network = var.network,
          notify = var.notify, people = var.people, schedule = var.schedule
        } : name => [try(keys(value), []), try(local.written[name], {})] if value != null
      },
      ) : [for field in try(keys(known[1]), []) :
      "${name}.${field}: is no setting; write one of ${join(", ", known[0])}."
      if !contains(known[0], field)
    ]
  ])
}
