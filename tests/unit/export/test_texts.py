import gzip
from pathlib import Path

import pytest

from export import texts
from export.errors import ExportError


def test_lines_are_read_without_blanks_and_repetitions(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("one\n\n two \none\n")
    assert texts.read(path) == ["one", "two"]


def test_a_compressed_table_gives_its_column(tmp_path: Path) -> None:
    path = tmp_path / "items.csv.gz"
    path.write_bytes(gzip.compress(b'id,text\n1,"one, with a comma"\n2,two\n'))
    assert texts.read(path) == ["one, with a comma", "two"]


def test_a_long_file_is_sampled_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(str(i) for i in range(10_000)))
    sample = texts.read(path)
    assert len(set(sample)) == texts.COUNT
    assert int(sample[-1]) >= 9_990


@pytest.mark.parametrize("content", [b"", b"only one\n", b"\xff\xfe\n"])
def test_a_file_without_texts_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "texts.txt"
    path.write_bytes(content)
    with pytest.raises(ExportError, match=r"texts\.txt"):
        texts.read(path)


def test_the_standard_library_gives_a_thousand_different_sentences() -> None:
    sample = texts.docstrings()
    assert len(set(sample)) == texts.COUNT
    assert all(text.strip() for text in sample)
