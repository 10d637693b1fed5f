"""TLS: whose certificates connections to engines and to the webhook trust."""

import ssl

import certifi


def tls_context(authorities: str | None) -> ssl.SSLContext:
    """The TLS context that all connections of a run share. One per connection would cost 6.5 ms and 0.8 MB each.

    It trusts the authorities in the file `authorities`, or else those of certifi. Raises `OSError`.
    """
    return ssl.create_default_context(cafile=authorities or certifi.where())
