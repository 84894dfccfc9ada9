import pytest
from longtail.runtime.settings import SettingsError
from longtail.runtime.telemetry import configure_logging


def test_an_unknown_log_level_is_refused_with_its_variable() -> None:
    with pytest.raises(SettingsError, match="LONGTAIL_LOG_LEVEL='loud'"):
        configure_logging("loud")
