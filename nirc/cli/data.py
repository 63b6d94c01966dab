"""The command that turns data that people have into rasters: data."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nirc.cli.arguments import FILE, NEW_FILE, OUTPUT
from nirc.cli.output import Output, printable_path

if TYPE_CHECKING:
    from nirc.files.events import Framing

EPILOG = """\b
Examples:
  nirc data hand.aedat4 -o hand.npz --dt 1e-3 --pool 4 --window 0.5
  nirc data a.raw b.raw -o two.npz --dt 1e-3 --crop 0,0,128,128 --polarity merged
  nirc data spikes.npz -o spikes.nir --dt 1e-4      NIR's recorded data, for other tools
  nirc data recorded.nir -o recorded.npz --dt 1e-4

Time begins at the first event of a file. A sample is a window, or the whole file without --window.
Inputs have the shape (samples, steps, channels, height, width). The framing is kept in the file,
and goes into the manifest of a bundle that is calibrated with it.
"""


NUMBER = re.compile(r"[0-9]{1,9}")
ARRAYS, NIR_DATA = (".npz",), (".nir", ".h5", ".hdf5")


class _Crop(click.ParamType[Any]):
    name = "X,Y,W,H"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return four integers."""
        parts = str(value).split(",")
        if len(parts) != 4 or not all(NUMBER.fullmatch(part.strip()) for part in parts):
            self.fail("four integers are needed, such as 0,0,128,128", param, ctx)
        return tuple(int(part) for part in parts)


@click.command(epilog=EPILOG)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=FILE)
@click.option(
    "-o", "--out", metavar="OUT", type=NEW_FILE, required=True,
    help="OUT.npz, or OUT.nir for NIR's recorded data (needs the package nir).",
)  # fmt: skip
@click.option("--dt", metavar="SECONDS", type=click.FloatRange(0, min_open=True),
              help="Time step, if the file has none.")  # fmt: skip
@click.option("--window", metavar="SECONDS", type=click.FloatRange(0, min_open=True),
              help="Length of a sample; default: the whole file is one.")  # fmt: skip
@click.option("--start", metavar="SECONDS", type=click.FloatRange(0), default=0.0,
              help="Leave out what comes before, after the first event.")  # fmt: skip
@click.option("--crop", type=_Crop(), help="Pixels that are kept; default: all.")
@click.option("--pool", metavar="N", type=click.IntRange(1), default=1, show_default=True,
              help="N x N pixels become one.")  # fmt: skip
@click.option(
    "--polarity", type=click.Choice(["both", "merged", "on", "off"]), default="both",
    show_default=True, help="Two channels (off, on), or one of all, of on or of off events.",
)  # fmt: skip
@OUTPUT
def data(files: tuple[Path, ...], out: Path, output: Output, **options: Any) -> None:
    """Turn recordings into input spikes: events of cameras, arrays of tonic, NIR's data.

    Reads AEDAT4, RAW (EVT2, EVT2.1, EVT3), DAT and ES (needs the extra `events`), .npy with the
    fields t (microseconds), x, y, p, and what --data takes elsewhere.
    """
    with output.about(str(files[0])):
        from nirc.files.bundle import save_bytes
        from nirc.files.events import Framing
        from nirc.files.framing import as_nir_data, as_npz, converted, framed_files, is_recording

        _check_out(files, out, output)
        if is_recording(files[0]):
            if options["dt"] is None:
                output.refuse("events need a time step", help="give it by --dt SECONDS")
            raster = framed_files(files, framing_of(options), output.log)
        elif len(files) > 1:
            output.refuse("only events of cameras are joined", help="name one file")
        elif framing_of(options) != Framing(options["dt"]):
            output.refuse(
                "only events are framed: this file has frames already",
                help="leave --window, --start, --crop, --pool and --polarity away",
            )
        else:
            raster = converted(files[0], options["dt"], output.log)
        make = as_nir_data if out.suffix in NIR_DATA else as_npz
        save_bytes(out, make(raster, output.log), output.log, output.commit)
        shape, spikes = list(raster.inputs.shape), int(raster.inputs.sum())
        output.results |= {"out": str(out), "shape": shape, "spikes": spikes, "dt": raster.dt_s,
                           "framing": raster.framing}  # fmt: skip
        size = " x ".join(map(str, shape))
        output.line(f"inputs {size}, {spikes} spikes in all -> {printable_path(out)}")


def _check_out(files: tuple[Path, ...], out: Path, output: Output) -> None:
    """Refuse an output of an unknown kind, or one that is an input."""
    if out.suffix not in (*ARRAYS, *NIR_DATA):
        output.refuse(
            "the output is of an unknown kind",
            found=f"--out {out.name}",
            help="name OUT.npz, or OUT.nir",
        )
    from nirc.files.running import replaced_by

    if lost := replaced_by(out, files):
        problem = f"the output would replace {lost}"
        output.refuse(problem, found=f"--out {out}", help="name another file")


def framing_of(options: dict[str, Any]) -> Framing:
    """Return the framing that the options ask for."""
    from nirc.files.events import Framing

    return Framing(
        dt_s=options["dt"],
        crop=options["crop"],
        pool=options["pool"],
        polarity=options["polarity"],
        start_s=options["start"],
        window_s=options["window"],
    )
