"""Objects of a bucket. The one module that knows google-cloud-storage."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import requests
from google.api_core.exceptions import Forbidden, GoogleAPIError, NotFound, PreconditionFailed, RetryError
from google.auth.exceptions import GoogleAuthError
from google.cloud import storage
from google.cloud.storage.exceptions import InvalidResponse
from google.cloud.storage.retry import DEFAULT_RETRY

from job.storage.store import ConflictError, StorageError, StoredObject
from job.text import excerpt

# It asks for the bucket's metadata at first use, for traces that nobody reads and with a right that the job lacks.
os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")


REQUEST_SECONDS = 10.0


RETRY_SECONDS = 20.0
"""All tries of one request together."""


_RETRY = DEFAULT_RETRY.with_timeout(RETRY_SECONDS)


_BOUNDED = {"timeout": REQUEST_SECONDS, "retry": _RETRY}


class GcsStore:
    """The objects of a bucket under a prefix."""

    def __init__(self, name: str, prefix: str) -> None:
        self._name = name
        self._prefix = f"{prefix}/" if prefix else ""
        self._opening = threading.Lock()
        self._opened: storage.Bucket | None = None

    def read(self, name: str, limit: int | None = None) -> StoredObject | None:
        """As `Store` promises."""
        with self._in_words(name):
            try:
                blob = self._blob(name)
                blob.reload(**_BOUNDED)
                if blob.size is None or blob.generation is None or blob.updated is None:
                    raise StorageError(f"{self._uri(name)}: the answer is not Cloud Storage's")
                end = limit - 1 if limit is not None and blob.size > limit else None
                data = blob.download_as_bytes(end=end, if_generation_match=blob.generation, **_BOUNDED)
            except NotFound as error:
                if "bucket does not exist" in str(error.message):
                    raise
                return None
            return StoredObject(data, str(blob.generation), blob.updated.timestamp())

    def create(self, name: str, data: bytes) -> StoredObject:
        """As `Store` promises."""
        return self._write(name, data, 0)

    def replace(self, name: str, data: bytes, generation: str) -> StoredObject:
        """As `Store` promises."""
        return self._write(name, data, int(generation))

    def delete(self, name: str, generation: str) -> None:
        """As `Store` promises."""
        with self._in_words(name):
            try:
                self._blob(name).delete(if_generation_match=int(generation), **_BOUNDED)
            except NotFound:
                return  # by an earlier try, whose answer was lost
            except PreconditionFailed as error:
                raise ConflictError(f"{self._uri(name)} was changed by another") from error

    def names(self, prefix: str) -> list[str]:
        """As `Store` promises."""
        with self._in_words(prefix):
            bucket = self._bucket()
            found = bucket.list_blobs(prefix=f"{self._prefix}{prefix}", fields="items(name),nextPageToken", **_BOUNDED)
            return sorted(blob.name.removeprefix(self._prefix) for blob in found)

    def _write(self, name: str, data: bytes, generation: int) -> StoredObject:
        with self._in_words(name):
            blob = self._blob(name)
            try:
                content_type = _CONTENT_TYPES.get(name.rpartition(".")[2], "application/octet-stream")
                blob.upload_from_string(data, content_type, if_generation_match=generation, **_BOUNDED)
            except PreconditionFailed as error:
                # The library repeats uploads: this may be the answer to a write of ours that had been done.
                there = self.read(name)
                if there is None or there.data != data:
                    raise ConflictError(f"{self._uri(name)} was changed by another") from error
                return there
            return StoredObject(data, str(blob.generation), blob.updated.timestamp())

    def _blob(self, name: str) -> storage.Blob:
        return self._bucket().blob(f"{self._prefix}{name}")

    def _bucket(self) -> storage.Bucket:
        with self._opening:
            if self._opened is None:
                self._opened = storage.Client(project=None).bucket(self._name)
            return self._opened

    def _uri(self, name: str) -> str:
        return f"gs://{self._name}/{self._prefix}{name}"

    @contextmanager
    def _in_words(self, name: str) -> Iterator[None]:
        try:
            yield
        except NotFound as error:
            raise StorageError(f"gs://{self._name}: there is no such bucket") from error
        except (GoogleAPIError, GoogleAuthError, requests.RequestException, OSError, ValueError) as error:
            raise StorageError(f"{self._uri(name)}: {_words(error)}") from error


_CONTENT_TYPES = {"json": "application/json", "jsonl": "application/x-ndjson", "html": "text/html; charset=utf-8"}


def _words(error: BaseException) -> str:
    if isinstance(error, RetryError) and error.cause is not None:
        return f"{_words(error.cause)} (tried for {RETRY_SECONDS:.0f} s)"
    if isinstance(error, InvalidResponse):
        return f"HTTP {error.response.status_code}"
    if isinstance(error, Forbidden):
        return f"access is denied ({excerpt(str(error.message).encode(errors='replace'))})"
    return excerpt(f"{type(error).__name__}: {error}".encode(errors="replace"))
