"""Findings: who wrote the file, and what it does not say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from nirc.diagnostics.finding import Finding, Grade, Stated, Words


class WriterRecognised(Finding):
    code = "W201"
    title = "the writer of the file was recognised"
    severity = "note"
    meaning = """
    NIR describes continuous neurons. Each simulator that writes NIR steps them in its own way.
    This file has the fingerprints of one simulator, and nirc steps the network as that simulator
    does. `nirc inspect` lists the fingerprints.
    """
    example = """
    A file with r = tau / 1e-4 in every node, whose time constants carry the float32 rounding of 1
    - beta, comes from snnTorch.
    """
    what_to_do = """
    Nothing, if the name is right. If another program wrote the file, say which: `--from NAME`.
    `--from nir` reads the file by NIR's letter.
    """
    sources = """
    docs/reference/writers.md: the rule of each simulator, measured on networks that the packages
    exported.
    """

    simulator: str
    reasons: tuple[str, ...] = ()
    recorded: str = ""  # the file's own note, where that names the writer

    def words(self) -> Words:
        if self.recorded:
            return Words(f"the file records that {self.simulator} wrote it: {self.recorded}")
        return Words(f"the file was written by {self.simulator}: {'; '.join(self.reasons)}")


class ChoiceNotRecorded(Finding):
    code = "W202"
    title = "the file does not record a choice of its writer"
    expects = True
    meaning = """
    The simulator has an option that its exporter does not write into the file, and the answer of
    the network depends on the option. nirc takes the simulator's own default and names it. Under
    `--strict` the writer must be named with `--from`, and then its defaults are a warning.
    """
    example = """
    snnTorch writes the same file for `reset_mechanism="subtract"` and `"zero"`. The warning says
    reset=subtract, which is the default of `Leaky`. Sinabs does not write whether a neuron may
    fire several times in a step.
    """
    what_to_do = """
    Give the option with which the network was trained: `--from
    snntorch,reset=zero,reset_delay=no`. If you do not know, record what the simulator answers and
    ask `nirc inspect MODEL --data FILE`, whose `outputs` tell which choice reproduces them.
    `nirc.record` writes file, outputs and choices in one call. Spyx leaves out a last layer of
    leaky integrators: where the file ends in weights, `--readout li:STEPS` adds it.
    """
    sources = "docs/reference/writers.md lists what each exporter leaves out."

    writer: str  # with the choices that are made, as --from takes them
    key: str
    value: str  # that is taken
    question: str
    values: str  # all that may be given
    change: str  # what to do if the network differs
    named: bool  # by the user, and with it the simulator's defaults

    def grade(self) -> Grade:
        return "warning" if self.named else "differs"

    def words(self) -> Words:
        taken = f"{self.key}={self.value}"
        return Words(
            f"the file does not say {self.question}: {taken} is taken",
            found=f"{self.writer},{taken}",
            limit=self.values,
            help=f"if the network differs: {self.change}; if not, --from {self.writer},{taken} "
            "says so",
        )


class WriterUnsure(Finding):
    code = "W203"
    title = "the writer of the file is not certain"
    severity = "differs"
    meaning = """
    The file has some fingerprints of one or several simulators, but a person or another tool may
    have written the same numbers. nirc reads it by the letter of NIR, which may not be what the
    network was trained with. Under `--strict` the writer must be named.
    """
    example = """
    Integrate-and-fire neurons with r = 1 and v_reset = 0: Sinabs, Norse and Spyx write them, and
    so do people. Sinabs' neurons fire several times a step and subtract their threshold, NIR's
    letter fires once and resets.
    """
    what_to_do = """
    Name the writer: `--from sinabs`, or `--from nir` if the letter is meant. The letter needs a
    time step where no parameter tells one (P301), which the message then adds: `--from nir --dt
    1e-3`. With recorded outputs `nirc inspect MODEL --data FILE` finds the rule that reproduces
    them.
    """
    sources = "docs/reference/writers.md: evidence for each writer."

    writers: Mapping[str, str]  # titles of the simulators, by the names for --from
    reasons: tuple[str, ...]
    by_letter: str  # the options that read the file by the letter of NIR

    def words(self) -> Words:
        *before, last = self.writers.values()
        either = f"{', '.join(before)} or {last}" if before else last
        options = ", ".join(f"--from {name}" for name in self.writers)
        return Words(
            f"the file may be by {either}, and is read by NIR's letter",
            found="; ".join(self.reasons),
            help=f"say who wrote it: {options}, {self.by_letter}",
        )


class RuleDisagreesWithRecording(Finding):
    code = "W204"
    title = "the rule that is used does not give the recorded outputs"
    expects = True
    severity = "warning"
    meaning = """
    The data file holds what the simulator itself answered (`outputs`), and the float stage gives
    other values. The network that is compiled is then not quite the one that was trained.
    """
    example = """
    A snnTorch network with `reset_mechanism="zero"`, compiled without `--from`: the default
    `subtract` is taken, and 81 % of the entries are equal.
    """
    what_to_do = """
    `nirc inspect MODEL --data FILE` runs every rule, searches for numbers that the file does not
    hold, and says what gives the recorded outputs. Give that with `--from`. If nothing does, the
    exporter has lost something, such as a bias of the neurons or a reset voltage, or the inputs
    are not those of the recording. inspect names a last layer of neurons that the file lacks. Of
    Nengo near is the best there is: its spikes fall between steps. With `--readout` the recording
    is compared with the network before the readout, or with the readout if it comes nearer to
    that. `nirc.record` names the first neuron that departs, and runs the network in float64 as
    well: if that gives what nirc gives, rounding to float32 is the cause, and nothing is wrong
    with the file.
    """
    sources = "docs/reference/writers.md: what each exporter leaves out."

    text: str  # the reading, as ``--from`` takes it
    share: float  # of the recorded outputs that nirc computes
    recorded: float  # of the first output that differs
    computed: float
    sample: int
    step: int
    output: int
    before_readout: bool = False  # the recording is compared with the network before --readout
    near: str = ""  # the reason for which no rule equals the simulator

    def words(self) -> Words:
        place = " before the readout" * self.before_readout
        near = f"; {self.near}" if self.near else ""
        return Words(
            f"read as {self.text}, the model gives {self.share:.2%} of the recorded outputs{place}",
            found=self.at,
            limit=f"{self.recorded:g} recorded",
            help=f"`nirc inspect MODEL --data FILE` says which `--from` gives them{near}",
        )

    @property
    def at(self) -> str:
        """The first output that differs, and its place."""
        return f"{self.computed:g} at sample {self.sample}, step {self.step}, output {self.output}"


class ExportMended(Stated):
    code = "W205"
    title = "what the writer's exporter connects or orders otherwise is mended"
    severity = "warning"
    meaning = """
    The exporter of the recognised simulator is known to write something that its own network does
    not do. nirc restores what the simulator computes, and names the place.
    """
    example = """
    Spyx wires the input of a recurrent cell to `w_rec`, where the network adds it to the neuron.
    Its Flatten counts height, width and channel, where NIR's counts channel, height and width.
    """
    what_to_do = """
    Nothing, if the file is by that simulator. Otherwise read it by the letter: `--from nir`.
    """
    sources = "Measured on files of spyx 1.0.0, docs/reference/writers.md."


class LayerLeftOut(Finding):
    code = "W206"
    title = "the exporter has left out a layer"
    severity = "differs"
    meaning = """
    The recognised simulator numbers its layers, and a number is missing. Its exporter prints a
    warning for layers that it does not know and writes the file without them, so that the file
    holds another network than the one that was trained. Under `--strict` the file is refused.
    """
    example = """
    Spyx: `layer_0` and `layer_2` are in the file. `layer_1` was an ALIF layer, for which NIR has
    no node.
    """
    what_to_do = """
    Replace the layer by one that NIR has, train again and export. If the layer does nothing at
    inference (Dropout), the network is complete and the warning can be ignored.
    """
    sources = "spyx 1.0.0, `nir.py`, measured."

    missing: tuple[int, ...]
    present: tuple[int, ...]

    def words(self) -> Words:
        return Words(
            f"the file lacks layer {', '.join(map(str, self.missing))}: Spyx's exporter leaves out "
            "what it does not know",
            found=", ".join(f"layer_{n}" for n in self.present),
            help="replace ALIF, LI, Dropout and their like by layers that NIR has, and export "
            "again",
        )


class NoteUnusable(Finding):
    code = "W207"
    title = "the file's note of who wrote it cannot be used"
    expects = True
    severity = "warning"
    meaning = """
    A NIR file may say who wrote it: the text `nirc_from` in the metadata of its outermost graph,
    in the form of `--from`. `nirc.record` writes it. This text is damaged, too long, or names a
    simulator or a choice that nirc does not know. nirc ignores it and looks at the fingerprints of
    the file.
    """
    example = "`nirc_from` is `snntorch,reset=never`. A number stands in its place."
    what_to_do = """
    Give `--from` yourself, or record the network again with `nirc.record`. A text of a newer nirc
    may name what an older one does not know.
    """
    sources = "docs/from-your-simulator.md: what `nirc.record` writes."

    problem: str
    found: object = ""
    limit: object = ""
    help: str = ""
    holder: str = "file"  # or graph, for objects of the package nir

    def words(self) -> Words:
        return Words(
            f"the {self.holder}'s note of who wrote it is ignored: {self.problem}",
            found=self.found,
            limit=self.limit,
            help=self.help,
        )


class ReadOtherwise(Finding):
    code = "W208"
    title = "the file is read otherwise than its writer steps"
    expects = True
    severity = "warning"
    meaning = """
    The numbers and names of the file tell which simulator wrote it, but an option, or the note
    that the file carries (`metadata/nirc_from`), asks for another rule. nirc does as it is asked.
    The network that is compiled is then not the one that was trained.
    """
    example = """
    A network of snnTorch with `--from sinabs`: its neurons would reset at once and fire several
    times a step. `--discretise euler` reads the file by the letter of NIR, as `--from nir` does.
    `--reset subtract` on a file that records `reset=zero` wins over the note.
    """
    what_to_do = """
    Leave the option out, or give `--from NAME` with the simulator that trained the network. If you
    want the other rule, ignore the warning: `--from nir` asks for the letter of NIR without it.
    `nirc inspect MODEL --data FILE` shows which rule gives the outputs that your simulator
    recorded.
    """
    sources = "docs/reference/writers.md."

    simulator: str
    writer: str  # its name for --from
    read: str  # the other rule, as the end of a sentence
    found: str
    help: str = ""

    def words(self) -> Words:
        own = f"--from {self.writer} reads it as its simulator does"
        return Words(
            f"{self.simulator} wrote the file, and {self.read}",
            found=self.found,
            limit=self.writer,
            help=f"{self.help}; {own}" if self.help else own,
        )


class NoteOverruled(ReadOtherwise):
    """The option --reset is given, and the file's own note has another reset."""

    simulator: str = ""
    writer: str = ""
    read: str = ""
    found: str = ""
    reset: str
    recorded: str

    def words(self) -> Words:
        return Words(
            f"--reset {self.reset} is used, and the file records another reset",
            found=f"reset={self.recorded}",
            help="leave --reset out to read the network as it was recorded",
        )


