"""What others write cannot end a line of ours, nor steer a terminal."""

import json

import pytest
from longtail.runtime.control_characters import escaped


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\r\x1b[2J", r"a\nb\r\u001b[2J"),
        ("\x00\x7f\x85\x9b", r"\u0000\u007f\u0085\u009b"),
        ("a\u2028b\u2029c", r"a\u2028b\u2029c"),
        ('Füchse "im" 森 \\n', 'Füchse "im" 森 \\n'),
    ],
)
def test_control_characters_are_escaped_and_nothing_else(text: str, shown: str) -> None:
    assert escaped(text) == shown


def test_json_stays_what_it_was() -> None:
    value = {"a": "\r\x7f\x9b\u2028é"}
    shown = escaped(json.dumps(value, ensure_ascii=False))
    assert shown.isprintable()
    assert json.loads(shown) == value
