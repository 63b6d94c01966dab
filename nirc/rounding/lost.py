"""The report of weights that round to zero, for all chips."""

from __future__ import annotations

from nirc.diagnostics.log import Log


def report_lost(lost: int, of: int, which: str, where: str, limit: str, log: Log) -> None:
    """Report that ``lost`` of ``of`` nonzero weights round to zero (D410).

    The report is a note, or a warning from one half on. ``which``: the weights' place as a phrase
    (``into `b` ``). ``limit``: the number format of the chip's weights.
    """
    if not lost:
        return
    most = 2 * lost >= of
    report = log.warning if most else log.note
    report(
        "D410",
        f"{lost} of {of} weights {which} round to zero",
        where=where,
        found=f"{lost / of:.1%}",
        limit=limit,
        help="clip outliers in training, or use weight decay: the largest numbers set the scale"
        if most
        else "",
    )