class PartWithoutWords(Finding):
    code = "W210"
    title = "NIR has no words for a part of the network that is recorded"
    expects = True
    meaning = """
    `nirc.record` watches the network run and writes each module as a NIR node. Something on the
    way to the output is no such module: a module of an unknown type, a function between modules, a
    state in the place of spikes, an output of an earlier step. A file without it would be another
    network. The message names everything on the way at once.
    """
    example = """
    `torch.relu` between a layer and its neurons. BatchNorm. A network that returns the membrane of
    its last neurons, which a spike would reset. One neuron module that is used for two layers.
    """
    what_to_do = """
    The message names the module or function. Make the network of neurons, Linear, Conv1d, Conv2d,
    AvgPool2d, Flatten and sums of signals. Fuse a BatchNorm into the convolution before it
    (`torch.nn.utils.fusion.fuse_conv_bn_eval`). Put what comes before or after the network outside
    of it. Let the network return the spikes, or a readout that never fires: the membrane of a
    snnTorch layer with `reset_mechanism="none"` is written as a leaky integrator (LI), and gives
    the same numbers as any other layer that never fires.
    """
    sources = "docs/from-your-simulator.md: what is recorded."

    what: str
    help: str = "make it of these modules, or put it outside of the network that is recorded"

    def words(self) -> Words:
        return Words(
            f"NIR has no words for {self.what}",
            limit="neurons of the simulator, Linear, Conv1d, Conv2d, AvgPool2d, Flatten, sums of "
            "signals",
            help=self.help,
        )


