"""Run a bundle's program wherever it is, and save the answer: python -m nirc_target_c.board DIR.

  --data IN.npz                                  compile network.c with `cc`, and run it here
  --data IN.npz --program "./braille all"        run a program that was compiled with -DNIRC_MAIN
  --data IN.npz --program "ssh pi ./braille all" the same on another machine
  --data IN.npz --record all                     also save spikes and membranes of all populations
  --check                                        check all files, run nothing

A program reads and prints as main() of network.c does, with an argument, so that it prints all
states. A microcontroller may read and print the same lines over a serial port. OUT.npz is what
`nirc run` writes, so that `nirc compare` compares the two.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nirc.diagnostics.errors import NircError
from nirc.files.board import BundleError, DeployError, LateError, Layout
from nirc.files.description import Tree
from nirc.files.running import Script
from nirc_target_c import compiled, source, tables
from nirc_target_c.bounds import COUNT


class Program:
    """The chip of a ``nirc.files.board.Board``: a command that is started for each sample."""

    continues = False
    more: Mapping[str, Any] = {}

    def __init__(self, directory: Path, options: argparse.Namespace) -> None:
        self.directory = directory
        self.options = options
        self.network = tables.from_npz((directory / tables.FILE).read_bytes())
        self.command: list[str] = shlex.split(options.program or "")
        self.folder: TemporaryDirectory[str] | None = None

    def build(self) -> str:
        """Compile network.c, unless there is a program. Return a line about it."""
        if not self.command:
            self.folder = TemporaryDirectory()
            files = source.files_of(self.network)  # never the text of a file in the bundle
            try:
                self.command = [str(compiled.build(Path(self.folder.name), files)), "all"]
            except NircError as error:
                raise DeployError(str(error)) from None
        return f"the program is {shlex.join(self.command)!a}"

    def ready(self, samples: int) -> None:
        """Do nothing: a program starts from the initial states."""

    def about(self) -> dict[str, Any]:
        """Return the facts for the record of a run."""
        board = self.options.program or f"this machine, by {compiled.COMPILER}"
        return {"board": board, "simulated": False, "packages": ["nirc-target-c"]}

    def play(
        self, counts: Any, wanted: Mapping[str, Any], fresh: bool
    ) -> tuple[Any, dict[str, dict[str, Any]]]:
        """Return outputs (steps, columns), and the states of the neurons of each wanted part."""
        lines = compiled.lines_of(counts[None])
        try:
            done = subprocess.run(
                self.command,
                input=lines,
                capture_output=True,
                check=False,
                timeout=self.options.timeout,
            )
        except subprocess.TimeoutExpired:
            raise LateError("the program has not ended in time; see --timeout") from None
        except OSError as error:
            raise DeployError(f"the program cannot be started: {error}") from None
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()[:300]
            raise DeployError(f"the program ended with status {done.returncode}: {said!a}")
        try:
            run = compiled.parsed(self.network, done.stdout, (1, len(counts)), states=bool(wanted))
        except ValueError as error:
            raise DeployError(f"the program prints something else: {error}") from None
        v = {**run.v, tables.READOUT: run.outputs}
        parts = {}
        for part, neurons in wanted.items():
            parts[part] = {"v": v[part][0][:, neurons]}
            if part in run.spikes:
                parts[part]["spikes"] = run.spikes[part][0][:, neurons]
        return run.outputs[0], parts


def ends_of(trees: Mapping[str, Tree]) -> dict[str, Any]:
    """Return what a manifest may point to: see ``nirc.files.manifest.check_ends``."""
    tree = trees[tables.FILE]
    parts = {block["name"]: block["n"] for block in tree["populations"]}
    outputs = sum(len(output["neurons"]) for output in tree["outputs"])
    return {
        "inputs": tree["channels"],
        "outputs": outputs,
        "kinds": ("spikes", "membrane"),
        "parts": {**parts, tables.READOUT: outputs},
        "silent": (),
    }


def check_text(directory: Path) -> None:
    """Raise ``BundleError`` if the C files are not the text of the tables."""
    network = tables.from_npz((directory / tables.FILE).read_bytes())
    odd = [
        f"{name}: this is not the text of {tables.FILE}; compile the model again"
        for name, text in source.files_of(network).items()
        if (directory / name).read_bytes() != text
    ]
    if odd:
        raise BundleError(odd)


def script(directory: Path) -> Script:
    """Return the command for one bundle."""

    def program(trees: Mapping[str, Tree], layout: Layout, options: argparse.Namespace) -> Program:
        check_text(directory)
        return Program(directory, options)

    def summary(trees: Mapping[str, Tree]) -> list[str]:
        check_text(directory)
        neurons = sum(block["n"] for block in trees[tables.FILE]["populations"])
        return [f"the bundle is as nirc wrote it: {neurons} neurons"]

    def add_options(parser: argparse.ArgumentParser, only: Any) -> None:
        parser.add_argument("--program", metavar="COMMAND", help="the program, with an argument")

    return Script(
        __doc__ or "",
        directory,
        [tables.NETWORK],
        ends_of,
        summary,
        program,
        add_options,
        most=COUNT,
        uploads=False,
    )


def main() -> None:
    """Take the bundle's folder from the command line, and the options behind it."""
    directory = sys.argv[1:2]
    if not directory or directory[0].startswith("-"):
        print(__doc__)
        sys.exit(0 if directory in (["-h"], ["--help"]) else 2)
    script(Path(directory[0])).main(sys.argv[2:])


if __name__ == "__main__":
    main()
