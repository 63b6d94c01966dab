"""The independent checker over a bundle, at the end of a compilation and for `nirc check`."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nirc.certificate.certificate import (
    CERTIFICATE,
    CHECKED,
    CHECKER,
    checker_text,
    reader_of,
    takes_long,
)
from nirc.certificate.network import NETWORK, places_in
from nirc.checker.bundle import files_of
from nirc.checker.compare import check
from nirc.checker.values import Finding, parsed
from nirc.chip.backend import OnCore
from nirc.chip.registry import backend
from nirc.diagnostics.check import OF_KIND, NotChecked
from nirc.diagnostics.log import Log
from nirc.diagnostics.usage import UnusableBundle
from nirc.files.bundle import MANIFEST
from nirc.files.manifest import sha256
from nirc.ir.program import Program
from nirc.mapping.floorplan import FILE as FLOORPLAN
from nirc.mapping.floorplan import floorplan_in

Read = Callable[[str], bytes]


def check_compiled(files: Mapping[str, bytes], integer: Program, log: Log) -> None:
    """Check a bundle that was just made from ``integer``, and report what is wrong (C901 to C904).

    Reports C906 where no check is run. ``files``: all of the bundle, the manifest among them.
    """
    chip = chip_of(files.__getitem__)
    if chip not in CHECKED or NETWORK not in files:
        return
    if takes_long(integer):
        log.add(NotChecked(reason="so many synapses take long"))
        return
    findings = check(files.__getitem__, reader_of(chip))
    _report([each for each in findings if each.kind != "overflow"], log)


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
        if all(each.kind == "overflow" for each in findings):
            findings += _other_copies(chip, read) or _other_floorplan(chip, read)
        elif any(each.kind == "unreadable" for each in findings):
            findings = _of_another_version(chip, read) or findings
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


def _from_hdf5(name: str, data: bytes, contents: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    """Return the contents of an HDF5 file. Raises ``Finding`` if it cannot be read."""
    import h5py

    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            return contents(file)
    except MemoryError:
        raise
    except Exception as error:  # h5py raises nearly anything
        raise Finding("unreadable", name, "the file", "it is no HDF5", error) from None


def _values(file: Any) -> dict[str, Any]:
    """Return type, shape and bytes of each dataset of an open file, and its attributes."""
    found: dict[str, Any] = {f"@{name}": str(value) for name, value in file.attrs.items()}
    for place in places_in(file):
        array = file[place.path][()]
        found[place.path] = (array.dtype.str, array.shape, array.tobytes())
    return found


def _other_floorplan(chip: str, read: Read) -> list[Finding]:
    """Return a finding if floorplan.json, which people read, has neurons on other cores."""
    names = parsed(MANIFEST, read(MANIFEST), {"files": dict, ...: object})["files"]
    placed = backend(chip).on_cores({name: read(name) for name in names})
    if not placed:
        return []
    cores = floorplan_in(read(FLOORPLAN)).cores
    drawn: set[OnCore] = set()
    for i, core in enumerate(cores):
        drawn |= {(i, part) for part in core.parts} | {(core.at, part) for part in core.parts}
    odd = [row for row in placed if row not in drawn]
    if not odd and len(placed) == sum(len(core.parts) for core in cores):
        return []
    problem = "neurons are on other cores than in mapping.json"
    return [Finding("network", FLOORPLAN, "floorplan.cores", problem, *odd[:1])]


def _other_copies(chip: str, read: Read) -> list[Finding]:
    """Return the files that hold the network once more, and hold another one."""
    names = parsed(MANIFEST, read(MANIFEST), {"files": dict, ...: object})["files"]
    copies = backend(chip).network_once_more({name: read(name) for name in names})
    findings = []
    for name, data in copies.items():
        have = _from_hdf5(name, read(name), _values)
        want = _from_hdf5(name, data, _values)
        for place in sorted({*have, *want}):
            if have.get(place) != want.get(place):
                findings.append(Finding("network", name, place, "it differs from the chip's file"))
    return findings[:3]


def _of_another_version(chip: str, read: Read) -> list[Finding]:
    """Return a finding if the bundle carries another checker than this version of nirc writes.

    Formats change between versions, so its files need not be wrong.
    """
    try:
        pattern = {"files": {CHECKER: str, ...: str}, "nirc_version": str, ...: object}
        tree = parsed(MANIFEST, read(MANIFEST), pattern)
    except Finding:
        return []
    if tree["files"][CHECKER] == sha256(checker_text(chip)):
        return []
    problem = "another version of nirc wrote this bundle: compile again, or run its own check.py"
    return [Finding("unreadable", MANIFEST, "nirc_version", problem, tree["nirc_version"])]


def _unconfirmed(read: Read) -> list[Finding]:
    """Return the rows of certificate.json that HDF5 does not confirm."""
    wanted = {"datasets": [[str, object, object, object], ...], ...: object}
    rows = parsed(CERTIFICATE, read(CERTIFICATE), wanted)["datasets"]
    have = _from_hdf5(
        NETWORK, read(NETWORK), lambda file: {each.path: each.as_json() for each in places_in(file)}
    )
    odd = [row for row in rows if have.get(row[0]) != row]
    if odd or len(rows) != len(have):
        problem = "HDF5 has other datasets"
        return [Finding("unreadable", CERTIFICATE, "datasets", problem, odd[:1], "the same")]
    return []
