"""Fixtures of the conformance suite, and the matrix that it prints."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conformance.combinations import ALL, MEMORY, SHORT, Combination
from tests.conformance.deployment import Deployment
from tests.conformance.deployments import Deployments
from tests.conformance.matrix import COLUMN, Matrix
from tests.faults.extent import FULL, FULL_SECONDS

OPTION = "--matrix"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(OPTION, type=Path, help="write the matrix of conformance to this file")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not FULL:
        return
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.timeout(FULL_SECONDS))
    # One combination after the other, and then what asks for none.
    names = [each.name for each in ALL]
    items.sort(key=lambda item: [name not in item.name for name in names])


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    found = [
        report for kind in ("passed", "failed", "error") for report in of(terminalreporter, kind)
    ]
    matrix = Matrix.of(found)
    if not matrix.rows:
        return
    terminalreporter.section("conformance")
    for line in matrix.text():
        terminalreporter.write_line(line)
    file: Path | None = config.getoption(OPTION, None)
    if file is not None:
        file.write_text(matrix.markdown(), encoding="utf-8")


def of(reporter: pytest.TerminalReporter, kind: str) -> list[pytest.TestReport]:
    """Return the reports of tests that ended in one way."""
    return [each for each in reporter.getreports(kind) if isinstance(each, pytest.TestReport)]


@pytest.fixture(scope="session")
def deployments(request: pytest.FixtureRequest) -> Iterator[Deployments]:
    """Return the servers of each combination, which are started when first asked for."""
    with Deployments(request) as running:
        yield running


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each combination in turn; in the short form, where it can make a difference."""
    if "combination" in metafunc.fixturenames:
        of_vectors = "vectors" in {mark.name for mark in metafunc.definition.iter_markers()}
        chosen = ALL if FULL else [each for each in SHORT if of_vectors or each.engine == MEMORY]
        metafunc.parametrize("combination", chosen, indirect=True, ids=lambda each: each.name)


@pytest.fixture
def combination(
    request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> Combination:
    """Return each combination in turn, and say in the report which it is."""
    chosen: Combination = request.param
    record_property(COLUMN, chosen.name)
    return chosen


@pytest.fixture
def deployment(combination: Combination, deployments: Deployments) -> Deployment:
    """Return the servers of a combination, with an empty catalogue."""
    running = deployments.of(combination)
    running.clear()
    return running
