"""What a client shows the broker, and by what it knows the broker: a password, a certificate, a CA.

Owns where the secrets come from: the environment, a systemd credential, a file named in the
configuration. What stands in files is read anew at every attempt to connect, so that a file mended
on disk mends the connection. Neither `repr` nor an error shows a secret.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from edge_runtime.errors import BrokerError

PASSWORD_VARIABLE = "EDGE_INSPECT_MQTT_PASSWORD"  # noqa: S105 - the name of a variable
PASSWORD_CREDENTIAL = "mqtt-password"  # noqa: S105 - the name of a systemd credential
KEY_CREDENTIAL = "mqtt-key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Secrets and where they lie; all of it optional. User names stand in the broker's address."""

    password: SecretStr | None = None
    """From the environment; wins over the file."""
    password_file: Path | None = None
    """Text whose last line break does not count; one that is missing or blank is no password."""
    ca: Path | None = None
    """PEM certificates that vouch for the broker; None: those the system trusts."""
    certificate: Path | None = None
    """PEM certificate chain of this client, its own first."""
    key: Path | None = None
    """PEM private key of that certificate, not encrypted."""

    def read_password(self) -> str | None:
        """The password as of now; raises BrokerError where there is a file that cannot be read."""
        if self.password is not None:
            return self.password.get_secret_value()
        if self.password_file is None:
            return None
        return _content(self.password_file, "the broker's password").rstrip("\r\n") or None


ANONYMOUS = Credentials()
"""Neither password nor certificate."""


def read_credentials(
    environment: Mapping[str, str],
    *,
    ca: Path | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
) -> Credentials:
    """What the environment and systemd's credentials add to the files of the configuration.

    The password is `EDGE_INSPECT_MQTT_PASSWORD`, else the credential `mqtt-password`; the key is the
    one that is named, else the credential `mqtt-key`. A blank credential stands for none.
    """
    password = environment.get(PASSWORD_VARIABLE)
    password_file = None
    if folder := environment.get("CREDENTIALS_DIRECTORY"):
        password_file = Path(folder, PASSWORD_CREDENTIAL)
        key_file = Path(folder, KEY_CREDENTIAL)
        if key is None and _content(key_file, "the private key").strip():
            key = key_file
    return Credentials(
        password=SecretStr(password) if password else None,
        password_file=password_file,
        ca=ca,
        certificate=certificate,
        key=key,
    )


def _content(file: Path, meaning: str) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except OSError as exc:
        raise BrokerError(f"{file}: cannot read {meaning}: {exc.strerror}") from exc
    except UnicodeDecodeError:
        # Not chained: that error carries the bytes, and they are the secret.
        raise BrokerError(f"{file}: cannot read {meaning}: it is not UTF-8 text") from None
