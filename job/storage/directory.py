"""Directory store: a directory as an object store, for laptops and tests. Each object is a file."""

import fcntl
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from job.storage.store import SAVED_FIRST, ConflictError, StorageError, StoredObject, UnusableError, changed
from job.text.messages import message, template

LOCK_SECONDS = 5.0
"""How long a write waits for the directory's lock, which other processes usually hold for milliseconds."""


_LOCK_PAUSE = 0.01


_PARTIAL = ".partial-"
_ANOTHER = message("name a directory that can be written")


class DirectoryStore:
    """The files under a directory. A write is whole or does not happen, and is on the disk when it returns."""

    def __init__(self, path: str, *, make: bool) -> None:
        self._path = Path(path)
        self._make = make

    def read(self, name: str, limit: int | None = None) -> StoredObject | None:
        """See `ObjectStore`. Raises `StorageError` if there is something else than a readable file."""
        target = self._path / name
        with self._in_words(name):
            self._ensure()
            try:
                _check_file(target, target.stat())  # before it is opened, since opening has effects on some devices
            except FileNotFoundError:
                if not target.is_symlink():
                    return None
                text = template("{object} is a link to {target}, which does not exist")
                what = message(text, object=str(target), target=str(target.readlink()))
                raise UnusableError(what, message("correct the link or remove it")) from None
            try:
                # Without O_NONBLOCK, opening would block if a FIFO has just replaced the file.
                with os.fdopen(os.open(target, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
                    status = os.fstat(file.fileno())
                    _check_file(target, status)
                    return StoredObject(file.read(-1 if limit is None else limit), _generation(status), status.st_mtime)
            except FileNotFoundError:
                what = message("{object} was removed while it was read", object=str(target))
                raise ConflictError(what, SAVED_FIRST) from None

    def create(self, name: str, data: bytes) -> StoredObject:
        """See `ObjectStore`."""
        target = self._path / name
        with self._in_words(name), self._written(target, data) as (partial, stored):
            try:
                os.link(partial, target)
            except FileExistsError:
                there = self.read(name)
                if there is None or there.data != data:
                    raise ConflictError(message("{object} exists already", object=str(target))) from None
                _flush_directory(target.parent)
                return there
            _flush_directory(target.parent)
            return stored

    def replace(self, name: str, data: bytes, generation: str) -> StoredObject:
        """See `ObjectStore`."""
        target = self._path / name
        with self._in_words(name), self._written(target, data) as (partial, stored), self._locked():
            self._check(target, generation)
            partial.replace(target)
            _flush_directory(target.parent)
            return stored

    def delete(self, name: str, generation: str) -> None:
        """See `ObjectStore`."""
        target = self._path / name
        with self._in_words(name), self._locked():
            self._check(target, generation)
            target.unlink()

    def names(self, prefix: str) -> list[str]:
        """See `ObjectStore`."""
        with self._in_words(prefix):
            self._ensure()
            found = _entries(self._path / prefix.rpartition("/")[0])
            names = (path.relative_to(self._path).as_posix() for path in found)
            return sorted(name for name in names if name.startswith(prefix))

    def folders(self, prefix: str) -> list[str]:
        """See `ObjectStore`."""
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
        try:
            if _generation(target.stat()) == generation:
                return
        except FileNotFoundError:
            pass
        raise ConflictError(changed(str(target)))

    def _ensure(self) -> None:
        if self._make:
            self._make_usable()
        elif not self._path.is_dir():
            raise StorageError(message("{path} is not a directory", path=str(self._path)))

    def _make_usable(self) -> None:
        try:
            self._path.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise UnusableError(message("{path} is not a directory", path=str(self._path)), _ANOTHER) from None
        except (PermissionError, FileNotFoundError):  # /proc raises the latter
            raise UnusableError(message("{path} cannot be created", path=str(self._path)), _ANOTHER) from None
        if not os.access(self._path, os.W_OK | os.X_OK):
            text = template("{path} is a directory in which this user may not write")
            raise UnusableError(message(text, path=str(self._path)), _ANOTHER)

    @contextmanager
    def _written(self, target: Path, data: bytes) -> Iterator[tuple[Path, StoredObject]]:
        """Writes the data to a temporary file beside the target, which can then be moved there atomically."""
        if not target.parent.is_dir():
            target.parent.mkdir(parents=True, exist_ok=True)
            _flush_directory(target.parent.parent)
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
        """Makes the check of a generation and the following write atomic for all processes that use the directory."""
        path = self._path / ".lock"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
        try:
            give_up = time.monotonic() + LOCK_SECONDS
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= give_up:
                        text = template("{path} has been held by another process for {seconds} s")
                        what = message(text, path=str(path), seconds=LOCK_SECONDS)
                        remedy = message("`fuser {path}` shows which process; end it", path=str(path))
                        raise StorageError(what, remedy) from None
                    time.sleep(_LOCK_PAUSE)
            yield
        finally:
            os.close(descriptor)  # and with it the lock

    @contextmanager
    def _in_words(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            what = message("{object}: {error}", object=str(self._path / name), error=error.strerror or str(error))
            raise StorageError(what) from error


def _flush_directory(path: Path) -> None:
    """Flushes a directory's entries to the disk. Otherwise a power failure could lose a new file with its entry."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_KINDS = {stat.S_IFDIR: message("directory"), stat.S_IFIFO: message("FIFO"), stat.S_IFSOCK: message("socket")}


def _check_file(path: Path, status: os.stat_result) -> None:
    """Raises `StorageError` if it is not a regular file: reading it may never end."""
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), message("device"))
        what = message("{object} is a {kind}, not a file", object=str(path), kind=kind)
        raise UnusableError(what, message("replace it with a file or remove it"))


def _entries(start: Path) -> Iterator[Path]:
    """All files under a directory except hidden ones, whether or not they can be read.

    Hidden are the lock, the files of unfinished writes, and those of other programs, such as `.DS_Store`.
    """

    def on_error(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # a directory that does not exist, or was removed meanwhile
            raise error

    for folder, _, names in os.walk(start, onerror=on_error):
        for name in names:
            if not name.startswith("."):
                yield Path(folder, name)


def _generation(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns}-{status.st_ino}"
