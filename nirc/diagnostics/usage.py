"""Findings: options and data, and bugs in nirc."""

from __future__ import annotations

from collections.abc import Sequence

from nirc.diagnostics.errors import BugError, InputError, UsageError
from nirc.diagnostics.finding import Finding, Grade, Stated, Words
from nirc.diagnostics.similar import did_you_mean


class UnknownTarget(Finding):
    code = "U601"
    title = "unknown target or variant"
    expects = True
    raises = UsageError
    meaning = """
    `--target` names a chip for which no backend is installed, or a variant that the chip does not
    have. Targets are written `chip` or `chip:variant`. The message lists what exists, and asks for
    the name that is nearest to what was typed.
    """
    example = """
    `--target xylo:audio1`: the variants are `audio2`, `audio3` and `imu`. `--target zylo`: there
    is no such chip.
    """
    what_to_do = """
    `nirc targets` lists all chips, `nirc targets xylo` the variants with their limits. A chip of a
    package of its own (entry point `nirc.backends`) appears there once the package is installed in
    the same environment.
    """
    sources = """
    The entry points of the group `nirc.backends`, and the targets that each backend declares.
    """

    asked: str  # as typed: a chip, or chip:variant
    chip: str = ""  # the chip of which the variant is unknown
    known: Sequence[str]

    def words(self) -> Words:
        message = f"there is no target `{self.asked}`"
        otherwise = "nirc targets"
        if self.chip:
            variant = self.asked.partition(":")[2]
            message = f"`{self.chip}` has no variant `{variant}`"
            otherwise = f"nirc targets {self.chip}"
        help_ = did_you_mean(self.asked, self.known, otherwise)
        return Words(message, found=self.asked, limit=", ".join(self.known), help=help_)


class DirectoryInUse(Finding):
    code = "U602"
    title = "the output directory is not empty and not a bundle"
    raises = UsageError
    meaning = """
    nirc writes a bundle into a directory that does not exist, is empty, or holds a bundle and
    nothing else, which is replaced. This one holds other files, holds a bundle of which a file was
    changed by hand, or is a file. So that nothing of yours is lost, nirc leaves it alone.
    """
    example = """
    `nirc model.nir --target xylo -o .` in a directory with models: the message names the first
    file that does not belong to a bundle. Notes that were put into an old bundle count as well, and
    so do changes of its `deploy.py`.
    """
    what_to_do = """
    Name another directory with `--out`. With `--force` the files of the bundle are added to the
    directory: those of the same name are replaced, all others stay. A bundle that was changed by
    hand is replaced.
    """
    sources = """
    `nirc/files/bundle.py`; a bundle is recognised by its `manifest.json`, which lists its files.
    """

    directory: str
    stranger: str  # the first name that is not of a bundle

    def words(self) -> Words:
        return Words(
            f"`{self.directory}` exists and holds something that is not of this bundle",
            found=self.stranger,
            help="name another directory with --out, or add the files to it with --force",
        )


class EditedBundle(DirectoryInUse):
    """A bundle of which somebody has changed a file."""

    def words(self) -> Words:
        return Words(
            f"`{self.directory}` holds a bundle whose `{self.stranger}` was changed by hand",
            found=self.stranger,
            help="name another directory with --out, or replace the bundle with --force",
        )


class NoDirectory(DirectoryInUse):
    """The place of a bundle is a file or a link."""

    stranger: str = ""

    def words(self) -> Words:
        return Words(
            f"`{self.directory}` is a file or a link, not a directory",
            help="name another directory with --out",
        )


class DirectoryHeld(DirectoryInUse):
    """A directory that cannot be renamed."""

    stranger: str = ""

    def words(self) -> Words:
        return Words(
            f"`{self.directory}` cannot be replaced by a bundle: it is the current directory, or a "
            "disk is mounted there",
            help="name a new directory inside it with --out, or write the files there one by one "
            "with --force",
        )


