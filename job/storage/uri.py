"""Storage URI: opens the object store that it names, and gives the address of an object for people."""

from pathlib import Path
from urllib.parse import quote

from job.storage.directory import DirectoryStore
from job.storage.store import ObjectStore, StorageError
from job.text.display import without_credentials
from job.text.messages import message


def open_store(uri: str, *, make: bool = False) -> ObjectStore:
    """Returns the store for `gs://BUCKET/PREFIX`, or for a directory, which is created at its first use if `make`.

    Makes no request yet. Raises `StorageError` if the URI names neither.
    """
    if not uri.startswith("gs://"):
        if "://" in uri:
            shown = without_credentials(uri)
            raise StorageError(message("{uri} is neither gs://BUCKET/PREFIX nor a directory", uri=shown))
        return DirectoryStore(uri, make=make)
    from job.storage.gcs import GcsStore  # noqa: PLC0415  the library takes 0.15 s to import

    name, _, prefix = uri.removeprefix("gs://").partition("/")
    if not name:
        raise StorageError(message("{uri} names no bucket", uri=uri))
    return GcsStore(name, prefix.strip("/"))


def absolute(uri: str) -> str:
    """The same URI, which names the same place in any directory."""
    return uri if uri.startswith("gs://") else str(Path(uri).absolute())


def address_of(uri: str, name: str) -> str:
    """Where a person opens an object: a URL for the browser if it is in a bucket, else its path."""
    if not uri.startswith("gs://"):
        return str(Path(uri, name))
    place = uri.removeprefix("gs://").strip("/")
    return f"https://storage.cloud.google.com/{quote(f'{place}/{name}')}"
