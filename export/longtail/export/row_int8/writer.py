"""Nodes and constants of an ONNX graph, written one after the other."""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

# Row-wise QuantizeLinear came with opset 21.
OPSET = 21
MICROSOFT = "com.microsoft"


class GraphWriter:
    """Collects nodes; every method gives the name under which its value can be used."""

    def __init__(self) -> None:
        self._nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []
        self._names: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._values = 0

    def constant(self, value: NDArray[np.generic]) -> str:
        """Add a constant; one of the same content, type and shape is used again."""
        key = (value.dtype.str, value.shape, value.tobytes())
        if key not in self._names:
            self._names[key] = f"constant_{len(self._names)}"
            tensor = numpy_helper.from_array(np.ascontiguousarray(value), self._names[key])
            self._constants.append(tensor)
        return self._names[key]

    def op(self, kind: str, *inputs: str, domain: str = "", **attributes: object) -> str:
        """Add a node of one output."""
        return self.ops(kind, *inputs, outputs=1, domain=domain, **attributes)[0]

    def ops(
        self, kind: str, *inputs: str, outputs: int, domain: str = "", **attributes: object
    ) -> list[str]:
        """Add a node of several outputs."""
        names = [f"{kind.lower()}_{self._values + i}" for i in range(outputs)]
        self._values += outputs
        self._nodes.append(helper.make_node(kind, inputs, names, domain=domain, **attributes))
        return names

    def rename(self, value: str, name: str) -> None:
        """Give the latest node's output `value` the name that the graph's users know."""
        outputs = self._nodes[-1].output
        outputs[list(outputs).index(value)] = name

    def model(
        self, inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto]
    ) -> ModelProto:
        """Return all that was written as a model."""
        graph = helper.make_graph(self._nodes, "encoder", inputs, outputs, self._constants)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        model = helper.make_model(graph, opset_imports=opsets, producer_name="longtail")
        # The oldest that has opset 21; a newer one would shut out runtimes that can run this.
        model.ir_version = 10
        return model