class UnreadableData(Stated):
    code = "U603"
    title = "the data file cannot be read as input rasters"
    expects = True
    raises = InputError
    meaning = """
    The file after `--data` or `--calibrate` does not hold spike counts that can be fed to a
    network: it is missing or of another kind, it is damaged or larger than 4 GiB, an array is
    missing, is not real numbers (pickled objects are never opened), or holds values that are no
    counts (negative, fractional, NaN). The message names the array.
    """
    example = """
    `inputs` between 0 and 1 after normalisation: "a value is not a spike count", found "0.25 at
    index (0, 0, 3); 811 more are wrong". Events without a time step: "events need a time step to
    be counted in".
    """
    what_to_do = """
    Write `np.savez("data.npz", inputs=counts, labels=classes, dt=1e-4)` with `inputs` of shape
    (samples, steps, ...input shape), integers from 0 on; `labels` (samples,) and `dt` in
    seconds are optional. Also read: a bare .npy of `inputs`, and nir's recorded data
    (`nir.write_data`): of the node called `input` or the only node the observable `spikes` or the
    only one. Turn analog values into spikes first, by rate or latency coding, as in training.
    """
    sources = "`nirc/files/data.py`; nir 1.0.8, `nir.data_ir`."


class RasterDoesNotFit(Stated):
    code = "U604"
    title = "the raster does not fit the network's inputs"
    expects = True
    raises = InputError
    meaning = """
    As an error: the axes of `inputs` after samples and steps have another number of entries than
    the model's inputs together. As a warning: `inputs` has only two axes and is read as one sample
    of (steps, channels), which is right for a single recording, and wrong if the axes are
    (samples, channels).
    """
    example = """
    A network with 64 inputs and `inputs` of shape (497, 24, 8, 9): found "shape (497, 24, 8, 9)",
    limit "(samples, steps, 64 channels in all)". (100, 12) gives the warning.
    """
    what_to_do = """
    `nirc inspect model.nir` shows the shape of the input. Bring the array into (samples, steps,
    ...input shape); the shape may be flattened, in C order. For one sample write `inputs[None]`.
    """
    sources = "The contract of the command line: FILE.npz."


class LabelsOutOfRange(RasterDoesNotFit):
    """Labels name classes that no output stands for."""

    severity = "warning"
    where: str = "labels"
    problem: str = "some labels name classes that the network has no output for"
    help: str = "classes count from 0"
    largest: int  # label
    outputs: int

    def words(self) -> Words:
        limit = f"0 to {self.outputs - 1}"
        return Words(self.problem, found=self.largest, limit=limit, help=self.help)


class RowsReadAsSample(RasterDoesNotFit):
    """Inputs of two axes are one sample."""

    severity = "warning"
    problem: str = "inputs of two axes are read as one sample of (steps, channels)"
    help: str = "add an axis: inputs[None]"


class UnusableBundle(Stated):
    code = "U605"
    title = "the bundle is damaged, incomplete or of another version"
    expects = True
    raises = InputError
    meaning = """
    A file of the bundle is missing, cannot be read, or is not what nirc wrote: its SHA-256 differs
    from the one in `manifest.json`, the manifest itself lacks fields or belongs to another
    version's format, or `config.json` is no configuration. Results of such a bundle would mean
    nothing, so it is not run.
    """
    example = """
    A weight in `config.json` was changed by hand: "`config.json` is not the file that nirc wrote",
    with the beginning of both digests. Or a bundle was copied without `manifest.json`.
    """
    what_to_do = """
    Compile again, with the same options as in `options` of the manifest: same model, options and
    version give the same bytes. To try other weights, change the model. If copying damaged the
    file, copy again.
    """
    sources = "`nirc/files/bundle.py`; the format of the manifest is in docs."


class UnknownName(Finding):
    code = "U606"
    title = "unknown diagnostic code, pass or population"
    expects = True
    raises = UsageError
    meaning = """
    A name on the command line means nothing: the code given to `nirc explain`, the pass given to
    `--print-ir-after`, or the population given to `--record`. The message lists what exists, or
    what is spelt in a similar way.
    """
    example = """
    `nirc explain G29` suggests G219 and G209. `--record lif3` where the populations are `lif1` and
    `lif2`.
    """
    what_to_do = """
    Copy the name from the message. Codes are in brackets in every diagnostic, as in
    `warning[G209]`. Populations have the names of the model's nodes, those of nested graphs joined
    by dots: `nirc inspect` lists them.
    """
    sources = "The table of codes, of passes (`nirc/chip/registry.py`) and the model itself."

    kind: str  # diagnostic code, pass, population
    name: str
    known: Sequence[str] = ()
    help: str = ""

    def words(self) -> Words:
        message = f"there is no {self.kind} `{self.name}`"
        return Words(message, found=self.name, limit=", ".join(self.known), help=self.help)


