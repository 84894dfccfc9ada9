import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from longtail.runtime.command_line import (
    Parser,
    add_flags,
    find_with_flags,
    hand_down,
    write_settings,
)
from longtail.runtime.settings import find, load, read, setting


@dataclass(frozen=True)
class Settings:
    home: str = setting("LONGTAIL_HOME", "var", "Where, in 100 % of cases.")
    links: int = setting("LONGTAIL_INDEX_LINKS", 16, "How many.")
    words: bool = setting("LONGTAIL_WORDS", True, "Whether.")
    model: str = setting("LONGTAIL_MODEL", "", "What nobody may see.", secret=True)


@pytest.fixture
def parser() -> Parser:
    parser = Parser("longtail-app", "Do it.")
    add_flags(parser, Settings)
    return parser


def test_every_setting_has_a_flag_with_its_meaning_and_default(parser: Parser) -> None:
    shown = " ".join(parser.format_help().split())
    assert "--index-links VALUE How many. (default: 16)" in shown
    assert "--home VALUE Where, in 100 % of cases. (default: var)" in shown
    assert "--model VALUE What nobody may see. (default: empty)" in shown


def test_flags_are_found_by_their_settings(parser: Parser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGTAIL_INDEX_LINKS", "8")
    monkeypatch.setenv("LONGTAIL_HOME", "/environment")
    given = find_with_flags(parser.parse_args(["--home", "/flag", "--words", "off"]))
    assert read(Settings, given) == Settings("/flag", 8, False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--index-link", "8"], "--index-link is no flag of it; the nearest is --index-links"),
        (["--hme=x", "--wrods"], "--hme is no flag of it; the nearest is --home"),
        (["--home", "a", "--home=b"], "argument --home: is given twice"),
        (["--config", "a", "--config", "b"], "argument --config: is given twice"),
        (["--home"], "argument --home: expected one argument"),
    ],
)
def test_a_wrong_command_line_is_one_line(
    parser: Parser, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(arguments)
    assert (ended.value.code, capsys.readouterr().err) == (2, f"longtail-app: {said}\n")


def test_what_counts_is_shown_with_where_it_was_set_and_without_secrets(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "longtail.toml"
    file.write_text('home = "/a \\"b\\" ö"\n')
    environment = {"LONGTAIL_CONFIG": str(file), "LONGTAIL_MODEL": "hunter2"}
    given = find(environment, {"LONGTAIL_WORDS": "no"})
    write_settings(read(Settings, given), given)
    shown = capsys.readouterr().out
    assert shown.splitlines() == [
        f'home = "/a \\"b\\" ö"           # {file}: home',
        "index_links = 16              # default",
        "words = false                 # --words",
        "# model is set and not shown  # LONGTAIL_MODEL",
    ]
    # It is a file of settings itself.
    file.write_text(shown)
    assert load(Settings, {"LONGTAIL_CONFIG": str(file)}) == Settings('/a "b" ö', 16, False)


def test_control_characters_are_shown_escaped_and_read_again(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    home = "a\x7f\x1b[2J\u0085\nb"
    given = find({"LONGTAIL_HOME": home})
    write_settings(read(Settings, given), given)
    shown = capsys.readouterr().out
    assert all(line.isprintable() for line in shown.splitlines())
    file = tmp_path / "longtail.toml"
    file.write_text(shown)
    assert load(Settings, {"LONGTAIL_CONFIG": str(file)}) == Settings(home)


def test_processes_of_a_process_read_what_it_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "longtail.toml"
    file.write_text("index_links = 8\n")
    environment = {"LONGTAIL_CONFIG": str(file), "LONGTAIL_HOME": "/environment"}
    monkeypatch.setattr("os.environ", dict(environment))
    hand_down(find(environment, {"LONGTAIL_HOME": "/flag"}))
    file.unlink()
    assert load(Settings, os.environ) == Settings("/flag", 8)
