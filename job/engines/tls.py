"""TLS: whose certificates connections to engines and to the webhook trust."""

import ssl

import certifi


def tls_context(authorities: str | None) -> ssl.SSLContext:
    """A TLS context that trusts the authorities in a file, or else those of certifi. Raises `OSError`."""
    return ssl.create_default_context(cafile=authorities or certifi.where())
