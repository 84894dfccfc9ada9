from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import tokenizers
from longtail.worker.artefact import TOKENIZER, Artefact, Prompts
from longtail.worker.tokenizer import Role, Tokenizer, TokenizerFailed, Truncation

from tests.unit.worker.conftest import MAX_TOKENS, WORDS, MakeArtefact


def words(ids: object) -> list[str]:
    assert isinstance(ids, list)
    return [WORDS[i] for i in ids]


def test_each_role_gets_its_own_prompt(artefact_on_disk: Artefact) -> None:
    tokenizer = Tokenizer(artefact_on_disk)
    (query,) = tokenizer.tokenise(["quiet film"], Role.QUERY)
    (item,) = tokenizer.tokenise(["quiet film"], Role.ITEM)
    assert words(query.ids) == ["[CLS]", "find", ":", "quiet", "film", "[SEP]"]
    assert words(item.ids) == ["[CLS]", "quiet", "film", "[SEP]"]


def test_a_text_at_the_limit_is_whole_and_one_past_it_is_cut(make_artefact: MakeArtefact) -> None:
    tokenizer = Tokenizer(make_artefact(Prompts(query="", item="")))
    room = MAX_TOKENS - 2
    whole, cut = tokenizer.tokenise(["film " * room, "film " * room + "brothers"], Role.ITEM)
    assert not whole.truncated
    assert cut.truncated
    assert whole.ids == cut.ids
    assert words(cut.ids) == ["[CLS]", *["film"] * room, "[SEP]"]


def test_the_prompt_takes_room_from_the_text(artefact_on_disk: Artefact) -> None:
    (tokens,) = Tokenizer(artefact_on_disk).tokenise(["a quiet film about brothers"], Role.QUERY)
    assert tokens.truncated
    assert words(tokens.ids) == ["[CLS]", "find", ":", "a", "quiet", "film", "about", "[SEP]"]


def test_a_text_without_a_known_word_still_has_tokens(artefact_on_disk: Artefact) -> None:
    nul, emoji = Tokenizer(artefact_on_disk).tokenise(["\0", "🎈"], Role.ITEM)
    assert words(nul.ids) == ["[CLS]", "[SEP]"]
    assert words(emoji.ids) == ["[CLS]", "[UNK]", "[SEP]"]


def test_the_start_of_a_text_can_be_cut_and_the_prompt_stays(artefact_on_disk: Artefact) -> None:
    tokenizer = Tokenizer(artefact_on_disk)
    text = "a quiet film about quiet brothers"
    query, item = (tokenizer.tokenise([text], role, Truncation.START)[0] for role in Role)
    assert query.truncated
    assert words(query.ids) == ["[CLS]", "find", ":", "film", "about", "quiet", "brothers", "[SEP]"]
    assert (words(item.ids), item.truncated) == (["[CLS]", *text.split(), "[SEP]"], False)


def test_words_that_were_added_are_known_where_the_start_is_cut(artefact_on_disk: Artefact) -> None:
    file = str(artefact_on_disk.folder / TOKENIZER)
    library = tokenizers.Tokenizer.from_file(file)
    library.add_tokens(["seashore"])
    library.add_special_tokens(["[END]"])
    library.save(file)
    text = "film " * MAX_TOKENS + "seashore[END]"
    (tokens,) = Tokenizer(artefact_on_disk).tokenise([text], Role.ITEM, Truncation.START)
    assert tokens.truncated
    assert tokens.ids[-3:] == [len(WORDS), len(WORDS) + 1, WORDS.index("[SEP]")]


def test_what_fits_is_the_same_however_it_would_be_cut(artefact_on_disk: Artefact) -> None:
    tokenizer = Tokenizer(artefact_on_disk)
    texts = ["film " * length for length in range(1, MAX_TOKENS - 1)]
    for role in Role:
        fits = texts[: MAX_TOKENS - 2 - (2 if role is Role.QUERY else 0)]
        whole = tokenizer.tokenise(fits, role)
        assert not any(tokens.truncated for tokens in whole)
        assert all(tokenizer.tokenise(fits, role, truncation) == whole for truncation in Truncation)


def test_each_text_of_a_batch_is_cut_by_itself(artefact_on_disk: Artefact) -> None:
    texts = ["a film", "film " * 20 + "brothers", "quiet", "\0", "🎈" * 9, "find [SEP] " * 9]
    tokenizer = Tokenizer(artefact_on_disk)
    together = tokenizer.tokenise(texts, Role.QUERY, Truncation.START)
    alone = [tokenizer.tokenise([text], Role.QUERY, Truncation.START)[0] for text in texts]
    assert together == alone
    for tokens in together:
        assert words(tokens.ids)[:3] == ["[CLS]", "find", ":"]
        assert words(tokens.ids)[-1] == "[SEP]"
    assert [len(tokens.ids) for tokens in together if tokens.truncated] == [MAX_TOKENS] * 2
    assert words(together[1].ids)[-2] == "brothers"


@pytest.mark.parametrize("length", [MAX_TOKENS - 3, MAX_TOKENS - 2, MAX_TOKENS, 3 * MAX_TOKENS])
@pytest.mark.parametrize("text", ["quiet brothers", "\0"])
def test_a_prompt_as_long_as_the_encoder_reads_leaves_the_text_no_room(
    make_artefact: MakeArtefact, length: int, text: str
) -> None:
    tokenizer = Tokenizer(make_artefact(Prompts(query="find " * length, item="")))
    (tokens,) = tokenizer.tokenise([text], Role.QUERY, Truncation.START)
    (reference,) = tokenizer.tokenise([text], Role.QUERY)
    assert tokens.truncated == reference.truncated
    assert len(tokens.ids) == len(reference.ids)
    kept = ["brothers"] if length == MAX_TOKENS - 3 and text != "\0" else []
    finds = min(length, MAX_TOKENS - 2 - len(kept))
    assert words(tokens.ids) == ["[CLS]", *["find"] * finds, *kept, "[SEP]"]


def test_threads_that_cut_differently_do_not_disturb_each_other(artefact_on_disk: Artefact) -> None:
    tokenizer = Tokenizer(artefact_on_disk)
    texts = ["a quiet film about brothers " * n for n in range(1, 40)]
    expected = {cut: tokenizer.tokenise(texts, Role.ITEM, cut) for cut in Truncation}
    with ThreadPoolExecutor(4) as threads:
        cuts = list(Truncation) * 40
        results = threads.map(lambda cut: tokenizer.tokenise(texts, Role.ITEM, cut), cuts)
        assert all(tokens == expected[cut] for cut, tokens in zip(cuts, results, strict=True))


def test_a_failure_of_the_library_is_an_exception(
    artefact_on_disk: Artefact, monkeypatch: pytest.MonkeyPatch
) -> None:
    class PanicException(BaseException):
        """The library's own is none that `except Exception` takes."""

    def panic(*_: object) -> None:
        raise PanicException("index out of range")

    tokenizer = Tokenizer(artefact_on_disk)
    monkeypatch.setattr(tokenizer, "_cutting", SimpleNamespace(encode_batch_fast=panic))
    with pytest.raises(TokenizerFailed, match="PanicException: index out of range"):
        tokenizer.tokenise(["a film"], Role.ITEM)
