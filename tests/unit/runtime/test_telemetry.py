import pytest
from longtail.runtime.settings import SettingsError
from longtail.runtime.telemetry import configure_logging, start_metrics


def test_an_unknown_log_level_is_refused_with_its_variable() -> None:
    with pytest.raises(SettingsError, match="LONGTAIL_LOG_LEVEL='loud'"):
        configure_logging("loud")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.1:", "127.0.0.1:http"])
def test_a_metrics_address_without_a_port_is_refused(address: str) -> None:
    with pytest.raises(OSError, match="is not host:port"):
        start_metrics(address)
