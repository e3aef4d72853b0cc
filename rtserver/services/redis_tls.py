"""How the certificate of a Redis server is checked, and what certificate we show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    PrivateCertificate,
    optionsForClientTLS,
    platformTrust,
    trustRootFromCertificates,
)
from zope.interface import implementer

from rtserver.services.redis_options import RedisOptions

_CERTIFICATE_END = "-----END CERTIFICATE-----"


@implementer(IOpenSSLClientConnectionCreator)
class Unverified:
    """TLS that encrypts but trusts whoever answers."""

    def __init__(self, options: CertificateOptions) -> None:
        self._context = options.getContext()

    def clientConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        return SSL.Connection(self._context, None)


def tls_creator(options: RedisOptions, host: str) -> Any:
    """What ``wrapClientTLS`` wants for a connection to ``host``. Raises ``ValueError`` when a file cannot be used."""
    client = _client_certificate(options)
    if options.tls_insecure:
        known = {} if client is None else {"privateKey": client.privateKey.original, "certificate": client.original}
        return Unverified(CertificateOptions(verify=False, **known))
    return optionsForClientTLS(host, trustRoot=_trust_root(options), clientCertificate=client)


def _trust_root(options: RedisOptions) -> Any:
    if not options.tls_ca:
        return platformTrust()
    parts = _read("redis.tls_ca", options.tls_ca).split(_CERTIFICATE_END)[:-1]
    if not parts:
        raise ValueError("redis.tls_ca holds no PEM certificate: name a file with -----BEGIN CERTIFICATE----- in it")
    return trustRootFromCertificates([Certificate.loadPEM(f"{part}{_CERTIFICATE_END}\n".encode()) for part in parts])


def _client_certificate(options: RedisOptions) -> PrivateCertificate | None:
    if not options.tls_cert:
        return None
    pem = _read("redis.tls_key", options.tls_key) + "\n" + _read("redis.tls_cert", options.tls_cert)
    try:
        client: PrivateCertificate = PrivateCertificate.loadPEM(pem)
    except SSL.Error as error:
        raise ValueError(
            "redis.tls_cert and redis.tls_key cannot be used: give PEM files, the key without a pass phrase"
        ) from error
    return client


def _read(key: str, path: str) -> str:
    try:
        return Path(path).read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{key} cannot be read ({error}): name a PEM file that the server may read") from error
