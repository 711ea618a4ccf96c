"""A drawing as a page can hold it under a strict Content-Security-Policy, coloured by the page's own style sheet."""

from __future__ import annotations

from xml.etree import ElementTree as ET

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
LEFT_OUT = frozenset({f"{{{SVG}}}metadata", f"{{{SVG}}}style"})
LEFT_TO_THE_PAGE = frozenset({"font", "font-family", "font-size", "font-weight", "font-style", "font-stretch"})


def inline_svg(drawing: str) -> str:
    """The SVG without style elements and attributes, which a policy forbids, its groups' names as classes.

    Names that others in the drawing refer to stay names: a page may hold several drawings, whose names must differ.
    """
    root = ET.fromstring(drawing)  # noqa: S314 # the drawing is our own
    ET.register_namespace("", SVG)
    ET.register_namespace("xlink", XLINK)
    for parent in list(root.iter()):
        for child in [one for one in parent if one.tag in LEFT_OUT]:
            parent.remove(child)
        _restyle(parent)
    for marker in root.findall(f".//{{{SVG}}}defs/{{{SVG}}}path"):
        # No rule of the page reaches it where it is used: it takes over the colours of the place.
        marker.attrib = {name: value for name, value in marker.attrib.items() if name in ("id", "d")}
    for size in ("width", "height", "version"):
        root.attrib.pop(size, None)  # the page says how large it is
    # The page describes it, and has the same as a table.
    root.attrib.update({"class": "drawing", "aria-hidden": "true", "focusable": "false"})
    return ET.tostring(root, encoding="unicode")


def _restyle(element: ET.Element) -> None:
    """Each part of a style attribute as an attribute of its own, over which a style sheet has the last word."""
    for part in element.attrib.pop("style", "").split(";"):
        name, _, value = part.partition(":")
        if value and name.strip() not in LEFT_TO_THE_PAGE:
            element.set(name.strip(), value.strip())
    if element.tag == f"{{{SVG}}}g" and "id" in element.attrib:
        element.set("class", element.attrib.pop("id").rstrip("_0123456789"))
