from urllib.request import urlopen

import pytest
from longtail.runtime.listening import CannotListen, ListenAddress
from longtail.runtime.settings import SettingsError
from longtail.runtime.telemetry import configure_logging, start_metrics

from tests.processes import free_address


def test_an_unknown_log_level_is_refused_with_its_variable() -> None:
    with pytest.raises(SettingsError, match="LONGTAIL_LOG_LEVEL='loud'"):
        configure_logging("loud")


def test_metrics_are_at_their_address_and_who_comes_second_is_told() -> None:
    address = ListenAddress.parse("APP_METRICS", free_address())
    start_metrics(address)
    with urlopen(f"http://{address}/metrics") as answer:
        assert b"longtail_rpc_in_flight" in answer.read()
    with pytest.raises(CannotListen, match=f"{address}: Address already in use; .* APP_METRICS "):
        start_metrics(address)
