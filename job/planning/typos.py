"""Typos: notices for tickers and card types that are probably mistyped. What a complete night had is not looked at."""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from job.config.entries import spelling
from job.config.findings import Findings, Place, alike
from job.config.objects import CARD_TARGETS, CARD_TYPE_LIST, TICKER_LIST, read_config
from job.config.strict_json import parse
from job.planning.plan import Plan
from job.planning.targets import EQUITIES_DEFAULT
from job.text.display import quoted
from job.text.messages import Message, template

SEARCHED = 50
"""How often the nearest spelling is searched for: each search may take 10 ms."""
POOL_LIMIT = 1000
"""Maximum number of spellings among which the nearest one is searched for."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a complete night had."""

    day: str
    tickers: frozenset[str]
    card_types: frozenset[str]

    @classmethod
    def of(cls, day: str, plan: Plan, missed: Collection[str]) -> "Known":
        """What the night with this plan had, without the targets that it `missed`."""
        tickers = frozenset(one.id for one in plan.targets if one.kind == "equity" and one.id not in missed)
        return cls(day, tickers, frozenset(name for one in plan.targets for name in one.card_types))


def typos(objects: Mapping[str, bytes], plan: Plan, known: Known | None) -> list[Message]:
    """A notice for each ticker and card type of a plan that is probably mistyped, and that is not `known`. Pure.

    `objects` are the config objects of the plan, which have no fault. Topics and persons are free text.
    """
    findings = Findings()
    _check_card_types(findings, objects, plan, known)
    _check_tickers(findings, objects, plan, known)
    return findings.notices()


def _check_card_types(findings: Findings, objects: Mapping[str, bytes], plan: Plan, known: Known | None) -> None:
    asked_for = {name for target in plan.targets for name in target.card_types}
    old = known.card_types if known else frozenset[str]()
    gone = sorted(old - asked_for)
    for name in _enabled(objects):
        if name in old:
            continue
        has_default = name not in asked_for and EQUITIES_DEFAULT in _entries(objects)
        if name not in asked_for and has_default:
            text = template("{where}: {name} is asked for by no target; add it to {default} in {targets}")
            values = {"name": quoted(name), "default": quoted(EQUITIES_DEFAULT), "targets": CARD_TARGETS}
            findings.notice(Place(CARD_TYPE_LIST), text, **values)
        elif name not in asked_for:
            text = template("{where}: {name} is asked for by no target; add it to those that need it in {targets}")
            findings.notice(Place(CARD_TYPE_LIST), text, name=quoted(name), targets=CARD_TARGETS)
        elif known and (near := get_close_matches(name, gone, n=1, cutoff=0.8)):
            text = template("{where}: {name} is new, and {near} of {day} is gone; is that what you mean?")
            values = {"name": quoted(name), "near": quoted(near[0]), "day": known.day}
            findings.notice(Place(CARD_TYPE_LIST), text, **values)


def _check_tickers(findings: Findings, objects: Mapping[str, bytes], plan: Plan, known: Known | None) -> None:
    tickers = [target.id for target in plan.targets if target.kind == "equity"]
    old = known.tickers if known else frozenset[str]()
    if old.issuperset(tickers):  # as on most nights; the rest may take seconds for 100,000 tickers
        return
    spellings, doubt = Counter(map(spelling, tickers)), _Doubt(tickers, known)
    places = {entry: (CARD_TARGETS, index) for entry, index in _entries(objects).items()}
    written = parse(TICKER_LIST, objects[TICKER_LIST])
    if isinstance(written, list):
        places |= {ticker: (TICKER_LIST, index) for index, ticker in reversed(list(enumerate(written)))}
    for ticker in tickers:
        # Those that the config's own notices are about are left out.
        if ticker in old or spellings[spelling(ticker)] > 1:
            continue
        found = doubt.of(ticker)
        if found is not None:
            text, near = found
            shown = quoted(ticker, 40) if near is None else alike(ticker, near)
            document, index = places[ticker]
            values = {"day": known.day} if known and "{day}" in text else {}
            findings.notice(Place(document, [index], shown=shown), text, **values)


def _enabled(objects: Mapping[str, bytes]) -> list[str]:
    """The card types that are switched on."""
    config, _, _ = read_config({CARD_TYPE_LIST: objects[CARD_TYPE_LIST]})
    return [name for name, is_enabled in (config.card_types or {}).items() if is_enabled]


def _entries(objects: Mapping[str, bytes]) -> dict[str, int]:
    """The index of each entry of the full form, by its id."""
    written = parse(CARD_TARGETS, objects[CARD_TARGETS]) if CARD_TARGETS in objects else None
    if not isinstance(written, list):
        return {}
    return {entry["id"]: index for index, entry in reversed(list(enumerate(written)))}


