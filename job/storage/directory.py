"""Objects as files of a directory, for laptops and tests."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from job.storage.store import ConflictError, StorageError, StoredObject

_PARTIAL = ".partial-"


class DirectoryStore:
    """Files under a directory. Writes are whole or not there, and on the disk when they return."""

    def __init__(self, path: str, *, make: bool) -> None:
        self._path = Path(path)
        self._make = make

    def read(self, name: str, limit: int | None = None) -> StoredObject | None:
        """As `Store` promises."""
        with self._in_words(name):
            self._ensure()
            try:
                with (self._path / name).open("rb") as file:
                    status = os.fstat(file.fileno())
                    return StoredObject(file.read(-1 if limit is None else limit), _generation(status), status.st_mtime)
            except FileNotFoundError:
                return None

    def create(self, name: str, data: bytes) -> StoredObject:
        """As `Store` promises."""
        target = self._path / name
        with self._in_words(name), self._written(target, data) as (partial, stored):
            try:
                os.link(partial, target)
            except FileExistsError:
                there = self.read(name)
                if there is None or there.data != data:
                    raise ConflictError(f"{target} exists already") from None
                return there
            return stored

    def replace(self, name: str, data: bytes, generation: str) -> StoredObject:
        """As `Store` promises."""
        target = self._path / name
        with self._in_words(name), self._written(target, data) as (partial, stored), self._locked():
            self._check(target, generation)
            partial.replace(target)
            return stored

    def delete(self, name: str, generation: str) -> None:
        """As `Store` promises."""
        target = self._path / name
        with self._in_words(name), self._locked():
            self._check(target, generation)
            target.unlink()

    def names(self, prefix: str) -> list[str]:
        """As `Store` promises."""
        with self._in_words(prefix):
            self._ensure()
            if not self._make and not self._path.is_dir():
                raise StorageError(f"{self._path} is not a directory")
            start = self._path / prefix.rpartition("/")[0]
            found = (path.relative_to(self._path).as_posix() for path in start.rglob("*") if path.is_file())
            whole = (name for name in found if not name.rpartition("/")[2].startswith(_PARTIAL))
            return sorted(name for name in whole if name.startswith(prefix))

    def _check(self, target: Path, generation: str) -> None:
        try:
            if _generation(target.stat()) == generation:
                return
        except FileNotFoundError:
            pass
        raise ConflictError(f"{target} was changed by another")

    def _ensure(self) -> None:
        if self._make:
            self._path.mkdir(parents=True, exist_ok=True)
        elif not self._path.is_dir():
            raise StorageError(f"{self._path} is not a directory")

    @contextmanager
    def _written(self, target: Path, data: bytes) -> Iterator[tuple[Path, StoredObject]]:
        """The data in a file beside its target, from where they get there in one step, as what they are then."""
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{_PARTIAL}{secrets.token_hex(8)}")
        try:
            with partial.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                status = os.fstat(file.fileno())
            yield partial, StoredObject(data, _generation(status), status.st_mtime)
        finally:
            partial.unlink(missing_ok=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """What checks a generation and then writes does so alone."""
        with (self._path / ".lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _in_words(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(f"{self._path / name}: {error.strerror or error}") from error


def _generation(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns}-{status.st_ino}"
