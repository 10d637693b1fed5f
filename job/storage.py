"""Objects under a prefix of a bucket, or files in a directory: where the config comes from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import trio

THREADS = 8
"""Of the calls that block; the storage library keeps 10 connections."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as it was read."""

    data: bytes
    generation: str
    """Changes with every write; of a file, the time of its last change."""


class StorageError(Exception):
    """Storage cannot be used as it is. Says why."""


class Store(Protocol):
    """A place of objects. Its methods raise `StorageError`, and are done in bounded time."""

    def read(self, name: str, limit: int) -> Stored | None:
        """The object, `limit` bytes of it at the most; `None` where there is none."""
        ...


def open_store(uri: str) -> Store:
    """The store that a URI names: `gs://bucket/prefix`, or a directory. Asks nobody yet."""
    if not uri.startswith("gs://"):
        if "://" in uri:
            raise StorageError(f"{uri} is neither gs://BUCKET/PREFIX nor a directory")
        return Directory(Path(uri))
    from job.bucket import Bucket  # noqa: PLC0415  the library takes 0.15 s to import

    name, _, prefix = uri.removeprefix("gs://").partition("/")
    if not name:
        raise StorageError(f"{uri} names no bucket")
    return Bucket(name, prefix.strip("/"))


async def read_all(store: Store, names: Sequence[str], limit: int) -> dict[str, Stored]:
    """Those of the objects that exist, read at the same time. Raises `StorageError`."""
    found: dict[str, Stored] = {}
    errors: list[StorageError] = []
    threads = trio.CapacityLimiter(THREADS)

    async def read(name: str) -> None:
        try:
            stored = await trio.to_thread.run_sync(store.read, name, limit, abandon_on_cancel=True, limiter=threads)
        except StorageError as error:
            errors.append(error)
        else:
            if stored is not None:
                found[name] = stored

    async with trio.open_nursery() as nursery:
        for name in names:
            nursery.start_soon(read, name)
    if errors:
        raise errors[0]
    return found


class Directory:
    """Files in a directory."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, name: str, limit: int) -> Stored | None:
        """The file's content; `None` where there is none, though the directory exists."""
        try:
            if not self._path.is_dir():
                raise StorageError(f"{self._path} is not a directory")
            with (self._path / name).open("rb") as file:
                return Stored(file.read(limit), str((self._path / name).stat().st_mtime_ns))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(f"{self._path / name} cannot be read: {error.strerror}") from error