_ODDITIES: Mapping[str, re.Pattern[str]] = {
    template("{where}: holds a letter or sign that no ticker has; is that what you mean?"): re.compile(r"[^\x00-\x7f]"),
    template("{where}: holds a space; is that what you mean?"): re.compile(" "),
    template("{where}: has lower-case letters, and tickers are in capitals; is that what you mean?"): re.compile(
        "[a-z]"
    ),
    template("{where}: is a bare number, without the suffix of an exchange; is that what you mean?"): re.compile(
        r"^[0-9]+$"
    ),
    template("{where}: has no dot between number and suffix; is that what you mean?"): re.compile(
        r"^[0-9]{3,}[A-Z]{1,3}$"
    ),
}
"""What can be odd about a ticker, and how to see it."""
_OTHER_SUFFIX = template("{where}: no ticker of {day} has this suffix; is that what you mean?")
_ALMOST = template("{where}: is new, almost like one of {day}; is that what you mean?")
_IN_PLACE = template("{where}: is new, like one of {day} that is gone; is that what you mean?")


class _Doubt:
    """What is odd about a new ticker among others."""

    def __init__(self, tickers: Sequence[str], known: Known | None) -> None:
        self.known = known.tickers if known else frozenset[str]()
        self._has_night = known is not None
        # What known tickers have too is not odd.
        self._oddities = {text: one for text, one in _ODDITIES.items() if not any(map(one.search, self.known))}
        self._gone = sorted(self.known.difference(tickers))
        self._bare: dict[str, str] = {}
        self._starts: dict[str, list[str]] = {}
        for other in (*sorted(self.known), *(one for one in tickers if self._oddity(one) is None)):
            bare = _bare(other)
            self._bare.setdefault(bare, other)
            self._starts.setdefault(bare[:1], []).append(other)
        self._letters: dict[frozenset[str], list[str]] = {}
        self._suffixes: set[str] = set()
        self._usual: dict[str, Counter[str]] = {}
        for one in sorted(self.known):
            self._letters.setdefault(frozenset(one), []).append(one)
            base, suffix = _split(one)
            if suffix:
                self._suffixes.add(suffix)
                for like in {base, _kind(base)}:
                    self._usual.setdefault(like, Counter())[suffix] += 1
        self._searched = 0

    def of(self, ticker: str) -> tuple[str, str | None] | None:
        """The template of the notice about a ticker that is not known, and its nearest spelling; or `None`."""
        oddity = self._oddity(ticker)
        if oddity is not None:
            bare = _bare(ticker)
            near = self._bare.get(bare) or self._closest(ticker.upper(), self._starts.get(bare[:1], ()), 0.7)
            return oddity, near
        if not self._has_night:
            return None
        base, suffix = _split(ticker)
        if suffix and self._suffixes and suffix not in self._suffixes:
            usual = self._usual.get(base) or self._usual.get(_kind(base))
            return _OTHER_SUFFIX, f"{base}.{usual.most_common(1)[0][0]}" if usual else None
        same = self._bare[_bare(ticker)]
        if same in self.known:
            return _ALMOST, same
        if near := self._closest(ticker, self._gone, 0.75):
            return _IN_PLACE, near
        if (
            len(ticker) >= 4 and ticker.isalpha()
        ):  # real tickers with the same letters are rare, other close ones are not
            near = self._closest(ticker, self._letters.get(frozenset(ticker), ()), 0.7)
            return (_ALMOST, near) if near else None
        return None

    def _oddity(self, ticker: str) -> str | None:
        return next((text for text, one in self._oddities.items() if one.search(ticker)), None)

    def _closest(self, ticker: str, others: Sequence[str], cutoff: float) -> str | None:
        if not others or len(others) > POOL_LIMIT or self._searched >= SEARCHED:
            return None
        self._searched += 1
        return next(iter(get_close_matches(ticker, others, n=1, cutoff=cutoff)), None)


def _split(ticker: str) -> tuple[str, str]:
    """The part before the last dot, and the suffix of an exchange after it; the suffix is empty if there is none.

    A single letter after letters is a class of shares, as in BRK.B.
    """
    base, _, suffix = ticker.rpartition(".")
    is_class = len(suffix) == 1 and not any(char.isdigit() for char in base)
    return (base, suffix) if base and not is_class else (ticker, "")


def _kind(base: str) -> str:
    """The same for numbers with the same first digit and length, which are often of the same exchange."""
    return f"{base[0]}{'x' * (len(base) - 1)}" if base.isdigit() else base


def _bare(ticker: str) -> str:
    """Equal for tickers that differ only in case, signs, spaces, leading zeros, or in l for 1 and O for 0."""
    plain = ticker if ticker.isascii() else unicodedata.normalize("NFKC", ticker)
    plain = "".join(filter(str.isalnum, plain.upper()))
    return plain.translate(_DIGITS).lstrip("0") if any(map(str.isdigit, plain)) else plain


_DIGITS = str.maketrans("OIL", "011")