class OptionMakesNoSense(Stated):
    code = "U607"
    title = "an option has a value that makes no sense"
    expects = True
    raises = UsageError
    meaning = """
    The value of an option is not one that it can have: not a number, out of range, or not one of
    the words that it knows. Nothing has been written.
    """
    example = """
    `--dt 0`, `--dt nan`, `--time-limit -1`, `--seed -1`, `--set input=camera`, `--mode fast`, or
    in Python `nirc.compile(model, "xylo", reset="soft")`.
    """
    what_to_do = """
    The limit in the message says what is allowed. `--dt` is in seconds: 0.1 ms is `--dt 1e-4`.
    `--reset` knows `model`, `zero`, `subtract` and `none`. `--set NAME=VALUE` (`--input VALUE` for
    the option `input`) takes the chip's own options, which `nirc targets NAME` lists; `nirc run
    --mode` takes the ways in which the chip's emulator can run. If a search was given too little
    work to find anything, allow it more time.
    """
    sources = "`nirc --help`."


class WrongType(OptionMakesNoSense):
    """An argument of the library has a value of another type."""

    problem: str = ""
    argument: str
    value: object

    def words(self) -> Words:
        kind = type(self.value).__name__
        return Words(f"`{self.argument}` cannot be of type {kind}", found=kind, limit=self.limit)


class CannotWrite(Finding):
    code = "U608"
    title = "the bundle cannot be written"
    raises = UsageError
    meaning = """
    The bundle could not be written: the operating system refused. nirc writes beside the place and
    renames at the end, so an older bundle there is as it was, and nothing half-made is left (with
    `--force` into a directory with other files, single files may be new already).
    """
    example = """
    The disk is full; the directory above `--out` is not yours to write; the path is on a file
    system that is mounted read-only.
    """
    what_to_do = """
    The message contains the system's reason. Make room, or name another place with `--out`, then
    compile again.
    """
    sources = "`nirc/files/bundle.py`; the error of the operating system."

    path: str
    reason: str
    help: str = "name another file"

    def words(self) -> Words:
        message = f"`{self.path}` cannot be written: {self.reason}"
        return Words(message, found=self.path, help=self.help)


class DataTimeStep(Finding):
    code = "U609"
    title = "the data's time step differs from the model's"
    expects = True
    severity = "warning"
    raises = InputError
    meaning = """
    The data file says how long its steps are (`dt`), and it is not the time step of the model or
    of `--dt`. The raster is used as it is, one row a step, so the network sees the input faster or
    slower than it was recorded, and its answer may mean little.
    """
    example = """
    Data with dt = 1e-3 and a model whose parameters imply 1e-4 (P309): "the data's steps are 0.001
    s, the model's 0.0001 s". Differences below 0.1 % are not mentioned.
    """
    what_to_do = """
    If the data's value is a mistake, correct it. If the model's is, give the right one by `--dt`.
    If both are right, bin the data anew: adding neighbouring steps makes them longer; shorter ones
    need the original events.
    """
    sources = "`nirc/files/data.py`; `nirc/report/verify.py`."

    data_s: float
    model_s: float

    def words(self) -> Words:
        found, limit = f"{self.data_s:g} s", f"{self.model_s:g} s"
        message = f"the data's steps are {found}, the model's {limit}"
        return Words(message, found=found, limit=limit)


class NoMapping(Finding):
    code = "U610"
    title = "the bundle has no mapping to show"
    raises = UsageError
    meaning = """
    `nirc mapping` shows which core of a many-core chip holds which neurons, as the file
    `floorplan.json` of a bundle says. Bundles for chips without a choice of cores (Xylo has one
    core; Speck's few cores are in `config.json`) have no such file.
    """
    example = """
    `nirc mapping braille.xylo`: "a bundle for xylo:audio2 has no floorplan.json: on this chip there
    are no cores to choose".
    """
    what_to_do = """
    How full the chip is stands in `report.json` under `utilisation`, and is printed when you
    compile. For a table of cores, compile for a many-core target; `nirc targets` lists them all.
    """
    sources = "`nirc/report/mapping.py`."

    target: str
    missing: str  # the file
    files: Sequence[str]  # of the bundle

    def words(self) -> Words:
        return Words(
            f"a bundle for {self.target} has no {self.missing}: on this chip there are no cores to "
            "choose",
            found=", ".join(self.files)[:200],
            help="`nirc mapping` is for many-core chips; how full this one is stands in "
            "report.json: `utilisation`",
        )


