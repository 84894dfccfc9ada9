import json
from pathlib import Path

from google.protobuf.json_format import MessageToDict

from demo.dishes import read_items

STEW = {
    "id": "x_1",
    "name": "奶汤蒲菜",
    "name_en": "Cattail in Milky Broth",
    "price": 58,
    "description": "奶白色高汤煮蒲菜，清香鲜美",
    "cuisine": "鲁菜",
    "sub_style": "济南菜",
    "region": "中华料理",
}


def test_a_dish_is_told_in_chinese_and_the_rest_is_attributes(tmp_path: Path) -> None:
    path = tmp_path / "dishes.json"
    path.write_text(json.dumps([STEW, {**STEW, "id": "x_2", "sub_style": None}]), encoding="utf-8")
    stew, plain = read_items(path)
    assert (stew.id, stew.title) == ("x_1", "奶汤蒲菜")
    assert stew.text == "奶白色高汤煮蒲菜，清香鲜美。鲁菜，济南菜。"
    assert plain.text == "奶白色高汤煮蒲菜，清香鲜美。鲁菜。"
    assert MessageToDict(stew.attributes) == {
        "english": "Cattail in Milky Broth",
        "cuisine": "鲁菜",
        "region": "中华料理",
        "price": 58,
    }
