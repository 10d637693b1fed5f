"""GCS store: a bucket as an object store. The only module that uses google-cloud-storage."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import requests
from google.api_core.exceptions import Forbidden, GoogleAPIError, NotFound, PreconditionFailed, RetryError
from google.api_core.page_iterator import Page
from google.auth.exceptions import GoogleAuthError, TransportError
from google.auth.transport.requests import Request
from google.cloud import storage
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from google.cloud.storage.retry import DEFAULT_RETRY

from job.storage.store import SAVED_FIRST, ConflictError, StorageError, StoredObject, UnreachableError, changed
from job.text.masking import excerpt
from job.text.messages import Value, message, template

# Otherwise the library would request the bucket's metadata for its traces, with a permission that the job lacks.
os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")

T = TypeVar("T")


REQUEST_SECONDS = 10.0


RETRY_SECONDS = 20.0
"""Time limit for all tries of one request together."""


ACCESS_SECONDS = 20.0
"""Time limit for getting credentials and renewing their token."""


PAUSES = (0.1, 0.3, 1.0)
"""Pauses before a request is made again because its answer could not be used."""


# The library gives up as soon as the next delay would pass the limit. With its own delays, of up to a minute, it often
# gave up after a few seconds.
_RETRY = DEFAULT_RETRY.with_delay(initial=0.5, maximum=2.0).with_timeout(RETRY_SECONDS)


_BOUNDED = {"timeout": REQUEST_SECONDS, "retry": _RETRY}


_CONTENT_TYPES = {
    "json": "application/json",
    "jsonl": "application/x-ndjson",
    "html": "text/html; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
}


class GcsStore:
    """The objects of a bucket under a prefix."""

    def __init__(self, name: str, prefix: str) -> None:
        self._name = name
        self._prefix = f"{prefix}/" if prefix else ""
        self._client: storage.Client | None = None
        self._access: Future[storage.Client] | None = None
        self._lock = threading.Lock()

    def read(self, name: str, limit: int | None = None) -> StoredObject | None:
        """See `ObjectStore`."""
        with self._in_words(name):
            seen, failure = False, Exception()
            for pause in (0.0, *PAUSES):
                time.sleep(pause)
                try:
                    found = self._found(name)
                    if found is not None:
                        seen = True
                        return self._content(name, found, limit)
                    if not seen:
                        return None
                except Exception as error:
                    if not _is_odd(error):
                        raise
                    failure = error
            raise failure

    def create(self, name: str, data: bytes) -> StoredObject:
        """See `ObjectStore`."""
        return self._write(name, data, 0)

    def replace(self, name: str, data: bytes, generation: str) -> StoredObject:
        """See `ObjectStore`."""
        return self._write(name, data, int(generation))

    def delete(self, name: str, generation: str) -> None:
        """See `ObjectStore`."""
        with self._in_words(name):
            try:
                _until_usable(lambda: self._blob(name).delete(if_generation_match=int(generation), **_BOUNDED))
            except NotFound:
                return  # removed by an earlier try, whose answer was lost
            except PreconditionFailed as error:
                raise ConflictError(changed(self._uri(name))) from error

    def names(self, prefix: str) -> list[str]:
        """See `ObjectStore`."""
        with self._in_words(prefix):
            return sorted(name.removeprefix(self._prefix) for name in _until_usable(lambda: self._listed(prefix)))

    def folders(self, prefix: str) -> list[str]:
        """See `ObjectStore`."""
        with self._in_words(prefix):
            found = _until_usable(lambda: self._listed_folders(prefix))
            return sorted(name.removeprefix(self._prefix).removesuffix("/") for name in found)

    def _found(self, name: str) -> storage.Blob | None:
        """The object's metadata; `None` if there is no object. Raises if the answer is not Cloud Storage's."""
        blob = self._blob(name)
        try:
            blob.reload(**_BOUNDED)
        except NotFound as error:
            if "bucket does not exist" in str(error.message):
                raise
            return None
        _stored(blob, b"")
        return blob

    def _content(self, name: str, found: storage.Blob, limit: int | None) -> StoredObject:
        size = found.size if limit is None else min(found.size, limit)
        end = None if size == found.size else size - 1
        blob = self._blob(name)  # a new one: `found` would send the request to the host that its metadata names
        try:
            data = blob.download_as_bytes(end=end, if_generation_match=found.generation, **_BOUNDED)
        except (NotFound, PreconditionFailed) as error:
            raise _ChangedError from error
        if len(data) != size and not found.content_encoding:
            raise ValueError("the content is not as long as the metadata say")
        return _stored(found, data)

    def _listed(self, prefix: str) -> list[str]:
        return [blob.name for page in self._pages(prefix, "items(name)") for blob in page]

    def _listed_folders(self, prefix: str) -> list[str]:
        pages = self._pages(prefix, "prefixes", delimiter="/")
        found = [name for page in pages for name in page.raw_page.get("prefixes", [])]
        if strange := [name for name in found if not name.startswith(f"{self._prefix}{prefix}")]:
            raise ValueError(strange[0])
        return found

    def _pages(self, prefix: str, field: str, delimiter: str | None = None) -> Iterator[Page]:
        fields = f"kind,{field},nextPageToken"
        bucket = self._bucket()
        blobs = bucket.list_blobs(prefix=f"{self._prefix}{prefix}", delimiter=delimiter, fields=fields, **_BOUNDED)
        for page in blobs.pages:
            if page.raw_page["kind"] != "storage#objects":  # any JSON object without items looks like an empty page
                raise ValueError(page.raw_page["kind"])
            yield page

    def _write(self, name: str, data: bytes, generation: int) -> StoredObject:
        with self._in_words(name):
            failure = Exception()
            for pause in (0.0, *PAUSES):
                time.sleep(pause)
                try:
                    return self._upload(name, data, generation)
                except Exception as error:
                    # The library repeats uploads: at a 412 an earlier try may have written the object.
                    if not isinstance(error, PreconditionFailed) and not _is_odd(error):
                        raise
                    failure = error
                there = self.read(name)
                is_written = there is not None and there.generation != str(generation)
                if there is not None and is_written and there.data == data:
                    return there
                if is_written or isinstance(failure, PreconditionFailed):
                    raise ConflictError(changed(self._uri(name))) from failure
            raise failure

    def _upload(self, name: str, data: bytes, generation: int) -> StoredObject:
        blob = self._blob(name)
        content_type = _CONTENT_TYPES.get(name.rpartition(".")[2], "application/octet-stream")
        blob.upload_from_string(data, content_type, if_generation_match=generation, **_BOUNDED)
        return _stored(blob, data)

    def _blob(self, name: str) -> storage.Blob:
        return self._bucket().blob(f"{self._prefix}{name}")

    def _bucket(self) -> storage.Bucket:
        """The bucket, with valid credentials. All threads wait for the same attempt to get them."""
        with self._lock:
            if self._access is None or (self._access.done() and not _is_valid(self._access)):
                self._access = _in_background(self._authorized)
            access = self._access
        try:
            return access.result(ACCESS_SECONDS).bucket(self._name)
        except TimeoutError:
            text = template("gs://{bucket}: no credentials for Cloud Storage within {seconds} s")
            what = message(text, bucket=self._name, seconds=ACCESS_SECONDS)
            raise UnreachableError(what, message("see why the metadata server does not answer")) from None

    def _authorized(self) -> storage.Client:
        """A client with a valid token. This may take minutes if the metadata server does not answer."""
        try:
            if self._client is None:
                self._client = storage.Client(project=None)
            credentials = self._client._credentials  # noqa: SLF001  they are not public
            if not credentials.valid:
                credentials.refresh(partial(Request(), timeout=REQUEST_SECONDS))
        except Exception as error:
            # For unexpected answers google-auth raises KeyError, TypeError and others.
            kind = UnreachableError if _is_passing(error) else StorageError
            text = template("gs://{bucket}: no credentials for Cloud Storage: {error}")
            raise kind(message(text, bucket=self._name, error=_named(error))) from error
        return self._client

    def _uri(self, name: str) -> str:
        return f"gs://{self._name}/{self._prefix}{name}"

    @contextmanager
    def _in_words(self, name: str) -> Iterator[None]:
        """Turns everything that the library raises into a `StorageError`."""
        began = time.monotonic()
        try:
            yield
        except StorageError:
            raise
        except _ChangedError as error:
            text = template("{object} was changed or removed while it was read, {count} times in a row")
            what = message(text, object=self._uri(name), count=len(PAUSES) + 1)
            raise ConflictError(what, SAVED_FIRST) from error
        except NotFound as error:
            raise StorageError(message("gs://{bucket}: there is no such bucket", bucket=self._name)) from error
        except Exception as error:
            kind = UnreachableError if _is_passing(error) else StorageError
            reason = _words(error, time.monotonic() - began)
            raise kind(message("{object}: {error}", object=self._uri(name), error=reason)) from error


class _ChangedError(Exception):
    """The object was changed or removed after its metadata was read and before its content was."""


def _stored(blob: storage.Blob, data: bytes) -> StoredObject:
    """The object with its metadata. Raises if the metadata is not Cloud Storage's."""
    if blob.size is None or blob.generation is None or blob.updated is None:
        raise LookupError("the metadata lack size, generation or time")
    return StoredObject(data, str(blob.generation), blob.updated.timestamp())


