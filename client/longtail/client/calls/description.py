"""Gives a client's method the name, the documentation and the parameters of what builds its call.

`functools.wraps` alone would take the first argument for `self`, in `help` and in notebooks.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

Method = TypeVar("Method", bound=Callable[..., Any])


def described_by(build: Callable[..., object]) -> Callable[[Method], Method]:
    """Return the decorator of a method that takes `self` and what `build` takes."""
    asked = inspect.signature(build).parameters.values()
    itself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)

    def describe(method: Method) -> Method:
        functools.update_wrapper(method, build)
        method.__signature__ = inspect.Signature([itself, *asked])  # type: ignore[attr-defined]  # PEP 362
        return method

    return describe
