"""Options of the command line in the words of the library: ``--from norse`` is ``writer="norse"``.

Findings name the options of the commands. Exceptions and warnings are read by people who write
Python.
"""

from __future__ import annotations

import re
from collections.abc import Callable

# Option, name in Python, values that may follow the option in a text.
NUMBER = r"(?:[\d.][\d.e+-]*\b|SECONDS|N\b)"
ARGUMENTS = {
    "dt": ("dt", NUMBER),
    "seed": ("seed", NUMBER),
    "effort": ("effort", r"(?:quick|normal|thorough)\b"),
    "time-limit": ("time_limit", NUMBER),
    "weight-bits": ("weight_bits", NUMBER),
    "reset": ("reset", r"(?:model|zero|subtract|none)\b"),
    "discretise": ("discretise", r"(?:euler|exponential)\b"),
    "readout": ("readout", r"(?:li|if)(?::[\w.]+)?\b"),
    "from": ("writer", r"(?:[a-z]+(?:,\w+=[\w.|+-]*\w)*|NAME\b)"),
    "calibrate": ("calibrate", r"FILE(?:\.npz)?"),
    "mode": ("mode", r"(?:[a-z]+|NAME)(?=`)"),
    "record": ("record", r"(?:[\w.]+)(?=`)"),
    "data": ("inputs", r"FILE(?:\.npz)?"),
    "out": ("directory", r"DIR"),
    "target": ("target", r"[\w:]+(?=`)"),
}
FLAGS = {"strict": "strict=True", "force": "force=True"}
QUOTED = {"effort", "reset", "discretise", "readout", "writer", "mode", "target", "record"}
UNKNOWN = {"SECONDS", "N", "FILE", "FILE.npz", "DIR", "NAME"}  # stand for a value


def in_python(text: str) -> str:
    """Return ``text`` with the options of ``nirc`` as arguments of the library's functions."""
    if "--" not in text:
        return text
    text = text.replace("--target all", "nirc.compare_targets(model)")
    text = re.sub(r"--set (\w+)=([\w.]+)", r'chip={"\1": "\2"}', text)
    text = re.sub(r"--input (host|dvs|VALUE)", r'chip={"input": "\1"}', text)
    text = re.sub(r"--(?:set|input)(?![\w-])", "chip", text)
    for option, argument in FLAGS.items():
        text = re.sub(rf"--{option}(?![\w-])", argument, text)
    for option, (argument, values) in ARGUMENTS.items():
        text = re.sub(rf"--{option}(?![\w-])(?: ({values}))?", _written(argument), text)
    return text


def _written(argument: str) -> Callable[[re.Match[str]], str]:
    def written(match: re.Match[str]) -> str:
        value = match[1]
        if value is None:
            return argument
        if value in UNKNOWN:
            return f"{argument}=..."
        return f'{argument}="{value}"' if argument in QUOTED else f"{argument}={value}"

    return written
