from dataclasses import dataclass

import pytest
from longtail.runtime.settings import Bounds, SettingsError, describe, load, setting


@dataclass(frozen=True)
class Settings:
    name: str = setting("APP_NAME", "a name", "What it is called.")
    slots: int = setting("APP_SLOTS", 4, "How many.", Bounds(1, 8))
    seconds: float = setting("APP_SECONDS", 0.5, "How long.", Bounds(0, 60))
    quiet: bool = setting("APP_QUIET", False, "Whether to say nothing.")


def test_defaults_where_nothing_is_set_or_set_to_nothing() -> None:
    assert load(Settings, {}) == Settings("a name", 4, 0.5, False)
    assert load(Settings, {"APP_SLOTS": "", "OTHER": "x"}) == Settings()


def test_values_are_read_as_what_they_are() -> None:
    environment = {"APP_NAME": "x", "APP_SLOTS": "8", "APP_SECONDS": "0", "APP_QUIET": "1"}
    assert load(Settings, environment) == Settings("x", 8, 0.0, True)


@pytest.mark.parametrize(
    ("raw", "value"),
    [("true", True), ("YES", True), ("on", True), ("0", False), ("False", False), ("off", False)],
)
def test_truth(raw: str, value: bool) -> None:
    assert load(Settings, {"APP_QUIET": raw}).quiet is value


@pytest.mark.parametrize(
    ("variable", "raw"),
    [
        ("APP_SLOTS", "many"),
        ("APP_SLOTS", "1.5"),
        ("APP_SLOTS", "0"),
        ("APP_SLOTS", "9"),
        ("APP_SECONDS", "soon"),
        ("APP_SECONDS", "-0.1"),
        ("APP_SECONDS", "nan"),
        ("APP_SECONDS", "inf"),
        ("APP_QUIET", "perhaps"),
    ],
)
def test_a_value_of_no_use_is_named_with_its_variable(variable: str, raw: str) -> None:
    with pytest.raises(SettingsError, match=f"^{variable}='{raw}' is "):
        load(Settings, {variable: raw})


def test_describes_every_setting() -> None:
    assert describe(Settings) == [
        ("APP_NAME", "a name", "What it is called."),
        ("APP_SLOTS", "4", "How many."),
        ("APP_SECONDS", "0.5", "How long."),
        ("APP_QUIET", "False", "Whether to say nothing."),
    ]
