"""Google's own client libraries take the metadata server, the identity services and the storage for the real ones."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
import requests
import trio
from google.api_core.exceptions import NotFound, PreconditionFailed, ServiceUnavailable
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from tests.simulators import broken, do, when
from tests.simulators.metadata import by_audience
from tests.simulators.oauth import Accounts
from tests.simulators.seen import peak
from tests.simulators.service import Fault
from tests.simulators.storage import emulator_binary
from tests.simulators.world import CONFIG_BUCKET, RUNS_BUCKET, World, open_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

# google-auth reads the address of the metadata server when it is imported: hence a process of its own.
pytestmark = pytest.mark.slow  # the job's own tests depend on what the simulators promise

FETCH = """
import json, os, sys
import google.auth, google.auth.exceptions
from google.auth import impersonated_credentials
from google.auth.transport.requests import Request
from google.oauth2 import id_token
request, found = Request(), []
for audience in sys.argv[1:]:
    try:
        account = os.environ.get("IMPERSONATE_SERVICE_ACCOUNT")
        if account:
            source, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
            target = impersonated_credentials.Credentials(source, account, [])
            credentials = impersonated_credentials.IDTokenCredentials(target, audience, include_email=True)
        else:
            credentials = id_token.fetch_id_token_credentials(audience, request)
        credentials.refresh(request)
        found.append([credentials.token, credentials.expiry.timestamp()])
    except google.auth.exceptions.GoogleAuthError as error:
        found.append([type(error).__name__, str(error)])
