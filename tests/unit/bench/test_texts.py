import csv
import gzip
import random
from pathlib import Path

import numpy as np
import pytest

from bench import texts
from bench.figures import NotRun


def write_data(folder: Path, lines: int, plots: int) -> Path:
    (folder / "packages").mkdir()
    (folder / "movies").mkdir()
    with gzip.open(folder / "packages" / "items.csv.gz", "wt", encoding="utf-8") as file:
        file.write("item_id,text,monthly_downloads\n0,,7\n1,line 1,1\n")
        file.writelines(f"{number},line {number},{number}\n" for number in range(1, lines + 1))
    with (folder / "movies" / "items.csv").open("w", encoding="utf-8") as file:
        file.write("item_id,text\n")
        file.writelines(f"{number},plot {number}\n" for number in range(plots))
    return folder


def test_no_text_comes_twice_in_all_that_is_read(tmp_path: Path) -> None:
    corpora = texts.read(write_data(tmp_path, 8_000, 3_000))
    assert len(corpora.one_lines) == texts.ONE_LINES
    assert len(corpora.plots) == texts.PLOTS
    assert len(corpora.mixture) == texts.MIXTURE
    assert corpora.more_one_lines
    every = [
        *corpora.one_lines,
        *corpora.plots,
        *corpora.mixture,
        *corpora.more_one_lines,
    ]
    assert len(set(every)) == len(every)
    assert "" not in every


def test_the_texts_are_the_same_every_time(tmp_path: Path) -> None:
    data = write_data(tmp_path, 8_000, 3_000)
    assert texts.read(data) == texts.read(data)


def test_without_the_data_it_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(NotRun, match=r"items\.csv\.gz"):
        texts.read(tmp_path)


def test_too_few_texts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotRun, match="too few"):
        texts.read(write_data(tmp_path, 100, 3_000))


def test_a_mixture_has_a_heavy_tail() -> None:
    lines = [f"line-{number}" for number in range(5_000)]
    plots = [f"plot-{number} " + "word " * 50 for number in range(3_000)]
    words = [len(text.split()) for text in texts.mix(lines, plots, 2_000, random.Random(1))]
    assert len(words) == 2_000
    assert np.median(words) <= 2
    assert np.percentile(words, 90) > 50
    assert max(words) > 4 * 50


def test_ranks_follow_the_law_of_zipf() -> None:
    ranks = texts.zipf_ranks(1_000, 1.1, 200_000, np.random.default_rng(1))
    assert ranks.min() >= 0
    assert ranks.max() < 1_000
    counts = np.bincount(ranks, minlength=1_000)
    # The first is 2^1.1 times as frequent as the second, and 10^1.1 times as the tenth.
    assert counts[0] / counts[1] == pytest.approx(2**1.1, rel=0.05)
    assert counts[0] / counts[9] == pytest.approx(10**1.1, rel=0.05)


def test_the_same_seed_draws_the_same_ranks() -> None:
    first, second = (texts.zipf_ranks(50, 1.1, 20, np.random.default_rng(3)) for _ in range(2))
    assert first.tolist() == second.tolist()


def test_items_are_read_in_their_order(tmp_path: Path) -> None:
    found = texts.catalogue(write_data(tmp_path, 3, 1))
    assert found.ids == ["1", "1", "2", "3"]
    assert found.to_encode[2] == "line 2"
    assert found.priors == [1, 1, 2, 3]
    assert found.taken([2]).texts == ["line 2"]


def test_parts_of_the_data_make_up_the_whole(tmp_path: Path) -> None:
    data, part = write_data(tmp_path, 4, 1), tmp_path / "part.csv"
    ids = []
    for start in (0, 2, 4):
        texts.write_part(data, start, 2, part)
        with part.open(encoding="utf-8", newline="") as file:
            ids += [row["item_id"] for row in csv.DictReader(file)]
    assert ids == ["1", "1", "2", "3", "4"]


def test_other_texts_have_another_digest() -> None:
    digests = {texts.digest(each) for each in (["ab", "c"], ["a", "bc"], ["c", "ab"])}
    assert len(digests) == 3


def test_a_query_is_a_few_words_of_an_item() -> None:
    known = texts.Catalogue(["a", "b"], ["one two three four five", "too short"], [0, 0])
    (query,) = texts.queries(known, 5)
    assert len(query.split()) == 3
    assert query in known.texts[0]
