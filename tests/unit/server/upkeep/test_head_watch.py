"""The head in its file is in service, whatever comes to the file, and only for its encoder."""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from longtail.server.catalogue.replica import CatalogueReplica
from longtail.server.ranking.head.head import Head, write_head
from longtail.server.upkeep.head_watch import HeadWatch
from prometheus_client import REGISTRY

DIMENSION = 4


@dataclass
class View:
    """What the watch knows of a catalogue: its encoder, and the head that serves."""

    model_id: str = "tiny@1"
    head: Head | None = None
    told: list[Head | None] = field(default_factory=list)

    @property
    def state(self) -> SimpleNamespace:
        binding = SimpleNamespace(model_id=self.model_id, dimension=DIMENSION)
        return SimpleNamespace(encoder=SimpleNamespace(binding=binding))

    def adapt(self, head: Head | None) -> None:
        self.head = head
        self.told.append(head)


def head(seed: int, encoder: str = "tiny@1", dimension: int = DIMENSION) -> Head:
    outer = np.random.default_rng(seed).normal(size=(2, dimension)).astype(np.float32)
    return Head(outer.T.copy(), outer, encoder)


def watch(path: Path, view: View) -> HeadWatch:
    return HeadWatch(path, cast(CatalogueReplica, view))


def serving(view: View) -> str | None:
    return None if view.head is None else view.head.version


def test_the_head_in_the_file_serves_as_long_as_it_is_there(tmp_path: Path) -> None:
    path, view = tmp_path / "head.npz", View()
    watching = watch(path, view)
    watching.refresh()
    assert view.told == []
    for seed in (1, 2):
        write_head(head(seed), path)
        watching.refresh()
        watching.refresh()
        assert serving(view) == head(seed).version
        assert len(view.told) == seed
        told = REGISTRY.get_sample_value("longtail_head_info", {"version": head(seed).version})
        assert told == 1.0
    path.unlink()
    watching.refresh()
    assert view.head is None


def test_a_file_of_no_use_changes_nothing_and_is_told_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, view = tmp_path / "head.npz", View()
    write_head(head(1), path)
    watching = watch(path, view)
    watching.refresh()
    path.write_bytes(b"none")
    with caplog.at_level(logging.ERROR):
        watching.refresh()
        watching.refresh()
    assert serving(view) == head(1).version
    assert len(caplog.records) == 1
    assert str(path) in caplog.text


def test_a_head_serves_for_its_own_encoder_alone(tmp_path: Path) -> None:
    path, view = tmp_path / "head.npz", View()
    write_head(head(1, encoder="another@1"), path)
    watching = watch(path, view)
    watching.refresh()
    assert (view.head, watching.head) == (None, None)
    write_head(head(1, dimension=DIMENSION + 1), path)
    watching.refresh()
    assert view.head is None
    write_head(head(2), path)
    watching.refresh()
    assert serving(view) == head(2).version
    # The catalogue goes over to another encoder, and forgets the head; later it comes back.
    view.model_id, view.head = "another@1", None
    watching.refresh()
    assert view.head is None
    view.model_id = "tiny@1"
    watching.refresh()
    assert serving(view) == head(2).version
