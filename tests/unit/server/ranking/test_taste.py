import numpy as np
import pytest
from longtail.server.ranking.popularity import Bucket, PopularityScale
from longtail.server.ranking.taste import PRIOR_LIKES, taste

# The first holds a fifth of all, the next two the middle, the rest is tail.
MASS = np.array([20.0, 30.0, 30.0, *[2.0] * 10])


@pytest.fixture
def scale() -> PopularityScale:
    return PopularityScale(MASS)


def test_an_unknown_person_has_the_taste_of_all(scale: PopularityScale) -> None:
    found = taste(np.empty(0), scale)
    assert found.shares.tolist() == [share.share for share in scale.shares().values()]
    assert (found.likes, found.popularity) == (0, 0.0)


def test_likes_draw_the_shares_toward_their_buckets(scale: PopularityScale) -> None:
    liked = np.array([2.0, 2.0, 2.0, 30.0])
    found = taste(liked, scale)
    usual = [share.share for share in scale.shares().values()]
    counts = np.bincount(scale.bucket(liked), minlength=3)
    assert found.shares == pytest.approx(
        [(counts[b] + PRIOR_LIKES * usual[b]) / (4 + PRIOR_LIKES) for b in Bucket]
    )
    assert found.shares.sum() == pytest.approx(1)
    assert found.likes == 4
    assert found.popularity == pytest.approx(scale.relative_log(liked).mean())


def test_where_nothing_is_popular_everything_is_tail() -> None:
    found = taste(np.zeros(3), PopularityScale(np.zeros(5)))
    assert found.shares.tolist() == [0, 0, 1]
