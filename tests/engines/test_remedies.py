"""A failed call's remedy says what a person should do, as far as the answer tells."""

import pytest

from job.engines.calls import EngineName
from job.engines.failures import Cause, remedy_of

LOOK_AT_IT = "Look for crashes and memory limits"
BOTH = "ticker_list.json or card_targets.json"
NOT_AN_ANSWER = "This is not an answer of the engine."


@pytest.mark.parametrize(
    ("engine", "status", "remedy"),
    [
        ("financial", 302, "What answers there is not the engine. Check FINANCIAL_ENGINE_URL."),
        ("news", 400, "Correct the target in ticker_list.json or card_targets.json."),
        ("qa", 422, f"Correct the target or its parameters in {BOTH}, or the model in llm_config.json."),
        ("qa", 401, "Set QA_ENGINE_AUDIENCE to the service's run.app URL."),
        ("trading", 403, "Grant roles/run.invoker on the service to the job's service account."),
        ("qa", 405, "What answers there is not the engine. Check QA_ENGINE_URL."),
        ("trading", 413, "Lower TRADING_ENGINE_BATCH_SIZE."),
        ("news", 418, "The engine reports that it failed"),
        ("qa", 429, "The engine had no free instance."),
        ("news", 500, "The engine failed (HTTP 500)."),
        ("trading", 500, "The engine could not do this ticker"),
        ("financial", 502, "The engine could not do this ticker"),
        ("qa", 502, LOOK_AT_IT),
        ("trading", 503, LOOK_AT_IT),
        ("news", 504, "The engine took longer than its own request timeout."),
    ],
)
def test_what_to_do_about_a_status(engine: EngineName, status: int, remedy: str) -> None:
    assert remedy in str(remedy_of(engine, Cause.STATUS, status, batch=1, has_done=True).of(engine, BOTH))


@pytest.mark.parametrize(
    ("engine", "cause", "batch", "remedy"),
    [
        ("qa", Cause.TRANSPORT, 1, "Check that the service is up and that QA_ENGINE_URL is right."),
        ("news", Cause.HOST_UNKNOWN, 1, "No host has that name. Check NEWS_ENGINE_URL"),
        ("qa", Cause.PROCESS_LIMIT, 1, "Raise its limit of open files (ulimit -n), or lower QA_ENGINE_CONCURRENCY."),
        ("news", Cause.TIMEOUT, 1, "or raise NEWS_ENGINE_TIMEOUT."),
        ("trading", Cause.TIMEOUT, 2, "raise TRADING_ENGINE_TIMEOUT, or lower TRADING_ENGINE_BATCH_SIZE."),
        ("news", Cause.TOO_LARGE, 1, "What answers there is not the engine. Check NEWS_ENGINE_URL."),
        ("qa", Cause.IDENTITY, 1, "Could not get a token."),
        ("news", Cause.TOKEN_SERVER, 1, "Nothing has to be corrected; if it lasts"),
        ("news", Cause.UNREADABLE, 1, f"{NOT_AN_ANSWER} If every call fails like this, check NEWS_ENGINE_URL."),
        ("qa", Cause.UNREADABLE, 1, "Do not start again until it answers as it should"),
        ("trading", Cause.DENIED, 1, "The engine could not do this ticker"),
        ("qa", Cause.DENIED, 1, "The engine reports that it failed"),
        ("qa", Cause.INTERRUPTED, 1, "nothing has to be put right"),
    ],
)
def test_what_to_do_without_a_usable_answer(engine: EngineName, cause: Cause, batch: int, remedy: str) -> None:
    assert remedy in str(remedy_of(engine, cause, 200, batch=batch, has_done=True).of(engine, BOTH))
