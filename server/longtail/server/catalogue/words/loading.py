"""The words of a generation's rows when a catalogue is loaded: as they were kept, or read anew."""

from itertools import islice

import numpy as np
from longtail.server.catalogue.columns.columns import NO_ROW, Columns
from longtail.server.catalogue.index.generation import Generation
from longtail.server.catalogue.words.word_index import WordIndex
from longtail.server.catalogue.words.words_file import read_words
from longtail.server.store.changes import ChangeLog
from longtail.server.store.records import ItemChange

# Items whose words are read at a time.
LOAD_ROWS = 2000


def text_of(change: ItemChange) -> str:
    """Return the text by whose words an item is found."""
    return f"{change.title}\n{change.text}"


def words_of_rows(columns: Columns, changes: ChangeLog, generation: Generation | None) -> WordIndex:
    """Return the words of `columns`, which are those of a generation, or without a row."""
    kept = None if generation is None else read_words(generation.folder)
    if kept is not None:
        return WordIndex.of(kept, columns)
    read, revisions = WordIndex(columns), list[int]()
    present = changes.current() if columns.count else iter(())
    while part := list(islice(present, LOAD_ROWS)):
        read.append([text_of(change) for change in part])
        revisions += [change.revision for change in part]
    # They come in the order of their revisions.
    born, known = columns.born[: columns.count], np.array(revisions, np.int64)
    at = known.searchsorted(born)
    found = known.take(at, mode="clip") == born if len(known) else at < 0
    return read.take(np.where(found, at, NO_ROW), columns)
