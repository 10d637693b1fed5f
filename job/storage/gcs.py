"""GCS store: a bucket as an object store. The only module that uses google-cloud-storage."""

import json
import os
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

import requests
from google.api_core.exceptions import (
    Forbidden,
    GoogleAPICallError,
    GoogleAPIError,
    NotFound,
    PreconditionFailed,
    RetryError,
)
from google.api_core.page_iterator import Page
from google.auth import default
from google.auth.credentials import AnonymousCredentials, Credentials
from google.auth.environment_vars import CREDENTIALS
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError
from google.auth.transport.requests import Request
from google.cloud import storage
from google.cloud.storage.exceptions import InvalidResponse
from google.cloud.storage.retry import DEFAULT_RETRY
from requests.adapters import HTTPAdapter

from job.storage.store import (
    THREADS,
    ConflictError,
    StorageError,
    StoredObject,
    UnreachableError,
    changed,
)
from job.text.messages import Value, duration, message
from job.text.shown import excerpt

# Otherwise the library would request the bucket's metadata for its traces, with a permission that the job lacks.
os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")

T = TypeVar("T")

REQUEST_SECONDS = 10.0

PATIENCE_SECONDS = 20.0
"""Time limit for all tries of one operation together."""
LOG_IN = message("on a laptop, run: gcloud auth application-default login")

_FAILURES = (StorageError, GoogleAPIError, GoogleAuthError, InvalidResponse, OSError)
"""What the library raises if a request fails. For unexpected answers it raises AttributeError, KeyError and others."""


def _is_odd(error: Exception) -> bool:
    """Whether the answer cannot be used: it is damaged, or a proxy's in front of Cloud Storage."""
    return isinstance(error, requests.JSONDecodeError) or not isinstance(error, _FAILURES)


_PASSING = {408, 429, 500, 502, 503, 504}


def _is_passing(error: Exception) -> bool:
    """Whether the same request may succeed later: storage did not answer, or not as it should."""
    if isinstance(error, GoogleAuthError):
        return isinstance(error, TransportError) or error.retryable
    if isinstance(error, GoogleAPICallError):
        return error.code in _PASSING
    if isinstance(error, InvalidResponse):
        return error.response.status_code in _PASSING
    return isinstance(error, RetryError | OSError) or _is_odd(error)


# The library gives up as soon as the next delay would pass the limit. With its own delays, of up to a minute, it often
# gave up after a few seconds.
_RETRY = DEFAULT_RETRY.with_delay(initial=0.5, maximum=2.0).with_timeout(PATIENCE_SECONDS).with_predicate(_is_passing)

_ONCE = {"timeout": REQUEST_SECONDS, "retry": None}
"""How the library makes each request: it is the whole operation that is repeated, with its checks."""

_CONTENT_TYPES = {
    "json": "application/json",
    "jsonl": "application/x-ndjson",
    "html": "text/html; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
}