print(json.dumps(found))
"""


async def fetch(world: World, *audiences: str, env: Mapping[str, str | None] | None = None) -> list[Any]:
    """What google-auth gets for each audience in turn: token and expiry, or the name of its error and its words."""
    command = [sys.executable, "-c", FETCH, *audiences]
    with trio.fail_after(20):
        done = await trio.run_process(command, capture_stdout=True, env=world.environment(**(env or {})))
    found: list[Any] = json.loads(done.stdout)
    return found


@pytest.fixture
async def world(nursery: trio.Nursery) -> AsyncIterator[World]:
    async with open_world(nursery, {}) as opened:
        yield opened


async def test_google_auth_gets_tokens_that_the_engines_believe(world: World) -> None:
    urls = [engine.url for engine in world.engines.values()]
    for (token, _), url in zip(await fetch(world, *urls), urls, strict=True):
        assert world.tokens.mint.check(token, url)["aud"] == url
    asked = by_audience(world.metadata.requests)
    assert {audience: len(found) for audience, found in asked.items()} == dict.fromkeys(urls, 1)
    assert all(peak(found) == 1 for found in asked.values())


async def test_a_token_is_handed_out_again_until_four_minutes_before_its_end(world: World) -> None:
    world.tokens.lifetime = 1000
    (first, _), (second, _) = await fetch(world, "https://a", "https://a")
    assert first == second
    world.tokens.forget()
    world.tokens.lifetime = 239
    (third, expiry), (fourth, _) = await fetch(world, "https://a", "https://a")
    assert len({first, third, fourth}) == 3
    assert 0 < expiry - time.time() + time.timezone <= 239 + 1


async def test_tokens_can_be_expired_or_foreign(world: World) -> None:
    world.tokens.lifetime = -10
    (expired, _), _ = await fetch(world, "https://a", "https://b")
    with pytest.raises(Exception, match="expired"):
        world.tokens.mint.check(expired, "https://a")
    world.tokens.lifetime = 3600
    world.tokens.foreign_audience = "https://other"
    ((foreign, _),) = await fetch(world, "https://a")
    with pytest.raises(Exception, match="https://other"):
        world.tokens.mint.check(foreign, "https://a")


async def test_a_metadata_server_that_fails_for_a_moment_is_asked_again(world: World) -> None:
    identity = when.path("/computeMetadata/v1/instance/service-accounts/default/identity")
    world.metadata.script.append(Fault(identity, do.in_turn(do.status(503), do.nothing())))
    ((token, _),) = await fetch(world, "https://a")
    assert world.tokens.mint.check(token, "https://a")
    assert [seen.status for seen in world.metadata.requests if identity(seen)] == [503, 200]


async def test_without_metadata_server_there_is_no_token(world: World) -> None:
    await world.metadata.stop()
    ((error, _),) = await fetch(world, "https://a", env={"GCE_METADATA_DETECT_RETRIES": "1"})
    assert error == "DefaultCredentialsError"


async def test_a_key_file_gets_tokens_without_metadata_server(world: World) -> None:
    ((token, _),) = await fetch(world, world.qa.url, env=world.key_file())
    assert world.tokens.mint.check(token, world.qa.url)
    assert [seen.path for seen in world.seen] == ["/token"]


async def test_a_key_of_another_account_gets_no_token(world: World) -> None:
    variables = world.key_file()
    Accounts(world.tokens).write_key_file(world.directory / "key.json", f"{world.oauth.url}/token")
    ((error, words),) = await fetch(world, "https://a", env=variables)
    assert (error, "invalid_grant" in words) == ("RefreshError", True)


@pytest.mark.parametrize("source", ["user_file", "key_file"])
async def test_impersonation_gets_tokens(world: World, source: str) -> None:
    variables = world.impersonating("runner@example.com") | getattr(world, source)()
    ((token, _),) = await fetch(world, "https://a", env=variables)
    assert world.tokens.mint.check(token, "https://a")
    assert world.seen[-1].path == "/v1/projects/-/serviceAccounts/runner@example.com:generateIdToken"
    world.accounts.impersonable.clear()
    ((error, words),) = await fetch(world, "https://a", env=variables)
    assert (error, "PERMISSION_DENIED" in words) == ("RefreshError", True)


async def test_a_person_gets_no_id_token_unless_impersonating(world: World) -> None:
    await world.metadata.stop()
    ((error, _),) = await fetch(world, "https://a", env=world.user_file() | {"GCE_METADATA_DETECT_RETRIES": "1"})
    assert error == "DefaultCredentialsError"


BINARY = emulator_binary()
needs_emulator = pytest.mark.needs("emulator")


@pytest.fixture
async def stored(nursery: trio.Nursery) -> AsyncIterator[World]:
    async with open_world(nursery, {"ticker_list.json": ["AAPL"]}, emulator=BINARY) as opened:
        yield opened


async def with_bucket(world: World, use: Callable[[storage.Bucket], None], name: str = RUNS_BUCKET) -> None:
    """Runs blocking code with the real client library and a bucket."""
    assert world.storage
    url = world.storage.url

    def run() -> None:
        client = storage.Client("any", AnonymousCredentials(), client_options={"api_endpoint": url})
        try:
            use(client.bucket(name))
        finally:
            client.close()

    with trio.fail_after(20):
        await trio.to_thread.run_sync(run)


def put(bucket: storage.Bucket, name: str, data: bytes, **options: object) -> int:
    blob = bucket.blob(name)
    blob.upload_from_string(data, timeout=2, **options)
    generation: int = blob.generation
    return generation


@needs_emulator
async def test_the_config_is_in_the_bucket(stored: World) -> None:
    def use(bucket: storage.Bucket) -> None:
        assert bucket.blob("config/ticker_list.json").download_as_bytes() == b'["AAPL"]'

    await with_bucket(stored, use, CONFIG_BUCKET)
    assert stored.environment()["CONFIG_URI"] == f"gs://{CONFIG_BUCKET}/config"


@needs_emulator
async def test_storage_keeps_preconditions_and_generations(stored: World) -> None:
    def use(bucket: storage.Bucket) -> None:
        first = put(bucket, "a", b"1", if_generation_match=0)
        with pytest.raises(PreconditionFailed):
            put(bucket, "a", b"2", if_generation_match=0)
        second = put(bucket, "a", b"2", if_generation_match=first)
        assert second > first
        with pytest.raises(PreconditionFailed):
            put(bucket, "a", b"3", if_generation_match=first)
        with pytest.raises(PreconditionFailed):
            bucket.blob("a").download_as_bytes(if_generation_match=first)
        with pytest.raises(PreconditionFailed):
            bucket.blob("a").delete(if_generation_match=first)
        assert bucket.blob("a").download_as_bytes(if_generation_match=second) == b"2"
        assert bucket.get_blob("a").generation == second
        bucket.blob("a").delete(if_generation_match=second)
        assert not bucket.blob("a").exists()
        with pytest.raises(PreconditionFailed):
            put(bucket, "a", b"3", if_generation_match=second)

    await with_bucket(stored, use)


@needs_emulator
async def test_storage_lists_reads_in_part_and_knows_what_is_missing(stored: World) -> None:
    def use(bucket: storage.Bucket) -> None:
        for name in ("runs/a/1", "runs/a/2", "runs/b/1", "runs/美联储 a?b#c%2F"):
            put(bucket, name, name.encode())
        assert [blob.name for blob in bucket.list_blobs(prefix="runs/a/")] == ["runs/a/1", "runs/a/2"]
        assert [blob.name for blob in bucket.list_blobs(prefix="runs/", start_offset="runs/b", max_results=1)] == [
            "runs/b/1"
        ]
        assert bucket.blob("runs/美联储 a?b#c%2F").download_as_bytes().decode() == "runs/美联储 a?b#c%2F"
        assert bucket.blob("runs/a/1").download_as_bytes(start=5, end=5) == b"a"
        assert bucket.get_blob("missing") is None
        with pytest.raises(NotFound):
            bucket.blob("missing").download_as_bytes()
        with pytest.raises(NotFound):
            bucket.client.bucket("missing").blob("a").upload_from_string(b"1")

    await with_bucket(stored, use)
    assert stored.emulator
    assert await stored.emulator.names(RUNS_BUCKET, "runs/b") == ["runs/b/1"]
    assert await stored.emulator.get(RUNS_BUCKET, "runs/b/1") == b"runs/b/1"


@needs_emulator
async def test_a_large_object_goes_through_in_parts(stored: World) -> None:
    data = bytes(range(256)) * 40_000

    def use(bucket: storage.Bucket) -> None:
        put(bucket, "large", data, if_generation_match=0)
        assert bucket.blob("large").download_as_bytes() == data

    await with_bucket(stored, use)
    assert stored.storage
    assert any("uploadType=resumable" in seen.target and seen.method == "PUT" for seen in stored.storage.requests)


@needs_emulator
async def test_a_lost_write_comes_back_as_a_conflict_with_itself(stored: World) -> None:
    assert stored.storage
    stored.storage.script.append(Fault(when.both(when.method("POST"), when.attempt(1)), broken.reset_after_work()))

    def use(bucket: storage.Bucket) -> None:
        with pytest.raises(PreconditionFailed):
            put(bucket, "lease", b"mine", if_generation_match=0)
        assert bucket.blob("lease").download_as_bytes() == b"mine"

    await with_bucket(stored, use)


@needs_emulator
async def test_storage_can_be_broken_like_any_service(stored: World) -> None:
    assert stored.storage
    stored.storage.script.append(Fault(when.always, do.status(503)))

    def unavailable(bucket: storage.Bucket) -> None:
        with pytest.raises(ServiceUnavailable):
            bucket.blob("a").download_as_bytes(retry=None)

    await with_bucket(stored, unavailable)
    stored.storage.script[:] = [Fault(when.always, do.slow(9))]

    def late(bucket: storage.Bucket) -> None:
        with pytest.raises(requests.Timeout):
            bucket.blob("a").download_as_bytes(retry=None, timeout=0.2)

    await with_bucket(stored, late)
    await stored.storage.stop()

    def refused(bucket: storage.Bucket) -> None:
        with pytest.raises(requests.ConnectionError):
            bucket.blob("a").download_as_bytes(retry=None)

    await with_bucket(stored, refused)


def test_a_named_emulator_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR", "/nowhere/fake-gcs-server")
    with pytest.raises(FileNotFoundError, match="STORAGE_EMULATOR"):
        emulator_binary()