class ChoicesDiffer(Finding):
    code = "W211"
    title = "layers of a network differ in a choice that a file can say only once"
    expects = True
    meaning = """
    NIR has no place for some choices of a simulator, such as the reset rule. nirc takes them from
    one text for the whole network (`--from`). Two layers of this network compute by different
    values, so that no text is right for both.
    """
    example = """
    `snn.Leaky(reset_mechanism="zero")` in the first layer and the default `"subtract"` in the
    second.
    """
    what_to_do = "Train the network with one value for all layers."
    sources = "docs/from-your-simulator.md: what each simulator's file does not say."

    key: str
    module: str
    value: str
    other: str  # the first module with this choice
    value_of_other: str

    def words(self) -> Words:
        return Words(
            f"`{self.other}` and `{self.module}` differ in `{self.key}`, which a file can say only "
            "once",
            found=f"{self.key}={self.value} in `{self.module}`",
            limit=f"{self.key}={self.value_of_other} as in `{self.other}`",
            help="train the network with one value for all layers",
        )


class _OfModule(Stated):
    module: str = ""  # its name in the network

    def words(self) -> Words:
        place = f"`{self.module}`: " if self.module else ""
        return replace(super().words(), message=f"{place}{self.problem}")


class ModuleComputesOtherwise(_OfModule):
    code = "W212"
    title = "a file of this module would compute something else"
    meaning = """
    The module does something that neither NIR nor the rule of its simulator in nirc can say. A
    file would be read as another network, so none is written.
    """
    example = """
    `inhibition=True` or `state_quant` in snnTorch, `tau_syn` in Sinabs, noise or several synapses
    a neuron in Rockpool, a surrogate gradient whose forward pass is no step.
    """
    what_to_do = """
    The message names the module, what it does and what can be said. Use that in training.
    """
    sources = "Measured on snntorch 1.0.0, norse 1.1.0, sinabs 3.1.3 and rockpool 3.1.0."


