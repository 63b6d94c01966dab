"""A picture: marks with CSS classes, as SVG by drawsvg. Equal marks give equal bytes.

A page decides the colours of the classes, so that a picture follows light, dark and print. Foreign
text is always the text of a mark. An attribute has words of this package and numbers only, since
drawsvg does not escape attributes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from unicodedata import east_asian_width

from nirc.diagnostics.escape import in_line

if TYPE_CHECKING:
    from drawsvg import DrawingBasicElement

WIDTH = 480.0  # of most pictures: letters are readable on a telephone, too
SIZE = 12  # of letters
NARROW = 0.56  # width of a letter, as a share of its size
LARGEST_TITLE = 300  # characters
GOLDEN_ANGLE = 137.508  # degrees: hues that follow one another are far apart
# Of every page with pictures. Each rule is for pictures only.
STYLE = """\
.picture { display: block; width: 100%; height: auto; }
.picture text { font-family: system-ui, sans-serif; fill: currentColor; }
.picture .bold { font-weight: 600; }
.picture .quiet { opacity: .72; }
.picture .on { fill: #111; }
.picture .ink { fill: currentColor; }
.picture .free { fill: currentColor; opacity: .08; }
.picture .frame { fill: none; stroke: currentColor; stroke-opacity: .4; }
.picture .grid { fill: none; stroke: currentColor; stroke-opacity: .25; }
.picture .wire { fill: none; stroke: currentColor; stroke-opacity: .55; stroke-width: 1.4; }
.picture .cross { fill: none; stroke: currentColor; stroke-opacity: .6; }
.picture .model { fill: #3b7dd8; }
.picture .chip { fill: #d9622b; }
.picture .both { fill: #808080; }
.picture .some { opacity: .3; }
.picture .more { opacity: .6; }
"""


class Canvas:
    """A drawing of ``width`` by ``height``. ``label`` is for those who cannot see the picture."""

    def __init__(self, width: float, height: float, label: str) -> None:
        from drawsvg import Drawing

        self.width = width
        self.height = height
        self._drawing = Drawing(
            number(width),
            number(height),
            class_="picture",
            role="img",
            aria_label=label,
            style=f"max-width:{number(1.3 * width)}px",
        )

    def rect(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        kind: str,
        *,
        title: str = "",
        hue: int | None = None,
        round_: float = 0,
    ) -> None:
        """Draw a rectangle. ``hue``: the number of its colour."""
        from drawsvg import Rectangle

        more: dict[str, Any] = {} if hue is None else {"fill": color(hue)}
        if round_:
            more["rx"] = number(round_)
        sides = map(number, (x, y, width, height))
        self._add(Rectangle(*sides, class_=kind, **more), title)

    def path(
        self, steps: Iterable[str], kind: str, *, title: str = "", wide: float | None = None
    ) -> None:
        """Draw a path of the given steps, as SVG writes them. No step: nothing."""
        from drawsvg import Path

        more = {} if wide is None else {"stroke_width": number(wide)}
        words = " ".join(steps)
        if words:
            self._add(Path(words, class_=kind, **more), title)

    def text(
        self,
        x: float,
        y: float,
        words: str,
        kind: str = "",
        *,
        anchor: str = "start",
        size: float = SIZE,
        width: float | None = None,
    ) -> None:
        """Write ``words`` in one line. Words that need more than ``width`` are shortened."""
        from drawsvg import Text

        shown = fitted(words, width, size)
        mark = Text(
            shown, number(size), number(x), number(y), text_anchor=anchor, class_=kind or "plain"
        )
        self._add(mark, words if shown != in_line(words) else "")

    def _add(self, mark: DrawingBasicElement, title: str) -> None:
        if title:
            mark.append_title(in_line(title[:LARGEST_TITLE]))
        self._drawing.append(mark)

    def inline(self) -> str:
        """Return the picture for a page with ``STYLE``."""
        return str(self._drawing.as_svg(header=""))

    def file(self) -> bytes:
        """Return the picture as a file with ``STYLE``, on white."""
        from drawsvg import Rectangle

        style = STYLE + ".picture { color: #222; }\n"
        self._drawing.insert(0, Rectangle(0, 0, "100%", "100%", fill="#fff"))
        self._drawing.append_css(style)
        header = '<?xml version="1.0" encoding="UTF-8"?>\n'
        return (str(self._drawing.as_svg(header=header)) + "\n").encode()


def number(value: float) -> float:
    """Return ``value`` with one decimal, without a needless one."""
    rounded = round(float(value), 1)
    return int(rounded) if rounded.is_integer() else rounded


def at(command: str, *values: float) -> str:
    """Return a step of a path: ``M1.5,2``."""
    return command + ",".join(str(number(value)) for value in values)


def color(hue: int) -> str:
    """Return the colour with this number. Dark letters and lines are visible on every colour."""
    return f"hsl({round(210 + GOLDEN_ANGLE * hue) % 360},{60 if hue % 2 else 68}%,66%)"


def fitted(words: str, width: float | None, size: float = SIZE) -> str:
    """Return ``words`` as one line that is at most ``width`` wide, about."""
    line = in_line(words[:LARGEST_TITLE])
    if width is None or _units(line) * NARROW * size <= width:
        return line
    room = width / (NARROW * size) - 1.5
    shown = ""
    for letter in line:
        room -= _units(letter)
        if room < 0:
            break
        shown += letter
    return f"{shown}…"


def _units(line: str) -> float:
    """Return the width of a line in narrow letters."""
    return sum(2.0 if east_asian_width(letter) in "WF" else 1.0 for letter in line)
