"""Findings of the independent checker over a bundle: `nirc check`."""

from __future__ import annotations

from nirc.diagnostics.finding import Finding, Grade, Stated, Words

CHECKER = "The checker that each bundle carries as `check.py`: docs/reference/certificate.md."


class NetworkDiffers(Stated):
    code = "C901"
    title = "the chip's files hold another network than network.nir"
    expects = True
    meaning = """
    The checker rebuilt the network of integers from the files that go to the chip, and compared it
    with the quantised network in `network.nir`. A weight, delay, parameter, switch, channel or
    output differs. The message names the neuron or the synapse, the value on the chip, and the
    value in `network.nir`.
    """
    example = """
    A weight in `config.json` was changed, and the digests in the manifest with it: "a synapse is on
    the chip only, found receptor 0, delay 1, weight 12".
    """
    what_to_do = """
    Compile again: same model, options and version give the same bytes. If a bundle that nobody
    edited is refused, please report it, because one of the compiler and the checker is wrong.
    """
    sources = CHECKER


class FileUnreadable(Stated):
    code = "C902"
    title = "the checker cannot read a file of the bundle, or a digest differs"
    expects = True
    meaning = """
    A file is missing, damaged, or holds what nirc never writes, or its SHA-256 is not the one in
    `manifest.json`. The checker reads no further where it is unsure, so other findings may be
    hidden behind this one. At the end of a compilation it means that checker and compiler disagree
    about a format. Then no bundle is written, since nothing is known about its network.
    """
    example = "`config.json` was edited: its digest in the manifest is that of the older text."
    what_to_do = """
    Compile again, or copy the bundle again, with all its files. A bundle of another version of nirc
    has a checker that reads it: `python DIR/check.py`. At the end of a compilation this is a fault
    of nirc: please report it with the model.
    """
    sources = CHECKER


class LimitExceeded(Stated):
    code = "C903"
    title = "the chip's files exceed a limit of the chip"
    meaning = """
    The checker counts neurons, synapses, memories and tables in the files that go to the chip, and
    compares them with numbers of its own. The compiler refuses such a network, so either the files
    were changed, or the compiler miscounts.
    """
    example = "A neuron of Xylo Audio 2 with 65 recurrent targets: the limit is 64."
    what_to_do = "Compile again. If that does not help, please report it."
    sources = "The numbers and their sources stand in `nirc/checker`, one file a chip."


class RouteAstray(Stated):
    code = "C904"
    title = "a route of the chip does not lead to its synapses"
    expects = True
    meaning = """
    The checker follows each neuron's spikes through axons, keys and routing tables. Spikes miss a
    core that holds synapses for them, reach one that does not, or go in a circle.
    """
    example = "A mask in a routing table of SpiNNaker2 covers one key too many."
    what_to_do = "Compile again. If that does not help, please report it."
    sources = CHECKER


class CanOverflow(Stated):
    code = "C905"
    title = "a state of a neuron can leave its range"
    severity = "note"
    meaning = """
    The checker bounds every accumulator by intervals, over all inputs that the chip takes. Where
    the bound is wider than the word, it looks for an input that drives the state out of its range,
    and runs it from cleared states. The message names the input and the neuron, or reports that no
    input tried does so: then the state is neither proved nor refuted. On Loihi 2 and SpiNNaker2
    every synapse of one sign acts in each step. Xylo and Speck saturate, and so does the emulator.
    """
    example = """
    "isyn of neuron 3 leaves in step 7: 15 spikes on [0, 2]": with 15 spikes in every step on
    channels 0 and 2 the current of hidden neuron 3 of a Xylo saturates.
    """
    what_to_do = """
    Compare the input with yours: 15 spikes in every step are rare. `nirc verify` with real data
    shows if saturation costs accuracy. Smaller weights, or a shorter synapse, leave more room.
    """
    sources = CHECKER


class NotChecked(Finding):
    code = "C906"
    title = "the bundle was not checked by the independent checker"
    severity = "note"
    meaning = """
    At the end of a compilation the independent checker reads the emitted files. It is left out
    where it would cost more than the compilation, for very large networks, and where there is no
    checker for the chip, as for one of a package of its own.
    """
    example = "A convolution with a million neurons: `nirc check DIR` takes its time over it."
    what_to_do = "Run `nirc check DIR`, if the chip has a checker."
    sources = "`nirc/certificate/checking.py`, with the size from which it is left out."

    reason: str
    asked: bool = False  # by nirc check

    def grade(self) -> Grade:
        """Return an error for `nirc check`."""
        return "error" if self.asked else "note"

    def words(self) -> Words:
        help_ = "" if self.asked else "nirc check DIR"
        return Words(f"the bundle was not checked: {self.reason}", help=help_)


OF_KIND: dict[str, type[Stated]] = {  # of the checker's findings
    "network": NetworkDiffers,
    "unreadable": FileUnreadable,
    "limit": LimitExceeded,
    "route": RouteAstray,
    "overflow": CanOverflow,
}
