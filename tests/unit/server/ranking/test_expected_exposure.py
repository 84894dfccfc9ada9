from pathlib import Path

import pytest
from hypothesis import given, strategies
from longtail.server.ranking.expected_exposure import exposure_path, read_exposure, write_exposure
from longtail.server.ranking.profile import ProfileError

HEADER = "item_id,exposure\r\n"


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    return tmp_path / "ranking-profile.json"


def refusal(profile: Path, content: str | bytes) -> str:
    data = content.encode() if isinstance(content, str) else content
    exposure_path(profile).write_bytes(data)
    with pytest.raises(ProfileError) as caught:
        read_exposure(profile)
    message = str(caught.value)
    assert message.startswith(f"{exposure_path(profile)}: ")
    return message.removeprefix(f"{exposure_path(profile)}: ")


def test_it_is_beside_the_profile() -> None:
    assert exposure_path(Path("a/my.profile.json")) == Path("a/my.profile.exposure.csv")
    assert exposure_path(Path("profile")) == Path("profile.exposure.csv")
    assert exposure_path(Path("/")) == Path("/.exposure.csv")


def test_ids_and_numbers_come_back(profile: Path) -> None:
    exposure = {
        "plain": 0.0,
        "a,b": 1.5,
        'say "so"': 123456.0,
        '","': 0.25,
        "two\nlines\r": 3.0,
        " blanks ": 1e-7,
        "寿司": 2.0,
        "item_id": 1.0,
        "5": 0.333333,
    }
    write_exposure(exposure, profile)
    assert read_exposure(profile) == exposure
    assert [path.name for path in profile.parent.iterdir()] == ["ranking-profile.exposure.csv"]
    write_exposure({}, profile)
    assert read_exposure(profile) == {}


@given(
    strategies.dictionaries(
        strategies.text(
            strategies.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1
        ),
        strategies.floats(0, 1e9),
    )
)
def test_any_id_comes_back(
    tmp_path_factory: pytest.TempPathFactory, exposure: dict[str, float]
) -> None:
    profile = tmp_path_factory.getbasetemp() / "any.json"
    write_exposure(exposure, profile)
    assert read_exposure(profile) == pytest.approx(exposure, rel=1e-5)


def test_no_file_is_nothing_known(profile: Path) -> None:
    assert read_exposure(profile) == {}


def test_a_line_that_is_wrong_is_named(profile: Path) -> None:
    good = 'a,1\r\n"b\r\nb",2\r\n'
    assert refusal(profile, HEADER + good + "c\r\nd,1\r\n").startswith("line 5: ")
    assert refusal(profile, HEADER + good + "c,1,2\r\n").startswith("line 5: ")
    assert refusal(profile, HEADER + good + "c,much\r\n").startswith("line 5: ")
    assert refusal(profile, HEADER + "\r\n").startswith("line 2: ")
    assert refusal(profile, HEADER + "a,-1\r\n") == "line 2: the exposure is -1"
    assert refusal(profile, HEADER + "a,nan\r\n") == "line 2: the exposure is nan"
    assert refusal(profile, HEADER + "a,inf\r\n") == "line 2: the exposure is inf"
    assert refusal(profile, HEADER + 'a,1\r\n"b,1\r\n').startswith("line 3: ")
    assert refusal(profile, HEADER + '"a"b,1\r\n').startswith("line 2: ")


def test_what_has_other_columns_is_refused(profile: Path) -> None:
    for content in ("", "a,1\r\n", "exposure,item_id\r\na,1\r\n", "item_id\r\n"):
        assert refusal(profile, content) == "the first line is not item_id,exposure"


def test_what_cannot_be_read_is_refused(profile: Path) -> None:
    assert "utf-8" in refusal(profile, HEADER.encode() + b"\xff,1\r\n")
    exposure_path(profile).unlink()
    exposure_path(profile).mkdir()
    with pytest.raises(ProfileError, match=str(exposure_path(profile))):
        read_exposure(profile)
