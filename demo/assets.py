"""The catalogues of the demo as wheels have them, and where its state is."""

import os
from pathlib import Path

from longtail.export.wheel_asset import Asset

FILMS = Asset(
    name="ml-100k",
    requirement="recbole==1.2.1",
    wheel_hash="9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
    folder="recbole/dataset_example/ml-100k",
    files=("ml-100k.item", "ml-100k.inter"),
)
DISHES = Asset(
    name="dishes",
    requirement="menus-mcp==1.1.1",
    wheel_hash="4c84b3d4a51807e26f79506506a131c23252f0964aa091a80329749649b93290",
    folder="menus_mcp/knowledge_base",
    files=("kb_dish_index.json",),
)


def home() -> Path:
    """Return the folder that holds all state of this checkout."""
    return Path(os.environ.get("LONGTAIL_HOME") or "var")
