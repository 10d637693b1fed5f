"""What a row of the fault table is, and how its cases are played."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tests.simulators.job import Outcome
from tests.simulators.service import Do, Fault, Service
from tests.simulators.when import When
from tests.simulators.world import World

TICKERS = [f"T{number}" for number in range(8)]
CARDS = ["news_card", "price_card", "risk_card"]
CONFIG: dict[str, object] = {"ticker_list.json": TICKERS, "card_types.json": CARDS}
PLANNED = len(TICKERS) * len(CARDS)
"""Cards; the financial and the trading engine get 4 batches of two, the news engine 8 calls."""
MANY = tuple(f"T{number}" for number in range(50))
"""Tickers of which the cards cannot all begin before an engine is down."""
ALL, NONE = (PLANNED, 0, 0), (0, 0, PLANNED)
NO_PLAN = (0, 0, 0)

Env = Mapping[str, str | None]
Play = Callable[["World", Env], Awaitable["Outcome"]]
Arrange = Callable[["World"], Env | None]
Check = Callable[["World", "Outcome"], None]
Place = Literal["anywhere", "process", "bucket"]
"""What a case needs: nothing, so that it is in virtual time; sockets and processes; the storage emulator. The latter
two are played by a real process."""


async def one_run(world: World, env: Env) -> Outcome:
    """Plays one start from its beginning to its end."""
    return await world.run_job(env=env)


def nothing(_world: World) -> None:
    """Causes no fault."""


def no_check(_world: World, _outcome: Outcome) -> None:
    """Checks nothing beyond what holds for every row."""


@dataclass(frozen=True)
class Case:
    """One way to meet a fault, and how the last start ends then."""

    name: str
    word: str
    code: int
    arrange: Arrange = nothing
    """Lets it go wrong; may add variables."""
    cards: tuple[int, int, int] | None = None
    """Done, failed, not attempted; `None` where chance has a say."""
    says: str = ""
    """Is among what the job prints."""
    play: Play = one_run
    check: Check = no_check
    env: Env = field(default_factory=dict)
    tickers: Sequence[str] = tuple(TICKERS)
    place: Place = "anywhere"
    record: bool = True
    """Whether the day's record ends as the last line says."""

    @property
    def is_virtual(self) -> bool:
        """Whether it is played in virtual time, not by a real process."""
        return self.place == "anywhere"


@dataclass(frozen=True)
class Row:
    """A fault: its texts in the table, and cases that prove them."""

    key: str
    fault: str
    sees: str
    remedy: str
    cases: tuple[Case, ...] = ()
    """None if another test of whole days plays it."""


def strike(engine: str, condition: When, act: Do) -> Arrange:
    """A fault of one service's script."""
    return lambda world: service(world, engine).script.append(Fault(condition, act))


def service(world: World, name: str) -> Service:
    """A service of the world by its name."""
    return next(found for found in world.services if found.name == name)


def succeeded(name: str, arrange: Arrange = nothing, **more: object) -> Case:
    """A case in which all cards are made."""
    return Case(name, "succeeded", 0, arrange, **{"cards": ALL, **more})  # type: ignore[arg-type]


def data_failed(name: str, arrange: Arrange, says: str, **more: object) -> Case:
    """A case that ends with a data engine's failure."""
    return Case(name, "data_engine_failed", 1, arrange, NONE, says, **more)  # type: ignore[arg-type]


def missing(name: str, arrange: Arrange, failed: int, says: str, **more: object) -> Case:
    """A case that ends with cards missing."""
    return Case(name, "cards_missing", 3, arrange, (PLANNED - failed, failed, 0), says, **more)  # type: ignore[arg-type]


def qa_down(name: str, arrange: Arrange, says: str, **more: object) -> Case:
    """A case in which the start gives up requesting cards."""
    return Case(name, "qa_engine_down", 3, arrange, None, says, **more)  # type: ignore[arg-type]


def bad_config(name: str, arrange: Arrange, says: str, **more: object) -> Case:
    """A case in which a person has to correct something before anything is called."""
    return Case(name, "bad_config", 2, arrange, NO_PLAN, says, **more)  # type: ignore[arg-type]


def storage_failed(name: str, arrange: Arrange, says: str, **more: object) -> Case:
    """A case in which storage fails before anything is called."""
    return Case(name, "storage_failed", 75, arrange, NO_PLAN, says, record=False, **more)  # type: ignore[arg-type]
