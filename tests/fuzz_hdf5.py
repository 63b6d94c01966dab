"""Spoils HDF5 files, and reads them as nirc reads any model.

    python -m tests.fuzz_hdf5 --minutes 5 [--seed N] [--out DIR]

A reading must end in a graph or in findings: no other exception, no crash, no hang, no more memory
than the limits allow. Files are read in a process of its own, which leaves the last file on disk.
The HDF5 library is compiled without coverage. So novelty is measured by what reading says: findings
quote HDF5's own words, and those name the place in its code. A file that says something new joins
the pool in ``DIR/pool``, whose files are spoilt further.
"""

from __future__ import annotations

import argparse
import contextlib
import lzma
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from ast import literal_eval
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from nirc.diagnostics.errors import InputError
from nirc.diagnostics.log import Log
from nirc.frontend.hdf5 import read_raw
from tests.frontend.files import CHAIN, SMALL, TEXT, write_graph

CORPUS = Path(__file__).parent / "data/hdf5-corpus"
CPU_SECONDS = 10  # of one reading
MEMORY = 1 << 29  # bytes that one reading of a file of some kB may add
MOST_BYTES = 1 << 15  # of a file in the pool
WORD = (1 << 32) - 1
SUPERBLOCK = b"\x89HDF\r\n\x1a\n"
SIGNATURES = (b"TREE", b"SNOD", b"HEAP", b"GCOL", b"OHDR", b"FRHP", b"FHDB", b"BTHD", b"BTLF",
              b"FADB", b"FAHD", b"EAHD", b"OCHK", SUPERBLOCK)  # fmt: skip
NUMBERS = (0, 1, 2, 3, 7, 8, 16, 127, 128, 255, 256, 1 << 15, (1 << 16) - 1, 1 << 31, (1 << 32) - 1,
           1 << 40, (1 << 63) - 1, (1 << 64) - 1)  # fmt: skip
Change = Callable[[np.random.Generator, bytearray, bytes], None]


def seeds() -> Iterator[bytes]:
    """Valid models of every storage that HDF5 has for what a NIR file holds."""
    options: list[dict[str, object]] = [{}, {"compression": "gzip"}, {"compression": "lzf"}]
    options += [{"fletcher32": True}, {"shuffle": True, "compression": "gzip"}]
    with tempfile.TemporaryDirectory() as folder:
        for version in ("earliest", "v110", "latest"):
            for number, packing in enumerate(options):
                path = Path(folder) / f"{version}{number}.nir"
                _write(path, version, packing, userblock=512 * (number == 1))
                yield path.read_bytes()


def corpus() -> Iterator[bytes]:
    """Files that said something new in earlier runs."""
    for path in sorted(CORPUS.glob("*.xz")):
        yield lzma.decompress(path.read_bytes())


def _write(path: Path, version: str, packing: dict[str, object], *, userblock: int) -> None:
    """A nested model, with text of fixed and of variable length."""
    with h5py.File(path, "w", libver=(version, "latest"), userblock_size=userblock) as file:
        file["version"] = "1.0.8"
        node = file.create_group("node", track_order=bool(packing))
        write_graph(node, SMALL, CHAIN)
        write_graph(node["nodes"].create_group("nested"), SMALL, CHAIN)
        weight = np.linspace(-1, 1, 24).reshape(6, 4)
        chunks = {"chunks": (2, 4), **packing} if packing else {}
        node["nodes/fc"].create_dataset("x", data=weight, **chunks)
        node["nodes/fc"].create_dataset("padding", data=np.bytes_("same"))
        if packing.get("compression") == "gzip":
            del node["edges"]
            node.create_dataset("edges", data=CHAIN, dtype=TEXT, chunks=(2, 2), **packing)
        node.create_group("metadata")["nirc_from"] = "snntorch"  # a text that only nirc reads


def _bits(dice: np.random.Generator, data: bytearray, other: bytes) -> None:
    for _ in range(int(dice.integers(1, 9))):
        data[dice.integers(len(data))] ^= 1 << int(dice.integers(8))


def _number(dice: np.random.Generator, data: bytearray, other: bytes) -> None:
    """A number of 1 to 8 bytes becomes a remarkable one, or one near what it was."""
    width = int(dice.choice([1, 2, 4, 8]))
    at = int(dice.integers(max(1, len(data) - width)))
    old = int.from_bytes(data[at : at + width], "little")
    value = int(NUMBERS[dice.integers(len(NUMBERS))])
    value = old + int(dice.integers(-4, 5)) if dice.random() < 0.3 else value
    data[at : at + width] = (value % (1 << 8 * width)).to_bytes(width, "little")


