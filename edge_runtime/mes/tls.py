"""TLS between a client and the broker: what is demanded of it, and its failures in words for a user.

TLS 1.2 or later; the broker's certificate is always verified, and so is its host name: there is no
switch to leave that out. Whatever fails is a BrokerError that continues "broker mqtts://... ".
"""

import ssl
from pathlib import Path
from typing import Final

from edge_runtime.errors import BrokerError
from edge_runtime.mes.address import Address, MqttAddress
from edge_runtime.mes.credentials import KEY_CREDENTIAL, Credentials

_EXPIRED: Final = 10
_NOT_YET_VALID: Final = 9
_OTHER_NAME: Final = frozenset({62, 64})
_UNTRUSTED: Final = frozenset({2, 18, 19, 20, 21})
"""OpenSSL's X509_V_ERR_* numbers: an issuer that is unknown, or the certificate's own."""

_ASKS_FOR_CERTIFICATE: Final = "asks for a client certificate: give mqtt_certificate and mqtt_key"
_ALERTS: Final = {
    "CERTIFICATE_REQUIRED": _ASKS_FOR_CERTIFICATE,
    "UNKNOWN_CA": "does not know the CA of mqtt_certificate: have it issued by one that it trusts",
    "CERTIFICATE_EXPIRED": "finds mqtt_certificate expired: renew it, or set the clocks",
    "CERTIFICATE_REVOKED": "finds mqtt_certificate revoked: have a new one issued",
    "CERTIFICATE_UNKNOWN": "does not accept mqtt_certificate: its log says why",
    "BAD_CERTIFICATE": "does not accept mqtt_certificate: its log says why",
    "UNSUPPORTED_CERTIFICATE": "does not accept mqtt_certificate: is it one for clients?",
    "PROTOCOL_VERSION": "speaks neither TLS 1.2 nor 1.3",
}


class TlsSocket(ssl.SSLSocket):
    """Makes up for what paho does with a TLS socket that fails.

    In TLS 1.3 a refused client certificate shows only after the handshake, at the first read, whose
    error paho turns into a mere loss of connection: `alert` remembers it. And a handshake that fails
    would leave the socket open.
    """

    alert: str | None = None
    """The alert with which the broker ended the connection, in words; None while there was none."""

    def do_handshake(self, block: bool = False) -> None:
        """Shake hands as ever; a failure closes the socket."""
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Receive as ever."""
        try:
            return super().recv(buflen, flags)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as exc:
            if "_ALERT_" in (exc.reason or ""):
                self.alert = handshake_failure(exc, None)
            raise


def require_fit(address: Address, credentials: Credentials) -> None:
    """Raise BrokerError where address and credentials contradict each other."""
    given = {
        "mqtt_ca": credentials.ca,
        "mqtt_certificate": credentials.certificate,
        f"mqtt_key or the systemd credential {KEY_CREDENTIAL}": credentials.key,
    }
    names = [name for name, file in given.items() if file is not None]
    if names and not (isinstance(address, MqttAddress) and address.tls):
        raise BrokerError(
            f"broker {address} is not encrypted and takes no {', no '.join(names)}: "
            "write mqtts://, or leave them out"
        )
    if credentials.certificate is not None and credentials.key is None:
        raise BrokerError(
            f"mqtt_certificate {credentials.certificate} needs its private key: give mqtt_key or the "
            f"systemd credential {KEY_CREDENTIAL}"
        )
    if credentials.key is not None and credentials.certificate is None:
        raise BrokerError(
            f"the private key {credentials.key} needs its certificate: give mqtt_certificate"
        )


def client_context(credentials: Credentials) -> ssl.SSLContext:
    """A context made of what the files hold now; raises BrokerError that names the file at fault."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = TlsSocket
    if credentials.ca is None:
        context.load_default_certs()
    else:
        _require_readable(credentials.ca, "mqtt_ca")
        try:
            context.load_verify_locations(credentials.ca)
        except ssl.SSLError as exc:
            raise _unusable(
                f"mqtt_ca {credentials.ca} holds no certificate in PEM form", exc
            ) from exc
    if credentials.certificate is not None and credentials.key is not None:
        _load_own(context, credentials.certificate, credentials.key)
    return context


def handshake_failure(exc: OSError, address: MqttAddress | None) -> str:
    """Why a TLS connection came to nothing, continuing "broker ADDRESS ..."."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        return _certificate_failure(exc, address)
    if isinstance(exc, ssl.SSLEOFError | ConnectionResetError | BrokenPipeError):
        return "broke off the TLS handshake: does it speak TLS on this port? (mqtt:// is without)"
    if isinstance(exc, TimeoutError):
        return "cannot be reached: it did not answer in time; does it speak TLS on this port?"
    if not isinstance(exc, ssl.SSLError):
        return f"cannot be reached: {exc.strerror or exc}"
    reason = exc.reason or "unknown"
    if reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNEXPECTED_MESSAGE"):
        return "does not speak TLS on this port: mqtt:// is without"
    kind = reason.partition("_ALERT_")[2]
    if kind == "HANDSHAKE_FAILURE":
        return f"refused the TLS handshake: perhaps it {_ASKS_FOR_CERTIFICATE}"
    return _ALERTS.get(kind, f"cannot agree on TLS: {reason.replace('_', ' ').lower()}")


def _certificate_failure(exc: ssl.SSLCertVerificationError, address: MqttAddress | None) -> str:
    shows = "shows a certificate that"
    if exc.verify_code == _EXPIRED:
        return f"{shows} has expired: renew it there, or set this machine's clock"
    if exc.verify_code == _NOT_YET_VALID:
        return f"{shows} is not valid yet: set this machine's clock"
    if exc.verify_code in _OTHER_NAME:
        name = "this host" if address is None else address.host
        return f"{shows} is not for {name}: address it by a name in the certificate"
    if exc.verify_code in _UNTRUSTED:
        return f"{shows} no trusted CA vouches for ({exc.verify_message}): give its CA as mqtt_ca"
    return f"{shows} is not accepted: {exc.verify_message}"


def _load_own(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    _require_readable(certificate, "mqtt_certificate")
    _require_readable(key, "mqtt_key")

    def refuse_to_ask() -> str:
        # Without a callback OpenSSL would ask on the terminal, and wait.
        raise BrokerError(
            f"cannot be reached: mqtt_key {key} is encrypted; store it decrypted, readable by root "
            f"alone, and hand it over as the systemd credential {KEY_CREDENTIAL}"
        )

    try:
        context.load_cert_chain(certificate, key, password=refuse_to_ask)
    except ssl.SSLError as exc:
        if exc.reason == "KEY_VALUES_MISMATCH":
            text = f"mqtt_key {key} is not the key of mqtt_certificate {certificate}"
        else:
            text = f"mqtt_certificate {certificate} and mqtt_key {key} are not both in PEM form"
        raise _unusable(text, exc) from exc


def _require_readable(file: Path, key: str) -> None:
    try:
        file.open("rb").close()
    except OSError as exc:
        raise BrokerError(
            f"cannot be reached: {key} {file} cannot be read: {exc.strerror}"
        ) from exc


def _unusable(text: str, exc: ssl.SSLError) -> BrokerError:
    return BrokerError(f"cannot be reached: {text} ({exc.reason or exc.strerror})")
