"""Every model of the NIR paper and of the zoo on every chip, as the emulators answer: makes
docs/results.md.

    python benchmarks/results.py [-o docs/results.md] [--only NAME ...]

The paper's data sets are not at hand: its networks get random rasters (seed 0, the rate is in the
table), so a cell says how often the chip's arg-max is the model's. The zoo's files have data: a
quarter calibrates, the rest is measured.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.api import Compiled, Options, compile_model
from nirc.chip import registry
from nirc.chip.running import flat_raster
from nirc.diagnostics.errors import NircError
from nirc.diagnostics.log import Log
from nirc.report.score import score
from nirc.semantics.run import run

DATA = Path(__file__).parents[1] / "tests/data"
Array = NDArray[Any]


@dataclass(frozen=True)
class Model:
    """A model file, how it was trained, and the rate of random inputs (spikes per channel and step)
    without data.
    """

    title: str
    file: str
    reset: str
    dt_s: float | None = None
    rate: float = 0.1
    steps: int = 100
    samples: int = 50

    @property
    def path(self) -> Path:
        """The NIR file."""
        return DATA / self.file


PAPER = (
    Model("LIF", "paper/lif_norse.nir", "model", dt_s=1e-4, rate=0.3, steps=1000, samples=20),
    Model("SCNN (N-MNIST)", "paper/cnn_sinabs.nir", "subtract", rate=0.02, steps=30, samples=40),
    Model(
        "SRNN (Braille, no bias, subtract)", "paper/braille_noDelay_noBias_subtract.nir", "subtract"
    ),
    Model("SRNN (Braille, bias, zero)", "paper/braille_noDelay_bias_zero.nir", "zero"),
)
ZOO = (
    Model("basicmotions_lif_ff", "zoo/basicmotions_lif_ff.nir", "zero"),
    Model("japanesevowels_rsnn", "zoo/japanesevowels_rsnn.nir", "zero"),
    Model("digits_lif_mlp", "zoo/digits_lif_mlp.nir", "zero"),
    Model("digits_if_cnn", "zoo/digits_if_cnn.nir", "subtract"),
)


@dataclass(frozen=True)
class Data:
    """``inputs`` (samples, steps, channels...) and ``labels``; ``sample`` are the inputs to
    calibrate with.
    """

    inputs: Array
    labels: Array | None = None
    sample: Array | None = None


def data_of(model: Model) -> Data:
    """The zoo's data, the first quarter to calibrate with; random rasters where there is none."""
    file = model.path.with_suffix(".npz")
    if file.exists():
        with np.load(file) as held:
            inputs, labels = held["inputs"], held["labels"]
        quarter = len(inputs) // 4
        return Data(inputs[quarter:], labels[quarter:], inputs[:quarter])
    made = compile_inputs(model)
    rng = np.random.default_rng(0)
    return Data((rng.random((model.samples, model.steps, made)) < model.rate).astype(np.int64))


def compile_inputs(model: Model) -> int:
    """Input channels of the model."""
    from nirc.api import lower
    from nirc.ir.populations import Source

    stages = lower(
        str(model.path), Options(dt_s=model.dt_s, reset=model.reset, writer="nir"), log=Log()
    )
    return sum(source.n for source in stages.discrete.nodes(Source).values())


def cell(model: Model, chip: str, data: Data, *, calibrated: bool) -> str:
    """What one chip answers, or the limits that forbid it."""
    log = Log()
    options = Options(dt_s=model.dt_s, reset=model.reset, writer="nir")
    try:
        made = compile_model(
            str(model.path), chip, options, log=log, calibration=data.sample if calibrated else None
        )
    except NircError as refusal:
        worst = {
            d.code: f"{d.code}: "
            + ", ".join(filter(None, (d.found, f"limit {d.limit.split(' (')[0]}")))
            for d in refusal.diagnostics
            if d.severity == "error"
        }
        return "no. " + "; ".join(list(worst.values())[:3])
    return f"{made.mapped.target.variant}, {_cores(made)}{_answers(made, data)}"


def _cores(made: Compiled) -> str:
    use = made.mapped.utilisation
    name = next((n for n in ("cores", "processing elements") if n in use), None)
    return "" if name is None else f"{use[name][0]} {name}, "


def _answers(made: Compiled, data: Data) -> str:
    raster = flat_raster(data.inputs, len(made.bundle.manifest["input_map"]), Log())
    teacher = run(made.stages.reference, raster).outputs
    found = score("device", made.bundle.run(raster).outputs, teacher, data.labels)
    model = score("float", teacher, teacher, data.labels)
    low, high = found["agreement_interval"]
    if teacher.shape[2] == 1:
        same = float((made.bundle.run(raster).outputs == teacher).mean())
        return (
            f"spikes equal in {same:.2%} of the steps ({found['spikes']:.0f} of "
            f"{model['spikes']:.0f})"
        )
    right = (
        ""
        if found["accuracy"] is None
        else f"accuracy {found['accuracy']:.3f} (float {model['accuracy']:.3f}), "
    )
    return f"{right}agreement {found['agreement']:.3f} ({low:.2f}-{high:.2f})"


def table(models: tuple[Model, ...], *, calibrated: tuple[bool, ...]) -> Iterator[str]:
    """Rows of Markdown: models down, chips across."""
    chips = list(registry.backends())
    yield "| model | " + " | ".join(chips) + " |"
    yield "|---" * (len(chips) + 1) + "|"
    for model in models:
        data = data_of(model)
        for with_sample in calibrated:
            title = f"{model.title}, calibrated" if with_sample else model.title
            yield (
                f"| {title} | "
                + " | ".join(cell(model, chip, data, calibrated=with_sample) for chip in chips)
                + " |"
            )


HEAD = """# Results

Made by `python benchmarks/results.py`; nothing here is typed by hand. All figures are the
emulators', which are bit-exact to the chips' public rules; no chip was at hand. Intervals are 95 %.
Speck runs summed up step by step;
event by event: [fidelity](reference/fidelity.md).
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--out", type=Path, help="Markdown file to write; default: print")
    parser.add_argument(
        "--only", nargs="*", default=(), help="titles that contain one of these words"
    )
    asked = parser.parse_args()

    def chosen(models: tuple[Model, ...]) -> tuple[Model, ...]:
        return tuple(
            m for m in models if not asked.only or any(word in m.title for word in asked.only)
        )

    lines = [HEAD, "## The networks of the NIR paper", ""]
    lines.append(
        "Random inputs: the data sets are not at hand. A cell says what fits and how often the "
        "arg-max agrees.\n"
    )
    lines += table(chosen(PAPER), calibrated=(False,))
    lines += [
        "",
        "## The zoo",
        "",
        "Calibrated: on the first quarter of the samples. Measured: on the rest.",
        "",
    ]
    lines += table(chosen(ZOO), calibrated=(False, True))
    text = "\n".join(lines) + "\n"
    if asked.out is None:
        print(text, end="")
    else:
        asked.out.write_text(text)


if __name__ == "__main__":
    main()
