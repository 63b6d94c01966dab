"""Findings: what verification measures, and what an export cannot hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from nirc.diagnostics.finding import Finding, Grade, Stated, Words


class AccuracyLost(Finding):
    code = "P312"
    title = "the chip answers worse than allowed"
    meaning = """
    `nirc verify --max-accuracy-drop X` compares the accuracy of the emulated chip with the model's
    own in floating point on the given data, and ends with status 1 where the chip is worse by more
    than X. Without labels the model's answers are taken as right, so the drop is the share of
    samples that the chip answers differently. A chip with several modes must pass in each.
    """
    example = """
    `nirc verify model.nir --target xylo --data test.npz --max-accuracy-drop 0.01` as a step of
    continuous integration: "accuracy at stage `device` is 0.2640 below the model's".
    """
    what_to_do = """
    Look at the stages and the what-if table above: they say which difference of the chip costs
    most. Give sample inputs with `--calibrate`. Train with the chip's reset rule and time
    constants. On few samples look at the 95 % interval before you trust a small drop.
    """
    sources = "nirc; intervals by E. B. Wilson, J. Am. Stat. Assoc. 22 (1927)."

    kind: Literal["agreement", "accuracy"]
    stage: str
    reference: str  # the name of what the chip is compared with
    share: float  # of samples, on the chip
    share_of_reference: float
    interval: tuple[float, float]  # of ``share``, 95 %
    most: float  # the drop that is allowed
    advice: str

    def words(self) -> Words:
        drop = self.share_of_reference - self.share
        low, high = self.interval
        return Words(
            f"{self.kind} at stage `{self.stage}` is {drop:.4f} below the {self.reference}'s",
            found=f"{self.share:.4f}, {self.reference} {self.share_of_reference:.4f}",
            limit=f"a drop of {self.most:g}",
            help=f"95 % interval {low:.4f} to {high:.4f}; {self.advice}",
        )


class PopulationSilent(Finding):
    code = "P313"
    title = "a population falls silent on the chip"
    expects = True
    meaning = """
    On the given inputs a population fires in the model and not once on the emulated chip. Whatever
    depends on it sees nothing. The message names the cause where it is known: a population
    before it that is silent already, the pass from which on it is silent, and each approximation
    of the chip that silences it alone.
    """
    example = """
    Weights of 0.01 beside one of 100 in the same population: they round to zero, and the neurons
    that only they drive never reach their threshold.
    """
    what_to_do = """
    If the pass is a quantisation: calibrate the scales with `--calibrate`, or clip outlying
    weights in training. If it is the reset or a decay: train with the chip's rule, see `nirc
    targets`. D410 counts the weights that round to zero.
    """
    sources = "nirc: a comparison of the recorded spikes of both."

    population: str
    causes: tuple[str, ...]
    spikes: int  # in the model
    samples: int
    calibrated: bool

    def words(self) -> Words:
        calibrate = "" if self.calibrated else "calibrate the scales with --calibrate, or "
        return Words(
            f"`{self.population}` fires in the model and never on the chip: "
            + "; ".join(self.causes),
            found="0 spikes",
            limit=f"{self.spikes} in the model, on {self.samples} sample(s)",
            help=f"{calibrate}compare the stages above",
        )


class NotInNir(Finding):
    code = "P314"
    title = "NIR has no words for a part of the network"
    expects = True
    meaning = """
    `nirc export` writes a stage of the compilation as a NIR file. Some of what a chip computes has
    no primitive in NIR: neurons with two synaptic receptors, a vector that becomes a map again, a
    constant input of thousands of neurons where no matrix is that could hold it, integer dynamics
    that are not linear between spikes.
    """
    example = """
    A network whose leaky readout was folded into a second synapse of Xylo: stage `integer` has two
    receptors.
    """
    what_to_do = """
    Export an earlier stage: `--stage float` always works, `--stage discrete` and `--stage legal`
    mostly do. `nirc verify` compares all stages without any file.
    """
    sources = "NIR specification, Nat. Commun. 15:8122 (2024), table of primitives."

    population: str
    reason: str

    def words(self) -> Words:
        return Words(
            f"the neurons of `{self.population}` have no form in NIR",
            found=self.reason,
            limit="a membrane and at most one synaptic filter",
            help="export an earlier stage",
        )


class LeftOutOfExport(Finding):
    code = "P315"
    title = "something that NIR cannot say is left out of an exported file"
    severity = "warning"
    meaning = """
    The file that `nirc export` wrote holds the parameters of the stage, but a simulator that reads
    it by NIR's rules will not do quite what the chip does. NIR has one reset rule (v := v_reset),
    one spike in a step, and no state before the first step. Saturation and the rounding of states
    on the chip are not in a NIR file either.
    """
    example = """
    "NIR cannot say that a spike subtracts the threshold": the file is for Xylo, whose neurons do.
    """
    what_to_do = """
    Set the reset rule in the simulator (snnTorch `reset_mechanism="subtract"`, sinabs by default,
    nirc `--reset subtract`). For the rest compare with `nirc run`, which is exact.
    """
    sources = "NIR specification, Nat. Commun. 15:8122 (2024)."

    what: str
    help: str = "a simulator that reads the file will differ by this"

    def words(self) -> Words:
        return Words(f"NIR cannot say {self.what}", help=self.help)


class NoAnswers(Finding):
    code = "P316"
    title = "the model answers nothing on some samples"
    severity = "warning"
    meaning = """
    On more than a tenth of the given samples no output of the model itself fires, in floating
    point and before any chip is in play. Chip and model then agree because both have no largest
    count, and the agreement that `nirc verify` prints is too good.
    """
    example = """
    Inputs that were recorded in steps of 0.1 s, given to a model whose step is 0.1 ms; a raster of
    zeros; samples that are cut off before the first output spike.
    """
    what_to_do = """
    Check that the inputs are those of the training: their time step (U609), their scale (spike
    counts, not rates), the order of their axes. Check the reset rule (`--reset`). If silence is a
    right answer for some classes, look at the agreement of the others.
    """
    sources = "nirc: the counts of the model's outputs."

    silent: int  # samples
    samples: int
    most: float  # the share of samples that may be silent

    def words(self) -> Words:
        return Words(
            f"the model's outputs are silent on {self.silent} of {self.samples} sample(s): to "
            "agree on these says nothing",
            found=self.silent,
            limit=f"{self.most:.0%} of the samples",
            help="check that inputs, time step and reset rule are those of the training",
        )


class OutputsSilent(Finding):
    code = "P325"
    title = "no output can ever fire"
    expects = True
    meaning = """
    Whatever comes in, no output of the network on the chip fires. nirc lets every input channel
    and every neuron that can fire send its most spikes in each step, through the positive weights
    alone, and no output reaches its threshold. An output that is read as a membrane never moves.
    Such a bundle would run on a chip and answer nothing, so it is not written.
    """
    example = """
    A threshold of 1e6 beside weights of 0.5: on the chip's grid all the weights are 0. "`n1` can
    never fire: all 12 synapses into it round to zero, in the model it cannot either".
    """
    what_to_do = """
    Look at the population that the message names. If the model itself is silent, the file holds
    other weights or thresholds than were trained: `nirc inspect` shows their ranges. If rounding
    made it silent, give sample inputs with `--calibrate`, or clip outlying weights in training.
    `--allow-silent` writes the bundle all the same.
    """
    sources = (
        "nirc: the largest input of each neuron, through its update rule (`semantics/silence.py`)."
    )

    cause: str
    outputs: int
    in_model: bool  # the model's outputs cannot fire either
    allowed: bool = False
    calibrated: bool = False

    def grade(self) -> Grade:
        """Return a warning where silence is allowed."""
        return "warning" if self.allowed else "error"

    def words(self) -> Words:
        advice = "calibrate the scales with --calibrate"
        if self.in_model or self.calibrated:
            advice = "look at weights and thresholds with nirc inspect"
        return Words(
            f"no output can ever fire, whatever comes in: {self.cause}",
            found=f"0 of {self.outputs} output(s) within reach"
            + (", in the model neither" if self.in_model else ", in the model some are"),
            limit="1 output",
            help=f"{advice}; --allow-silent writes the bundle all the same",
        )


class SomeOutputsSilent(Finding):
    code = "P326"
    title = "some outputs can never fire"
    meaning = """
    Whatever comes in, these outputs do not fire on the chip: their largest possible input does not
    reach the threshold (see P325). It is a warning where the model's own outputs could fire, and a
    note where they could not either.
    """
    example = """
    The weights of one class are a hundred times smaller than those of the others in the same
    population: they round to zero, and the chip never answers that class.
    """
    what_to_do = """
    For a warning, give sample inputs with `--calibrate`, or clip outlying weights in training. A
    note is about the model: outputs at a border that no weight reaches, or an untrained class.
    """
    sources = "nirc: as for P325."

    silent: tuple[int, ...]  # outputs, flat
    outputs: int
    in_model: int  # of the silent, those that cannot fire in the model either

    def grade(self) -> Grade:
        """Return a note where the model's outputs are silent too."""
        return "note" if self.in_model == len(self.silent) else "warning"

    def words(self) -> Words:
        shown = ", ".join(map(str, self.silent[:8])) + (", ..." if len(self.silent) > 8 else "")
        return Words(
            f"{len(self.silent)} of {self.outputs} output(s) can never fire on the chip: {shown}",
            found=f"{self.in_model} of them cannot in the model either",
            help="calibrate the scales with --calibrate; nirc inspect shows weights and thresholds",
        )


class OneAnswer(Finding):
    code = "P327"
    title = "the model answers one class only"
    expects = True
    severity = "warning"
    meaning = """
    On all the given samples with an answer, the largest count of the model itself, in floating
    point, is at the same output. Any chip that does the same agrees completely, so agreement says
    nothing here.
    """
    example = """
    A bias that drives one output in every step; inputs of another scale than in training; samples
    of one class.
    """
    what_to_do = """
    Give samples of several classes. Check that the inputs are those of the training: their time
    step (U609), their scale (spike counts, not rates), the order of their axes.
    """
    sources = "nirc: the counts of the model's outputs."

    output: int
    samples: int
    classes: int | None  # among the labels, None without labels

    def words(self) -> Words:
        of = "" if self.classes is None else f", the labels have {self.classes} class(es)"
        return Words(
            f"the model answers output {self.output} on all {self.samples} sample(s): to agree "
            "says nothing",
            found=f"1 answer{of}",
            limit="2 answers or more",
            help="check that inputs, time step and reset rule are those of the training",
        )


class LabelsByChance(Finding):
    code = "P330"
    title = "the model answers the labels no better than chance"
    expects = True
    severity = "warning"
    meaning = """
    The model itself, in floating point, gives the labelled answer no more often than if its answers
    were dealt to the samples at random. So the labels are not those of this model's task, or its
    inputs are not what it was trained on. Accuracy says nothing here.
    """
    example = """
    Samples of another data set with as many channels; labels in another order than the outputs;
    samples that were shuffled without their labels.
    """
    what_to_do = """
    Check that inputs and labels belong together and to this model: the order of the samples and of
    the classes, the time step (U609), the scale of the inputs.
    """
    sources = (
        "`nirc/report/score.py`: the share of equal pairs over all orders of the answers, one "
        "sided, 5 %."
    )

    share: float  # of the samples, answered rightly
    chance: float  # the share expected by chance
    samples: int

    def figures(self) -> dict[str, float]:
        """Return the fields that say how often, for the JSON of `nirc verify`."""
        return {"share": self.share, "chance": self.chance, "samples": self.samples}

    def words(self) -> Words:
        return Words(
            f"the model answers {self.share:.1%} of {self.samples} labels rightly, chance "
            f"{self.chance:.1%}",
            found=f"{self.share:.4f}",
            limit=f"more than {self.chance:.4f}",
            help="check that inputs and labels belong together and to this model",
        )


class SimulatorLacks(Stated):
    code = "P317"
    title = "a simulator lacks a part of the network"
    meaning = """
    `nirc export --for NAME` writes a file that computes the stage when that simulator loads it. A
    simulator's importer decides much by itself: how a spike resets, how often a neuron fires in a
    step, whether the membrane has a lower bound, in which order nodes are run. nirc knows what
    each importer builds. It compares this with the stage, and refuses where no parameter in the
    file can make the two equal. No file is written that would compute something else.
    """
    example = """
    `nirc export model.nir --stage float --for snntorch`, where spikes subtract the threshold:
    snnTorch's importer always builds `reset_mechanism="zero"`. The finding names the node, what
    the stage does and what would be loaded. The same code stands for delays, for branches that are
    run in the wrong order, for a second Input, and for a neuron that sends its membrane.
    """
    what_to_do = """
    Follow the help: it names choices of this simulator (`--for
    snntorch,reset=subtract,reset_delay=yes`, with lines to run after loading), or else other
    simulators, that can be told of the whole network: each has been tried. Where it names none, no
    importer loads this network as it is. An earlier stage may be possible where a later one is
    not. Without `--for` the file says what NIR can say, and P315 names what is left out.
    """
    sources = """
    Importers of snnTorch 1.0.0, Norse 1.1.0, Sinabs 3.1.3, Rockpool 3.1.0 and Spyx 1.0.0, and the
    published converters for Nengo and Lava-DL; docs/reference/export.md.
    """

    simulator: str

    def words(self) -> Words:
        return replace(super().words(), message=f"{self.simulator}: {self.problem}")


class LoadWithArgument(Finding):
    code = "P319"
    title = "an exported file has to be loaded with an argument or a setting"
    expects = True
    severity = "warning"
    meaning = """
    The file that `nirc export --for NAME` wrote computes the stage only if it is loaded as the
    finding says. The plain call of the importer would choose another reset, and its outputs would
    differ.
    """
    example = """
    Neurons of Norse that subtract the threshold: `norse.torch.from_nir(nir.read(FILE),
    reset_method=norse.torch.functional.reset.reset_subtract)`.
    """
    what_to_do = """
    Load the file with the lines that `nirc export` prints. The file records the choice, so that
    nirc itself reads it as it is meant.
    """
    sources = "Importers of the simulators; docs/reference/export.md."

    simulator: str
    choices: str
    plain_call: str  # the Python that loads the file without them

    def words(self) -> Words:
        return Words(
            f"the file computes the stage only if {self.simulator} loads it with {self.choices}",
            limit=self.plain_call,
            help="load it with the lines that `nirc export` prints",
        )


class CoresPlaced(Finding):
    code = "P322"
    title = "cores are placed, and how near to the least traffic"
    severity = "note"
    meaning = """
    The cores of the network have places on the chip. What a placement costs is its traffic times
    distance. No placement of these cores costs less than the bound. The gap is the share of the
    cost above the bound. The least cost lies between the two, mostly near the upper end: bounds of
    this kind are weak. The cost is in spikes a step times steps of the cores' mesh.
    """
    example = "A cost of 1108 and a bound of 639: at most 42 % can be gained."
    what_to_do = """
    Nothing. With `--effort thorough` the search does about ten times the work. `nirc mapping DIR`
    shows the busiest links.
    """
    sources = "docs/reference/mapping.md; `cost` and `bound` in `floorplan.json`."

    cost: float
    bound: float
    gap: float  # share of the cost
    effort: str

    def words(self) -> Words:
        if self.gap == 0:
            return Words(
                "the cores are placed with the least traffic times distance",
                found=f"{self.cost:g}",
            )
        return Words(
            "the cores are placed with little traffic times distance",
            found=f"{self.cost:g}, gap {self.gap:.1%}",
            limit=f"at least {self.bound:g}",
            help="" if self.effort == "thorough" else "--effort thorough searches for longer",
        )


class NeuronsRegrouped(Finding):
    code = "P323"
    title = "neurons share cores with those they talk to, in another order than the model's"
    severity = "note"
    meaning = """
    Parts on cores are ranges of a population's neurons. Where a population has lists or matrices of
    synapses and no kernels, its neurons may have any order. They were put into one in which fewer
    spikes go to other cores. Neurons with common inputs also need less memory together, so fewer
    cores may do. Nothing else changes: inputs, outputs and records come in the model's
    order, and the manifest has the place of each neuron.
    """
    example = """
    A sheet of 1,024 neurons with random numbers: 128 spikes a step to other cores instead of 941.
    """
    what_to_do = """
    Nothing. `--set order=index` keeps the model's order, `--effort thorough` searches for a better
    one.
    """
    sources = "docs/reference/mapping.md; `nirc/mapping/partition/regroup.py`."

    populations: Sequence[str]
    before: float  # spikes a step to other cores, in the model's order
    after: float
    cores_before: int
    cores: int

    def words(self) -> Words:
        names = ", ".join(f"`{name}`" for name in self.populations)
        fewer = self.cores < self.cores_before
        return Words(
            f"neurons of {names} have places beside those they talk to, not in the model's order",
            found=f"{self.after:.4g} spikes a step to other cores"
            + (f" on {self.cores} cores" if fewer else ""),
            limit=f"{self.before:.4g} in the model's order"
            + (f", on {self.cores_before} cores" if fewer else ""),
            help="--set order=index keeps the model's order",
        )
