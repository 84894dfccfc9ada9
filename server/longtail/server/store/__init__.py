"""The store: the truth about items, vectors, interactions and popularity. All SQL is in here."""

import logging

# Which of its own parts it sets up, when it is imported, is no news.
logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)
