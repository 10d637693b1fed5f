"""What the job promises of all its runs, held against a world in virtual time while they are at work."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any

from job.records.past import read_run
from job.report.inputs import RunInputs, unpack

from job.engines.identity import RunIdentity
from job.ledger.result import CallResult
from tests.simulators.service import Fault
from tests.support.stores import Memory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from job.engines.catalog import EngineName
    from job.planning.plan import Plan
    from tests.simulators.job import Outcome
    from tests.simulators.seen import Seen
    from tests.support.world import VirtualWorld

CODES = {0, 1, 2, 3, 4, 75, 130, 143}
"""How a run may end; 70 is a bug."""
Card = tuple[str, str, str]
"""Target, card type, date: empty if the engine uses its own."""


def card_of(request: Seen) -> Card:
    """The card that a request is for."""
    query = dict(request.query)
    return query["ticker"], request.card or "", query.get("date_str", "")


@dataclass
class Promise:
    """Watches the engines, and knows of the job only what it has stored and sent. Whatever is broken raises."""

    world: VirtualWorld
    made: set[tuple[str, Card]] = field(default_factory=set)
    """The cards on which the engine has done its work, each with its run."""
    _results: dict[str, list[CallResult]] = field(default_factory=dict)
    """By object of a journal."""
    _inputs: dict[str, RunInputs] = field(default_factory=dict)
    _keys: dict[tuple[str, str, bytes], str] = field(default_factory=dict)
    """By run, request and body, of those that are no remakes."""
    _tokens: set[str] = field(default_factory=set)

    def watch(self) -> None:
        """Looks at every request of an engine from now on, when it arrives."""
        for service in self.world.engines.values():
            service.script.insert(0, Fault(self._arrived, _never))
        work = self.world.qa.respond

        def respond(request: Seen) -> Any:
            self.made.add((self._run_of(request), card_of(request)))
            return work(request)

        self.world.qa.respond = respond

    # --- what is recorded ---

    @property
    def run_ids(self) -> list[str]:
        """The ids of all recorded runs, in their order."""
        return [name.partition("/")[0] for name in self.world.runs.objects if name.endswith("/inputs.json")]

    def inputs(self, run_id: str) -> RunInputs:
        """The latest inputs of a run."""
        later = [one for one in self.world.runs.objects if one.startswith(f"{run_id}/inputs-")]
        name = max(later, default=f"{run_id}/inputs.json")
        if name not in self._inputs:
            self._inputs[name] = unpack(name, self.world.runs.objects[name].data, run_id)
        return self._inputs[name]

    def done(self, run_id: str) -> Iterator[CallResult]:
        """The results of a run that are durable, if they are of something done."""
        for name, stored in self.world.runs.objects.items():
            if not name.startswith(f"{run_id}/results/"):
                continue
            if name not in self._results:
                self._results[name] = [CallResult.parse(line) for line in stored.data.splitlines()[1:]]
            yield from (result for result in self._results[name] if result.done)

    def cards(self, run_id: str) -> set[Card]:
        """The recorded cards of a run."""
        return {
            (result.targets[0], result.card_type, result.date or "")
            for result in self.done(run_id)
            if result.card_type is not None
        }

    def entries(self, run_id: str) -> list[dict[str, Any]]:
        """The attempts at a run, as they are recorded."""
        objects = self.world.runs.objects
        return [json.loads(objects[name].data) for name in objects if name.startswith(f"{run_id}/attempts/")]

    def asked_again(self, run_id: str) -> dict[tuple[EngineName, str, str | None], int]:
        """What people have asked to have made again and what is not recorded so, with the number of the request."""
        asked: dict[tuple[EngineName, str, str | None], int] = {}
        for entry in sorted(self.entries(run_id), key=lambda entry: int(entry["number"])):
            targets = {target for _, target, _, _ in entry["remakes"]}  # whose data is asked for anew, or no longer
            asked = {one: number for one, number in asked.items() if one[0] == "qa" or one[1] not in targets}
            for engine, target, card, number in entry["remakes"]:
                asked[engine, target, card] = max(asked.get((engine, target, card), 0), number or entry["number"])
        for result in self.done(run_id):
            for target in result.targets:
                if asked.get((result.engine, target, result.card_type), inf) <= result.remake:
                    del asked[result.engine, target, result.card_type]
        return asked

    def executions(self, run_id: str) -> set[str | None]:
        """The executions that have worked on a run."""
        return {run_id, *(entry["execution"] for entry in self.entries(run_id))}

    # --- what is promised ---

    def _arrived(self, request: Seen) -> bool:
        """Holds a request against the promise. No fault strikes."""
        if request.token is not None:
            self._tokens.add(request.token)
        if request.path == "/health":
            return False
        run_id = self._run_of(request)
        key, made = request.headers["idempotency-key"], (run_id, request.target, request.body)
        number = self._number_of(run_id, request, key)
        assert number or self._keys.setdefault(made, key) == key, f"another key for the same request: {request.target}"
        if request.service == "qa":
            inputs, card = self.inputs(run_id), card_of(request)
            plan = inputs.plan()
            missing = self._missing_data(run_id, plan)
            assert not missing, f"{card} is requested without {missing}"
            assert f"{run_id}/barrier-{plan.digest()[:16]}.json" in self.world.runs.objects, "no barrier"
            asked = self.asked_again(run_id)
            data = [one for one in asked if one[0] != "qa" and (one[1], None) in set(plan.items(one[0]))]
            assert not data, f"{card} is requested before {data}"
            if number:
                assert asked.get(("qa", card[0], card[1])) == number, f"{card} is not to be made again"
            else:
                assert card not in self.cards(run_id), f"{card} is recorded and requested again"
        return False

    def _number_of(self, run_id: str, request: Seen, key: str) -> int:
        """The number of the request to make something again that has this key; 0 without one."""
        call = (b"POST", request.service.encode(), request.target.encode(), request.body)
        numbers = {number or entry["number"] for entry in self.entries(run_id) for _, _, _, number in entry["remakes"]}
        keys: dict[str, int] = {RunIdentity(run_id).idempotency_key(*call, remake=number): number for number in numbers}
        return keys.get(key, 0)

    def _run_of(self, request: Seen) -> str:
        trace = request.headers["traceparent"].split("-")[1]
        return next(run_id for run_id in self.run_ids if RunIdentity(run_id).trace_id == trace)

    def _missing_data(self, run_id: str, plan: Plan) -> set[tuple[str, str]]:
        """The data of a plan that is not durable."""
        wanted = {(engine, item[0]) for engine in ("financial", "trading") for item in plan.items(engine)}
        wanted |= {("news", call.request) for call in plan.calls("news")}
        for result in self.done(run_id):
            if result.engine == "news":
                wanted.discard(("news", result.request))
            wanted -= {(result.engine, target) for target in result.targets}
        return wanted

    def ended(self, outcome: Outcome, arguments: tuple[str, ...], *, is_out: bool) -> None:
        """Holds the end of a process that was not killed against the promise; `is_out`: storage may have failed.

        A start with other arguments than `remake` has to do whatever anybody has asked for, a remake its own cards.
        """
        assert outcome.exit_code in CODES, outcome.stdout
        finished = outcome.finished
        assert finished["exit_code"] == outcome.exit_code
        _assert_sum(finished["cards"], "generated")
        if outcome.exit_code != 0:
            return
        run_id = finished["run"]
        inputs = self.inputs(run_id)
        cards = {card for made_by, card in self.made if made_by == run_id}
        assert wanted_cards(inputs) <= cards, f"0, but not made: {wanted_cards(inputs) - cards}"
        if not is_out:
            assert not self._missing_data(run_id, inputs.plan())
            assert wanted_cards(inputs) <= self.cards(run_id), "0, but not recorded"
            planned = {(card[0], card[1]) for card in wanted_cards(inputs)}
            left = {one for one in self.asked_again(run_id) if one[1:] in planned}
            if arguments[0] == "remake":
                own = (entry for entry in self.entries(run_id) if sorted(entry["arguments"]) == sorted(arguments))
                left &= {(engine, target, card) for entry in own for engine, target, card, _ in entry["remakes"]}
            assert not left, f"0, but not made again: {left}"

    async def check(self) -> None:
        """Holds everything that is recorded against the promise, and what the job says of it."""
        objects = dict(self.world.runs.objects)
        for run_id in self.run_ids:
            list(self.done(run_id))  # they can be parsed
            if (stored := objects.get(f"{run_id}/report.json")) is None:
                continue
            report = json.loads(stored.data)
            _assert_sum(report["cards"], "generated")
            for totals in report["engines"].values():
                _assert_sum(totals, "done")
            numbers = [int(name[-11:-5]) for name in objects if name.startswith(f"{run_id}/attempts/")]
            lease = json.loads(objects["_lease.json"].data) if "_lease.json" in objects else {}
            if report["attempt"] == max(numbers) and lease.get("run_id") != run_id:
                run = await read_run(Memory(objects, clock=time.time), run_id)
                assert run is not None
                assert run.report.outcome == report["outcome"], "the latest attempt has closed the record"
                assert [*run.report.left_out] == report["left_out"], "what is left out is read as it was written"

    def check_secrets(self, outputs: list[str]) -> None:
        """No token is in what was printed, nor in what is recorded."""
        shown = "\n".join([*outputs, *(data.decode() for data in self.world.recorded().values())])
        assert "eyJ" not in shown, "the beginning of a token"
        for token in self._tokens:
            assert token not in shown
        assert self.world.violations == []


def wanted_cards(inputs: RunInputs) -> set[Card]:
    """The cards of a run, from its config itself: none of the job's planning is used."""
    config = {name: json.loads(kept.content) for name, kept in inputs.objects.items()}
    day = inputs.date or ""
    targets = [{"id": ticker} for ticker in config["ticker_list.json"]] + config.get("card_targets.json", [])
    return {
        (target["id"], card, target.get("date", day))
        for target in targets
        for card in target.get("card_types", config["card_types.json"])
    }


def _assert_sum(totals: dict[str, int], done: str) -> None:
    parts = [totals[name] for name in (done, "skipped", "failed", "not_attempted") if name in totals]
    assert totals["planned"] == sum(parts), totals


async def _never(_visit: object) -> None:  # noqa: ASYNC124  nothing to do
    raise AssertionError
