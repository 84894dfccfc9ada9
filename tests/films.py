"""A dozen films, and people who like them, for tests of the server."""

from longtail.v1 import interaction_service_pb2, item_pb2

FILMS = {
    "alien": ("Alien", "The crew of a spaceship is hunted by a deadly creature."),
    "robots": ("Robots", "An animated adventure of robots in a city of machines."),
    "wall-e": ("Wall-E", "A lonely robot cleans the abandoned earth and travels into space."),
    "moon": ("Moon", "A man alone on the moon mines helium and meets himself."),
    "solaris": ("Solaris", "A psychologist visits a space station above a living ocean."),
    "heat": ("Heat", "A detective hunts a gang of bank robbers in Los Angeles."),
    "ronin": ("Ronin", "Mercenaries chase a briefcase through the streets of Paris."),
    "amelie": ("Amelie", "A shy waitress in Paris changes the lives of those around her."),
    "ratatouille": ("Ratatouille", "A rat cooks in a restaurant in Paris."),
    "jaws": ("Jaws", "A shark attacks the swimmers of a small beach town."),
    "up": ("Up", "An old man flies his house to South America with balloons."),
    "big": ("Big", "A boy wakes up in the body of a grown man."),
}


def films() -> list[item_pb2.Item]:
    return [item_pb2.Item(id=i, title=title, text=text) for i, (title, text) in FILMS.items()]


def liked(user: str, item: str, value: float = 1.0) -> interaction_service_pb2.Interaction:
    return interaction_service_pb2.Interaction(
        event_id=f"{user}:{item}", user_id=user, item_id=item, type="rating", value=value
    )
