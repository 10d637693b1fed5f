"""Storage URI: opens the object store that it names, and gives the address of an object for people."""

import re
from pathlib import Path
from urllib.parse import quote

from job.storage.directory import DirectoryStore
from job.storage.store import ObjectStore
from job.text.messages import Message, message
from job.text.shown import quoted, without_credentials


def no_place(uri: str) -> Message:
    return message("{uri} is neither gs://BUCKET/PREFIX nor a directory", uri=quoted(without_credentials(uri)))


def is_place(uri: str) -> bool:
    """Whether a URI names a directory, which may not exist, or what may be a bucket: no other URL, no credentials."""
    return "://" not in uri or re.match(r"gs://[A-Za-z0-9._-]+(/|\Z)", uri) is not None


def open_store(uri: str, *, make: bool = False) -> ObjectStore:
    """The store of a URI, without a request. `make`: a directory is created at its first use."""
    if not uri.startswith("gs://"):
        return DirectoryStore(uri, make=make)
    from job.storage.gcs import GcsStore  # noqa: PLC0415  the library takes 0.15 s to import

    name, _, prefix = uri.removeprefix("gs://").partition("/")
    return GcsStore(name, prefix.strip("/"))


def absolute(uri: str) -> str:
    return uri if uri.startswith("gs://") else str(Path(uri).absolute())


def address_of(uri: str, name: str) -> str:
    """Where a person opens an object: a URL for the browser if it is in a bucket, else its path."""
    if not uri.startswith("gs://"):
        return str(Path(uri, name))
    place = uri.removeprefix("gs://").strip("/")
    return f"https://storage.cloud.google.com/{quote(f'{place}/{name}')}"
