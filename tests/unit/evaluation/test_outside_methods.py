"""What is offered when packages are missing or broken. It needs none of them."""

import sys
from types import ModuleType

import pytest

from evaluation.outside import outside_methods
from evaluation.task import Family

ADAPTERS = ("fair_search", "fair_diverse", "provider_groups", "tax_rank", "diversity")


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Give a place where packages can be hidden before their adapters are imported again."""
    for name in ADAPTERS:
        monkeypatch.delitem(sys.modules, f"evaluation.outside.{name}", raising=False)
    return monkeypatch


def test_without_any_package_there_is_one_sentence_for_each_adapter(
    packages: pytest.MonkeyPatch,
) -> None:
    for name in ("fairsearchcore", "fairdiverse", "pyversity"):
        packages.setitem(sys.modules, name, None)
    methods, absences = outside_methods()
    assert methods == ()
    assert len(absences) == 4
    assert absences[0].startswith("FA*IR needs fairsearchcore: ModuleNotFoundError")


def test_a_broken_package_costs_its_own_methods_alone(packages: pytest.MonkeyPatch) -> None:
    packages.setitem(sys.modules, "pyversity", ModuleType("pyversity"))
    packages.setitem(sys.modules, "fairdiverse", None)
    methods, absences = outside_methods()
    (broken,) = (sentence for sentence in absences if "pyversity" in sentence)
    assert "ImportError: cannot import name" in broken
    assert {method.name for method in methods} <= {"FA*IR"}


def test_every_method_offered_has_twenty_dials_from_the_mildest_up() -> None:
    methods, absences = outside_methods()
    if not methods:
        pytest.skip("no package of others' re-rankers is installed: " + " ".join(absences))
    assert len({method.name for method in methods}) == len(methods)
    for method in methods:
        assert method.family is Family.OUTSIDE
        assert len(set(method.dials)) >= 20
        assert sorted(method.dials) == list(method.dials)
