from pathlib import Path

import pytest
from longtail.runtime.settings import SettingsError, load
from longtail.worker.settings import WorkerSettings


def test_a_bare_name_is_looked_up_and_a_path_is_taken_as_it_is() -> None:
    def artefact(model: str) -> Path:
        variables = {"LONGTAIL_HOME": "/home/longtail", "LONGTAIL_MODEL": model}
        return load(WorkerSettings, variables).artefact

    assert artefact("tiny") == Path("/home/longtail/models/tiny")
    assert artefact("./tiny") == Path("./tiny")
    assert artefact("/tiny") == Path("/tiny")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LONGTAIL_WORKER_DEVICE", "tpu"),
        ("LONGTAIL_WORKER_DEVICE", "cuda:"),
        ("LONGTAIL_WORKER_DEVICE", "cuda:-1"),
        ("LONGTAIL_WORKER_DEVICE", "cpu:0"),
        ("LONGTAIL_WORKER_SLOTS", "-1"),
        ("LONGTAIL_WORKER_THREADS", "-1"),
        ("LONGTAIL_WORKER_MAX_WASTE", "1.5"),
        ("LONGTAIL_WORKER_CACHE_MB", "-1"),
        ("LONGTAIL_WORKER_GOLDEN_SECONDS", "0"),
        ("LONGTAIL_WORKER_BATCH_TOKENS", "-1"),
        ("LONGTAIL_WORKER_DRAIN_SECONDS", "nan"),
    ],
)
def test_a_value_of_no_use_is_refused_with_its_variable(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"{variable}='{value}'"):
        load(WorkerSettings, {variable: value})


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:0", "cuda:11"])
def test_every_device_can_be_asked_for(device: str) -> None:
    assert load(WorkerSettings, {"LONGTAIL_WORKER_DEVICE": device}).device == device
