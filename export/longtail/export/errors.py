"""What ends an export."""


class ExportError(Exception):
    """The checkpoint cannot be exported, or not well enough; the message is the whole reason."""
