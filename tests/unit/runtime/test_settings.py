import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from longtail.runtime.listening import ListenAddress
from longtail.runtime.settings import (
    MAX_BYTES,
    Bounds,
    Given,
    SettingsError,
    describe,
    find,
    listen_address,
    load,
    one_of,
    read,
    setting,
)


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


@dataclass(frozen=True)
class Ours:
    """Under names that are known to be ours, as a file has to have them."""

    home: str = setting("LONGTAIL_HOME", "var", "Where.")
    links: int = setting("LONGTAIL_INDEX_LINKS", 16, "How many.", Bounds(4, 64))
    strength: float = setting("LONGTAIL_STRENGTH", 0.2, "How much.", Bounds(0, 1))
    words: bool = setting("LONGTAIL_WORDS", True, "Whether.")
    level: str = setting("LONGTAIL_LOG_LEVEL", "info", "Which.", check=one_of("info", "error"))
    address: ListenAddress = listen_address("LONGTAIL_SERVER_ADDRESS", "a:1", "Where it listens.")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "longtail.toml"


def test_a_flag_counts_before_the_environment_and_that_before_the_file(file: Path) -> None:
    file.write_text('home = "/file"\nindex_links = 8\nstrength = 1\nwords = false\n')
    environment = {"LONGTAIL_CONFIG": str(file), "LONGTAIL_HOME": "/environment", "HOME": "/root"}
    environment |= {"LONGTAIL_STRENGTH": "0.5"}
    given = find(environment, {"LONGTAIL_STRENGTH": "0.9"})
    assert read(Ours, given) == Ours("/environment", 8, 0.9, False)
    assert load(Ours, environment) == Ours("/environment", 8, 0.5, False)
    assert {name: each.place for name, each in given.items() if name.startswith("LONGTAIL_")} == {
        "LONGTAIL_CONFIG": "LONGTAIL_CONFIG",
        "LONGTAIL_HOME": "LONGTAIL_HOME",
        "LONGTAIL_INDEX_LINKS": f"{file}: index_links",
        "LONGTAIL_STRENGTH": "--strength",
        "LONGTAIL_WORDS": f"{file}: words",
    }


def test_a_flag_names_another_file_than_the_environment(file: Path) -> None:
    file.write_text("index_links = 8\n")
    given = find({"LONGTAIL_CONFIG": "/nowhere"}, {"LONGTAIL_CONFIG": str(file)})
    assert read(Ours, given).links == 8


def test_what_is_empty_is_not_set_wherever_it_stands(file: Path) -> None:
    file.write_text('home = "/file"\nlog_level = ""\n')
    given = find({"LONGTAIL_CONFIG": str(file), "LONGTAIL_HOME": ""}, {"LONGTAIL_HOME": ""})
    assert read(Ours, given) == Ours("/file")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("index_link = 8", "index_link is no setting; the nearest is index_links"),
        ('api_key = "x"', "api_key is no setting; the nearest is "),
        ('config = "x"', "config is no setting; the nearest is "),
        ("[indices]\nlinks = 8", "indices is no setting; the nearest is "),
        ("home = ['a']", "home is neither text, nor a number, nor true or false"),
        ("home = 2026-01-01", "home is neither text"),
        ("index_links = 99", "index_links='99' is not in 4 to 64"),
        ("index_links = 4.5", "index_links='4.5' is not a whole number"),
        ("strength = nan", "strength='nan' is not in 0 to 1"),
        ('words = "perhaps"', "words='perhaps' is neither true nor false"),
        ('log_level = "loud"', "log_level='loud' is not one of info, error"),
        ('server_address = "here"', "server_address='here' is not host:port"),
        ("home = ", "Invalid value"),
        ("LONGTAIL_STRENGTH = 1", "LONGTAIL_STRENGTH is no setting; the nearest is strength"),
        ('"a\\u001b[2J" = 1', r"a\u001b[2J is no setting; the nearest is "),
        ('home = "a\\u0000b"', "home holds a NUL character"),
        ("strength = " + "[" * 3000, "is nested too deeply"),
        ("index_links = 0x" + "f" * 5000, "index_links has too many digits"),
        ("#" * (MAX_BYTES + 1), f"is over {MAX_BYTES} bytes"),
    ],
)
def test_what_a_file_says_wrong_is_named_with_the_file(file: Path, text: str, problem: str) -> None:
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(Ours, {"LONGTAIL_CONFIG": str(file)})
    assert str(caught.value).startswith(f"{file}: {problem}")
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(file: Path) -> None:
    with pytest.raises(SettingsError, match=f"^{file}: No such file or directory$"):
        load(Ours, {"LONGTAIL_CONFIG": str(file)})
    with pytest.raises(SettingsError, match=f"^{file.parent}: Is a directory$"):
        load(Ours, {"LONGTAIL_CONFIG": str(file.parent)})
    file.write_bytes(b"home = '\xff'")
    with pytest.raises(SettingsError, match=f"^{file}: 'utf-8' codec"):
        load(Ours, {"LONGTAIL_CONFIG": str(file)})


