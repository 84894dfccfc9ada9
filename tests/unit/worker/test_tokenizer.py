from tests.unit.worker.conftest import MAX_TOKENS, WORDS, MakeArtefact
from worker.artefact import Artefact, Prompts
from worker.tokenizer import Role, Tokenizer


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