def _until_usable(request: Callable[[], T]) -> T:
    """Makes a request, and again if its answer cannot be used: the next one may be Cloud Storage's own."""
    failure = Exception()
    for pause in (0.0, *PAUSES):
        time.sleep(pause)
        try:
            return request()
        except Exception as error:
            if not _is_odd(error):
                raise
            failure = error
    raise failure


_FAILURES = (StorageError, GoogleAPIError, GoogleAuthError, InvalidResponse, OSError)
"""What the library raises if a request fails. For unexpected answers it raises AttributeError, KeyError and others."""


def _is_odd(error: Exception) -> bool:
    """Whether the error means that the answer cannot be used, so that the request should be repeated."""
    return isinstance(error, requests.JSONDecodeError) or not isinstance(error, _FAILURES)


def _is_passing(error: Exception) -> bool:
    """Whether the same request may succeed later: storage did not answer, or not as it should."""
    if isinstance(error, GoogleAuthError):
        return isinstance(error, TransportError) or error.retryable
    return isinstance(error, RetryError | OSError) or _is_odd(error)


def _words(error: BaseException, seconds: float) -> Value:
    """The error for people, if the request failed after so many seconds."""
    match error:
        case RetryError(cause=BaseException() as cause):
            return message("{error} (tried for {seconds} s)", error=_words(cause, seconds), seconds=round(seconds, 1))
        case InvalidResponse():
            return message("HTTP {status}", status=str(error.response.status_code))
        case Forbidden():
            said = excerpt(str(error.message).encode(errors="replace"))
            return message("access is denied ({error})", error=said)
        case DataCorruption():
            return message("the download is damaged: its checksum does not match")
        case Exception() if _is_odd(error):
            return message("the answer is not Cloud Storage's")
        case _:
            return _named(error)


def _named(error: BaseException) -> str:
    return excerpt(f"{type(error).__name__}: {error}".encode(errors="replace")).rstrip(". ")  # a remedy may follow


def _in_background(function: Callable[[], T]) -> "Future[T]":
    """Runs a function in a daemon thread, for which the interpreter does not wait when it exits."""
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(function())
        except Exception as error:  # noqa: BLE001  `result` raises it
            future.set_exception(error)

    threading.Thread(target=work, name="credentials", daemon=True).start()
    return future


def _is_valid(access: "Future[storage.Client]") -> bool:
    return access.exception() is None and access.result()._credentials.valid  # noqa: SLF001
