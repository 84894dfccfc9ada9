"""What the settings of a server must say before other machines may reach it."""

from pathlib import Path

import pytest
from longtail.runtime.keys import write_keys
from longtail.runtime.settings import SettingsError, load
from longtail.server.settings import Settings

TLS = {"LONGTAIL_SERVER_CERTIFICATE": "c.pem", "LONGTAIL_SERVER_PRIVATE_KEY": "k.pem"}
OPEN = [
    {"LONGTAIL_SERVER_ADDRESS": "0.0.0.0:1"},
    {"LONGTAIL_SERVER_METRICS_ADDRESS": "0.0.0.0:1"},
    {"LONGTAIL_SERVER_ADMIN_ADDRESS": "0.0.0.0:1"},
]


@pytest.mark.parametrize("address", OPEN, ids=lambda each: next(iter(each)))
def test_each_address_that_others_reach_needs_tls_and_keys_or_trust(
    tmp_path: Path, address: dict[str, str]
) -> None:
    variables = {"LONGTAIL_HOME": str(tmp_path), **address}
    with pytest.raises(SettingsError, match=r"LONGTAIL_SERVER_CERTIFICATE.*, and make a key"):
        load(Settings, variables).check_closed()
    with pytest.raises(SettingsError, match=": make a key with `longtail-keys add`; or set"):
        load(Settings, {**variables, **TLS}).check_closed()
    load(Settings, {**variables, "LONGTAIL_TRUST_NETWORK": "true"}).check_closed()
    write_keys(tmp_path / "keys.json", [])
    load(Settings, {**variables, **TLS}).check_closed()
    with pytest.raises(SettingsError, match="for TLS; or set"):
        load(Settings, variables).check_closed()


@pytest.mark.parametrize(
    "variables",
    [
        {"LONGTAIL_SERVER_CERTIFICATE": "c.pem"},
        {"LONGTAIL_SERVER_PRIVATE_KEY": "k.pem"},
        {"LONGTAIL_SERVER_CLIENT_CA": "ca.pem"},
        {"LONGTAIL_WORKER_CLIENT_CERTIFICATE": "c.pem", "LONGTAIL_WORKER_CA": "ca.pem"},
        {
            "LONGTAIL_WORKER_CLIENT_CERTIFICATE": "c.pem",
            "LONGTAIL_WORKER_CLIENT_PRIVATE_KEY": "k.pem",
        },
        {"LONGTAIL_SERVER_ADMIN_ADDRESS": "127.0.0.1"},
    ],
)
def test_half_of_what_belongs_together_is_refused_by_name(variables: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=next(iter(variables))):
        load(Settings, variables)
