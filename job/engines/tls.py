"""TLS: whose certificates connections to engines and to the webhook trust."""

import os
import ssl

import certifi

# Python and urllib3 would write the keys of every connection to that file, and fail if they cannot.
os.environ.pop("SSLKEYLOGFILE", None)


def tls_context(authorities: str | None) -> ssl.SSLContext:
    """A TLS context that trusts the authorities in a file, or else those of certifi. Raises `OSError`."""
    return ssl.create_default_context(cafile=authorities or certifi.where())
