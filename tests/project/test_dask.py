"""The same build on a scheduler of Dask: same bytes, also when a worker is killed in the middle."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import distributed
import nir
import numpy as np
import pytest

from nirc.diagnostics.errors import UsageError
from nirc.options import Options
from nirc.project import workers
from nirc.project.task import Task
from tests.models import chain, lif, linear


@pytest.fixture(scope="module")
def cluster() -> Iterator[distributed.LocalCluster]:
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        yield cluster


def tasks(folder: Path) -> list[Task]:
    rng = np.random.default_rng(0)
    path = folder / "m.nir"
    nir.write(path, chain(4, linear(rng, 3, 4), lif(3), n_out=3))
    files = {"model": path.read_bytes()}
    options = (Options(writer="nir", dt_s=1e-4, seed=seed) for seed in range(4))
    return [Task(f"m{o.seed}", "xylo", o, files, {"model": str(path)}) for o in options]


def test_a_killed_worker_changes_no_byte(tmp_path: Path, cluster: distributed.LocalCluster) -> None:
    here = {answer.name: answer for answer in workers.answers(tasks(tmp_path), jobs=1)}
    pids = [worker.pid for worker in cluster.workers.values()]
    there = {}
    for answer in workers.answers(tasks(tmp_path), scheduler=cluster.scheduler_address):
        if not there:
            os.kill(pids[0], signal.SIGKILL)
        there[answer.name] = answer
    assert there == here and all(answer.files for answer in there.values())


def test_a_scheduler_that_does_not_answer_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "CONNECT_S", 1)
    with pytest.raises(UsageError, match=r"U622.*does not answer.*dask scheduler"):
        list(workers.answers(tasks(tmp_path), scheduler="tcp://127.0.0.1:9"))


@pytest.mark.parametrize(
    "address", ["nonsense", "", "tcp://", "tcp://[::", "http://x", "tcp://h:0"]
)
def test_an_address_that_makes_no_sense_is_refused_at_once(tmp_path: Path, address: str) -> None:
    with pytest.raises(UsageError, match="no address of a scheduler"):
        list(workers.answers(tasks(tmp_path), scheduler=address))


def test_a_scheduler_behind_tls_is_refused_with_a_way_round(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"tls:// among them.*ssh"):
        list(workers.answers(tasks(tmp_path), scheduler="tls://node1:8786"))
