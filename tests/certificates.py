"""Certificates for tests, made by openssl: an authority, and what it signs."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Certified:
    """PEM files of a certificate and its private key."""

    certificate: Path
    private_key: Path


class Authority:
    """An authority whose files are in `folder`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.certificate, self._private_key = folder / "ca.pem", folder / "ca.key"
        request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
        subject = f"-subj /CN=authority-of-{folder.name}"
        _openssl(f"{request} -keyout {self._private_key} -out {self.certificate} {subject}")

    def certify(self, name: str, serial: int = 1) -> Certified:
        """Make a certificate of 127.0.0.1, localhost and `name`; replace one that is there."""
        made = Certified(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        request, names = self._folder / f"{name}.csr", self._folder / f"{name}.ext"
        names.write_text(f"subjectAltName=DNS:{name},DNS:localhost,IP:127.0.0.1")
        _openssl(
            f"req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {made.private_key} "
            f"-out {request} -subj /CN={name}"
        )
        _openssl(
            f"x509 -req -in {request} -CA {self.certificate} -CAkey {self._private_key} -days 2 "
            f"-set_serial {serial} -extfile {names} -out {made.certificate}"
        )
        return made


def _openssl(arguments: str) -> None:
    subprocess.run(["openssl", *arguments.split()], check=True, capture_output=True)
