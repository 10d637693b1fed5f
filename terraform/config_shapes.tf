# What the job would refuse, the plan refuses, in the same words: here what a config object is by itself. Two things only
# the job can tell: where in an object it stops being JSON, and that a key is there twice.
#
# HCL has neither functions nor recursion. So the objects are first taken apart into one flat list, `nodes`: every value
# with its place and the kind that belongs there. A place is the object's name, `: `, and steps such as .key or [0].

locals {
  config_objects = toset(["ticker_list.json", "card_types.json", "card_targets.json", "engine_control.json", "llm_config.json"])
  config_needed = {
    "ticker_list.json" = "write an array of tickers, such as [\"AAPL\"], there"
    "card_types.json"  = "write an array of card types, such as [\"news_card\"], there"
  }

  # What JSON of each kind starts with, and what is said of other JSON.
  kinds = {
    array         = { starts = "[", fault = "is not an array; write an array" }
    boolean       = { starts = "tf", fault = "is not a boolean; write true or false" }
    date          = { starts = "\"", fault = "is not a string; write a string" }
    id            = { starts = "\"", fault = "is not a string; write a string" }
    object        = { starts = "{", fault = "is not an object; write an object" }
    parameter     = { starts = "\"", fault = "is not a string; write a string" }
    scalar        = { starts = "\"-0123456789tf", fault = "is not a string, a number or a boolean; write one of these" }
    string        = { starts = "\"", fault = "is not a string; write a string" }
    "target type" = { starts = "\"", fault = local.no_target_type }
    text          = { starts = "\"", fault = "is not a string; write a string" }
  }
  no_target_type = "is not one of 'equity', 'topic' or 'person'; write one of these"
  reserved       = { ticker = "the id of the entry", date_str = "the date of the entry, or RUN_DATE," }

  # --- the objects, and what is in them ---

  large = [for name, text in local.config_documents : name if length(base64encode(text)) > 16 * 1024 * 1024 / 3 * 4]
  small = { for name, text in local.config_documents : name => text if !contains(local.large, name) }

  config   = { for name, text in local.small : name => jsondecode(text) if can(jsondecode(text)) }
  arrays   = { for name, value in local.config : name => value if startswith(jsonencode(value), "[") }
  mappings = { for name, value in local.config : name => value if startswith(jsonencode(value), "{") }

  tickers        = try(local.arrays["ticker_list.json"], [])
  types          = try(local.arrays["card_types.json"], [])
  types_are_long = anytrue([for item in local.types : can(keys(item))])
  entries        = try(local.arrays["card_targets.json"], [])
  simple_targets = try(local.mappings["card_targets.json"], {})
  models         = try([local.config["llm_config.json"]], [])
  tasks          = { for key in try(keys(local.models[0].tasks), []) : key => local.models[0].tasks[key] }

  # Every string in them: as it is quoted, and as a step of a place.
  strings = toset([
    for literal in flatten([
      for text in values(local.small) : regexall("\"(?:[^\"\\\\]|\\\\.)*\"", text)
    ]) : try(jsondecode(literal), "")
  ])
  quoted = {
    for text in local.strings : text => replace(
      replace(replace(replace(jsonencode(text), "\\u003c", "<"), "\\u003e", ">"), "\\u0026", "&"),
      "/^((?s:.{79}))(?s:.{2,})$/", "$1…"
    )
  }
  step = {
    for text in local.strings : text =>
    can(regex("^[A-Za-z_][A-Za-z0-9_-]*$", text)) ? ".${text}" : "[${local.quoted[text]}]"
  }

  # Lists of ids, and objects of free keys.
  id_lists = [
    for list in concat(
      [for i, entry in local.entries : { at = "card_targets.json: [${i}].card_types", value = try(entry.card_types, null) }],
      [for key, value in local.simple_targets : { at = "card_targets.json: ${local.step[key]}", value = value }],
    ) : list if startswith(jsonencode(list.value), "[")
  ]
  parameters = flatten([
    for i, entry in local.entries : [
      for key in try(keys(entry.extra_params), []) : {
        at    = "card_targets.json: [${i}].extra_params${local.step[key]}"
        key   = key
        value = entry.extra_params[key]
      }
    ]
  ])

  # Objects of known keys. In some of them null is as good as absent.
  shapes = {
    switches = {
      null_is_absent = false, required = null
      kinds          = { run_financials_engine = "boolean", run_trading_engine = "boolean", run_news_engine = "boolean" }
    }
    target_switches = {
      null_is_absent = true, required = null
      kinds          = { financials = "boolean", trading = "boolean", news = "boolean" }
    }
    card_type = { null_is_absent = false, required = "name", kinds = { name = "id", enabled = "boolean" } }
    models    = { null_is_absent = false, required = null, kinds = { default = "object", tasks = "object" } }
    model     = { null_is_absent = true, required = null, kinds = { backend = "text", model_name = "text" } }
    entry = {
      null_is_absent = true, required = "id"
      kinds = {
        id        = "id", card_types = "array", target_type = "target type", category = "string", date = "date",
        topic_key = "id", extra_params = "object", run_engines = "object"
      }
    }
  }
  known_objects = [
    for object in concat(
      [for i, item in local.types : { at = "card_types.json: [${i}]", value = item, shape = "card_type" }],
      [for i, entry in local.entries : { at = "card_targets.json: [${i}]", value = entry, shape = "entry" }],
      [for i, entry in local.entries : {
        at = "card_targets.json: [${i}].run_engines", value = try(entry.run_engines, null), shape = "target_switches"
      }],
      [for value in try([local.config["engine_control.json"]], []) : {
        at = "engine_control.json: ", value = value, shape = "switches"
      }],
      [for value in local.models : { at = "llm_config.json: ", value = value, shape = "models" }],
      [for value in local.models : { at = "llm_config.json: .default", value = try(value.default, null), shape = "model" }],
      [for key, value in local.tasks : { at = "llm_config.json: .tasks${local.step[key]}", value = value, shape = "model" }],
    ) : merge(object, local.shapes[object.shape]) if can(keys(object.value))
  ]

  # --- every value with its place and its kind ---

  nodes = concat(
    [for name in ["ticker_list.json", "card_types.json"] : {
      at = name, value = local.config[name], kind = "array"
    } if contains(keys(local.config), name)],
    [for name in ["card_targets.json", "engine_control.json", "llm_config.json"] : {
      at = name, value = local.config[name], kind = "object"
    } if contains(keys(local.config), name) && !(name == "card_targets.json" && contains(keys(local.arrays), name))],
    [for i, item in local.tickers : { at = "ticker_list.json: [${i}]", value = item, kind = "id" }],
    [for i, item in local.types : {
      at = "card_types.json: [${i}]", value = item, kind = local.types_are_long ? "object" : "id"
    }],
    [for i, item in local.entries : { at = "card_targets.json: [${i}]", value = item, kind = "object" }],
    flatten([for key, value in local.simple_targets : [
      { at = "card_targets.json: ${local.step[key]}", value = value, kind = "array" },
      { at = "card_targets.json: ${local.step[key]}", value = key, kind = "id" },
    ]]),
    flatten([for key, value in local.tasks : [
      { at = "llm_config.json: .tasks${local.step[key]}", value = value, kind = "object" },
      { at = "llm_config.json: .tasks${local.step[key]}", value = key, kind = "text" },
    ]]),
    flatten([for parameter in local.parameters : [
      { at = parameter.at, value = parameter.value, kind = "scalar" },
      { at = parameter.at, value = parameter.key, kind = "parameter" },
    ]]),
    flatten([for list in local.id_lists : [
      for i, item in list.value : { at = "${list.at}[${i}]", value = item, kind = "id" }
    ]]),
    flatten([for object in local.known_objects : [
      for key, value in object.value : { at = "${object.at}.${key}", value = value, kind = object.kinds[key] }
      if contains(keys(object.kinds), key) && !(value == null && object.null_is_absent && key != object.required)
    ]]),
  )
  texts = [
    for node in local.nodes : merge(node, { blank = trimspace(node.value) == "", quoted = local.quoted[node.value] })
    if startswith(jsonencode(node.value), "\"") && local.kinds[node.kind].starts == "\""
  ]
  ids = [
    for text in local.texts : merge(text, {
      unfit  = can(regex("^[.]{1,2}$|[/\\\\\\p{Cc}\\p{Zl}\\p{Zp}]", text.value))
      spaced = trimspace(text.value) != text.value
    }) if text.kind == "id" && !text.blank
  ]

  # --- what is wrong ---

  shape_faults = concat(
    [for name, remedy in local.config_needed : { at = name, fault = "does not exist under CONFIG_URI; ${remedy}" }
    if !contains(keys(local.config_documents), name)],
    [for name in keys(local.config_documents) : { at = name, fault = "is no object that the job reads; correct its name or remove it" }
    if !contains(local.config_objects, name)],
    [for name in local.large : { at = name, fault = "is larger than 16 MiB; write the object that is meant" }],
    [for name, text in local.small : { at = name, fault = "is not JSON; correct it" }
    if !can(jsondecode(text))],

    [for node in local.nodes : { at = node.at, fault = local.kinds[node.kind].fault }
    if !strcontains(local.kinds[node.kind].starts, substr(jsonencode(node.value), 0, 1))],
    [for object in local.known_objects : { at = "${object.at}.${object.required}", fault = "is missing; add it" }
    if object.required != null && !contains(keys(object.value), coalesce(object.required, "-"))],
    flatten([for object in local.known_objects : [
      for key in keys(object.value) : {
        at    = "${object.at}${local.step[key]}"
        fault = "is not a known key; correct its name or remove it"
      } if !contains(keys(object.kinds), key)
    ]]),

    [for text in local.texts : { at = text.at, fault = local.no_target_type }
    if text.kind == "target type" && !contains(["equity", "topic", "person"], text.value)],
    [for text in local.texts : { at = text.at, fault = "${text.quoted} is not a date; write YYYY-MM-DD" }
    if text.kind == "date" && !(can(regex("^[0-9]{4}-", text.value)) && can(formatdate("YYYY", "${text.value}T00:00:00Z")))],
    [for text in local.texts : { at = text.at, fault = "is blank; write a value or remove it" }
    if contains(["text", "parameter"], text.kind) && text.blank],
    [for text in local.texts : {
      at    = text.at
      fault = "${text.quoted} is set by the job; remove it: ${local.reserved[text.value]} is what is sent"
    } if text.kind == "parameter" && contains(keys(local.reserved), text.value)],

    [for text in local.texts : { at = text.at, fault = "is blank; write an id" }
    if text.kind == "id" && text.blank],
    [for id in local.ids : {
      at    = id.at
      fault = "${id.quoted} cannot be an id; leave out slashes, backslashes and control characters; no . or .."
    } if id.unfit],
    [for id in local.ids : { at = id.at, fault = "${id.quoted} has spaces around it; remove them" }
    if !id.unfit && id.spaced],
    [for id in local.ids : { at = id.at, fault = "${id.quoted} is longer than 64 characters; shorten it" }
    if !id.unfit && !id.spaced && can(regex("^(?s:.{65})", id.value))],
  )
}
