"""Whatever bytes the config objects hold, the result is a config or faults: each names its object, place and remedy."""

import json
import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job.config.faults import ConfigError, InvalidError
from job.config.objects import (
    CAUSES_LISTED,
    OBJECTS,
    PLACES_NAMED,
    SIGNS_LIMIT,
    SIZE_LIMIT,
    control_key,
    parse_config,
    parse_object,
)
from job.config.plan import make_plan
from job.config.values import TEXT_LIMIT
from job.engines.calls import DATA_ENGINES

GOOD: dict[str, object] = {"ticker_list.json": ["AAPL", "MSFT"], "card_types.json": ["news_card", "earnings_card"]}


def judged(objects: Mapping[str, object]) -> tuple[list[str], list[str]]:
    """The faults and the notices of a config, as a user reads them."""
    written = {name: one if isinstance(one, bytes) else json.dumps(one).encode() for name, one in objects.items()}
    try:
        config = parse_config(written)
    except ConfigError as error:
        return list(map(str, error.faults)), []
    plan, faults = make_plan(config, "2026-11-24", {})
    return list(map(str, faults)), list(map(str, plan.notices))


def faults_with(name: str, value: object) -> list[str]:
    return judged(GOOD | {name: value})[0]


LISTED = (
    "is not a ticker of ticker_list.json; "
    "correct it, add it to ticker_list.json, or use the full form for targets beside the tickers"
)
SET = "is set by the job; remove it"
UNKNOWN = "is not a card type of card_types.json; correct it or add it there"
NOT_KNOWN = "is not a known key; correct its name or remove it"
NO_OBJECT = "has the wrong type; write an object"
NO_CARD = "no target gets an enabled card type; enable one, or name one that is enabled"
NO_ENGINE = f"is not one of {', '.join(map(control_key, DATA_ENGINES))}; write one of these"
NO_SWITCH = "is not one of financials, trading, news; write one of these"
SAME_KEY = 'the key "rate_1" of the topic is also that of Rate 1; give one of them another topic_key'
OTHER_CONTENT = "with other content; keep one of the two"
NO_ARRAY = "has the wrong type; write an array"
TICKERS = 'write an array of tickers, such as ["AAPL"], there'
NO_TYPES = "is empty; name card types, or remove the ticker: it then gets every enabled one"
NO_VALUE = "has the wrong type; write a string, a number or a boolean"
NO_TEXT = "has the wrong type; write a string in quotes"
NO_BOOL = "has the wrong type; write true or false, without quotes"
OF_X = '[0] ("X").extra_params'
NONE_OF_X = f"{OF_X}.a (null), {OF_X}.b ([]), {OF_X}.c ({{}})"
ID_RULE = "cannot be an id; leave out slashes, backslashes and control characters; no . or .."
LONG, TOO_LONG = "x" * (TEXT_LIMIT + 1), f'("{"x" * 38}…): is longer than 4,096 characters; shorten it'
PLAIN = "holds invisible or full-width characters, or spaces around it; write plain characters"
QUOTES_EACH = "holds a comma or a semicolon; write each ticker in quotes of its own"

