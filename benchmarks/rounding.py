"""Rounding of weights without training: nearest, sums kept, second order by the spikes.

    python benchmarks/rounding.py [MODEL.nir...] [--target NAME]... [--bits N]... [--json FILE]

Three rules: each weight to the nearest integer, the sum of each neuron's weights kept (the default
without sample inputs), and the second moments of the filtered spikes with errors passed on to the
remaining weights (``nirc/rounding/activity.py``, as ``--calibrate`` rounds). The last minimises the
error of the membrane, as arXiv 2506.03996 does for spiking networks.

The first quarter of each file's samples (MODEL.npz beside it) gives the spikes, the others are
measured. Files are read as they were trained (see ``fidelity.py``). Each line: accuracy and
agreement with the model in percent, and the distance of the outputs' spikes from the model's
(``nirc/calibration/objective.py``). The last lines are the means for each chip and number of bits.
FILE keeps the rows, so that a run can be interrupted and gone on with.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nirc.api import Options, lower
from nirc.calibration.objective import distances
from nirc.chip import registry
from nirc.diagnostics.errors import NircError
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float
from nirc.ir.populations import Population, Source
from nirc.passes.pipeline import run_passes
from nirc.rounding.activity import ByActivity
from nirc.rounding.rule import KEEPING_SUMS, Rounding, Weights
from nirc.semantics.run import run

ZOO = Path(__file__).parents[1] / "tests/data/zoo"
CHIPS = ("spinnaker2", "loihi2", "xylo", "speck")
BITS = (8, 4, 3)
READING = "snntorch,reset={},reset_delay=no"
RULES = ("nearest", "sums", "moments")


class Nearest:
    """Round each weight to the nearest integer."""

    def integers(self, weights: Weights) -> Float:
        """Return the nearest integers in the range."""
        return np.clip(np.rint(weights.exact), weights.low, weights.high)


def measured(path: Path, target: str, bits: int) -> dict[str, Any]:
    """Return the figures of one network. Raises ``NircError`` if the chip cannot have it."""
    with np.load(path.with_suffix(".npz")) as data:
        inputs, labels = data["inputs"], data["labels"]
    inputs = inputs.reshape(*inputs.shape[:2], -1).astype(np.int64)
    cut = len(inputs) // 4
    given, rest, labels = inputs[:cut], inputs[cut:], labels[cut:]
    reading = READING.format("subtract" if "_if_" in path.stem else "zero")
    log = Log()
    stages = lower(path, Options(writer=reading), log=log)
    backend, _ = registry.resolve(target)
    backend = backend.with_options((), log).with_weight_bits(bits, log)
    legal = run_passes(stages.discrete, backend.legalise(), log)
    expected = run(stages.reference, rest).outputs
    rules: dict[str, Rounding] = {
        "nearest": Nearest(),
        "sums": KEEPING_SUMS,
        "moments": ByActivity(signals(legal, given)),
    }
    row: dict[str, Any] = {"network": path.stem, "target": target, "bits": bits}
    row["float"] = float((expected.sum(axis=1).argmax(axis=1) == labels).mean())
    for name, rule in rules.items():
        integer = run_passes(legal, (replace(backend.quantise(), rounding=rule),), Log())  # type: ignore[type-var]
        row[name] = figures(run(integer, rest).outputs, expected, labels)
    return row


def signals(legal: Any, given: Any) -> dict[str, Any]:
    """Return the spikes of sources and populations on the given samples."""
    known = run(legal, given, record=list(legal.nodes(Population))).spikes
    ends = np.cumsum([source.n for source in legal.nodes(Source).values()])
    return known | dict(zip(legal.nodes(Source), np.split(given, ends[:-1], axis=2), strict=True))


def figures(outputs: Any, expected: Any, labels: Any) -> dict[str, float]:
    """Return accuracy, agreement and distance."""
    answers, wanted = (each.sum(axis=1).argmax(axis=1) for each in (outputs, expected))
    return {
        "accuracy": float((answers == labels).mean()),
        "agreement": float((answers == wanted).mean()),
        "distance": float(distances(outputs, expected).mean()),
    }


def line(row: dict[str, Any]) -> str:
    """Return a line of the table."""
    shown = [
        f"{100 * each['accuracy']:6.1f} {100 * each['agreement']:6.1f} {each['distance']:6.3f}"
        for each in (row[rule] for rule in RULES)
    ]
    head = f"{row['network']:<22}{row['target']:<12}{row['bits']}  {100 * row['float']:5.1f}"
    return " |".join([head, *shown])


def means(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Yield points of accuracy lost, agreement and distance for each chip and number of bits."""
    for target, bits in dict.fromkeys((row["target"], row["bits"]) for row in rows):
        some = [row for row in rows if (row["target"], row["bits"]) == (target, bits)]
        parts = []
        for rule in RULES:
            lost = np.mean([row["float"] - row[rule]["accuracy"] for row in some])
            agreement = np.mean([row[rule]["agreement"] for row in some])
            distance = np.mean([row[rule]["distance"] for row in some])
            parts.append(f"{rule} {100 * lost:+.2f} {100 * agreement:.2f} {distance:.3f}")
        yield (
            f"{target}, {bits} bits, {len(some)} networks: lost, agreement, distance: "
            + "; ".join(parts)
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--target", action="append")
    parser.add_argument("--bits", action="append", type=int)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    known = json.loads(given.json.read_text()) if given.json and given.json.exists() else []
    rows = []
    for target in given.target or CHIPS:
        for bits in given.bits or BITS:
            for path in given.models or sorted(ZOO.glob("*.nir")):
                key = {"network": path.stem, "target": target, "bits": bits}
                row = next((each for each in known if key.items() <= each.items()), None)
                try:
                    row = row or measured(path, target, bits)
                except NircError as error:
                    print(f"{path.stem} on {target}: {error.diagnostics[-1].code}", flush=True)
                    continue
                rows.append(row)
                print(line(row), flush=True)
                if given.json:
                    known = [each for each in known if each != row] + [row]
                    given.json.write_text(json.dumps(known, indent=1) + "\n")
    print("\n".join(means(rows)))


if __name__ == "__main__":
    main()
