"""Text of others on a line of ours: without what ends the line, or steers a terminal."""

import json
import re

# The controls of ASCII and of Latin-1, and the two separators at which Unicode ends a line.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def escaped(text: str) -> str:
    r"""Return `text` with its control characters as JSON and TOML escape them: \u001b."""
    return _CONTROLS.sub(lambda found: json.dumps(found[0])[1:-1], text)