BAD_OBJECTS: dict[str, list[tuple[object, str]]] = {
    "ticker_list.json": [
        ({"AAPL": 1}, NO_ARRAY),
        (["AAPL", 7, ["MSFT"]], f'[1] (7), [2] (["MSFT"]): {NO_TEXT}'),
        ([], f"is empty; {TICKERS}"),
        ({}, f"is empty; {TICKERS}"),
        (["", "  ", "\u3000"], '[0] (""), [1] ("  "), [2] ("\\u3000"): is blank; write a value or remove it'),
        (["..", "a\\b", "a\0b"], f'[0] (".."), [1] ("a\\\\b"), [2] ("a\\u0000b"): {ID_RULE}'),
        (["../x", "a/b", ".", "a\nb", "a\x9fb"], f'[0] ("../x"), [1] ("a/b"), [2] (".") and 2 more: {ID_RULE}'),
        (["x" * 65], f'[0] ("{"x" * 38}…): is longer than 64 characters; shorten it'),
        # what people type, paste and export: the plain spelling is shown beside what is there
        (["\ufeffNVDA", "A\u00adB"], f'[0] ("\\ufeffNVDA" → "NVDA"), [1] ("A\\u00adB" → "AB"): {PLAIN}'),
        ([" AAPL", "０７００.HK"], f'[0] (" AAPL" → "AAPL"), [1] ("０７００.HK" → "0700.HK"): {PLAIN}'),
        (["AAPL,MSFT"], f'[0] ("AAPL,MSFT"): {QUOTES_EACH}'),
    ],
    "card_types.json": [
        ([{"name": "a"}, "b"], f'[1] ("b"): {NO_OBJECT}'),
        ([{"enabled": True}], "[0].name: is missing; add it"),
        ([], 'is empty; write an array of card types, such as ["news_card"], there'),
        ([{"name": "a", "enabled": False}], NO_CARD),
        ([{"name": "a"}, {"name": "a", "enabled": False}], f'[1] ("a"): is also listed as [0], {OTHER_CONTENT}'),
        ([{"name": "a", "enabled": False}, {"name": "b", "enabled": "yes"}], f'[1] ("b").enabled ("yes"): {NO_BOOL}'),
    ],
    "engine_control.json": [([], NO_OBJECT), ({"run_new_engine": True}, f"run_new_engine: {NO_ENGINE}")],
    "llm_config.json": [
        ({"default": {"backend": 1}}, f"default.backend (1): {NO_TEXT}"),
        ({"default": {"model_name": " "}}, 'default.model_name (" "): is blank; write a value or remove it'),
        ({"default": {"model_name": LONG}}, f"default.model_name {TOO_LONG}"),
    ],
    "card_targets.json": [
        ([{"card_types": ["news_card"]}], "[0].id: is missing; add it"),
        ([{"id": "X", "date": "24.11.2026"}], '[0] ("X").date ("24.11.2026"): is not valid; write "YYYY-MM-DD"'),
        ([{"id": "X", "run_engines": {"finance": True}}], f'[0] ("X").run_engines.finance: {NO_SWITCH}'),
        ([{"id": "X", "dat": 1}], f'[0] ("X").dat: {NOT_KNOWN}'),
        ([{"id": "X", "extra_params": {"ticker": "Y", "date_str": "Z"}}], f"{OF_X}.ticker, {OF_X}.date_str: {SET}"),
        ([{"id": "X", "extra_params": {"a": None, "b": [], "c": {}}}], f"{NONE_OF_X}: {NO_VALUE}"),
        (b'[{"id": "X", "extra_params": {"a": 1e999}}]', f"{OF_X}.a (Infinity): {NO_VALUE}"),
        ([{"id": "X", "extra_params": {"a": LONG}}], f"{OF_X}.a {TOO_LONG}"),
        ({}, "is empty; write targets there, or remove the object: every ticker then gets every enabled card type"),
        ([{"id": "X", "topic_key": "a/b"}], f'[0] ("X").topic_key ("a/b"): {ID_RULE}'),
        (
            [{"id": "equities_default", "date": "2026-01-01", "topic_key": "x", "extra_params": {}}],
            "[0].date, [0].topic_key, [0].extra_params: cannot be set for equities_default; remove it",
        ),
        ([{"id": "美联储\u3000加息"}], f'[0].id ("美联储\\u3000加息" → "美联储 加息"): {PLAIN}'),
        ({"ＡＡＰＬ": ["news_card"]}, f'["ＡＡＰＬ"] ("ＡＡＰＬ" → "AAPL"): {PLAIN}'),
        ({"aapl": ["news_card"], "X": ["news_card"]}, f"aapl (AAPL?), X: {LISTED}"),
        ({"AAPL": []}, f"AAPL: {NO_TYPES}"),
        ({"AAPL": "news_card"}, f'AAPL ("news_card"): {NO_ARRAY}'),
        ({"equities_default": ["news_card"]}, f"equities_default: {LISTED}"),
        ([{"id": "X"}, {"id": "X", "date": 1}], f'[1] ("X").date (1): {NO_TEXT}'),
        ([{"id": "Y"}, {"id": "Y", "date": "2026-01-01"}], f'[1] ("Y"): is also listed as [0], {OTHER_CONTENT}'),
        ([{"id": "Rate 1"}, {"id": "rate_1"}], f'[1] ("rate_1"): {SAME_KEY}'),
        ([{"id": "美联储"}], '[0] ("美联储"): its topic key would be empty; give it a topic_key'),
    ],
}