class NoSpikesToCalibrate(Finding):
    code = "U612"
    title = "the inputs to calibrate with have no spikes"
    severity = "warning"
    raises = InputError
    meaning = """
    Every value after `--calibrate` is 0. A calibration also makes up inputs of its own, of every
    rate, so it still does something, but nothing in it knows what the network will see.
    """
    example = """
    "the inputs to calibrate with have no spikes", found "40 silent sample(s)": the array holds
    rates that were cast to integers, all below 1, so that each became 0.
    """
    what_to_do = """
    Draw spikes first: `inputs = (rng.random(rates.shape) < rates).astype(int)`; or take samples as
    the network was trained on. `nirc verify --data` warns of outputs without a spike on the same
    file.
    """
    sources = "A choice of nirc: docs/reference/fidelity.md."

    samples: int

    def words(self) -> Words:
        return Words(
            "the inputs to calibrate with have no spikes: only inputs that nirc makes up count",
            found=f"{self.samples} silent sample(s)",
            help="give samples as the network will see them",
        )


class UnknownSimulator(Finding):
    code = "U613"
    title = "the simulator of the network is not known"
    expects = True
    raises = UsageError
    meaning = """
    `nirc.record` runs networks of snnTorch, Norse, Sinabs and of Rockpool's torch modules. It
    finds modules of none of them in the network, or of several.
    """
    example = "A network of plain torch modules. A `nir.NIRGraph` in the place of a network."
    what_to_do = """
    Give the `torch.nn.Module` with the simulator's neurons in it. `simulator="norse"` says which
    of several is meant. For other simulators docs/from-your-simulator.md shows how to record
    outputs by hand.
    """
    sources = "nirc/recording."

    asked: str
    known: Sequence[str]

    def words(self) -> Words:
        message = "this simulator is not known to nirc.record"
        return Words(message, found=self.asked[:60], limit=", ".join(self.known))


class UnclearSimulator(UnknownSimulator):
    """No simulator was asked for, and the network's modules do not show one."""

    asked: str = ""
    found: str  # names of simulators, or of the network's type

    def words(self) -> Words:
        return Words(
            "it is unclear which simulator the network runs in",
            found=self.found,
            limit=", ".join(self.known),
            help="give a torch.nn.Module; simulator=NAME says which of several",
        )


class PackageMissing(Finding):
    code = "U614"
    title = "a package that a function of the library needs is not installed"
    raises = UsageError
    meaning = """
    `nirc.record` runs the network itself and needs torch. `nirc.neurobench` is measured by
    NeuroBench, which needs torch and snnTorch. A package is missing in this environment.
    """
    example = "`nirc.record(...)` in an environment that has nirc and numpy only."
    what_to_do = """
    Call it in the environment in which the network runs, with nirc installed there: `pip install
    'nirc-compiler[record]'`, or `[neurobench]`.
    """
    sources = "The extras `record` and `neurobench` in `pyproject.toml`."

    function: str
    extra: str
    reason: str  # of the failed import

    def words(self) -> Words:
        return Words(
            f"{self.function} needs a package that is missing: {self.reason}",
            help=f"pip install 'nirc-compiler[{self.extra}]', into the environment of the "
            "simulator",
        )


class UnusablePlugin(Finding):
    code = "U615"
    title = "a plugin cannot be used"
    raises = UsageError
    meaning = """
    An installed package offers a chip (entry point `nirc.backends`) or a writer (`nirc.writers`)
    that cannot be imported, or that is not an object of the right type. It is left out with a
    warning, and everything else goes on. Where it is asked for by name, this is an error. The
    message names the package, its entry point and the cause. Two packages may also offer the same
    name: the built-in one is taken, else that of the first package in the order of the alphabet.
    """
    example = """
    "`mychip` of the package mychip is left out", found "ModuleNotFoundError: No module named
    'mychip'": the folder of a package that was installed with `pip install -e` has moved.
    """
    what_to_do = """
    `python -c "import mychip"` shows the whole traceback. Install the package again, or remove it:
    `pip uninstall mychip`. In your own package: `BACKEND` is an object of a subclass of
    `nirc.chip.backend.Backend` that has all abstract methods, `WRITER` a
    `nirc.writers.writer.Writer`.
    """
    sources = "The entry points of the installed packages."

    name: str
    package: str
    cause: str
    asked: bool = False  # for by name: an error

    def grade(self) -> Grade:
        return "error" if self.asked else "warning"

    def words(self) -> Words:
        message = "cannot be used" if self.asked else "is left out"
        return Words(
            f"`{self.name}` of the package {self.package} {message}",
            found=self.cause,
            help=f"mend it, or: pip uninstall {self.package}",
        )


