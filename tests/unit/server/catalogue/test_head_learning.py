"""A head is learned beside serving: of what is there, when it is due, and only one that helps."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from longtail.server.catalogue import head_learning as module
from longtail.server.catalogue.columns.columns import NO_ROW
from longtail.server.catalogue.head_learning import HeadLearning, material_of
from longtail.server.catalogue.state import CatalogueState
from longtail.server.ranking.behaviour import Behaviour
from longtail.server.ranking.head.fitting import Material, NoHead
from longtail.server.ranking.head.head import Head, read_head
from longtail.server.ranking.regression import Stopped
from numpy.typing import NDArray
from prometheus_client import REGISTRY

from tests.unit.server.catalogues import BINDING, item, opened, unit, view_of

DIMENSION = 8
PATIENCE_SECONDS = 60.0


@dataclass
class Catalogue:
    """Items by id, with a vector that tells them apart; those that are `gone` have no row."""

    count: int = 60
    gone: frozenset[str] = frozenset()
    encoder: str = "tiny@1"

    def state(self) -> CatalogueState:
        def rows_at(ids: list[str], revision: int) -> NDArray[np.int64]:
            numbers = [NO_ROW if each in self.gone else int(each[1:]) for each in ids]
            return np.array(numbers, np.int64)

        def vectors(rows: NDArray[np.int64]) -> NDArray[np.float32]:
            made = np.ones((len(rows), DIMENSION), np.float32)
            made[:, 0] = rows
            return made

        binding = SimpleNamespace(model_id=self.encoder, dimension=DIMENSION)
        found = SimpleNamespace(
            encoder=SimpleNamespace(binding=binding),
            columns=SimpleNamespace(rows_at=rows_at),
            index=SimpleNamespace(vectors=vectors),
            revision=1,
        )
        return cast(CatalogueState, found)


def liked(people: int = 10, items: int = 6) -> Behaviour:
    behaviour = Behaviour()
    for person in range(people):
        for place in range(items):
            behaviour.like(person, f"i{(person + place) % 30}")
    return behaviour


def head(seed: int = 0, likes: int = 60) -> Head:
    outer = np.random.default_rng(seed).normal(size=(2, DIMENSION)).astype(np.float32)
    facts = {"gain": 1.2, "learned from": {"likes": likes}}
    return Head(outer.T.copy(), outer, "tiny@1", facts)


Fit = Callable[..., Head]


class Learned:
    """Stands in for the fit: gives heads that were made before, and notes what it is given."""

    def __init__(self, *made: Head | Exception) -> None:
        self.made = list(made)
        self.given = list[tuple[Material, Head | None]]()
        self.told = threading.Semaphore(0)

    def __call__(
        self, material: Material, pause: Callable[[int], None], *, current: Head | None
    ) -> Head:
        self.given.append((material, current))
        pause(0)
        found = self.made.pop(0)
        self.told.release()
        if isinstance(found, Exception):
            raise found
        return found


def learning(
    path: Path,
    behaviour: Behaviour,
    stopped: threading.Event | None = None,
    in_use: Head | Callable[[], Head | None] | None = None,
    seconds: float = 60.0,
) -> HeadLearning:
    return HeadLearning(
        stopped or threading.Event(),
        seconds,
        path,
        Catalogue().state,
        lambda: behaviour,
        in_use if callable(in_use) else lambda: in_use,
    )


def fits(outcome: str) -> float:
    return REGISTRY.get_sample_value("longtail_head_fits_total", {"outcome": outcome}) or 0.0


def test_it_learns_from_what_is_in_the_catalogue() -> None:
    behaviour = liked()
    catalogue = Catalogue(gone=frozenset(("i0", "i7")))
    material = material_of(catalogue.state(), behaviour)
    assert material.encoder == "tiny@1"
    assert "i7" not in material.names
    assert material.vectors[:, 0].tolist() == [int(name[1:]) for name in material.names]
    found = [
        [material.names[item] for item in material.likes.items[material.likes.people == person]]
        for person in range(10)
    ]
    expected = [[f"i{(person + place) % 30}" for place in range(6)] for person in range(10)]
    assert found == [[each for each in of if each not in catalogue.gone] for of in expected]


def test_what_it_learns_from_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ITEMS", 7)
    monkeypatch.setattr(module, "LIKES", 20)
    material = material_of(Catalogue().state(), liked())
    assert 4 <= len(material.names) <= 7
    assert len(np.unique(material.likes.people)) <= 4
    assert material.likes.items.max() < len(material.names)
    nothing = material_of(Catalogue().state(), Behaviour())
    assert (len(nothing.names), len(nothing.likes.items)) == (0, 0)


def test_a_head_that_helps_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, present, before = Learned(head(1)), head(2), fits("taken")
    monkeypatch.setattr(module, "fit_head", made)
    learning(tmp_path / "head.npz", liked(), in_use=present).fit()
    assert read_head(tmp_path / "head.npz").version == head(1).version
    assert made.given[0][1] is present
    assert fits("taken") == before + 1


def test_one_that_does_not_help_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(module, "fit_head", Learned(NoHead("nothing is gained")))
    learning(tmp_path / "head.npz", liked()).fit()
    assert not list(tmp_path.iterdir())
    assert "nothing is gained" in caplog.text


def test_it_takes_no_more_than_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "fit_head", Learned(head()))
    with pytest.raises(Stopped):
        learning(tmp_path / "head.npz", liked(), seconds=1e-9).fit()
    # With no time at all it does not even wait.
    learning(tmp_path / "head.npz", liked(), seconds=0.0).run()
    assert not list(tmp_path.iterdir())


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEAST_REST_SECONDS", 0.0)
    monkeypatch.setattr(module, "REST", 0.0)
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.001)


@pytest.mark.usefixtures("soon")
def test_it_learns_anew_when_enough_has_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    behaviour, stopped = liked(), threading.Event()
    made = Learned(head(1), MemoryError("no room"), head(2))
    monkeypatch.setattr(module, "fit_head", made)
    work = learning(tmp_path / "head.npz", behaviour, stopped)
    thread = threading.Thread(target=work.run)
    thread.start()
    try:
        assert made.told.acquire(timeout=PATIENCE_SECONDS)
        # Six more of sixty are not enough, twelve are; what fails is tried when more has happened.
        for more in range(2):
            for place in range(6):
                behaviour.like(f"new {more}", f"i{place}")
            if not more:
                assert not made.told.acquire(timeout=0.05)
        assert made.told.acquire(timeout=PATIENCE_SECONDS)
        for place in range(10):
            behaviour.like("another", f"i{place}")
        assert made.told.acquire(timeout=PATIENCE_SECONDS)
    finally:
        stopped.set()
        thread.join()
    assert [material.encoder for material, _ in made.given] == ["tiny@1"] * 3


@pytest.mark.usefixtures("soon")
def test_what_was_learned_before_a_start_is_not_learned_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    behaviour, stopped = liked(), threading.Event()
    made = Learned(head(1))
    monkeypatch.setattr(module, "fit_head", made)
    likes = behaviour.like_count
    work = learning(tmp_path / "head.npz", behaviour, stopped, in_use=head(2, likes=likes))
    thread = threading.Thread(target=work.run)
    thread.start()
    try:
        assert not made.told.acquire(timeout=0.05)
        for place in range(10):
            behaviour.like("another", f"i{place}")
        assert made.told.acquire(timeout=PATIENCE_SECONDS)
    finally:
        stopped.set()
        thread.join()


@pytest.mark.usefixtures("soon")
def test_one_that_is_taken_away_is_learned_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    behaviour, stopped = liked(), threading.Event()
    made = Learned(head(1))
    monkeypatch.setattr(module, "fit_head", made)
    serving: list[Head] = [head(2, likes=behaviour.like_count)]
    in_use = lambda: serving[0] if serving else None  # noqa: E731
    work = learning(tmp_path / "head.npz", behaviour, stopped, in_use=in_use)
    thread = threading.Thread(target=work.run)
    thread.start()
    try:
        assert not made.told.acquire(timeout=0.05)
        serving.clear()
        assert made.told.acquire(timeout=PATIENCE_SECONDS)
    finally:
        stopped.set()
        thread.join()


def test_vectors_are_those_of_the_catalogue(tmp_path: Path) -> None:
    with opened(tmp_path) as written:
        written.upsert(*(item(f"i{number}", number) for number in range(30)))
        written.remove("i3")
        state = view_of(written, tmp_path).state
        material = material_of(state, liked())
    assert material.encoder == BINDING.model_id
    assert "i3" not in material.names
    assert len(material.names) == 14
    for name, vector in zip(material.names, material.vectors, strict=True):
        assert vector == pytest.approx(unit(int(name[1:])))
