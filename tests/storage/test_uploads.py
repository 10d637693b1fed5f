"""An upload whose answer cannot be used has succeeded if the object is there with its content."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from google.api_core.exceptions import NotFound

from job.storage import gcs
from job.storage.store import ConflictError, StorageError


@dataclass
class Blob:
    """An object of a bucket. Each upload of it is answered by a proxy, whether or not the bucket got it."""

    stored: bytes | None
    gets_it: bool
    generation = 1
    updated = datetime(2026, 11, 24, tzinfo=UTC)
    content_encoding = None

    @property
    def size(self) -> int | None:
        return None if self.stored is None else len(self.stored)

    def upload_from_string(self, data: bytes, _content_type: str, **_: Any) -> None:
        self.stored = data if self.gets_it else self.stored
        raise KeyError("generation")

    def reload(self, **_: Any) -> None:
        if self.stored is None:
            raise NotFound("no such object")

    def download_as_bytes(self, **_: Any) -> bytes | None:
        return self.stored


@pytest.mark.parametrize(
    ("stored", "gets_it", "error"),
    [(None, True, None), (b"same", False, None), (b"other", False, ConflictError), (None, False, StorageError)],
)
def test_what_is_there_decides(
    monkeypatch: pytest.MonkeyPatch, stored: bytes | None, gets_it: bool, error: type[StorageError] | None
) -> None:
    blob = Blob(stored, gets_it)
    monkeypatch.setattr(gcs.GcsStore, "_blob", lambda *_: blob)
    monkeypatch.setattr(gcs, "_RETRY", gcs._RETRY.with_timeout(0.0))
    store = gcs.GcsStore("bucket", "")
    if error is None:
        assert store.create("a", b"same").data == b"same"
    else:
        with pytest.raises(StorageError) as raised:
            store.create("a", b"same")
        assert isinstance(raised.value, ConflictError) is (error is ConflictError)
