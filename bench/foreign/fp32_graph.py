"""`python -m bench.fp32_graph CHECKPOINT OUT`: a checkpoint as a plain ONNX graph in fp32.

Without the head of our own graphs: its output is `last_hidden_state`, for who pools by himself. It
is a process of its own, which takes torch with it when it ends.
"""

import sys
from pathlib import Path

import onnx
from longtail.export import checkpoint as checkpoints
from longtail.export import fp32
from longtail.export.reference import Reference


def main(checkpoint: str, out: Path) -> None:
    """Write the graph; raise ExportError when the checkpoint cannot be exported."""
    model = Reference(checkpoints.read(checkpoint)).model
    onnx.save(fp32.encoder(model, out.parent), out)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
