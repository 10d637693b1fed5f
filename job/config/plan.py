"""Plan: every call of a run, a pure function of config and settings."""

import hashlib
import json
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from operator import attrgetter

from job.config.schema import LlmConfig
from job.config.targets import Target, llm_parameters
from job.engines.calls import BATCHES, Call, Item, card, news
from job.engines.catalog import ALL_ENGINES, EngineName
from job.text.messages import Message


@dataclass(frozen=True, slots=True)
class Plan:
    """The work of a run. `Call` objects are created lazily, since 100,000 of them could exhaust the memory."""

    targets: tuple[Target, ...]
    models: LlmConfig
    date: str
    """The date of every target that has none of its own."""
    batch_sizes: Mapping[EngineName, int]
    left_out: frozenset[str] = frozenset()
    """The targets that this attempt makes no calls for. They are planned all the same."""
    notices: tuple[Message, ...] = ()
    """What is odd about the config that it was made from."""

    @classmethod
    def empty(cls, day: str) -> "Plan":
        """The plan of a start that has none."""
        return cls((), LlmConfig(), day, {})

    def without(self, names: Collection[str]) -> "Plan":
        """The plan with these targets left out."""
        return replace(self, left_out=frozenset(names))

    def count(self, engine: EngineName) -> int:
        """How many items are planned for an engine: cards for qa, targets for the others."""
        if engine == "qa":
            return sum(len(target.card_types) for target in self.targets)
        return sum(engine in target.engines for target in self.targets)

    def engines(self) -> tuple[EngineName, ...]:
        """The engines that the plan uses."""
        return tuple(engine for engine in ALL_ENGINES if self.count(engine))

    def items_by_target(self, engine: EngineName) -> Iterator[tuple[str, tuple[str | None, ...]]]:
        """What is planned for an engine, in order: each target with its card types, or with `None` for data engines."""
        for target in self.targets:
            if engine == "qa":
                yield target.id, target.card_types
            elif engine in target.engines:
                yield target.id, (None,)

    def items(self, engine: EngineName) -> Iterator[Item]:
        """The items that are planned for an engine, in order."""
        for target, card_types in self.items_by_target(engine):
            yield from (Item(engine, target, card_type) for card_type in card_types)

    def calls(self, engine: EngineName, done: Container[Item] = ()) -> Iterator[Call]:
        """The calls of one engine, in order, for all items that are neither done nor left out.

        Batches are formed before any item is removed, so that every attempt at a day has the same batches.
        """
        if engine in BATCHES:
            yield from self._batches(engine, done)
            return
        for target in self.targets:
            if target.id in self.left_out:
                continue
            if engine == "news" and engine in target.engines and Item(engine, target.id, None) not in done:
                yield self.news_call(target)
            for card_type in target.card_types if engine == "qa" else ():
                if Item(engine, target.id, card_type) not in done:
                    yield self.card_call(target, card_type)

    def digest(self) -> str:
        """A digest that is equal for plans which want the same cards for the same day."""
        digest = hashlib.sha256(f"[{json.dumps(self.date)}, [".encode())
        for number, target in enumerate(self.targets):  # one by one: all targets in one string would take 100 MiB
            digest.update(f"{', ' if number else ''}{json.dumps(_values(target))}".encode())
        digest.update(f"], {json.dumps(self.models.model_dump())}]".encode())
        return digest.hexdigest()

    def _batches(self, engine: EngineName, done: Container[Item]) -> Iterator[Call]:
        ids = [item.target for item in self.items(engine)]
        size = self.batch_sizes[engine]
        for start in range(0, len(ids), size):
            batch = ids[start : start + size]
            if left := [one for one in batch if one not in self.left_out and Item(engine, one, None) not in done]:
                yield BATCHES[engine](left)

    def date_of(self, engine: EngineName, target: Target) -> str:
        """The date for which an engine is asked about a target; empty for an engine that takes no date."""
        return "" if engine in BATCHES else target.date or self.date

    def news_call(self, target: Target) -> Call:
        """The call for the news of a target."""
        return news(target.id, target.kind, target.key, target.date or self.date)

    def card_call(self, target: Target, card_type: str) -> Call:
        """The call for a card of a target."""
        parameters = _parameters(llm_parameters(self.models, card_type), target.parameters)
        return card(target.id, card_type, target.date or self.date, parameters)


_values = attrgetter(*(field.name for field in fields(Target)))


def _parameters(model: tuple[tuple[str, str], ...], own: tuple[tuple[str, str], ...]) -> Iterable[tuple[str, str]]:
    """The parameters of a card: the target's own override the model's. A model is not used with another backend."""
    parameters, given = dict(model), dict(own)
    if given.get("preferred_llm_backend") not in {None, parameters.get("preferred_llm_backend")}:
        parameters.pop("model_name", None)
    return (parameters | given).items()
