"""Cuts what is streamed into messages of a size that the contract allows."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

Element = TypeVar("Element")

BATCH_ELEMENTS = 256


def batches(elements: Iterable[Element]) -> Iterator[list[Element]]:
    """Yield the elements in their order, as lists of at most 256."""
    source = iter(elements)
    while batch := list(islice(source, BATCH_ELEMENTS)):
        yield batch
