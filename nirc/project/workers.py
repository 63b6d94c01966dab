"""Workers for many tasks: this process, processes of this machine, or a scheduler of Dask.

The answers do not depend on the kind of worker. They come in the order in which they are ready.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Any

from nirc.diagnostics.errors import NircError
from nirc.diagnostics.log import Log
from nirc.diagnostics.project import SchedulerLost, WorkerLost
from nirc.files.bounds import printable
from nirc.project.task import Answer, Task, perform
from nirc.version import __version__

CONNECT_S = 10  # for a scheduler to answer
ADDRESS = re.compile(r"tcp://(?P<host>[\w.-]+|\[[0-9a-fA-F:]+\]):(?P<port>[0-9]{1,5})")
RETRIES = 2  # of a task whose worker of Dask died


def jobs_by_default() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def answers(
    tasks: Sequence[Task], *, jobs: int | None = None, scheduler: str | None = None
) -> Iterator[Answer]:
    """Yield the answer to each task. Raises ``UsageError`` (U622) for a scheduler that fails.

    ``jobs``: processes on this machine. With ``scheduler`` its workers do the work.
    """
    if scheduler is not None:
        return _on_dask(tasks, scheduler)
    jobs = min(jobs or jobs_by_default(), len(tasks))
    return map(perform, tasks) if jobs <= 1 else _in_processes(tasks, jobs)


def _in_processes(tasks: Sequence[Task], jobs: int) -> Iterator[Answer]:
    """Work in ``jobs`` processes. If one dies, the tasks left are done one by one."""
    left = {task.name: task for task in tasks}
    executor = _pool(jobs)
    try:
        futures = [executor.submit(perform, task) for task in tasks]
        for future in as_completed(futures):
            answer = future.result()
            del left[answer.name]
            yield answer
    except BrokenProcessPool:
        executor.shutdown(wait=False)
        for task in left.values():
            yield _alone(task)
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def _pool(jobs: int) -> ProcessPoolExecutor:
    # A fresh interpreter: a fork would copy the threads of numpy and ortools in any state.
    return ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_end_with_parent)


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, even if it was killed."""
    Thread(target=_watch_parent, daemon=True).start()


def _watch_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _alone(task: Task) -> Answer:
    """Work in a process that only this task can end."""
    with _pool(1) as executor:
        try:
            return executor.submit(perform, task).result()
        except BrokenProcessPool as error:
            return lost(task, str(error))


def lost(task: Task, reason: str) -> Answer:
    """Return the answer of a task whose worker died."""
    log = Log(file=task.names["model"])
    log.add(WorkerLost(reason=reason[:200]))
    return Answer(task.name, __version__, tuple(log.diagnostics))


def _on_dask(tasks: Sequence[Task], scheduler: str) -> Iterator[Answer]:
    try:
        import distributed
    except ImportError:
        raise SchedulerLost(
            problem="--scheduler needs the package `distributed`",
            help="pip install 'nirc-compiler[distributed]'",
        ).refusal() from None
    _reach(scheduler)
    try:
        client: Any = distributed.Client(scheduler, timeout=CONNECT_S, set_as_default=False)
    except Exception as error:  # of Dask: it raises what its protocols raise
        raise _silent(scheduler, type(error).__name__) from None
    with client:
        futures = {
            client.submit(perform, task, key=f"nirc-{task.fingerprint}-{task.name}",
                          retries=RETRIES, pure=False): task
            for task in tasks
        }  # fmt: skip
        for future in distributed.as_completed(futures, loop=client.loop):
            yield _dask_answer(future, futures[future])


def _reach(scheduler: str) -> None:
    """Raise ``UsageError`` (U622) for an address that makes no sense, or where nobody listens."""
    address = ADDRESS.fullmatch(scheduler)
    if address is None or not 0 < int(address["port"]) < 1 << 16:
        raise SchedulerLost(
            problem=f"`{printable(scheduler)}` is no address of a scheduler",
            limit="tcp://HOST:PORT",
            help="other protocols, tls:// among them, are not supported: forward the port by ssh"
            if "://" in scheduler and not scheduler.startswith("tcp://")
            else "`dask scheduler` prints its address when it starts",
        ).refusal()
    try:
        place = address["host"].strip("[]"), int(address["port"])
        socket.create_connection(place, timeout=CONNECT_S).close()
    except OSError as error:
        raise _silent(scheduler, error.strerror or str(error)) from None


def _silent(scheduler: str, reason: str) -> NircError:
    return SchedulerLost(
        problem=f"the scheduler `{scheduler}` does not answer",
        found=reason,
        help=f"start `dask scheduler` there, and `dask worker {scheduler}`",
    ).refusal()


def _dask_answer(future: Any, task: Task) -> Answer:
    try:
        answer: Answer = future.result()
    except Exception as error:  # of Dask: perform raises none
        return lost(task, f"{type(error).__name__}: {error}")
    if answer.version != __version__:
        raise SchedulerLost(
            problem="a worker has another version of nirc",
            found=answer.version,
            limit=__version__,
            help="install this version on every machine",
        ).refusal()
    return answer
