"""toychip-legalise: the chip has weights and leaky neurons, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nirc.diagnostics.log import Log
from nirc.diagnostics.passes import ChipLacks
from nirc.ir.populations import Population, Sink
from nirc.ir.program import Program
from toychip.limits import SHEET


@dataclass(frozen=True)
class ToyLegalise:
    """Refuse constants, delays, second filters and membranes as signals."""

    name: ClassVar[str] = "toychip-legalise"

    def run(self, program: Program, log: Log) -> Program:
        """Raise ``CompileError`` (P320) for each."""
        for name, p in program.nodes(Population).items():
            d = p.dynamics
            if d.drift.any() or any(q.biases for _, q in program.into(name)):
                _refuse(f"`{name}` has a constant input", p, log)
            if any(q.delay_steps for _, q in program.into(name)):
                _refuse(f"spikes come to `{name}` with a delay", p, log)
            if d.decay_syn_2 is not None:
                _refuse(f"`{name}` has two synaptic filters", p, log)
            if not d.fires or d.v_start is not None:
                _refuse(f"`{name}` does not fire, or starts at another potential than 0", p, log)
        for name, sink in program.nodes(Sink).items():
            if any(
                q.ops or q.delay_steps or not isinstance(program[s], Population)
                for s, q in program.into(name)
            ):
                _refuse(f"the output `{name}` does not come directly from neurons", sink, log)
        log.raise_if_errors()
        return program


def _refuse(problem: str, payload: Population | Sink, log: Log) -> None:
    where = payload.origins[0]
    log.add(ChipLacks(where=where, problem=problem, limit="toychip has none", source=SHEET))
