"""A certificate authority of the test's own, made with the `openssl` command."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate and its private key, both PEM files."""

    certificate: Path
    key: Path


class Authority:
    """A CA in a folder; `certificate` is what others trust it by."""

    def __init__(self, folder: Path, name: str) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("the openssl command, which makes the certificates, is not installed")
        self._folder = folder / name
        self._folder.mkdir()
        self.certificate = self._folder / "ca.pem"
        self._key = self._folder / "ca.key"
        self._openssl(
            "req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -days 30",
            *("-subj", f"/CN={name}", "-keyout", self._key, "-out", self.certificate),
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        )

    def issue(
        self, name: str, *, subject_names: str = "IP:127.0.0.1,DNS:localhost", days: int = 30
    ) -> Certificate:
        """A certificate for broker or client; with negative `days` it expired as many days ago."""
        issued = Certificate(
            certificate=self._folder / f"{name}.pem", key=self._folder / f"{name}.key"
        )
        request, extensions = self._folder / f"{name}.csr", self._folder / f"{name}.ext"
        extensions.write_text(
            f"subjectAltName={subject_names}\nextendedKeyUsage=serverAuth,clientAuth\n"
            "basicConstraints=critical,CA:FALSE\nauthorityKeyIdentifier=keyid\n",
            encoding="utf-8",
        )
        self._openssl(
            "req -new -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256",
            *("-subj", f"/CN={name}", "-keyout", issued.key, "-out", request),
        )
        self._openssl(
            f"x509 -req -days {days} -CAcreateserial",
            *("-CA", self.certificate, "-CAkey", self._key, "-in", request),
            *("-extfile", extensions, "-out", issued.certificate),
        )
        return issued

    def encrypt(self, key: Path) -> Path:
        """A copy of a private key that needs a pass phrase."""
        copy = key.with_suffix(".encrypted")
        self._openssl("ec -aes256 -passout pass:geheim", "-in", key, "-out", copy)
        return copy

    @staticmethod
    def _openssl(words: str, *arguments: str | Path) -> None:
        command = ["openssl", *words.split(), *map(str, arguments)]
        subprocess.run(command, check=True, capture_output=True, timeout=30)
