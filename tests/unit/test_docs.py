"""What README and docs say of the code is so: settings, targets, files, links, examples."""

import re
import shlex
import subprocess
from itertools import chain
from pathlib import Path

import pytest
from longtail.runtime.settings import describe
from longtail.server.settings import Settings as ServerSettings
from longtail.worker.settings import WorkerSettings

from tests.documents import DOCUMENTS, FENCE, README, all_blocks, blocks, prose
from tests.processes import ROOT
from tests.unit.test_layers import MAY_IMPORT

MAKEFILE = (ROOT / "Makefile").read_text()
SETTINGS = (ROOT / "docs" / "settings.md").read_text()
# Where the options of the commands that are shown and not run are declared.
PROGRAMS = {
    ".venv/bin/longtail-encode": "server/longtail/server/settings.py",
    ".venv/bin/longtail-export": "export/longtail/export/__main__.py",
    ".venv/bin/longtail-keys": "server/longtail/server/keys.py",
    ".venv/bin/longtail-migrate": "server/longtail/server/operations/migrate.py",
    ".venv/bin/longtail-restore": "server/longtail/server/operations/restore.py",
    ".venv/bin/longtail-server": "server/longtail/server/__main__.py",
    ".venv/bin/longtail admin": "client/longtail/client/cli/admin.py",
    ".venv/bin/longtail recommend": "client/longtail/client/cli/recommend.py",
    ".venv/bin/python examples/encode_on_ray.py": "examples/encode_on_ray.py",
    ".venv/bin/python examples/find_by_picture.py": "examples/find_by_picture.py",
    ".venv/bin/python -m bench capacity": "bench/capacity/model.py",
    ".venv/bin/python -m bench": "bench/__main__.py",
    ".venv/bin/python -m demo": "demo/__main__.py",
    ".venv/bin/python -m evaluation": "evaluation/__main__.py",
    ".venv/bin/python -m loadtest": "loadtest/__main__.py",
    ".venv/bin/python -m training adapt": "training/adapt/command.py",
    ".venv/bin/python -m training distil": "training/distil/command.py",
    ".venv/bin/python -m torch.distributed.run": "training/adapt/command.py",
    ".venv/bin/python -m training": "training/__main__.py",
    ".venv/bin/python -m longtail.export": "export/longtail/export/__main__.py",
}
# What processes of ours have in common.
PROCESS = "runtime/longtail/runtime/command_line.py"
# What these run takes no options that are shown.
WITHOUT_OPTIONS = {"make serve", "make test", "make test-faults"}
# Why a block that is not run is not of programs of this environment: what stands in it is run, or
# checked, by a test of its own.
ELSEWHERE = ("tests/wheels", "tests/images", "test_manifests.py")
# The languages of blocks, and whether what is in them is run.
RUN = {"sh", "python", "js", "csv", "toml"}
# Sentences shorter than this, in words, may well be said twice.
SENTENCE = 7

ids = [str(document.relative_to(ROOT)) for document in DOCUMENTS]


def test_every_setting_is_documented_with_its_default_and_meaning() -> None:
    server, worker = (
        {name: (default, text) for name, default, text in describe(settings)}
        for settings in (ServerSettings, WorkerSettings)
    )
    # What both read is told in the server's words.
    for name, (default, text) in {**worker, **server}.items():
        reader = "worker" if name not in server else "both" if name in worker else "server"
        assert f"| `{name}` | {reader} | `{default}` | {text} |" in SETTINGS.splitlines()


def test_no_setting_is_documented_that_is_none() -> None:
    known = {name for name, *_ in [*describe(ServerSettings), *describe(WorkerSettings)]}
    shown = set(re.findall(r"^\| `(LONGTAIL_\w+)` \|", SETTINGS, re.MULTILINE))
    assert shown == known


def test_a_block_is_run_or_says_why_not() -> None:
    for block in all_blocks():
        if block.language:
            assert block.language in RUN, block
            assert (block.language in {"csv", "toml"}) == bool(block.name), block
        if block.language == "sh" and not block.not_run:
            for command in block.commands:
                assert command.startswith(".venv/bin/longtail "), command


def test_what_is_shown_and_not_run_exists() -> None:
    shown = [block for block in all_blocks() if block.not_run]
    checked = [block for block in shown if not any(why in block.not_run for why in ELSEWHERE)]
    commands = [command for block in checked for command in block.commands]
    assert commands
    for command in commands:
        if command in WITHOUT_OPTIONS:
            assert re.search(rf"^{command.removeprefix('make ')}:", MAKEFILE, re.MULTILINE), command
            continue
        called = _recipe(command) if command.startswith("make ") else command
        program = next(name for name in PROGRAMS if called.startswith(f"{name} "))
        source = "".join((ROOT / file).read_text() for file in (PROGRAMS[program], PROCESS))
        for option in set(re.findall(r"--([a-z-]+)\b", called)) - {"help"}:
            # A literal of argparse, or a parameter that Typer makes an option of.
            declared = rf'"--{option}"|\b{option.replace("-", "_")}:'
            assert re.search(declared, source), command


