"""Directory store: a directory as an object store, for laptops and tests. Each object is a file."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from job.storage.store import NAME_A_PLACE, ConflictError, StorageError, StoredObject, UnusableError, changed
from job.text.messages import message


class DirectoryStore:
    """An `ObjectStore`: files under a directory. A write is atomic, and returns once it is on the disk."""

    def __init__(self, path: str, *, make: bool) -> None:
        self._path = Path(path)
        self._make = make

    def read(self, name: str, limit: int | None = None) -> StoredObject | None:
        """See `ObjectStore`. Raises `StorageError` if it is not a readable file."""
        target = self._path / name
        with self._in_words(name):
            self._ensure()
            try:
                with target.open("rb") as file:
                    status = os.fstat(file.fileno())
                    return StoredObject(file.read(-1 if limit is None else limit), _generation(status), status.st_mtime)
            except (FileNotFoundError, IsADirectoryError):
                if not target.is_symlink() and not target.is_dir():
                    return None
                what = message("{object} is not a file", object=str(target))
                raise UnusableError(what, message("replace it with a file or remove it")) from None

    def content(self, name: str) -> bytes | None:
        stored = self.read(name)
        return None if stored is None else stored.data

    def create(self, name: str, data: bytes) -> StoredObject:
        target = self._path / name
        with self._in_words(name), self._written(target, data) as (partial, stored):
            try:
                os.link(partial, target)
            except FileExistsError:
                existing = self.read(name)
                if existing is None or existing.data != data:
                    raise ConflictError(changed(str(target))) from None
                _flush_directory(target.parent)
                return existing
            _flush_directory(target.parent)
            return stored

    def replace(self, name: str, data: bytes, generation: str) -> StoredObject:
        target = self._path / name
        with self._in_words(name), self._written(target, data) as (partial, stored), self._locked():
            self._check(target, generation)
            partial.replace(target)
            _flush_directory(target.parent)
            return stored

    def names(self, prefix: str) -> list[str]:
        with self._in_words(prefix):
            self._ensure()
            paths = _entries(self._path / prefix.rpartition("/")[0])
            names = (path.relative_to(self._path).as_posix() for path in paths)
            return sorted(name for name in names if name.startswith(prefix))

    def folders(self, prefix: str) -> list[str]:
        with self._in_words(prefix):
            self._ensure()
            above = "".join(prefix.rpartition("/")[:2])
            try:
                with os.scandir(self._path / above) as entries:
                    names = [above + entry.name for entry in entries if entry.is_dir()]
            except FileNotFoundError:
                return []
            return sorted(name for name in names if name.startswith(prefix))

    def _check(self, target: Path, generation: str) -> None:
        with suppress(FileNotFoundError):
            if _generation(target.stat()) == generation:
                return
        raise ConflictError(changed(str(target)))

    def _ensure(self) -> None:
        if self._make:
            with suppress(OSError):
                self._path.mkdir(parents=True, exist_ok=True)
            if not self._path.is_dir() or not os.access(self._path, os.W_OK | os.X_OK):
                what = message("{path} is not a directory in which this user may write", path=str(self._path))
                raise UnusableError(what, NAME_A_PLACE)
        elif not self._path.is_dir():
            raise UnusableError(message("{path} is not a directory", path=str(self._path)), NAME_A_PLACE)

    @contextmanager
    def _written(self, target: Path, data: bytes) -> Iterator[tuple[Path, StoredObject]]:
        """Writes the data to a temporary file beside the target, which can then be moved there atomically."""
        self._ensure()
        if not target.parent.is_dir():
            target.parent.mkdir(parents=True, exist_ok=True)
            _flush_directory(target.parent.parent)
        partial = target.with_name(f".partial-{secrets.token_hex(8)}")
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
        """Makes the check of a generation and the following write atomic for all processes that use the directory."""
        with (self._path / ".lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _in_words(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(error.strerror or str(error), about=str(self._path / name)) from error


def _flush_directory(path: Path) -> None:
    """Flushes a directory's entries to the disk. Otherwise a power failure could lose a new file with its entry."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _entries(start: Path) -> Iterator[Path]:
    """All files under a directory except hidden ones, such as the lock and unfinished writes."""

    def on_error(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # a directory that does not exist, or was removed meanwhile
            raise error

    for folder, folders, names in os.walk(start, onerror=on_error):
        folders[:] = [name for name in folders if not name.startswith(".")]  # these are not entered
        for name in names:
            if not name.startswith("."):
                yield Path(folder, name)


def _generation(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns}-{status.st_ino}"
