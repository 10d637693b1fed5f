# What the config objects are together: the second half of what config_shapes.tf begins. An entry of no right shape is
# left out, and nothing is held against an object that has one: what seems not to be there may be what it means.

locals {
  unfit = { for fault in local.shape_faults : split(": ", fault.at)[0] => true... }
  fit   = [for name in keys(local.config) : name if !can(local.unfit[name])]

  # The places of the entries that have a fault: in an array [0], in the simple form .key, whose value ends in [0].
  unread = {
    for fault in local.shape_faults :
    try(regex("^[^:]*: \\[[0-9]+\\]", fault.at), replace(fault.at, "/\\[[0-9]+\\]$/", "")) => true...
  }

  known_tickers = { for ticker in local.tickers : ticker => true... if contains(local.fit, "ticker_list.json") }
  known_types = [
    for i, item in local.types : {
      at = "card_types.json: [${i}]", name = try(item.name, item), on = try(item.enabled, true)
    } if !can(local.unread["card_types.json: [${i}]"])
  ]
  types_on = { for type in local.known_types : type.name => type.on... }
  enabled  = [for name, on in local.types_on : name if on[0]]

  # --- card_targets.json, in either form ---

  simple = {
    for ticker, names in local.simple_targets : ticker => names
    if !can(local.unread["card_targets.json: ${local.step[ticker]}"])
  }

  full = [
    for i, entry in local.entries : merge(local.absent, entry, {
      i          = i
      at         = "card_targets.json: [${i}]"
      card_types = [for name in try(entry.card_types, null) == null ? [] : entry.card_types : name]
      category   = try(lower(trimspace(entry.category)), null)
      content = jsonencode(merge(local.absent, entry, {
        run_engines = try(merge(local.absent_switches, entry.run_engines), null)
      }))
    }) if !can(local.unread["card_targets.json: [${i}]"])
  ]
  same_id = { for entry in local.full : entry.id => entry... }
  firsts = [
    for entry in local.full : merge(entry, {
      listed = can(local.known_tickers[entry.id]) || !contains(local.fit, "ticker_list.json") # it may be
    }) if entry.i == local.same_id[entry.id][0].i
  ]
  absent = {
    card_types   = null, target_type = null, category = null, date = null, topic_key = null,
    extra_params = null, run_engines = null
  }
  absent_switches = { financials = null, trading = null, news = null }

  defaults = [for entry in local.firsts : entry if entry.id == "equities_default"]
  targets = [
    for entry in local.firsts : merge(entry, {
      kind = entry.target_type != null ? entry.target_type : (
        entry.category == null ? (entry.listed ? "equity" : "topic") :
        contains(["celebrity", "person", "people"], entry.category) ? "person" :
        entry.category == "equity" ? "equity" : "topic"
      )
      key = entry.topic_key != null ? entry.topic_key : replace(replace(lower(entry.id), " ", "_"), "/[^a-z0-9_]/", "")
    }) if entry.id != "equities_default"
  ]
  topics     = [for target in local.targets : target if target.kind == "topic"]
  topic_keys = { for topic in local.topics : topic.key => topic.id... }

  named_types = flatten([
    for list in concat(
      [for ticker, names in local.simple : { at = "card_targets.json: ${local.step[ticker]}", names = names }],
      [for entry in concat(local.defaults, local.targets) : { at = "${entry.at}.card_types", names = entry.card_types }],
    ) : [for i, name in list.names : { at = "${list.at}[${i}]", name = name }]
  ])

  # For every target, whether a card of it will be made.
  default_types = concat([for entry in local.defaults : entry.card_types if length(entry.card_types) > 0], [local.enabled])[0]
  target_ids    = { for target in local.targets : target.id => true }
  has_cards = [
    for names in concat(
      [for ticker in keys(local.known_tickers) : try(local.simple[ticker], local.default_types) if !can(local.target_ids[ticker])],
      [for target in local.targets : length(target.card_types) > 0 ? target.card_types : (
        target.listed && target.kind == "equity" ? local.default_types : local.enabled
      )],
    ) : length(setintersection(names, local.enabled)) > 0
  ]

  # --- what is wrong ---

  list_faults = concat(
    [for name, what in { "ticker_list.json" = "tickers", "card_types.json" = "card types" } : {
      at                                    = name, fault = "is empty; write the ${what} there"
    } if contains(local.fit, name) && length(try(local.arrays[name], [])) == 0],
    [for name in ["card_targets.json"] : {
      at = name, fault = "is empty; write targets there, or remove the object: every ticker then gets every enabled card type"
    } if contains(local.fit, name) && length(local.entries) + length(local.simple_targets) == 0],
    [for name in ["card_types.json"] : { at = name, fault = "has every card type switched off; enable one" }
    if contains(local.fit, name) && length(local.known_types) > 0 && !anytrue(local.known_types[*].on)],
    [for type in local.known_types : {
      at = type.at, fault = "${type.name} is both switched on and off; keep one of the two"
    } if type.on != local.types_on[type.name][0]],
  )

  target_faults = concat(
    [for ticker in keys(local.simple) : {
      at    = "card_targets.json: ${local.step[ticker]}"
      fault = "is not a ticker of ticker_list.json; correct it, add it to ticker_list.json, or use the full form for targets beside the tickers"
    } if contains(local.fit, "ticker_list.json") && !can(local.known_tickers[ticker])],
    [for ticker, names in local.simple : {
      at    = "card_targets.json: ${local.step[ticker]}"
      fault = "is empty; name card types, or remove ${ticker}: it then gets every enabled one"
    } if length(names) == 0],
    [for type in local.named_types : {
      at = type.at, fault = "${local.quoted[type.name]} is not a card type of card_types.json; correct it or add it there"
    } if contains(local.fit, "card_types.json") && !contains(keys(local.types_on), type.name)],
    [for entry in local.full : {
      at    = "${entry.at}.id"
      fault = "${entry.id} is there already, as [${local.same_id[entry.id][0].i}], with other content; keep one of the two"
    } if entry.content != local.same_id[entry.id][0].content],
    flatten([for entry in local.defaults : [
      for key in ["date", "topic_key", "extra_params"] : {
        at = "${entry.at}.${key}", fault = "has no meaning for equities_default; remove it"
      } if entry[key] != null
    ]]),
    [for topic in local.topics : {
      at = topic.at, fault = "the key of the topic ${topic.id} comes out empty; give it a topic_key"
    } if topic.key == ""],
    [for topic in local.topics : {
      at    = topic.at
      fault = "the key ${jsonencode(topic.key)} of the topic ${topic.id} is also that of ${local.topic_keys[topic.key][0]}; give one of them another topic_key"
    } if topic.key != "" && local.topic_keys[topic.key][0] != topic.id],
  )

  unfit_lists = [for name in ["card_targets.json", "card_types.json", "ticker_list.json"] : name if can(local.unfit[name])]
  cardless    = length(local.enabled) > 0 && length(local.has_cards) > 0 && !anytrue(local.has_cards)
  card_faults = [
    for name in ["card_targets.json"] : { at = name, fault = "leaves no card to make; enable a card type that it names" }
    if local.cardless && length(local.target_faults) == 0 && length(local.unfit_lists) == 0
  ]

  config_faults = [
    for fault in concat(local.shape_faults, local.list_faults, local.target_faults, local.card_faults) :
    "${trimsuffix(replace(fault.at, ".json: .", ".json: "), ": ")}: ${fault.fault}"
  ]
}