@pytest.mark.parametrize(
    ("name", "value", "fault"), [(name, value, fault) for name, rows in BAD_OBJECTS.items() for value, fault in rows]
)
def test_the_exact_text_of_bad_objects(name: str, value: object, fault: str) -> None:
    assert "\n".join(faults_with(name, value)) == f"{name}: {fault}"


MEANT = "check that this is the right object"
MANY = "has more than 20,000 values; " + MEANT


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "most", "more", "fault"),
    [
        ("card_targets.json", {"AAPL": ["x/"] * 20_000}, {"AAPL": ["x/"] * 20_001}, f"AAPL: {MANY}"),
        (
            "card_targets.json",
            [{"id": "X", "extra_params": {str(number): [] for number in range(19_998)}}],
            [{"id": "X", "extra_params": {str(number): [] for number in range(19_999)}}],
            f'[0] ("X"): {MANY}',
        ),
    ],
)
def test_what_holds_too_much_is_one_fault(name: str, most: object, more: object, fault: str) -> None:
    assert faults_with(name, more) == [f"{name}: {fault}"]
    assert MEANT not in faults_with(name, most)[0]


REQUESTS = r"makes requests of up to ([\d,]+) bytes, and 8,192 is the most; shorten it"


def test_no_request_is_longer_than_a_proxy_takes() -> None:
    """Whatever its texts are escaped to: a character of Chinese takes nine bytes."""

    def judged_with(**objects: object) -> list[str]:
        return judged({"ticker_list.json": ["AAPL"], "card_types.json": ["news_card"], **objects})[0]

    def entry(**parameters: str) -> list[dict[str, object]]:
        return [{"id": "AAPL"}, {"id": "X", "target_type": "topic", "extra_params": parameters}]

    many = {f"p{number}": "x" * TEXT_LIMIT for number in range(1000)}
    for parameters, about in ((many, 4_100_000), ({"a": "图" * 1000}, 9_000)):
        (fault,) = judged_with(**{"card_targets.json": entry(**parameters)})
        found = re.fullmatch(re.escape('card_targets.json: [1] ("X").extra_params: ') + REQUESTS, fault)
        assert found is not None
        assert int(found[1].replace(",", "")) == pytest.approx(about, rel=0.02)
    (fault,) = judged_with(**{"llm_config.json": {"default": {"backend": "图" * 500, "model_name": "图" * 500}}})
    assert re.fullmatch(f"llm_config.json: {REQUESTS}", fault)
    assert judged_with(**{"card_targets.json": entry(a="x" * 4000, b="y" * 4000)}) == []


@pytest.mark.slow
def test_a_million_cards_are_possible_and_no_more() -> None:
    objects: dict[str, object] = {"ticker_list.json": [f"T{number}" for number in range(50_000)]}
    objects["card_types.json"] = [f"card_{number}" for number in range(20)]
    assert judged(objects) == ([], [])
    objects["card_targets.json"] = [{"id": "Rates", "target_type": "topic"}]
    assert judged(objects)[0] == [
        ("card_types.json: makes 1,000,020 cards with these targets, and 1,000,000 is the most; name fewer")
    ]


def test_a_missing_object_is_named_with_what_belongs_there() -> None:
    assert judged({})[0] == [
        'ticker_list.json: does not exist; write an array of tickers, such as ["AAPL"], there',
        'card_types.json: does not exist; write an array of card types, such as ["news_card"], there',
    ]


# --- objects that do not go together; however many faults there are, a few lines are printed ---

OFF = [{"name": "news_card"}, {"name": "old_card", "enabled": False}]
MANY_TARGETS = [{"id": f"T {number}", "card_types": ["news_card", "old_card"]} for number in range(900)]
PLACES = ", ".join(f'[{number}] ("T {number}").card_types[1]' for number in range(PLACES_NAMED))
MANY_TYPES = [f"a{number}" for number in range(CAUSES_LISTED + 1)]
TOO_MANY = "has so many faults that not all are listed; correct those that are listed first"