class UnreadableBaseline(Finding):
    code = "U616"
    title = "the baseline of accepted findings cannot be read"
    raises = InputError
    meaning = """
    The file after `--baseline` is missing, or is not what `--write-baseline` writes: a JSON object
    with the schema `nirc-baseline/1` and a fingerprint for each accepted finding. Without the
    baseline nobody knows which findings are new, so that nothing is compiled.
    """
    example = """
    `--baseline accepted.json` in a job whose checkout does not have that file.
    """
    what_to_do = """
    Write it once by the same command with `--write-baseline accepted.json`, look at it, and keep it
    beside the model.
    """
    sources = "`nirc/diagnostics/policy.py`."

    reason: str

    def words(self) -> Words:
        return Words(
            "the baseline cannot be read",
            found=self.reason,
            help="write it with --write-baseline",
        )


class LibraryMissing(Finding):
    code = "U617"
    title = "large searches are slow, because the library in C is missing"
    severity = "warning"
    raises = UsageError
    meaning = """
    Placing, routing and splitting a network over many cores are loops in C. The library is built at
    installation. Without it the loops run in Python, some 100 times slower. The answer is the same,
    to the byte. Small networks, and all networks for Xylo, need none of these loops.
    """
    example = """
    `pip install nirc-compiler` from sources, on a machine without a C compiler, and then a
    convolutional network for SpiNNaker2 that needs hundreds of processing elements.
    """
    what_to_do = """
    Install a C compiler such as gcc, and then nirc again. After an update of the sources in place
    the library is older than they are, and not used: `pip install -e .` builds it again. Or wait.
    """
    sources = "`nirc/native/loops.py`; docs/install.md has the sizes."

    def words(self) -> Words:
        return Words(
            "the library in C is missing: this search runs in Python, which is slow",
            help="install nirc again, with a C compiler",
        )


class SystemRefuses(Finding):
    code = "U618"
    title = "the operating system refused what the work needs"
    meaning = """
    There was not enough memory, or a file that nirc needs besides your model could not be opened
    or read: a file of its own installation, or of a package. Nothing has been written.
    """
    example = """
    A model whose weights fill the memory. An installation on a network disk that is gone.
    """
    what_to_do = """
    For memory: close other programs, calibrate with fewer samples, or take a larger machine. For a
    file: the message has the system's reason. Install nirc again if the file is one of its own.
    """
    sources = "The error of the operating system."

    path: str
    reason: str

    def words(self) -> Words:
        what = f"`{self.path}`" if self.path else "a file"
        help_ = "try again; if it stays so, install nirc again"
        return Words(f"{what} cannot be used: {self.reason}", found=self.path, help=help_)


class NoMemory(SystemRefuses):
    """Memory was asked for and refused."""

    path: str = ""
    reason: str = ""

    def words(self) -> Words:
        return Words(
            "there is not enough memory for this work",
            help="close other programs, give fewer samples, or take a larger machine",
        )


class Bug(Finding):
    code = "B901"
    raises = BugError
    title = "a bug in nirc"
    meaning = """
    Something happened that nirc's authors did not foresee: a fault in nirc, not in your model,
    though another model may not run into it. Nothing has been written. The exit status is 70.
    """
    example = "An internal check found that a pass returned a program that contradicts itself."
    what_to_do = """
    Please report it, with the command, the version (`nirc --version`) and, if you may share it,
    the model. The same command with `--debug` prints the traceback, which tells us where it
    happened. To get on meanwhile, try another variant or an export with another version of the
    framework.
    """
    sources = """
    An exception that is none of nirc's own; every fault of a file is meant to end in a diagnostic
    of its own.
    """

    exception: str  # the name of its class
    text: str

    def words(self) -> Words:
        return Words(
            f"{self.exception}: {self.text}",
            help="please report it with the command, the model and the output of --debug",
        )


class RecordingsDoNotMatch(Stated):
    code = "U619"
    title = "two recordings cannot be compared"
    expects = True
    raises = InputError
    meaning = """
    `nirc compare` looks for the first step in which two recordings of one network differ. They
    need at least one population in common, by name, and the same samples, steps and neurons.
    """
    example = """
    `nirc run --record all` beside a board's file that has the outputs of ten samples only:
    "`output` has another shape in the second recording".
    """
    what_to_do = """
    Record both with the same data file, and name the same populations with `--record`. Names are
    those of the bundle: `spikes` (samples, steps, outputs), `spikes/NAME`, `v/NAME`.
    """
    sources = "nirc: the arrays of `nirc run --out`."
