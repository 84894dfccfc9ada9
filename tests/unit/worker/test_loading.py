from types import SimpleNamespace
from typing import Any

import pytest
from longtail.runtime.settings import load
from longtail.worker import loading
from longtail.worker.artefact import Artefact
from longtail.worker.capacity import Layout
from longtail.worker.encoder_pool import EncoderPool
from longtail.worker.settings import WorkerSettings


@pytest.mark.parametrize(
    ("device", "slots", "threads", "expected"),
    [
        ("cpu", 0, 0, (3, 2)),
        ("cpu", 4, 0, (4, 2)),
        ("cpu", 0, 4, (2, 4)),
        ("cpu", 5, 3, (5, 3)),
        ("cpu", 99, 0, (99, 1)),
        ("cuda", 0, 0, (4, 1)),
        ("cuda", 3, 0, (6, 1)),
    ],
)
def test_what_the_settings_leave_open_is_filled_in(
    artefact_on_disk: Artefact,
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    slots: int,
    threads: int,
    expected: tuple[int, int],
) -> None:
    """Eight cores, of which a probe finds 3 slots of 2 threads best, or two GPUs."""
    loaded: list[int] = []

    def fake_load(
        artefact: Artefact, choice: object, *, threads: int, gpu_bytes: int | None = None
    ) -> list[Any]:
        loaded.append(threads)
        places = ["cpu"] if device == "cpu" else ["cuda:0", "cuda:1"]
        return [SimpleNamespace(placement=SimpleNamespace(device=place)) for place in places]

    monkeypatch.setattr("longtail.worker.model.load", fake_load)
    monkeypatch.setattr("longtail.worker.capacity.cores", lambda: 8)
    monkeypatch.setattr("longtail.worker.capacity.probe", lambda load, cores, batch: Layout(3, 2))
    variables = {
        "LONGTAIL_WORKER_DEVICE": device,
        "LONGTAIL_WORKER_SLOTS": str(slots),
        "LONGTAIL_WORKER_THREADS": str(threads),
    }
    pool = loading.load(artefact_on_disk, load(WorkerSettings, variables))
    assert (pool.slots, loaded[-1]) == expected


@pytest.mark.parametrize(
    ("device", "set_to", "expected"), [("cpu", 0, 256), ("cuda:0", 0, 16_384), ("cuda:0", 500, 500)]
)
def test_a_gpu_gets_larger_batches_unless_they_are_set(
    device: str, set_to: int, expected: int
) -> None:
    settings = load(WorkerSettings, {"LONGTAIL_WORKER_BATCH_TOKENS": str(set_to)})
    encoder: Any = SimpleNamespace(placement=SimpleNamespace(device=device))
    assert loading.batch_tokens(settings, EncoderPool([encoder], 1)) == expected
