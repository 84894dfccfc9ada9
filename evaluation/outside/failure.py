"""What an outside method raises when its own code gives up on a task."""


class OutsideFailure(Exception):
    """A published method found no list at this dial; `str(error)` says which and why."""
