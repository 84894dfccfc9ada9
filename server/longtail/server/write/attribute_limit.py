"""A catalogue has so many names of attributes at most: an item that would bring more is refused."""

from collections.abc import Sequence

from longtail.runtime.errors import InvalidArgument, ServiceError, Violation
from longtail.server.store.attribute_names import count_names, names_in, unknown_names
from longtail.server.store.records import NewItem
from longtail.server.store.transaction import Transaction


def beyond_names(
    tx: Transaction, new_items: Sequence[NewItem], limit: int
) -> dict[str, ServiceError]:
    """Return what is wrong with those of `new_items`, by id, for whose new names there is no room.

    They are looked at in order; names that they would take away make no room for each other.
    """
    names = {item.content.id: names_in(item.content.attributes) for item in new_items}
    every = set[str]()
    for theirs in names.values():
        # One by one: all at once would keep the interpreter for as long.
        every |= theirs
    unknown = unknown_names(tx, every)
    if not unknown:
        return {}
    there = count_names(tx)
    refused = dict[str, ServiceError]()
    for item_id, theirs in names.items():
        new = theirs & unknown
        if new and there + len(new) > limit:
            problem = (
                f"is a new name, and the catalogue has {there:,} names of attributes; with the "
                f"{len(new):,} of this item it would have more than {limit:,} "
                "(LONGTAIL_ATTRIBUTE_NAMES)"
            )
            refused[item_id] = InvalidArgument(Violation(f"attributes.{min(new)}", problem))
        else:
            there += len(new)
            unknown -= new
    return refused
