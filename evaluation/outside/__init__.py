"""Re-rankers from packages that others published, run as they are on the same task.

A package that is not installed, or does not import, costs its own methods alone.
"""

from importlib import import_module

from evaluation.task import Method

# Each module adapts one package and is the only place that imports it.
_ADAPTERS = {
    "fair_search": "FA*IR needs fairsearchcore",
    "provider_groups": "CPFair, P-MMF, min-regularizer, FairSync, Welf and k-neighbor "
    "need fairdiverse with cvxpy and torch",
    "tax_rank": "TaxRank needs fairdiverse with cvxpy and POT",
    "diversity": "MMR, MSD, DPP and SSD need pyversity",
}


def outside_methods() -> tuple[tuple[Method, ...], tuple[str, ...]]:
    """Return the methods whose package is there, and one sentence for each package that is not."""
    methods: list[Method] = []
    absences: list[str] = []
    for module, need in _ADAPTERS.items():
        # A package fails to import in ways of its own: a missing library, a renamed function.
        try:
            adapter = import_module(f"{__name__}.{module}")
        except Exception as error:
            absences.append(f"{need}: {type(error).__name__}: {error}.")
        else:
            methods.extend(adapter.METHODS)
    return tuple(methods), tuple(absences)
