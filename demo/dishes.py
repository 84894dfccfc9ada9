"""Turn the dishes of the package menus-mcp into items: 493 of the world's, told in Chinese.

A dish's title and text are Chinese alone, so that an English query finds it by its meaning; its
English name is an attribute.
"""

import json
from pathlib import Path

from longtail.v1.item_pb2 import Item

FILE = "kb_dish_index.json"


def read_items(path: Path) -> list[Item]:
    """Read `kb_dish_index.json`."""
    return [_item(row) for row in json.loads(path.read_text(encoding="utf-8"))]


def _item(row: dict[str, str | int]) -> Item:
    styles = [str(row[name]) for name in ("cuisine", "sub_style") if row[name]]
    text = f"{row['description']}。{'，'.join(styles)}。"
    item = Item(id=str(row["id"]), title=str(row["name"]), text=text)
    item.attributes.update(
        {
            "english": row["name_en"],
            "cuisine": row["cuisine"],
            "region": row["region"],
            "price": row["price"],
        }
    )
    return item
