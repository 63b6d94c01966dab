"""The independent checker over a bundle, at the end of a compilation and for `nirc check`."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nirc.certificate.certificate import (
    CERTIFICATE,
    CHECKED,
    reader_of,
    takes_long,
)
from nirc.certificate.network import NETWORK, places_in
from nirc.checker.bundle import files_of
from nirc.checker.compare import check
from nirc.checker.values import Finding, parsed
from nirc.diagnostics.check import OF_KIND, NotChecked
from nirc.diagnostics.log import Log
from nirc.diagnostics.usage import UnusableBundle
from nirc.files.bundle import MANIFEST
from nirc.ir.program import Program

Read = Callable[[str], bytes]


def check_compiled(files: Mapping[str, bytes], integer: Program, log: Log) -> None:
    """Check a bundle that was just made from ``integer``, and report what is wrong (C901 to C905).

    Reports C906 where no check is run. ``files``: all of the bundle, the manifest among them.
    """
    chip = chip_of(files.__getitem__)
    if chip not in CHECKED or NETWORK not in files:
        return
    if takes_long(integer):
        log.add(NotChecked(reason="so many synapses take long"))
        return
    findings = check(files.__getitem__, reader_of(chip))
    unread = [each for each in findings if each.kind == "unreadable"]
    for each in unread[:1]:
        log.add(NotChecked(reason=f"the checker does not understand a file: {each}", odd=True))
    rest = [each for each in findings if each not in unread and each.kind != "overflow"]
    _report(rest, log)


def check_directory(directory: Path, log: Log) -> None:
    """Check the bundle in ``directory``, and report what is wrong with it (C901 to C906).

    Raises ``InputError`` (U605) if there is no bundle. Digests and the places of the arrays in
    network.nir are checked too.
    """
    read = files_of(directory)
    if not (directory / MANIFEST).is_file():
        problem = f"`{MANIFEST}` is missing"
        raise UnusableBundle(where=MANIFEST, problem=problem, help="name a bundle").refusal()
    findings: list[Finding] = []
    chip = ""
    try:
        chip = chip_of(read)
        findings += _unconfirmed(read)
    except Finding as refused:
        findings.append(refused)
    if chip in CHECKED:
        findings += check(read, reader_of(chip))
    elif not findings:
        log.add(NotChecked(reason=f"there is no checker for `{chip}`", asked=True))
    _report(findings, log)


def chip_of(read: Read) -> str:
    """Return the chip that the manifest names."""
    tree = parsed(MANIFEST, read(MANIFEST), {"target": str, ...: object})
    return str(tree["target"]).partition(":")[0]


def _report(findings: list[Finding], log: Log) -> None:
    told = set()
    for each in findings:
        if str(each) not in told:
            finding = OF_KIND[each.kind](
                where=f"{each.file}: {each.place}",
                problem=each.problem,
                found=each.found,
                limit=each.wanted,
            )
            log.add(finding)
        told.add(str(each))


def _unconfirmed(read: Read) -> list[Finding]:
    """Return the rows of certificate.json that HDF5 does not confirm."""
    import h5py

    places: dict[str, Any] = {}
    data = io.BytesIO(read(NETWORK))
    try:
        with h5py.File(data, "r") as file:
            places = {each.path: each.as_json() for each in places_in(file)}
    except MemoryError:
        raise
    except Exception as error:  # h5py raises nearly anything
        return [Finding("unreadable", NETWORK, "the file", "it is no HDF5", error)]
    rows = parsed(CERTIFICATE, read(CERTIFICATE), {"datasets": [list, ...], ...: object})[
        "datasets"
    ]
    odd = [row for row in rows if row not in places.values()]
    if odd or len(rows) != len(places):
        problem = "HDF5 has other datasets"
        return [Finding("unreadable", CERTIFICATE, "datasets", problem, odd[:1], "the same")]
    return []