@pytest.mark.parametrize(
    ("types", "targets", "faults"),
    [
        (OFF, {"AAPL": ["old_card"], "MSFT": ["old_card"]}, [f"card_types.json: {NO_CARD}"]),
        (OFF, {"AAPL": ["old_card"], "MSFT": ["nope"]}, [f'card_targets.json: MSFT[0]: "nope" {UNKNOWN}']),
        (["news_card"], MANY_TARGETS, [f'card_targets.json: {PLACES} and 897 more: "old_card" {UNKNOWN}']),
        (
            ["news_card"],
            {"AAPL": MANY_TYPES},
            [
                *(f'card_targets.json: AAPL[{at}]: "a{at}" {UNKNOWN}' for at in range(CAUSES_LISTED)),
                f"card_targets.json: {TOO_MANY}",
            ],
        ),
    ],
    ids=["no card is left", "that has a cause", "many places", "many causes"],
)
def test_card_types_that_targets_ask_for_have_to_be_there(types: object, targets: object, faults: list[str]) -> None:
    assert judged(GOOD | {"card_types.json": types, "card_targets.json": targets})[0] == faults


def test_notices_name_likely_mistakes() -> None:
    faults, notices = judged(
        {
            "ticker_list.json": ["AAPL", "AAPL", "MSFT"],
            "card_types.json": [*OFF, {"name": "news_card"}, {"name": "lone_card"}],
            "card_targets.json": {"AAPL": ["old_card", "news_card", "news_card"], "MSFT": ["news_card"]},
            "llm_config.json": {"tasks": {"other_card": {"backend": "b"}}},
        }
    )
    assert faults == []
    assert notices == [
        'ticker_list.json: [1] ("AAPL"): is listed twice; it counts once',
        'card_types.json: [2] ("news_card"): is listed twice; it counts once',
        "card_targets.json: AAPL[0]: old_card is switched off in card_types.json; no card of it is made",
        'card_targets.json: AAPL[2] ("news_card"): is listed twice; it counts once',
        "card_types.json: lone_card: no target asks for this card type",
        "llm_config.json: tasks.other_card: is not a card type of card_types.json; the job does not use it",
    ]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None, categories=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec=None)), inner, max_size=4),
    max_leaves=8,
)
KEYS = ["id", "card_types", "target_type", "category", "date", "topic_key", "extra_params", "run_engines", "name"]
KEYS += ["enabled", "default", "tasks", "backend", "model_name", "run_news_engine", "news", "equities_default", "AAPL"]
NEARLY = st.recursive(
    st.sampled_from([*KEYS, "equity", "person", "2026-11-24", "news_card", True, False, None, 1, "..", "a/b", ""]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)
JSON_LIKE = st.text('[]{}",:0123456789.eE+-truefalsn\\ud8 \n\r“，').map(str.encode)
DOCUMENTS = st.binary() | JSON_LIKE | (ANYTHING | NEARLY).map(lambda value: json.dumps(value).encode())


@given(st.dictionaries(st.sampled_from(OBJECTS), DOCUMENTS))
def test_no_bytes_raise_an_exception_and_every_sentence_names_its_object(objects: dict[str, bytes]) -> None:
    faults, notices = judged(objects)
    for sentence in (*faults, *notices):
        name, _, rest = sentence.partition(": ")
        assert name in OBJECTS
        assert all(rest.rpartition("; ") if faults else rest), "what is wrong, and the remedy"
        assert sentence.isprintable()
        assert len(sentence) < 600


@pytest.mark.parametrize(
    "topic",
    ["美联储（Fed）", "Ａ股", "Zürich", "E=mc2", "1E5", "Rate vs. Inflation", "S&P, Dow", "\U0001fae9", "a\ue000"],
)
def test_ids_in_any_script_are_accepted(topic: str) -> None:
    assert faults_with("card_targets.json", [{"id": topic, "topic_key": "k"}]) == []


def test_of_many_notices_the_first_are_listed() -> None:
    types = [{"name": "news_card"}, *({"name": name, "enabled": False} for name in MANY_TYPES)]
    entries = {"AAPL": ["news_card", *MANY_TYPES]}
    notices = judged(GOOD | {"card_types.json": types, "card_targets.json": entries})[1]
    assert len(notices) == CAUSES_LISTED + 1
    assert notices[-1] == "card_targets.json: has further notices"


BAD_ENTRY = {"id": "x/" * 30, "card_types": [7, "a/b", "n" * 9999], "target_type": "p" * 9999, "k" * 9999: 1}


@pytest.mark.parametrize("value", [BAD_ENTRY, {"a/" * 9999: 1}, "v" * 9999, ["w"], 10**39, None])
def test_each_object_full_of_faults_makes_few_and_short_lines(value: object) -> None:
    for each in ([value] * 30, {f"{number}": value for number in range(30)}):
        faults, notices = judged(dict.fromkeys(OBJECTS, each))
        assert 0 < len(faults) <= len(OBJECTS) * 12
        assert all(len(line) <= 600 and line.isprintable() for line in (*faults, *notices))


# --- a document that all JSON parsers read in the same way is accepted ---


def refusal(data: str | bytes) -> str:
    with pytest.raises(InvalidError) as refused:
        parse_object(data if isinstance(data, bytes) else data.encode())
    return f"{refused.value.what}; {refused.value.remedy}"


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b'["\xff"]', "is not UTF-8 at byte 2; save it as UTF-8"),
        ('["AAPL"]'.encode("utf-16"), "is not UTF-8 at byte 0; save it as UTF-8"),
        (b"[" * (SIZE_LIMIT + 1), f"is larger than 16 MiB; {MEANT}"),
        (b"[" * (SIGNS_LIMIT + 1), f"has more than 1,000,000 commas and brackets; {MEANT}"),
    ],
    ids=["bytes", "UTF-16", "size", "signs"],
)
def test_a_document_that_is_too_large_or_no_text_is_refused(data: bytes, fault: str) -> None:
    assert refusal(data) == fault


