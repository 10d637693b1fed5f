"""A remedy says where a failure is put right, and by whom: only what is known, and never why it failed."""

import pytest

from job.engines.calls import EngineName
from job.engines.failures import Cause
from job.engines.remedies import remedy_of

TICKERS, CARDS = "Where: ticker_list.json, card_targets.json.", "Where: card_types.json, card_targets.json."
PARAMETERS = "Where: card_targets.json, llm_config.json."
OWNER = "Who: the {} engine's owner."


def url(engine: str) -> str:
    return f"Where: {engine.upper()}_ENGINE_URL (Terraform: engines.{engine}.url). Who: an owner of the project."


@pytest.mark.parametrize(
    ("engine", "answer", "made_before", "remedy"),
    [
        ("news", 400, True, TICKERS),
        ("qa", 422, True, PARAMETERS),
        ("qa", 422, None, PARAMETERS),
        ("qa", 422, False, CARDS),
        ("qa", 404, True, OWNER.format("QA")),
        ("qa", 404, False, CARDS),
        ("news", 404, False, TICKERS),
        ("news", 404, None, url("news")),
        ("financial", 302, None, url("financial")),
        ("qa", 405, None, url("qa")),
        ("news", 413, None, None),
        ("news", 418, None, None),
        ("qa", 429, True, None),
        ("qa", 500, True, OWNER.format("QA")),
        ("qa", 500, None, OWNER.format("QA")),
        ("trading", 500, False, f"{TICKERS} {OWNER.format('trading')}"),
        ("trading", 503, False, OWNER.format("trading")),
        ("trading", Cause.DENIED, True, TICKERS),
        ("news", Cause.DENIED, True, None),
        ("news", Cause.DENIED, False, TICKERS),
        ("qa", Cause.DENIED, None, None),
        ("news", Cause.TIMEOUT, True, OWNER.format("news")),
        ("news", Cause.TIMEOUT, False, TICKERS),
        ("news", Cause.TIMEOUT, None, None),
        ("qa", Cause.TRANSPORT, True, OWNER.format("QA")),
        ("qa", Cause.TRANSPORT, None, url("qa")),
        ("qa", Cause.UNREADABLE, True, OWNER.format("QA")),
        ("qa", Cause.UNREADABLE, None, url("qa")),
        ("news", Cause.HOST_UNKNOWN, True, url("news")),
        ("news", Cause.TOO_LARGE, None, url("news")),
        ("news", Cause.IDENTITY, None, None),
        ("news", Cause.TOKEN_SERVER, None, None),
    ],
)
def test_where_and_who(engine: EngineName, answer: int | Cause, made_before: bool | None, remedy: str | None) -> None:
    cause, status = (answer, None) if isinstance(answer, Cause) else (Cause.STATUS, answer)
    found = remedy_of(engine, cause, status, made_before=made_before, is_deployed=True)
    assert (None if found is None else str(found)) == remedy


def test_the_account_that_lacks_a_right_is_named_with_the_right() -> None:
    who = "Who: an owner of the project gives roles/run.invoker to job@p.iam.gserviceaccount.com."
    account = "job@p.iam.gserviceaccount.com"
    assert str(remedy_of("qa", Cause.STATUS, 403, made_before=True, account=account)) == who
    assert remedy_of("qa", Cause.STATUS, 403, made_before=True) is None


@pytest.mark.parametrize(
    ("answer", "name", "setting"), [(401, "AUDIENCE", "audience"), (413, "BATCH_SIZE", "batch_size")]
)
def test_a_variable_is_named_with_its_setting_in_terraform_only_where_that_sets_it(
    answer: int, name: str, setting: str
) -> None:
    here, there = (
        str(remedy_of("trading", Cause.STATUS, answer, made_before=None, is_deployed=is_deployed))
        for is_deployed in (False, True)
    )
    assert here == f"Where: TRADING_ENGINE_{name}."
    assert (
        there == f"Where: TRADING_ENGINE_{name} (Terraform: engines.trading.{setting}). Who: an owner of the project."
    )


def test_the_process_s_own_limit_is_put_right_by_fewer_calls() -> None:
    assert str(remedy_of("qa", Cause.PROCESS_LIMIT, None, made_before=None)) == "Where: QA_ENGINE_CONCURRENCY."
