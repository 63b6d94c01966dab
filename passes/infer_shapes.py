"""infer-shapes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import ClassVar

from nirc.analysis.shapes import Fit, MisfitError, Remark, fit, literal_shape, requirement, source_shape
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Shape, size
from nirc.ir.layers import Input, LayerNode, Pool
from nirc.ir.program import Program

MAX_SIGNAL = 1 << 24  # values of one signal: far above any chip, below what a laptop's memory holds


@dataclass(frozen=True)
class InferShapes:
    """Find the shape of every signal; apply the repairs that have a single reading, and say each."""

    name: ClassVar[str] = "infer-shapes"

    def run(self, program: Program, log: Log) -> Program:
        """Raises ``InputError`` (G252, G253, G255; F106 for a signal that is too large) with all that was found."""
        attempt = _Attempt(program)
        if attempt.misfits:
            repaired = _with_pool_strides(program)
            second = _Attempt(repaired) if repaired is not None else attempt
            if not second.misfits and repaired is not None:
                _say_strides(program, repaired, log)
                program, attempt = repaired, second
        for node, remark in attempt.remarks:
            log.warning(remark.code, f"`{node}`: {remark.message}", **_fields(program, node, remark))
        for node, remark in attempt.misfits:
            log.error(
                remark.code,
                f"`{node}`: {remark.message}",
                **_fields(program, node, remark),
                help="the shapes have no single reading: correct the model and export it again",
            )
        attempt.refuse_huge_signals(log)
        log.raise_if_errors()
        return program.mapped(
            {
                n: replace(p, shape_in=attempt.fits[n].shape_in, shape_out=attempt.fits[n].shape_out)
                for n, p in program.nodes(LayerNode).items()
            }
        )


class _Attempt:
    """One inference over the whole graph: propagate shapes first, then check every edge."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.layers = {n: p.layer for n, p in program.nodes(LayerNode).items()}
        self.fits: dict[str, Fit] = {}
        self.remarks: list[tuple[str, Remark]] = []
        self.misfits: list[tuple[str, Remark]] = []
        self._sources()
        self._propagate()
        self._check()

    def refuse_huge_signals(self, log: Log) -> None:
        """Where a signal becomes larger than memory should ever hold; what lies behind it is not named."""
        huge = {n for n, f in self.fits.items() if size(f.shape_out) > MAX_SIGNAL}
        for node in sorted(huge):
            if huge.isdisjoint(s for s, _ in self.program.into(node)):
                log.error(
                    "F106",
                    f"`{node}`: the signal is too large",
                    where=self.program[node].origins[0],
                    found=f"shape {self.fits[node].shape_out}, {size(self.fits[node].shape_out)} values",
                    limit=f"{MAX_SIGNAL} values",
                    help="check the declared shapes and the padding",
                )

    def _successors(self, node: str) -> list[str]:
        return [t for t, _ in self.program.out_of(node)]

    def _wanted(self, node: str) -> set[Shape]:
        return {r for t in self._successors(node) if (r := requirement(self.layers[t])) is not None}

    def _fit(self, node: str, arriving: Shape | None) -> Fit:
        return fit(self.layers[node], arriving, self._wanted(node))

    def _sources(self) -> None:
        for node, layer in self.layers.items():
            if isinstance(layer, Input) and not self.program.into(node):
                consumers = [self.layers[t] for t in self._successors(node)]
                shape, remark = source_shape(layer.shape, consumers)
                if shape is None:
                    self.misfits.append(
                        (node, Remark("G253", "the Input declares no shape and nothing behind it tells"))
                    )
                    shape = (1,)
                if remark is not None:
                    self.remarks.append((node, remark))
                self.fits[node] = Fit(shape, shape)

    def _propagate(self) -> None:
        """Breadth first from the Inputs, then from nodes whose arrays fix their shape (loops without input)."""
        queue = deque(self.fits)
        pending = deque(n for n in self.layers if n not in self.fits)
        while queue or pending:
            while queue:
                for target in self._successors(node := queue.popleft()):
                    if target not in self.fits and self._try(target, self.fits[node].shape_out):
                        queue.append(target)
            pending = deque(n for n in pending if n not in self.fits)
            seeds = (n for shape in (requirement, literal_shape) for n in pending if shape(self.layers[n]) is not None)
            seed = next(seeds, None)
            pending = deque(n for n in pending if n != seed)
            if seed is None:
                break
            if self._try(seed, None):
                queue.append(seed)

    def _try(self, node: str, arriving: Shape | None) -> bool:
        try:
            self.fits[node] = self._fit(node, arriving)
        except MisfitError as misfit:
            self.misfits.append((node, misfit.remark))
            need = requirement(self.layers[node])
            if need is None:
                return False
            try:  # go on behind the contradiction, so that all of them are found
                self.fits[node] = self._fit(node, need)
            except MisfitError:
                return False
        return True

    def _check(self) -> None:
        seen = dict.fromkeys(self.remarks) | dict.fromkeys(self.misfits)
        known = {node for node, _ in self.misfits}
        for node in self.layers:
            arrivals = [self.fits[s].shape_out for s, _ in self.program.into(node) if s in self.fits]
            if node not in self.fits:
                if node not in known:
                    self.misfits.append((node, Remark("G253", "its shape cannot be inferred: no signal reaches it")))
                continue
            for arriving in dict.fromkeys(arrivals):
                try:
                    got = self._fit(node, arriving)
                except MisfitError as misfit:
                    if (node, misfit.remark) not in seen:
                        self.misfits.append((node, misfit.remark))
                    continue
                if got.shape_out != self.fits[node].shape_out and node not in known:
                    remark = Remark(
                        "G252",
                        "signals of different shape arrive",
                        "",
                        str(arriving),
                        str(self.fits[node].shape_in),
                    )
                    self.misfits.append((node, remark))
                self.remarks += [(node, r) for r in got.remarks if (node, r) not in seen]
                seen |= dict.fromkeys((node, r) for r in got.remarks)


def _with_pool_strides(program: Program) -> Program | None:
    """Pools of stride 1 with the stride that pooling layers have by default: the kernel's size."""
    changed = {
        n: replace(p, layer=replace(p.layer, stride=p.layer.kernel))
        for n, p in program.nodes(LayerNode).items()
        if isinstance(p.layer, Pool) and set(p.layer.stride) == {1} and p.layer.kernel != p.layer.stride
    }
    return program.mapped(changed) if changed else None


def _say_strides(before: Program, after: Program, log: Log) -> None:
    for node, payload in before.nodes(LayerNode).items():
        if isinstance(payload.layer, Pool) and payload.layer is not after[node].layer:
            log.warning(
                "G210",
                f"`{node}`: only a stride of {after[node].layer.stride} agrees with the shapes around it",
                where=f"{payload.origins[0]}/stride",
                found=payload.layer.stride,
                limit=after[node].layer.stride,
            )


def _fields(program: Program, node: str, remark: Remark) -> dict[str, str]:
    where = "/".join(part for part in (program[node].origins[0], remark.field) if part)
    return {"where": where, "found": remark.found, "limit": remark.limit}
