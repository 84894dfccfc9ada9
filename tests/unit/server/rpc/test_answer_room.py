import pytest
from longtail.runtime.errors import AnswerTooLarge
from longtail.runtime.message_size import MAX_MESSAGE_BYTES
from longtail.server.rpc.answer_room import STATUS_BYTES, AnswerRoom

WHOLE = MAX_MESSAGE_BYTES - STATUS_BYTES


def test_what_does_not_fit_takes_no_room() -> None:
    room = AnswerRoom()
    room.take(WHOLE - 100)
    with pytest.raises(AnswerTooLarge, match=r"has 101 bytes, and 100 are left"):
        room.take(101)
    room.take(60)
    room.take(40)
    with pytest.raises(AnswerTooLarge):
        room.take(1)


def test_one_list_may_take_it_all() -> None:
    with pytest.raises(AnswerTooLarge):
        AnswerRoom().take(WHOLE + 1)
    AnswerRoom().take(WHOLE)