def test_help_lists_every_target() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert phony is not None
    listed = re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE)
    assert sorted(listed) == sorted(phony[1].split())
    for target in re.findall(r"`make ([a-z-]+)", "".join(map(prose, DOCUMENTS))):
        assert target in listed


@pytest.mark.parametrize("document", DOCUMENTS, ids=ids)
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", prose(document)):
        file, _, anchor = target.partition("#")
        place = (document.parent / file).resolve() if file else document
        assert place.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", place.read_text(), re.MULTILINE)
            assert anchor in map(_anchor, headings), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=ids)
def test_every_file_that_is_named_exists(document: Path) -> None:
    text = document.read_text()
    # A page may say of which folder it speaks, and name files there.
    folders = ["", *re.findall(r"`([\w./-]+/)`", text)]
    for name in re.findall(r"[\w./-]+\.(?:py|mjs|proto)\b", text):
        if name == "recommend.mjs":  # The reader's copy of the program that is shown.
            continue
        places = chain((ROOT / folder / name for folder in folders), [document.parent / name])
        assert any(place.exists() for place in places), name


def test_the_table_of_layers_is_what_is_tested() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text().split("## Layers")[1].split("\n## ")[0]
    shown: dict[str, set[str]] = {}
    for packages, allowed in re.findall(r"^\| (`.+) \| (.+) \|$", page, re.MULTILINE):
        names = set(re.findall(r"`([\w.]+)`", allowed))
        shown |= dict.fromkeys(re.findall(r"`([\w.]+)`", packages), names)
    assert shown == MAY_IMPORT


def test_every_page_is_linked_from_the_readme() -> None:
    text = README.read_text()
    missing = [
        str(d.relative_to(ROOT)) for d in DOCUMENTS if f"({d.relative_to(ROOT)})" not in text
    ]
    assert missing == ["README.md"]


def test_no_sentence_stands_in_two_places() -> None:
    seen: dict[str, Path] = {}
    for document in DOCUMENTS:
        text = re.sub(r"^\| `LONGTAIL_.*$", "", prose(document), flags=re.MULTILINE)
        for sentence in re.split(r"(?<=[.:;?])\s|\|", text):
            words = " ".join(sentence.split())
            if len(words.split()) >= SENTENCE:
                assert words not in seen, (document, seen[words], words)
                seen[words] = document


def test_the_readme_shows_the_example_as_it_is() -> None:
    (shown,) = (block.text for block in blocks(README) if block.language == "js")
    assert shown == (ROOT / "examples" / "recommend.mjs").read_text()


def test_the_hooks_are_the_commands_of_make_lint() -> None:
    hooks = re.findall(r"entry: (.*)", (ROOT / ".pre-commit-config.yaml").read_text())
    recipe = MAKEFILE.split("\nlint:")[1].split("\n\n")[0]
    code = re.search(r"^PYTHON_CODE := (.*)$", MAKEFILE, re.MULTILINE)
    assert code is not None
    commands = [
        line.strip().replace("$(BIN)", ".venv/bin").replace("$(PYTHON_CODE)", code[1])
        for line in recipe.splitlines()
        if line.startswith("\t")
    ]
    assert hooks == commands


def test_the_licence_is_whole() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert all(f"\n   {number}. " in text for number in range(1, 10))
    assert 'license = "Apache-2.0"' in (ROOT / "pyproject.toml").read_text()


def test_every_fence_is_closed() -> None:
    for document in DOCUMENTS:
        fences = [line for line in document.read_text().splitlines() if line.startswith(FENCE)]
        assert len(fences) % 2 == 0, document
        assert all(fence == FENCE for fence in fences[1::2]), document


def _recipe(command: str) -> str:
    """Return the program that a command of make comes to, with its arguments; nothing is run."""
    target, *settings = shlex.split(command)[1:]
    for setting in settings:
        assert f"$({setting.partition('=')[0]})" in MAKEFILE, command
    make = ["make", "--no-print-directory", "--dry-run", target, *settings]
    done = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=True)
    *_, last = done.stdout.replace("\\\n", " ").splitlines()
    # Variables that it is given stand before it.
    return re.sub(r"^(\w+=\S+\s+)+", "", last)


def _anchor(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
