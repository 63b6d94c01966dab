"""The independent checker over a bundle, at the end of a compilation and for `nirc check`."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nirc.certificate.certificate import (
    CERTIFICATE,
    CHECKED,
    MOST_SYNAPSES,
    reader_of,
    synapses_of,
)
from nirc.certificate.network import NETWORK, places_in
from nirc.checker.bundle import files_of, parsed
from nirc.checker.compare import check, checked
from nirc.checker.values import Finding, Node, Refused
from nirc.diagnostics.check import OF_KIND, NotChecked
from nirc.diagnostics.log import Log
from nirc.diagnostics.usage import UnusableBundle
from nirc.files.bundle import MANIFEST, to_json
from nirc.files.manifest import digest_of, sha256
from nirc.ir.program import Program

Read = Callable[[str], bytes]


def check_compiled(
    manifest: Mapping[str, Any], files: Mapping[str, bytes], integer: Program, log: Log
) -> dict[str, bytes]:
    """Check a bundle that was just made from ``integer``, and report what is wrong (C901 to C905).

    Return certificate.json with the digest of what the checker reads and does not prove. Reports
    C906 where no check is run.
    """
    chip = str(manifest["target"]).partition(":")[0]
    if chip not in CHECKED or NETWORK not in files:
        return {}
    if (synapses := synapses_of(integer)) > MOST_SYNAPSES:
        log.add(NotChecked(reason=f"{synapses} synapses take long"))
        return {}
    listed = {**files, MANIFEST: to_json({**manifest, "files": dict.fromkeys(files, "")})}
    findings, digest = checked(listed.__getitem__, reader_of(chip), sealed=False)
    unread = [each for each in findings if each.kind == "unreadable"]
    for each in unread[:1]:
        log.add(NotChecked(reason=f"the checker does not understand a file: {each}", odd=True))
    rest = [each for each in findings if each not in unread and each.kind != "overflow"]
    _report(rest, log)
    return {CERTIFICATE: to_json({**json.loads(files[CERTIFICATE]), "rest": digest})}


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
        manifest = parsed(MANIFEST, read(MANIFEST))
        chip = manifest["target"].of(str).partition(":")[0]
        findings += _altered(read, manifest)
        findings += _unconfirmed(read)
    except Refused as refused:
        findings.append(refused)
    if chip in CHECKED:
        findings += check(read, reader_of(chip))
    elif not findings:
        log.add(NotChecked(reason=f"there is no checker for `{chip}`", asked=True))
    _report(findings, log)


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


def _altered(read: Read, manifest: Node) -> list[Finding]:
    """Return the files that are not those of the manifest."""
    data, own = read(MANIFEST), manifest["sha256"].of(str)
    digests = {name: manifest["files"][name].of(str) for name in manifest["files"].of(dict)}
    found = {name: sha256(read(name)) for name in digests} | {MANIFEST: digest_of(data, own)}
    return [
        Refused(name, "the file", "this is not the file that nirc wrote", found[name], digest)
        for name, digest in {**digests, MANIFEST: own}.items()
        if found[name] != digest
    ]


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
        return [Refused(NETWORK, "the file", "it is no HDF5", error)]
    rows = parsed(CERTIFICATE, read(CERTIFICATE))["datasets"].list()
    odd = [row for row in rows if row.value not in places.values()]
    if odd or len(rows) != len(places):
        row = (odd or rows or [Node(CERTIFICATE, "datasets", [])])[0]
        return [Refused(CERTIFICATE, row.path, "HDF5 has other datasets", row.value)]
    return []
