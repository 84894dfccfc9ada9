"""Import a data frame: its items, and what people did with them, from a notebook or a script.

Run it beside `make serve`: `.venv/bin/python examples/import_table.py`. A table of pyarrow, a frame
of polars and rows as dictionaries do as well. Running it again changes nothing.
"""

import pandas
from longtail.client import LongtailClient
from longtail.client.importing.columns import InteractionOptions
from longtail.client.importing.table import import_interactions_table, import_items_table


def main() -> None:
    """Import two frames, and recommend by them."""
    films = pandas.DataFrame(
        {
            "movieId": [901.0, 902.0],
            "title": ["The Harbour Light", "Orchard of Glass"],
            "overview": ["A keeper rebuilds a robot.", "Two sisters inherit an orchard."],
            "year": [2024, 2025],
        }
    )
    ratings = pandas.DataFrame(
        {
            "userId": ["ada", "ada"],
            "movieId": [901.0, 902.0],
            "rating": [5.0, 1.0],
            "timestamp": pandas.to_datetime(["2026-11-01 18:30", "2026-11-02 20:00"]),
        }
    )
    with LongtailClient() as client:
        items = import_items_table(client, films)
        events = import_interactions_table(client, ratings, InteractionOptions(neutral=2.5))
        print(f"{items.imported} items, {events.imported} new interactions")
        for reason, dropped in (items.dropped | events.dropped).items():
            print(f"  dropped, {reason}: {dropped.told()}")
        for result in client.recommend(user_id="ada", page_size=3).results:
            print(result.title)


if __name__ == "__main__":
    main()