def _header(dice: np.random.Generator, data: bytearray, other: bytes) -> None:
    """A number within 48 bytes behind a structure's mark, where its sizes and addresses are."""
    mark = SIGNATURES[dice.integers(len(SIGNATURES))]
    places = [found.start() for found in re.finditer(re.escape(mark), data)]
    at = places[dice.integers(len(places))] + len(mark) + int(dice.integers(48)) if places else 0
    width = int(dice.choice([1, 2, 4, 8]))
    if at + width <= len(data):
        value = int(NUMBERS[dice.integers(len(NUMBERS))]) % (1 << 8 * width)
        data[at : at + width] = value.to_bytes(width, "little")


def _address(dice: np.random.Generator, data: bytearray, other: bytes) -> None:
    """One address becomes another of the file."""
    words = np.frombuffer(bytes(data[: len(data) // 8 * 8]), "<u8")
    places = np.flatnonzero((words > 0) & (words < len(data)))
    if places.size > 1:
        to, source = dice.choice(places, 2)
        data[8 * to : 8 * to + 8] = int(words[source]).to_bytes(8, "little")


def _copy(dice: np.random.Generator, data: bytearray, other: bytes) -> None:
    """Bytes from elsewhere, of this file or of another, replace some."""
    source = bytes(data) if dice.random() < 0.5 else other
    length = int(dice.choice([8, 16, 32, 64, 256]))
    start, to = int(dice.integers(len(source))), int(dice.integers(len(data)))
    piece = source[start : start + length][: len(data) - to]
    data[to : to + len(piece)] = piece


def _cut(dice: np.random.Generator, data: bytearray, other: bytes) -> None:
    if dice.random() < 0.2:
        del data[int(dice.integers(1, len(data))) :]
    else:
        at = int(dice.integers(len(data)))
        del data[at : at + int(dice.integers(1, 9))]


def lookup3(data: bytes) -> int:
    """The checksum of HDF5's newer structures, Bob Jenkins' lookup3 (burtleburtle.net/bob/c)."""
    padded = data + bytes(-len(data) % 12)
    words = [int.from_bytes(padded[i : i + 4], "little") for i in range(0, len(padded), 4)]
    a = b = c = (0xDEADBEEF + len(data)) & WORD
    for at in range(0, len(words), 3):
        a, b, c = (a + words[at]) & WORD, (b + words[at + 1]) & WORD, (c + words[at + 2]) & WORD
        if at + 3 == len(words):
            break
        for shift in (4, 6, 8, 16, 19, 4):
            a = ((a - c) & WORD) ^ _turned(c, shift)
            c = (c + b) & WORD
            a, b, c = b, c, a
    for shift in (14, 11, 25, 16, 4, 14, 24):
        c = ((c ^ b) - _turned(b, shift)) & WORD
        a, b, c = b, c, a
    return b


def _turned(word: int, bits: int) -> int:
    return (word << bits | word >> (32 - bits)) & WORD


def repair(data: bytearray) -> None:
    """Give spoilt superblocks and object headers a right checksum, so that they are believed."""
    if data[:8] == SUPERBLOCK and data[8] in (2, 3) and len(data) > 48:
        data[44:48] = lookup3(bytes(data[:44])).to_bytes(4, "little")
    for found in re.finditer(b"OHDR", bytes(data)):
        start, flags = found.start(), data[found.start() + 5] if found.end() + 2 < len(data) else 0
        at = start + 6 + 16 * bool(flags & 0x20) + 4 * bool(flags & 0x10)  # times, numbers of links
        width = 1 << (flags & 3)
        end = at + width + int.from_bytes(data[at : at + width], "little")
        if end + 4 <= len(data):
            data[end : end + 4] = lookup3(bytes(data[start:end])).to_bytes(4, "little")


CHANGES: tuple[Change, ...] = (_bits, _number, _number, _header, _header, _address, _address, _copy)


def spoilt(dice: np.random.Generator, pool: Sequence[bytes]) -> bytes:
    """A file of the pool after some changes."""
    data, other = bytearray(pool[dice.integers(len(pool))]), pool[dice.integers(len(pool))]
    for _ in range(int(dice.choice([1, 1, 2, 3, 6]))):
        change = _cut if dice.random() < 0.03 else CHANGES[dice.integers(len(CHANGES))]
        change(dice, data, other)
    if dice.random() < 0.7:
        repair(data)
    return bytes(data[:MOST_BYTES]) or b"\0"


def said(path: Path) -> set[str]:
    """Return each thing that reading says of a file, without numbers and names.

    Raises what nirc should not raise.
    """
    log = Log()
    try:
        graph = read_raw(path, log)
        words = {f"{node.type} {sorted(node.fields)}" for node in graph.nodes.values()}
        return {
            _plain(each) for each in (*words, *(f"{d.code} {d.found}" for d in log.diagnostics))
        }
    except InputError as error:
        return {_plain(f"{d.code} {d.message} {d.found}") for d in error.diagnostics}


def _plain(words: str) -> str:
    return re.sub(r"\\?x[0-9a-f]+|[\d.]+|`[^`]*`", "#", words)[:400]


def worker(folder: Path, seed: int, until: float) -> None:
    """Spoil and read until the time is over. The file that is read lies in ``folder``."""
    signal.signal(signal.SIGVTALRM, signal.SIG_DFL)  # ends the process, wherever it hangs
    pool = [path.read_bytes() for path in sorted((folder / "pool").iterdir())]
    known = set(map(literal_eval, (folder / "said").read_text().splitlines()))
    dice, path, done = np.random.default_rng(seed), folder / "now.nir", 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    while time.monotonic() < until:
        data = spoilt(dice, pool)
        path.write_bytes(data)
        signal.setitimer(signal.ITIMER_VIRTUAL, CPU_SECONDS)
        new = said(path)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        now = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if 1024 * (now - most) > MEMORY:
            raise MemoryError(f"{(now - most) >> 10} MiB more for {len(data)} bytes")
        most, done = now, done + 1
        if not new <= known:
            unknown = sorted(new - known)
            known |= new
            pool.append(data)
            (folder / "pool" / f"{len(pool):05}-{seed}.nir").write_bytes(data)
            with (folder / "said").open("a") as file:
                file.writelines(f"{each!a}\n" for each in unknown)
        if done % 64 == 0:
            (folder / "done").write_text(f"{done}")
    (folder / "done").write_text(f"{done}")


@dataclass
class Result:
    """Readings, files that said something new, and what ended a process."""

    readings: int = 0
    new: int = 0
    failures: list[str] = field(default_factory=list)


def fuzz(folder: Path, minutes: float, seed: int) -> Result:
    """Run workers one after the other, each from where the one before ended."""
    (folder / "pool").mkdir(parents=True, exist_ok=True)
    if not any((folder / "pool").iterdir()):
        for number, data in enumerate([*seeds(), *corpus()]):
            (folder / "pool" / f"{number:05}.nir").write_bytes(data)
    (folder / "said").touch()
    started, result = len(list((folder / "pool").iterdir())), Result()
    until = time.monotonic() + 60 * minutes
    while time.monotonic() < until:
        (folder / "done").write_text("0")
        command = [sys.executable, "-m", "tests.fuzz_hdf5", "--worker", f"{seed}", f"{until}"]
        ended = subprocess.run(
            [*command, "--out", folder], stderr=subprocess.PIPE, text=True, check=False
        )
        result.readings += int((folder / "done").read_text())
        if ended.returncode:
            why = _reason(ended.returncode, ended.stderr)
            shutil.copy(folder / "now.nir", folder / f"failure-{len(result.failures)}-{seed}.nir")
            result.failures.append(why)
            print(f"seed {seed}: {why}", flush=True)
        seed += 1
    result.new = len(list((folder / "pool").iterdir())) - started
    return result


def _reason(status: int, stderr: str) -> str:
    if status == -signal.SIGVTALRM:
        return f"a hang: more than {CPU_SECONDS} s"
    if status < 0:
        return f"a crash: {signal.Signals(-status).name}"
    return " / ".join(stderr.strip().splitlines()[-3:])


def main() -> int:
    """Fuzz for some minutes. Returns 1 if a file did what none may do."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="keeps the pool and files that failed")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        worker(asked.out, int(asked.worker[0]), float(asked.worker[1]))
        return 0
    with contextlib.ExitStack() as stack:
        folder = asked.out or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        result = fuzz(folder, asked.minutes, asked.seed)
        print(f"{result.readings} readings, {result.new} files that said something new, "
              f"{len(result.failures)} failures")  # fmt: skip
    return bool(result.failures)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
