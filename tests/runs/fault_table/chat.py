"""What can happen to the message that is sent when a start is over."""

from tests.runs.fault_table.row import Arrange, Env, Row, missing, succeeded
from tests.simulators import do, when
from tests.simulators.job import Outcome
from tests.simulators.service import Do, Fault
from tests.simulators.world import World


def _meets(act: Do, *, cards_fail: bool = False) -> Arrange:
    """Sends messages to a chat that answers in this way."""

    def arrange(world: World) -> Env:
        world.chat.service.script.append(Fault(when.always, act))
        if cards_fail:
            world.qa.script.append(Fault(when.card("risk_card"), do.status(422)))
        return world.chat.env()

    return arrange


def _reported(_: World, outcome: Outcome) -> None:
    """The last line says that no message was sent."""
    assert outcome.lines[-1]["event"] == "notification.failed"


def _sent(world: World, _: Outcome) -> None:
    assert len(world.chat.texts) == 1


ROWS = (
    Row(
        "chat",
        "the chat does not accept the message",
        "An error `notification.failed` follows after the last line, in 10 s at most. Nothing else changes. An "
        "overloaded chat gets the message up to three times.",
        "Correct `NOTIFY_URL` and `NOTIFY_SECRET`; in the cloud, as a new version of the secret. Then run `python "
        "-m job notify`.",
        (missing("hangs after cards failed", _meets(do.hang(), cards_fail=True), 8, "no answer within"),),
    ),
    Row(
        "hook",
        "`NOTIFY_URL` or `NOTIFY_ONLY` has a wrong value",
        "A notice says so at the start, without the URL. With a wrong URL, `notification.failed` comes at the end. "
        "With a wrong `NOTIFY_ONLY`, every start sends a message.",
        "Correct it. Then run `python -m job notify`.",
        (
            succeeded(
                "http",
                lambda _world: {"NOTIFY_URL": "http://open.feishu.cn/secret-of-the-bot"},
                check=_reported,
                says="is not an https",
            ),
            succeeded(
                "errors",
                lambda world: world.chat.env(NOTIFY_ONLY="errors"),
                check=_sent,
                says="NOTIFY_ONLY: is not one of 'all', 'failures'",
            ),
        ),
    ),
)
