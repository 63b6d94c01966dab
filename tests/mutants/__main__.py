"""Try mutants: ``python -m tests.mutants ROOM... [--count N] [--seed N]``.

A mutant is a small fault in one place of the code, like ``<`` for ``<=``. For each, a process is
forked that has imported the code and collected the tests. It gets the fault, and the quickest tests
that run the line. A mutant is killed if a test fails. Each survivor that ``survivors.toml`` does
not argue is printed, and the status is 1.

Why no tool of others: mutmut leaves out decorated functions, so all kernels and properties, and
numbers at the top of a module. Cosmic Ray starts Python and the whole suite for each mutant. Both
write mutants into files, one by one.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import time

import pytest

from tests.mutants.choose import chosen, tests_of
from tests.mutants.judge import KILLED, UNTESTED, Judge
from tests.mutants.rooms import ROOMS, SAMPLE
from tests.mutants.survivors import Argument, arguments
from tests.mutants.trace import CACHE, traced


def main() -> int:
    """Try the mutants of the rooms, and print the counts."""
    options = _options()
    listed = arguments()
    bad = 0
    for name in options.rooms or ROOMS:
        bad += _room(name, options, listed)
    return int(bad > 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants", description=__doc__.splitlines()[0]
    )
    parser.add_argument("rooms", nargs="*", choices=[*ROOMS, "sample", []], metavar="ROOM")
    parser.add_argument("--count", type=int, default=100, help="mutants of each room, 0 for all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--skip", type=int, default=0, help="mutants of the draw to leave out")
    parser.add_argument("--only", default="", help="files or functions that have this in their key")
    parser.add_argument("--seconds", type=float, help="CPU of the tests of a mutant")
    parser.add_argument("--tests", nargs="*", help="other tests than the room's")
    parser.add_argument("--verbose", action="store_true")
    return parser.parse_args()


def _room(name: str, options: argparse.Namespace, listed: list[Argument]) -> int:
    """Try the mutants of one room. Return the number of survivors without an argument."""
    room = (ROOMS | {"sample": SAMPLE})[name]
    mutants = chosen(room, options.count, options.seed, options.only, options.skip)
    survivors: list[str] = []
    spent: list[float] = []
    counts = {KILLED: 0, "argued": 0}

    def work(judge: Judge) -> None:
        begin = time.process_time() + _children()
        traces = traced(judge, CACHE / name)
        left_out = sorted(set(judge.items) - set(traces))
        _say(f"{name}: {len(traces) - 1} tests traced, {len(left_out)} left out {left_out[:9]}")
        _say(f"{time.process_time() + _children() - begin:.0f} CPU s")
        for mutant in mutants:
            names = tests_of(mutant, traces, room, options.seconds or room.seconds)
            begin = time.process_time() + _children()
            verdict = judge.judged(
                mutant, names, sum(traces[n].seconds for n in names if n in traces)
            )
            took = time.process_time() + _children() - begin
            spent.append(took)
            if verdict == KILLED:
                counts[KILLED] += 1
            elif any(argument.covers(mutant) for argument in listed):
                counts["argued"] += 1
            else:
                survivors.append(mutant.key)
            if options.verbose or (survivors and survivors[-1] == mutant.key):
                tests = "" if verdict == UNTESTED else f" ({len(names)} tests)"
                _say(f"{verdict} {took:.1f} s{tests} line {mutant.lines[0]} {mutant.key}")

    begin = time.process_time() + _children()
    arguments = ["-q", "-p", "no:cacheprovider", "-m", "not oracle"]
    with contextlib.redirect_stdout(io.StringIO()):
        pytest.main([*arguments, *(options.tests or room.tests)], plugins=[Judge(room, work)])
    seconds = time.process_time() + _children() - begin
    killed, argued, tried = counts[KILLED], counts["argued"], len(mutants)
    share = (
        f"{killed / max(tried, 1):.1%}, without the argued {killed / max(tried - argued, 1):.1%}"
    )
    _say(f"{name}: {killed} of {tried} killed, {argued} argued, {len(survivors)} survived: {share}")
    _say(f"{seconds:.0f} CPU s, {sum(spent) / max(tried, 1):.2f} for a mutant")
    return len(survivors)


def _children() -> float:
    import resource

    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


OUTPUT = os.dup(1)  # pytest captures the usual one


def _say(line: str) -> None:
    os.write(OUTPUT, f"{line}\n".encode())


if __name__ == "__main__":
    sys.exit(main())
