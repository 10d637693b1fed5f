"""Objects of a bucket. The one module that knows google-cloud-storage."""

import os
import threading

# It asks for the bucket's metadata at first use, for traces that nobody reads and with a right that the job lacks.
os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")

import requests
from google.api_core.exceptions import Forbidden, GoogleAPIError, NotFound
from google.auth.exceptions import GoogleAuthError
from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY

from job.answers import excerpt
from job.storage import StorageError, Stored

REQUEST_SECONDS = 10.0
RETRY_SECONDS = 20.0
"""All tries of one request together."""
_RETRY = DEFAULT_RETRY.with_timeout(RETRY_SECONDS)


class Bucket:
    """The objects of a bucket under a prefix."""

    def __init__(self, name: str, prefix: str) -> None:
        self._name = name
        self._prefix = f"{prefix}/" if prefix else ""
        self._opening = threading.Lock()
        self._opened: storage.Bucket | None = None

    def read(self, name: str, limit: int) -> Stored | None:
        """The object's content as of one generation; `None` where there is none, though the bucket exists."""
        key = f"{self._prefix}{name}"
        try:
            blob = self._bucket().blob(key)
            blob.reload(timeout=REQUEST_SECONDS, retry=_RETRY)
            data = blob.download_as_bytes(
                end=limit - 1 if blob.size > limit else None,
                if_generation_match=blob.generation,
                timeout=REQUEST_SECONDS,
                retry=_RETRY,
            )
            return Stored(data, str(blob.generation))
        except NotFound as error:
            if "bucket does not exist" not in str(error.message):
                return None
            raise StorageError(f"gs://{self._name}: there is no such bucket") from error
        except _ERRORS as error:
            raise StorageError(f"gs://{self._name}/{key} cannot be read: {_words(error)}") from error

    def _bucket(self) -> storage.Bucket:
        with self._opening:
            if self._opened is None:
                self._opened = storage.Client().bucket(self._name)
            return self._opened


_ERRORS = (GoogleAPIError, GoogleAuthError, requests.RequestException, OSError, ValueError)


def _words(error: Exception) -> str:
    if isinstance(error, Forbidden):
        return f"access is denied ({excerpt(str(error.message).encode(errors='replace'))})"
    return excerpt(f"{type(error).__name__}: {error}".encode(errors="replace"))
