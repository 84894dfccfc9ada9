"""What ends an export."""


class ExportError(Exception):
    """The checkpoint cannot be exported, or not well enough; the message is the whole reason."""

    def __init__(self, message: str) -> None:
        # Libraries tell it in several lines.
        super().__init__(" ".join(message.split()))
