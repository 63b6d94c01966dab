"""Findings: networks as torch modules."""

from __future__ import annotations

from nirc.diagnostics.errors import InputError, UsageError
from nirc.diagnostics.finding import Finding, Words


class ParameterNotFinite(Finding):
    code = "U640"
    title = "a parameter of a module cannot be put on the chip's grid"
    raises = UsageError
    meaning = """
    A parameter of a module of `nirc.torch` holds NaN or an infinity, as training leaves them where
    it diverges, or has another type than float64, after `module.float()` or `module.half()`. No
    number of the chip is nearest to it. Or another tensor has taken the place of the parameter: of
    another shape, sparse, without numbers (`device="meta"`), or none at all.
    """
    example = """
    A rate of learning of 10: `pop/threshold` holds 12 numbers that are not finite.
    """
    what_to_do = """
    Load the parameters of an earlier epoch (`load_state_dict`), and train with a smaller rate or
    with clipped gradients (`torch.nn.utils.clip_grad_norm_`). Leave modules in float64.
    `print(module)` shows the parameters with their shapes.
    """
    sources = "`nirc/torch/module.py`."

    parameter: str
    wrong: int

    def words(self) -> Words:
        return Words(
            f"`{self.parameter}` holds numbers that are not finite",
            found=self.wrong,
            limit="finite numbers",
            help="load the parameters of an earlier epoch, and train with a smaller rate",
        )


class OtherPrecision(ParameterNotFinite):
    """The parameters of a module are not float64."""

    wrong: int = 0
    dtype: str

    def words(self) -> Words:
        return Words(
            f"`{self.parameter}` is not float64, which holds the chip's integers",
            found=self.dtype,
            limit="torch.float64",
            help="leave the module in float64: module.double()",
        )


class NoParameter(ParameterNotFinite):
    """Another tensor, or nothing, stands in the place of a parameter."""

    wrong: int = 0
    found: str
    limit: str

    def words(self) -> Words:
        return Words(
            f"`{self.parameter}` is not the parameter that the network has there",
            found=self.found,
            limit=self.limit,
            help="print(module) shows names and shapes; load_state_dict brings the numbers back",
        )


class SavedModuleDiffers(Finding):
    code = "U646"
    expects = True
    title = "a saved module is of another version of nirc"
    raises = UsageError
    meaning = """
    A pickled module of `nirc.torch` holds nirc's own programs. Only the version of nirc that saved
    them is sure to read them as they were meant.
    """
    example = """
    `torch.load("module.pt", weights_only=False)` with another version of nirc than saved the file.
    """
    what_to_do = """
    Load it with the version that saved it and write `nirc.torch.to_nir(module, "model.nir")`, or
    make the module anew and train it again.
    """
    sources = "`nirc/torch/saved.py`."

    saved: str
    now: str

    def words(self) -> Words:
        return Words(
            "the module was saved by another version of nirc",
            found=self.saved,
            limit=self.now,
            help="load it with that version and write nirc.torch.to_nir(module, path)",
        )


class SumsBeyondFloat64(Finding):
    code = "U641"
    title = "sums of weights are too large for exact integers"
    raises = UsageError
    meaning = """
    A module of `nirc.torch` computes a chip's integers in float64, which is exact up to 2^53. The
    inputs and weights of a population can add up to more, so its answer might not be the chip's.
    """
    example = """
    Counts of 10^13 spikes a step into weights of 2^10.
    """
    what_to_do = """
    Give counts of spikes as they arrive at the chip: a few a step.
    """
    sources = "`nirc/torch/network.py`."

    population: str
    most: float

    def words(self) -> Words:
        return Words(
            f"the input of `{self.population}` can be too large for exact integers",
            found=f"{self.most:.3g}",
            limit="2^53",
            help="give counts of spikes as they arrive at the chip",
        )


