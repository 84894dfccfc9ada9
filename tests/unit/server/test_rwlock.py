import threading
from collections.abc import Callable

from server.rwlock import ReadWriteLock

SECONDS = 5.0


def started(run: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def test_readers_share_it_and_a_writer_waits_for_all_of_them() -> None:
    lock, written = ReadWriteLock(), threading.Event()

    def write() -> None:
        with lock.writing():
            written.set()

    with lock.reading(), lock.reading():
        writer = started(write)
        assert not written.wait(0.05)
    writer.join(SECONDS)
    assert written.is_set()


def test_a_waiting_writer_goes_before_new_readers() -> None:
    lock, order = ReadWriteLock(), list[str]()

    def write() -> None:
        with lock.writing():
            order.append("writer")

    def read() -> None:
        with lock.reading():
            order.append("reader")

    with lock.reading():
        writer = started(write)
        # Long enough for the writer to be in the queue; were it not, the reader would come first.
        writer.join(0.2)
        reader = started(read)
        reader.join(0.2)
        assert order == []
    writer.join(SECONDS)
    reader.join(SECONDS)
    assert order == ["writer", "reader"]


def test_nobody_reads_while_one_writes_and_an_error_lets_go() -> None:
    lock, read = ReadWriteLock(), threading.Event()

    def look() -> None:
        with lock.reading():
            read.set()

    try:
        with lock.writing():
            reader = started(look)
            assert not read.wait(0.05)
            raise OSError
    except OSError:
        pass
    reader.join(SECONDS)
    assert read.is_set()