class GcsStore:
    """An `ObjectStore`: the objects of a bucket under a prefix."""

    def __init__(self, name: str, prefix: str) -> None:
        self._name = name
        self._prefix = f"{prefix}/" if prefix else ""
        self._client: storage.Client | None = None
        self._credentials: Credentials | None = None
        self._lock = threading.Lock()

    def read(self, name: str, limit: int | None = None) -> StoredObject | None:
        return self._repeated(name, lambda: self._seen(name, limit))

    def content(self, name: str) -> bytes | None:
        def read() -> bytes | None:
            blob = self._blob(name)
            try:
                data: bytes = blob.download_as_bytes(raw_download=True, **_ONCE)
            except NotFound:
                return None
            if blob.generation is None:
                raise LookupError("the answer is not Cloud Storage's")
            return data

        return self._repeated(name, read)

    def create(self, name: str, data: bytes) -> StoredObject:
        return self._repeated(name, lambda: self._written(name, data, 0))

    def replace(self, name: str, data: bytes, generation: str) -> StoredObject:
        return self._repeated(name, lambda: self._written(name, data, int(generation)))

    def names(self, prefix: str) -> list[str]:
        return sorted(self._listed(prefix, "items(name)", lambda page: [blob.name for blob in page]))

    def folders(self, prefix: str) -> list[str]:
        folders = self._listed(prefix, "prefixes", lambda page: page.raw_page.get("prefixes", []), delimiter="/")
        return sorted(name.removesuffix("/") for name in folders)

    def _seen(self, name: str, limit: int | None = None) -> StoredObject | None:
        """What `read` returns, asked for once: the metadata first. Raises if they are not Cloud Storage's."""
        metadata, blob = self._blob(name), self._blob(name)  # of one, the content would come from a host that it names
        try:
            metadata.reload(**_ONCE)
        except NotFound as error:
            if "bucket does not exist" in str(error.message):
                raise
            return None
        size = metadata.size if limit is None else min(metadata.size, limit)
        end = None if size == metadata.size else size - 1
        # Raw, since the library would unpack a compressed one, of whatever size that makes it.
        options = {"end": end, "if_generation_match": metadata.generation, "raw_download": True, **_ONCE}
        try:
            data = blob.download_as_bytes(**options)
        except (NotFound, PreconditionFailed) as error:
            raise ConnectionError("changed while it was read") from error  # which the library repeats
        if len(data) != size:
            raise ValueError("the content is not as long as the metadata say")
        return _stored(metadata, data)

    def _listed(self, prefix: str, field: str, names: Callable[[Page], list[str]], **more: str) -> list[str]:
        options = {"prefix": f"{self._prefix}{prefix}", "fields": f"kind,{field},nextPageToken", **more, **_ONCE}

        def listed() -> list[str]:
            all_names: list[str] = []
            for page in self._bucket().list_blobs(**options).pages:
                if page.raw_page["kind"] != "storage#objects":  # any JSON object without items looks like an empty page
                    raise ValueError(page.raw_page["kind"])
                all_names += names(page)
            return [name.removeprefix(self._prefix) for name in all_names]

        return self._repeated(prefix, listed)

    def _written(self, name: str, data: bytes, generation: int) -> StoredObject:
        blob = self._blob(name)
        content_type = _CONTENT_TYPES.get(name.rpartition(".")[2], "application/octet-stream")
        try:
            blob.upload_from_string(data, content_type, if_generation_match=generation, **_ONCE)
            return _stored(blob, data)
        except Exception as error:
            if not isinstance(error, requests.ReadTimeout | PreconditionFailed) and not _is_odd(error):
                raise
            existing = self._seen(name)  # an earlier try, or this one, may have written the object
            if existing is None or existing.generation == str(generation):
                raise
            if existing.data == data:
                return existing
            raise ConflictError(changed(self._uri(name))) from error

    def _blob(self, name: str) -> storage.Blob:
        return self._bucket().blob(f"{self._prefix}{name}")

    def _bucket(self) -> storage.Bucket:
        """The bucket, with valid credentials."""
        with self._lock:
            try:
                if self._client is None or self._credentials is None:
                    self._credentials = _default_credentials()
                    self._client = storage.Client(project=None, credentials=self._credentials)
                    # It would keep 10 connections, and make one anew for each request of a further thread.
                    adapter = HTTPAdapter(pool_maxsize=THREADS)
                    self._client._http.mount("https://", adapter)  # noqa: SLF001  the client has no option for it
                if not self._credentials.valid:
                    self._credentials.refresh(partial(Request(), timeout=REQUEST_SECONDS))
            except Exception as error:
                # For unexpected answers google-auth raises KeyError, TypeError and others.
                kind = UnreachableError if _is_passing(error) else StorageError
                reason, remedy = message("no credentials for Cloud Storage: {error}", error=_named(error)), None
                if isinstance(error, DefaultCredentialsError) and not os.environ.get(CREDENTIALS):
                    reason, remedy = message("there are no credentials for Cloud Storage"), LOG_IN
                raise kind(reason, remedy, about=f"gs://{self._name}") from error
            return self._client.bucket(self._name)

    def _uri(self, name: str) -> str:
        return f"gs://{self._name}/{self._prefix}{name}"

    def _repeated(self, name: str, operation: Callable[[], T]) -> T:
        """Does an operation, repeats it if that may help. Everything that the library raises is a `StorageError`."""
        began = time.monotonic()
        try:
            done: T = _RETRY(operation)()
        except StorageError:
            raise
        except Exception as raised:
            error = raised.cause if isinstance(raised, RetryError) else raised
            reason: Value
            match error:
                case PreconditionFailed():
                    raise ConflictError(changed(self._uri(name))) from raised
                case NotFound():
                    raise StorageError(message("there is no such bucket"), about=f"gs://{self._name}") from raised
                case Forbidden():
                    reason = message("access is denied ({error})", error=_said(error))
                case Exception() if _is_odd(error):
                    reason = message("the answer is not Cloud Storage's")
                case _:
                    reason = _named(error)
            if isinstance(raised, RetryError):
                tried = duration(time.monotonic() - began)
                reason = message("{error} (tried for {time})", error=reason, time=tried)
            kind = UnreachableError if _is_passing(raised) else StorageError
            raise kind(reason, about=self._uri(name)) from raised
        return done


def _default_credentials() -> Credentials:
    if os.environ.get("STORAGE_EMULATOR_HOST"):
        return AnonymousCredentials()
    credentials: Credentials
    credentials, _ = default(scopes=storage.Client.SCOPE)
    return credentials


def _stored(blob: storage.Blob, data: bytes) -> StoredObject:
    """The object with its metadata. Raises if the metadata is not Cloud Storage's."""
    if blob.size is None or blob.generation is None or blob.updated is None:
        raise LookupError("the metadata lack size, generation or time")
    return StoredObject(data, str(blob.generation), blob.updated.timestamp())


def _named(error: BaseException) -> str:
    said = _said(error) if isinstance(error, GoogleAPICallError) else str(error)
    return excerpt(f"{type(error).__name__}: {said}").rstrip(". ")  # a remedy may follow


def _said(error: GoogleAPICallError) -> str:
    """What Google says about it: the account, the right or the policy; not the request, with which the text begins."""
    text = error.response.text if isinstance(error.response, requests.Response) else ""
    with suppress(ValueError, TypeError, LookupError):
        text = json.loads(text)["error"]["message"]
    text = text or _REQUEST.sub("", str(error.message))
    return excerpt(str(text)).rstrip(". ")


_REQUEST = re.compile(r"^[A-Z]+ https?://\S+: ")
