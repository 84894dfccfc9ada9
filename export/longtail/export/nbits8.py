"""8-bit weights for the processor, whatever the architecture: MatMulNBits.

It quantises activations in blocks of a row, so that a text's vector does not depend on the texts
beside it; the usual dynamic int8 has one scale for the whole batch.
"""

import logging

import onnx
from onnx import ModelProto
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

PRECISION = "nbits8"


def quantise(graph: ModelProto) -> ModelProto:
    """Return `graph`, which is changed, with its matrix products of weights in 8 bits."""
    # It logs every node that it passes.
    logging.getLogger("onnxruntime.quantization").setLevel(logging.WARNING)
    quantizer = MatMulNBitsQuantizer(
        graph, bits=8, block_size=32, is_symmetric=True, accuracy_level=4
    )
    quantizer.process()
    quantised: ModelProto = quantizer.model.model
    onnx.checker.check_model(quantised)
    return quantised