class TorchMissing(Finding):
    code = "U642"
    title = "a network cannot be a torch module"
    raises = UsageError
    meaning = """
    `nirc.torch` needs torch, and for a chip a backend that describes which of its numbers may
    change. Either is missing.
    """
    example = """
    `import nirc.torch` in an environment without torch.
    """
    what_to_do = """
    `pip install "nirc-compiler[torch]"`. The author of a backend writes `Backend.training`.
    """
    sources = "`nirc/torch`, `nirc/chip/training.py`."

    reason: str

    def words(self) -> Words:
        help_ = 'pip install "nirc-compiler[torch]"'
        return Words("nirc.torch needs torch", found=self.reason, help=help_)


class NoTraining(TorchMissing):
    """A backend does not describe its numbers."""

    reason: str = ""
    target: str

    def words(self) -> Words:
        message = f"the backend of `{self.target}` does not describe which numbers may change"
        return Words(message, found=self.target, help="see Backend.training")


class TrainedIntegersUsed(Finding):
    code = "U643"
    title = "the file carries integers for this chip"
    severity = "note"
    meaning = """
    `nirc.torch.to_nir` and `nirc fit` write, beside the network, the integers that training found
    for one chip. A compilation for this chip takes them as they are and rounds nothing.
    """
    example = "`nirc fitted.nir --target xylo`, where fitted.nir was trained for xylo."
    what_to_do = """
    Nothing. Give `--calibrate`, or fewer `--weight-bits`, to round the network itself.
    """
    sources = "`nirc/chip/trained.py`."

    target: str

    def words(self) -> Words:
        return Words(
            f"the file carries integers that were trained for {self.target}: they are used"
        )


class TrainedIntegersUnused(Finding):
    code = "U644"
    title = "integers that the file carries are not used"
    severity = "warning"
    meaning = """
    The file carries integers for a chip, beside its network. They are for another chip, or they do
    not belong to this network as it is read now: it was changed, or other options or another
    version of nirc read it otherwise, or the note is damaged. Or `--calibrate` or fewer
    `--weight-bits` ask for another rounding. nirc rounds the network itself.
    """
    example = """
    A file trained for xylo with `dt=1e-4` is compiled with `--dt 1e-3`.
    """
    what_to_do = """
    Compile with the options of the training. Train again with the network as it is now.
    """
    sources = "`nirc/chip/trained.py`."

    reason: str

    def words(self) -> Words:
        help_ = "compile with the options of the training"
        message = f"the integers that the file carries are not used: {self.reason}"
        return Words(message, help=help_)


class TrainedIntegersDamaged(Finding):
    code = "U645"
    title = "integers that the file carries make no network for the chip"
    raises = InputError
    meaning = """
    The file carries integers for the chip, beside its network. Each is in its range, but together
    they are nothing that training on this chip's grid leaves. The file was damaged or altered.
    """
    example = """
    A file whose note was edited, with a new digest: a layer has lost its synapses to the output.
    """
    what_to_do = """
    Get the file again from where it was trained. `--calibrate FILE` rounds the network itself and
    leaves the integers.
    """
    sources = "`nirc/chip/trained.py`, `nirc/api.py`."

    def words(self) -> Words:
        return Words(
            "the integers that the file carries make no network for the chip",
            help="get the file again; --calibrate rounds the network itself",
        )


class NothingGained(Finding):
    code = "P329"
    title = "fine-tuning gained nothing: the calibrated chip is kept"
    severity = "warning"
    meaning = """
    `nirc fit` compares the fitted chip with the calibrated one on given samples that it did not
    learn from, and on inputs near them. There it has to win answers of the model by more than
    chance, or come nearer in its spikes by more than chance and win more answers than it loses. It
    did not, or it does not fit the chip. What is written is the calibrated chip.
    """
    example = """
    A network whose calibrated chip already answers as the model does; ten samples, of which two
    are held aside.
    """
    what_to_do = """
    Nothing, if the calibrated chip is good enough. Otherwise give more samples: three of
    eight are held aside, and the rest has to show every class. With another `--seed` the course of
    the learning is another one.
    """
    sources = "`nirc/finetuning/fit.py`."

    reason: str
    samples: int  # that judged

    def words(self) -> Words:
        return Words(
            f"fine-tuning gained nothing: {self.reason}",
            found=f"{self.samples} of the given samples held aside to judge by",
            help="the calibrated chip is kept; more samples, of every class, may help",
        )
