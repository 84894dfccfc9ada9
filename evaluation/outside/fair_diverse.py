"""Calls the re-rankers of the package `fairdiverse` on matrices instead of on its data folders.

Xu et al., "FairDiverse: A Comprehensive Toolkit for Fair and Diverse Information Retrieval
Algorithms" (2025), version 1.0.0.
"""

import sys
import warnings
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import fairdiverse
import numpy as np
from cvxpy.error import SolverError

from evaluation.outside.failure import OutsideFailure
from evaluation.task import Floats, Ints

_RERANKERS = "fairdiverse.recommendation.rerank_model"

# The package's own `__init__` files import its trainers and, for a method that is not used here, a
# commercial solver. Empty packages of the same names let single files be imported without them.
_root = Path(fairdiverse.__file__).parent
for _name, _folder in (
    ("fairdiverse.recommendation", _root / "recommendation"),
    (_RERANKERS, _root / "recommendation" / "rerank_model"),
):
    if _name not in sys.modules:
        sys.modules[_name] = ModuleType(_name)
        sys.modules[_name].__path__ = [str(_folder)]


def load(name: str) -> Any:  # noqa: ANN401 (the package has no types)
    """Return the class of a re-ranker, which is named as its file is; ImportError without it."""
    module: Any = import_module(f"{_RERANKERS}.{name}")
    # Its progress bar would run into ours.
    module.trange = range
    return getattr(module, name)


def rerank(
    reranker: Any,  # noqa: ANN401 (the package has no types)
    scores: Floats,
    membership: Floats,
    k: int,
    **settings: float,
) -> Ints:
    """Run a loaded re-ranker on `scores` (U, I) with groups `membership` (I, G), as columns (U, k).

    `settings` are those that the package reads from the re-ranker's configuration file.
    Raises OutsideFailure where it finds no lists.
    """
    item_count, group_count = membership.shape
    # The initialiser reads the groups from a folder of prepared data; these are its attributes.
    instance = reranker.__new__(reranker)
    instance.config = {"item_num": item_count, "group_num": group_count, **settings}
    instance.item_num, instance.group_num = item_count, group_count
    instance.weights = np.ones(group_count)
    instance.M = membership
    with warnings.catch_warnings():
        # It multiplies in a way against which cvxpy warns.
        warnings.simplefilter("ignore")
        try:
            return np.array(instance.rerank(scores, k), np.int64)
        except (SolverError, TypeError, ValueError) as error:
            reason = f"{reranker.__name__} with {settings}: {error}"
            raise OutsideFailure(reason) from error