class RecordedBeyondExporter(_OfModule):
    code = "W213"
    title = "a recorded file holds what the simulator's own exporter leaves out"
    severity = "warning"
    meaning = """
    The file that `nirc.record` wrote says more than the simulator's own exporter would. nirc reads
    all of it. The simulator's own importer may not.
    """
    example = """
    The bias of a neuron in Rockpool is written as `v_leak`. Norse's `v_reset` is written.
    snnTorch's `graded_spikes_factor` is written as a Scale behind the neurons.
    """
    what_to_do = """
    Nothing for nirc. Load the file in the simulator only if its importer knows these fields.
    """
    sources = "Measured: docs/from-your-simulator.md."


class CannotRunNetwork(Finding):
    code = "W214"
    title = "the network that is to be recorded cannot be run"
    meaning = """
    The network raised an exception, or it did not give one output for each sample and step.
    """
    example = """
    A network with a loop over its steps, called once a step. `snn.RSynaptic(reset_delay=False)`,
    which raises in snntorch 1.0.0. A network that returns the output of the last step only.
    """
    what_to_do = """
    `layout=` says what the network is called with: `"step"` (samples, ...) once a step, `"steps
    first"` (steps, samples, ...), `"samples first"` (samples, steps, ...), `"folded"` (samples *
    steps, ...). `step=` is a function of your own that makes one step. Return the output of every
    step.
    """
    sources = "The arguments of `nirc.record`."

    error: str
    layout: str

    def words(self) -> Words:
        return Words(
            f"the network cannot be run: {self.error}"[:400],
            found=f"layout {self.layout!r}",
            help="layout= says which axes the network takes, step= how it is called in a step",
        )


class StatesLost(Stated):
    code = "W215"
    title = "the states of the network that is to be recorded are lost between steps"
    meaning = """
    `nirc.record` calls most snnTorch and Norse networks once a step. A network that returns its
    states gets them back as arguments of the next call. nirc watches every neuron: it has to begin
    each call with the states that ended its call before, and the first call of a run with its
    start states. One neuron does not, or it is not clear which returned value is which argument.
    The outputs would be those of another network, so nothing is written.
    """
    example = """
    `forward(self, x)` makes new states by `init_leaky()` in every call. `forward(self, x,
    last=None)` returns its spikes only, and the training loop hands them on as `last`. A state is
    multiplied by hand between two steps.
    """
    what_to_do = """
    Give `step=`, a function that makes one step as your own loop does: `step(x, state)` returns
    output and state, and the first state is None. If the network has a loop over the steps inside,
    say how it is called: `layout="steps first"` or `layout="samples first"`. If the network keeps
    states of an earlier run, give `reset=`, which sets them to their start.
    """
    sources = "The arguments of `nirc.record`."
