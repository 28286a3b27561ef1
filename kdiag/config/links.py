"""The addresses at which kdiag is published."""

from __future__ import annotations

REPOSITORY = "OWNER/kdiag"  # on GitHub; OWNER until it is there
SITE = ""  # of the site that docs/ makes, with a slash at its end; "" until somebody serves it


def page(name: str, place: str = "") -> str:
    """The address of a page of docs/ ("findings") and of a place in it ("kd301"): on the site, or
    the file in the repository where there is no site."""
    address = f"{SITE}{name}/" if SITE else f"docs/{name}.md"
    return f"{address}#{place}" if place else address
