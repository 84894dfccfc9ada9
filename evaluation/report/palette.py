"""The colours of the plots, which people with any kind of colour blindness can tell apart.

Most are of the palette of Okabe and Ito, "Color Universal Design" (2008); yellow is left out, being
lost on white. Markers tell curves apart where there is no colour.
"""

OURS = "#D55E00"
BASE = "#000000"
OTHERS = "#BDBDBD"
FRONT = "#E4E8ED"

# Colour and marker of each rival that is shown by name.
RIVALS = (
    ("#0072B2", "s"),
    ("#009E73", "^"),
    ("#CC79A7", "D"),
    ("#56B4E9", "v"),
    ("#E69F00", "P"),
    ("#555555", "h"),
)