def test_what_is_no_regular_file_is_neither_waited_for_nor_read(file: Path) -> None:
    os.mkfifo(file)
    for path in (file, "/dev/zero"):
        with pytest.raises(SettingsError, match=f"^{path}: is no regular file$"):
            load(Ours, {"LONGTAIL_CONFIG": str(path)})


def test_a_file_may_begin_with_a_mark_of_its_encoding(file: Path) -> None:
    file.write_text("index_links = 8\n", encoding="utf-8-sig")
    assert load(Ours, {"LONGTAIL_CONFIG": str(file)}).links == 8


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://ann:hunter2@h:1", "'http://...@h:1'"),
        ("ann:hunt@er2@h:1", "'...@h:1'"),
        ("x\x1b[2J", r"'x\x1b[2J'"),
    ],
)
def test_what_stands_before_an_address_is_not_shown(text: str, shown: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(Ours, {"LONGTAIL_SERVER_ADDRESS": text})
    assert str(caught.value) == f"LONGTAIL_SERVER_ADDRESS={shown} is not host:port"


def test_a_variable_that_nothing_reads_is_refused_without_its_value() -> None:
    nearest = "LONGTAIL_API_KYE is no variable of ours; the nearest is LONGTAIL_API_KEY"
    with pytest.raises(SettingsError, match=f"^{nearest}$"):
        load(Ours, {"LONGTAIL_API_KYE": "a secret"})
    # What other programs of ours read is none of ours, and no mistake.
    load(Ours, {"LONGTAIL_API_KEY": "x", "LONGTAIL_WORKER_SLOTS": "2", "LONGTAILS": "x"})


def test_what_kubernetes_sets_by_itself_is_no_mistake() -> None:
    load(
        Ours,
        {
            "LONGTAIL_SERVER_PORT": "tcp://10.0.0.1:50051",
            "LONGTAIL_SERVER_PORT_50051_TCP": "tcp://10.0.0.1:50051",
            "LONGTAIL_SERVER_PORT_50051_TCP_PROTO": "tcp",
            "LONGTAIL_SERVER_PORT_50051_TCP_ADDR": "10.0.0.1",
            "LONGTAIL_SERVICE_HOST": "10.0.0.1",
            "LONGTAIL_SERVICE_PORT_GRPC": "50051",
        },
    )
    with pytest.raises(SettingsError, match="LONGTAIL_SERVER_PORT is no variable of ours"):
        load(Ours, {"LONGTAIL_SERVER_PORT": "50051"})


def test_a_secret_is_not_in_the_message_that_it_is_of_no_use() -> None:
    @dataclass(frozen=True)
    class Secretive:
        pin: int = setting("APP_PIN", 0, "A number.", secret=True)

    with pytest.raises(SettingsError, match=r"^APP_PIN is not a whole number$"):
        read(Secretive, {"APP_PIN": Given("hunter2", "APP_PIN")})
