from pathlib import Path
from typing import Any

import pytest
from longtail.export import precision
from longtail.export.precision import Precision

from tests.unit.export import checkpoints
from tests.unit.export.graphs import MIXED, Tiny, lowest_cosine


def processor(folder: Path, flags: str) -> Path:
    path = folder / "cpuinfo"
    path.write_text(f"processor\t: 0\nflags\t\t: fpu avx2 {flags}\n")
    return path


@pytest.mark.parametrize("flags", ["avx512f avx512_vnni", "avx_vnni"])
def test_a_processor_with_vnni_gets_the_int8_graph(tmp_path: Path, flags: str) -> None:
    tiny = Tiny(checkpoints.write(tmp_path / "tiny"))
    assert precision.choose(tiny.model, processor(tmp_path, flags)) is Precision.ROW_INT8


def test_one_without_gets_8_bits_in_blocks(tmp_path: Path) -> None:
    tiny = Tiny(checkpoints.write(tmp_path / "tiny"))
    assert precision.choose(tiny.model, processor(tmp_path, "avx512f")) is Precision.NBITS8
    assert precision.choose(tiny.model, tmp_path / "nowhere") is Precision.NBITS8


@pytest.mark.parametrize(
    "settings", [{"model_type": "mpnet"}, {"settings": {"hidden_act": "relu"}}]
)
def test_so_does_an_encoder_that_int8_is_not_written_for(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    tiny = Tiny(checkpoints.write(tmp_path / "tiny", **settings))
    assert precision.choose(tiny.model, processor(tmp_path, "avx_vnni")) is Precision.NBITS8


@pytest.mark.parametrize("chosen", list(Precision))
def test_every_precision_stays_near_torch(tmp_path: Path, chosen: Precision) -> None:
    tiny = Tiny(checkpoints.write(tmp_path / "tiny", max_seq_length=None))
    graphs = precision.build(
        chosen,
        tiny.model,
        tiny.pooling,
        max_tokens=tiny.checkpoint.max_tokens,
        calibration_texts=tiny.tokens(MIXED),
        folder=tmp_path,
    )
    assert lowest_cosine(tiny.run(graphs.measured), tiny.original()) > 0.99
    served = {node.op_type for node in graphs.served.graph.node}
    assert ("PackedAttention" in served) == (chosen is Precision.FP16)
