"""Slopes are computed with one thread of torch, which has as many as before afterwards."""

from collections.abc import Iterator

import pytest

from tests.torch.networks import torch_or_skip

torch = torch_or_skip()
pytestmark = pytest.mark.oracle

from nirc.torch.whole import whole  # noqa: E402


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_slopes_take_one_thread_and_are_those_of_the_computation() -> None:
    seen = []
    first, second = (torch.rand(3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    fixed = torch.ones(3, dtype=torch.float64)

    def compute(given):  # type: ignore[no-untyped-def]
        a, b, c = given
        product = a * b + c
        product.register_hook(lambda _: seen.append(torch.get_num_threads()))
        return product, c * 2

    product, other = whole(compute, [first, second, fixed])
    assert not other.requires_grad
    product.sum().backward(retain_graph=True)
    product.sum().backward()
    assert seen == [1, 1]
    assert torch.get_num_threads() == 2
    assert torch.equal(first.grad, 2 * second) and torch.equal(second.grad, 2 * first)


def test_without_slopes_nothing_is_kept() -> None:
    with torch.no_grad():
        (result,) = whole(lambda given: [given[0] * 2], [torch.ones(2, requires_grad=True)])
    assert not result.requires_grad and result.grad_fn is None


def test_an_encoder_in_front_of_the_chip_learns() -> None:
    import numpy as np

    from tests.torch.networks import KINDS, counts, made

    module = made(KINDS["loop"](np.random.default_rng(1)), "xylo", allow_silent=True)
    inputs = torch.from_numpy(np.array(counts(np.random.default_rng(3), "loop"), np.float64))
    inputs.requires_grad_()
    module(inputs).sum().backward()
    assert inputs.grad is not None and float(inputs.grad.abs().sum()) > 0
