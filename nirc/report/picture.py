"""Pictures by matplotlib as bytes, the same for equal figures."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK = "#333333"
FONTS = {"font.size": 9, "hatch.linewidth": 0.8, "svg.hashsalt": "nirc", "svg.fonttype": "none"}


def drawn(make: Callable[[], Figure], kind: str) -> bytes:
    """Return the bytes of the figure that ``make`` returns, svg or png, without a date."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with mpl.rc_context(FONTS):
        figure = make()
        FigureCanvasAgg(figure)
        buffer = io.BytesIO()
        metadata = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(buffer, format=kind, dpi=150, metadata=metadata)
    return buffer.getvalue()
