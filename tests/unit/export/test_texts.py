import gzip
from pathlib import Path

import pytest
from longtail.export import texts
from longtail.export.errors import ExportError


def test_lines_are_read_without_blanks_and_repetitions(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("one\n\n two \none\nthree\nfour\n")
    sample = texts.read(path)
    assert {*sample.measured, *sample.calibration[:2]} == {"one", "two", "three", "four"}


def test_a_compressed_table_gives_its_column(tmp_path: Path) -> None:
    path = tmp_path / "items.csv.gz"
    path.write_bytes(gzip.compress(b'id,text\n1,"one, with a comma"\n2,two\n3,three\n4,four\n'))
    assert "one, with a comma" in [*texts.read(path).measured, *texts.read(path).calibration]


def test_a_long_file_is_sampled_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(str(i) for i in range(10_000)))
    sample = texts.read(path)
    assert len(set(sample.measured)) == 1_000
    assert int(sample.measured[-1]) >= 9_990


@pytest.mark.slow
def test_nothing_is_measured_on_what_it_was_calibrated_on(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(str(i) for i in range(3_000)))
    for sample in (texts.read(path), texts.docstrings()):
        assert not set(sample.measured) & set(sample.calibration)
        assert len(sample.calibration) >= 1_000


@pytest.mark.slow
def test_calibration_on_own_texts_keeps_a_second_domain(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(str(i) for i in range(100)))
    assert set(texts.docstrings().calibration) <= set(texts.read(path).calibration)


@pytest.mark.parametrize("content", [b"", b"one\ntwo\nthree\n", b"\xff\xfe\n"])
def test_a_file_without_texts_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "texts.txt"
    path.write_bytes(content)
    with pytest.raises(ExportError, match=r"texts\.txt"):
        texts.read(path)


def test_the_standard_library_gives_a_thousand_different_sentences() -> None:
    sample = texts.docstrings()
    assert len(set(sample.measured)) == 1_000
    assert all(text.strip() for text in sample.measured)