@pytest.mark.parametrize("text", [" \n", "\ufeff", '"AAPL","MSFT"\n', "null"])
def test_what_is_no_json_at_all_is_reported_as_that(text: str) -> None:
    assert refusal(text) == (
        "is not a JSON array or object; perhaps it is empty, a table, a web page or a workbook; "
        'write JSON there, such as ["AAPL", "MSFT"]'
    )


STRAIGHT = 'write straight quotes: "'
OPEN = "a string or a bracket is not closed; close it"


@pytest.mark.parametrize(
    ("text", "place", "cause"),
    [
        ('["AAPL",\n  ]', '2 column 3 (["AAPL", ▸ ])', "it has a comma after the last entry; remove it"),
        ("{'a': 1}", "1 column 2 ({ ▸ 'a': 1})", f"it has the quote '; {STRAIGHT}"),
        ('["AAPL”]', '1 column 9 (["AAPL”] ▸)', f"it has the quote ”; {STRAIGHT}"),
        ('["AAPL”, "MSFT"]', '1 column 11 (["AAPL”, " ▸ MSFT"])', f"it has the quote ”; {STRAIGHT}"),
        ('[\r\n"AAPL”,\r\n"MSFT"]', '2 column 8 ([ "AAPL”, ▸)', f"it has the quote ”; {STRAIGHT}"),
        ('["茅台"，"MSFT"]', '1 column 6 (["茅台" ▸ ，"MSFT"])', "it has the full-width ，; write ,"),
        ('["a", // x\n]', '1 column 7 (["a", ▸ // x)', "it has a comment; remove it"),
        ("# tickers\n[1]", "1 column 1 (▸ # tickers)", "it has a comment; remove it"),
        ('["a"\n\n', '1 column 5 (["a" ▸)', OPEN),
        ('["a\nb"]', '1 column 4 (["a ▸)', OPEN),
        ('[\n"茅台" "MSFT"\n]', '2 column 6 ([ "茅台" ▸ "MSFT")', "a comma is missing; add it"),
        (
            '[{"a": 1, "a": 2}]',
            '1 column 15 ([{"a": 1, "a": ▸  2}])',
            'it has the key "a" twice in one object; keep one of the two',
        ),
    ],
)
def test_a_common_mistake_is_reported_with_its_place_and_what_to_do(text: str, place: str, cause: str) -> None:
    assert refusal(text) == f"is not JSON at line {place}: {cause}"


@pytest.mark.parametrize(
    ("text", "place"),
    [("[1,\u3000NaN]", "1 column 4 ([1, ▸ \\u3000NaN])"), ("[" * 300, f"1 column 202 ({'[' * 20} ▸ {'[' * 20})")],
)
def test_any_other_is_reported_with_its_place(text: str, place: str) -> None:
    assert refusal(text) == f"is not JSON at line {place}; correct it"


def test_a_byte_order_mark_is_accepted() -> None:
    assert parse_object('\ufeff["茅台", 1.5, {"a": null}]'.encode()) == ["茅台", 1.5, {"a": None}]
