"""The published release of Mirai (snapshots.zip of v0.8.0): its name and its files, byte for byte. Needs no torch."""

from __future__ import annotations

from typing import Final

NAME: Final = "mirai-v0.8.0"

CALIBRATOR: Final = "calibrator"
ROLES: Final = ("image encoder", "transformer", CALIBRATOR)

PUBLISHED: Final = {
    "e66261f434474686462e5c7035de37452f47e4e7cc8831086be19397383e8af3": "image encoder",
    "cb4ef50459d747d38edfb846b3cd29869ccad9b7e291eb5f2fe66559d914e610": "transformer",
    "822092d81272c97883d54a4bde0bc1cdcebadb861dea8467cb93201fedb73efa": CALIBRATOR,
}
"""SHA-256 of its three files, and what each is."""
