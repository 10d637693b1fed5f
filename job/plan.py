"""The plan: every call that a run will make, a pure function of config and settings."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from job.engines import ALL_ENGINES, BATCHES, Call, EngineName, card, news
from job.faults import Fault
from job.settings import Settings
from job.shapes import Models
from job.targets import Target, models_of


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will do. Calls are made up when they are asked for: 100,000 of them would fill the memory."""

    targets: tuple[Target, ...]
    models: Models
    date: str | None
    """The day of every target that has none of its own; `None` leaves it to the engines."""
    batch_sizes: Mapping[EngineName, int]

    def count(self, engine: EngineName) -> int:
        """How many items are planned for an engine: cards for qa, targets for the others."""
        if engine == "qa":
            return sum(len(target.card_types) for target in self.targets)
        return sum(engine in target.engines for target in self.targets)

    def engines(self) -> tuple[EngineName, ...]:
        """The engines that the plan uses."""
        return tuple(engine for engine in ALL_ENGINES if self.count(engine))

    def calls(self, engine: EngineName) -> Iterator[Call]:
        """The calls of one engine, in the order in which they are to start."""
        if engine == "qa":
            return self._cards()
        if engine == "news":
            return self._news()
        return self._batches(engine)

    def _batches(self, engine: EngineName) -> Iterator[Call]:
        ids = [target.id for target in self.targets if engine in target.engines]
        size = self.batch_sizes[engine]
        return (BATCHES[engine](ids[start : start + size]) for start in range(0, len(ids), size))

    def _news(self) -> Iterator[Call]:
        for target in self.targets:
            if "news" in target.engines:
                yield news(target.id, target.kind, target.key, target.date or self.date)

    def _cards(self) -> Iterator[Call]:
        chosen = {name: models_of(self.models, name) for target in self.targets for name in target.card_types}
        for target in self.targets:
            for name in target.card_types:
                parameters = {**dict(chosen[name]), **dict(target.parameters)}
                yield card(target.id, name, target.date or self.date, parameters.items())


def missing_urls(plan: Plan, settings: Settings) -> list[Fault]:
    """The engines that the plan uses and the settings do not know."""
    return [
        Fault(f"{engine.upper()}_ENGINE_URL", "is not set", f"set it to the {engine} engine's https URL")
        for engine in plan.engines()
        if settings.engines[engine].url is None
    ]
