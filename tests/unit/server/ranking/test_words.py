"""The words of texts in many scripts."""

import pytest
from longtail.server.ranking.words import distinct_words, key_of, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Andy's toys, don't they?", "andy toys don they"),
        ("Andy’s toys are l’amour – to Zoë", "andy toys are l amour to zoë"),
        ("AC-1200X and C3PO", "ac 1200x and c3po"),
        ("snake_case", "snake case"),
        ("Größe GRÖSSE", "grösse grösse"),
        ("ﬁlm Ｆｕｌｌ", "film full"),
        ("Привет, МИР", "привет мир"),
        ("नमस्ते दुनिया", "नमस्ते दुनिया"),
        ("שָׁלוֹם", "שָׁלוֹם"),
        ("浪漫主义", "浪漫 漫主 主义"),
        ("爱", "爱"),
        ("我的R&B歌单 2018年", "我的 r b 歌单 2018 年"),
        ("ラーメンとすし", "ラー ーメ メン ンと とす すし"),
        ("ﾗｰﾒﾝ", "ラー ーメ メン"),
        ("한국 음악", "한국 음악"),
        ("ภาษาไทย", "ภา าษ ษา าไ ไท ทย"),
        ("... — !", ""),
        ("", ""),
    ],
)
def test_a_text_is_read_word_by_word_or_by_neighbouring_characters(text: str, words: str) -> None:
    assert words_of(text) == words.split()


def test_a_word_is_known_by_the_same_number_in_every_process() -> None:
    assert key_of("robot") == 0x42AEE783ABE8D4A6


@pytest.mark.parametrize(
    ("many", "one"),
    [("robots", "robot"), ("cities", "city"), ("places", "place"), ("toes", "toes"), ("Is", "is")],
)
def test_a_plural_is_the_same_word(many: str, one: str) -> None:
    assert key_of(many.lower()) == key_of(one)


@pytest.mark.parametrize(
    ("one", "other"), [("glass", "glas"), ("virus", "viru"), ("gas", "ga"), ("1990s", "1990")]
)
def test_what_only_ends_like_a_plural_is_none(one: str, other: str) -> None:
    assert key_of(one) != key_of(other)


def test_a_word_is_looked_for_once_as_it_was_said_first() -> None:
    assert distinct_words("Robots near robot dogs, robots") == ("robots", "near", "dogs")


def test_words_of_grammar_are_looked_for_where_there_are_no_others() -> None:
    assert distinct_words("To be or not to be") == ("to", "be", "or", "not")
    assert distinct_words("Dances with the wolves") == ("dances", "wolves")
