"""Opens the text of a file, in the encoding that its owner says or that is found out."""

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from longtail.client.importing.content import Content
from longtail.client.importing.encoding import UTF8, encoding_of, known
from longtail.client.importing.rows import FileError


class Text:
    """The text of a file, that can be opened again and again.

    `remark`: how its encoding was found, for its owner; "" where that is not to be told.
    """

    def __init__(self, content: Content, encoding: str | None) -> None:
        self.content = content
        self.remark = ""
        if encoding is not None:
            self.encoding = known(encoding)
        else:
            with content.opened() as binary:
                self.encoding, self.remark = encoding_of(binary)

    @contextmanager
    def opened(self) -> Iterator[TextIO]:
        """Open the text at its beginning; what is not of the encoding becomes surrogates.

        FileError where an encoding has no place for those.
        """
        name = "utf-8-sig" if self.encoding == UTF8 else self.encoding
        with self.content.opened() as binary:
            text = io.TextIOWrapper(binary, encoding=name, errors="surrogateescape", newline="")
            try:
                yield text
            except UnicodeError as error:
                raise FileError(f"it is not in {self.encoding}: {error}") from error
            finally:
                # So that what is opened again is not closed with the text. What nobody reads to its
                # end may be closed already.
                with suppress(ValueError):
                    text.detach()
