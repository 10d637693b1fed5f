"""Which store a URI names: the objects of a bucket under a prefix, or the files of a directory."""

from job.storage.directory import DirectoryStore
from job.storage.store import ObjectStore, StorageError


def open_store(uri: str, *, make: bool = False) -> ObjectStore:
    """The store that a URI names: `gs://bucket/prefix`, or a directory, which `make` creates at its first use.

    Asks nobody yet. Raises `StorageError` where it is neither.
    """
    if not uri.startswith("gs://"):
        if "://" in uri:
            raise StorageError(f"{uri} is neither gs://BUCKET/PREFIX nor a directory")
        return DirectoryStore(uri, make=make)
    from job.storage.gcs import GcsStore  # noqa: PLC0415  the library takes 0.15 s to import

    name, _, prefix = uri.removeprefix("gs://").partition("/")
    if not name:
        raise StorageError(f"{uri} names no bucket")
    return GcsStore(name, prefix.strip("/"))
