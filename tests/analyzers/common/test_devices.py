"""Batches that shrink where memory runs out; devices of lanes are tested with the executor in test_definitions.py."""

from __future__ import annotations

import threading
import weakref

import numpy as np
import pytest

from analyzers.common import devices
from analyzers.common.devices import (
    device_of,
    in_batches,
    is_out_of_memory,
    memory_shares,
    process_share,
    require_memory,
)
from analyzers.contract import LANES
from analyzers.errors import AnalysisError


def doubled(fits, tried):
    def compute(batch):
        tried.append(list(batch))
        if len(batch) > fits:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return [2 * i for i in batch]

    return compute


@pytest.mark.parametrize(
    ("size", "fits", "tried"),
    [
        (3, 9, [[0, 1, 2], [3, 4, 5], [6]]),
        (9, 9, [[0, 1, 2, 3, 4, 5, 6]]),
        (4, 2, [[0, 1, 2, 3], [0, 1], [2, 3], [4, 5], [6]]),
        (7, 1, [[0, 1, 2, 3, 4, 5, 6], [0, 1, 2], [0], [1], [2], [3], [4], [5], [6]]),
    ],
)
def test_results_are_in_order_whatever_fits(size, fits, tried):
    seen = []
    assert list(in_batches(range(7), size, list, doubled(fits, seen))) == [0, 2, 4, 6, 8, 10, 12]
    assert seen == tried


def test_nothing_to_do_is_nothing():
    assert list(in_batches([], 4, list, doubled(4, []))) == []


def test_one_that_does_not_fit_is_a_clear_error():
    with pytest.raises(AnalysisError, match="out of memory even with one item"):
        list(in_batches(range(3), 2, list, doubled(0, [])))


def test_other_errors_are_not_hidden():
    def broken(batch):
        raise ValueError("shape")

    with pytest.raises(ValueError, match="shape"):
        list(in_batches(range(3), 2, list, broken))
    with pytest.raises(ValueError, match="shape"):
        list(in_batches(range(3), 2, broken, list))


def refused_by_torch():
    import torch

    torch.empty(10**15, dtype=torch.uint8)


def refused_by_numpy():
    np.empty(10**15, np.uint8)


def refused_by_a_gpu():
    import torch

    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of ...")


@pytest.mark.parametrize("refused", [refused_by_torch, refused_by_numpy, refused_by_a_gpu])
@pytest.mark.parametrize("where", ["prepare", "compute"])
def test_an_allocation_that_fails_in_preparing_or_computing_halves_the_batch(refused, where):
    tried = {"prepare": [], "compute": []}

    def work(name, batch):
        tried[name].append(len(batch))
        if name == where and len(batch) > 2:
            refused()
        return list(batch)

    found = in_batches(range(7), 4, lambda b: work("prepare", b), lambda b: work("compute", b))
    assert list(found) == list(range(7))
    assert tried["compute"][-4:] == [2, 2, 2, 1]
    assert max(tried[where][2:]) == 2
    with pytest.raises(AnalysisError, match="out of memory even with one item"):
        list(in_batches(range(3), 2, *([lambda b: refused()] * 2)))


def test_what_a_failed_attempt_held_is_given_back_before_the_next():
    held = []

    class Tensor:
        """Stands for what lies in a GPU's memory."""

    def compute(batch):
        assert not [ref for ref in held if ref()], "the memory of the attempt before is still taken"
        on_device = [Tensor() for _ in batch]
        on_device.append(on_device)  # a cycle, as networks have them
        if len(batch) > 1:
            held.extend(weakref.ref(t) for t in on_device[:-1])
            raise RuntimeError("CUDA out of memory.")
        return batch

    assert list(in_batches(range(4), 4, list, compute)) == [0, 1, 2, 3]
    assert len(held) == 4 + 2


def test_the_next_batch_is_prepared_while_one_is_computed():
    second_is_ready = threading.Event()

    def prepare(batch):
        if 2 in batch:
            second_is_ready.set()
        return list(batch)

    def compute(batch):
        assert second_is_ready.wait(10), "the second batch was not prepared during the first"
        return batch

    assert list(in_batches(range(4), 2, prepare, compute)) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "text",
    [
        "CUDA out of memory. Tried to allocate 2.00 GiB",
        "CUDA error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "[enforce fail at alloc_cpu.cpp:118] . DefaultCPUAllocator: can't allocate memory: you tried to allocate",
        "[enforce fail at alloc_cpu.cpp:114] data. DefaultCPUAllocator: not enough memory: you tried to allocate",
        "[Errno 12] Cannot allocate memory",
        "OpenCV(4.11.0) alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate 8 bytes",
        "std::bad_alloc",
    ],
)
def test_memory_that_ran_out_is_known_by_what_libraries_say(text):
    assert is_out_of_memory(RuntimeError(text))


def test_memory_that_ran_out_is_told_from_other_errors():
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("size mismatch"))
    assert not is_out_of_memory(RuntimeError("CUDA error: an illegal memory access was encountered"))


def test_a_model_that_cannot_fit_is_refused_before_it_is_loaded():
    require_memory("cpu", 1000, "a small one")
    with pytest.raises(AnalysisError, match=r"out of memory: a large one takes 1000000 GB on the CPU"):
        require_memory("cpu", 10**15, "a large one")
    require_memory("cuda:0", 10**15, "on a GPU running out is an error that can be caught")


def test_a_lane_on_a_gpu_that_is_not_there_says_so(monkeypatch):
    monkeypatch.setenv("TIKTOK_ASSETS_DEVICES", "gpu_worker_0=cuda:99,gpu_worker_1=toaster,gpu_worker_2=cpu")
    with pytest.raises(AnalysisError, match="gpu_worker_0 is set to cuda:99, which torch does not see"):
        device_of("gpu_worker_0")
    with pytest.raises(AnalysisError, match="'toaster', which is no device"):
        device_of("gpu_worker_1")
    assert device_of("gpu_worker_2") == "cpu"


@pytest.fixture
def two_gpus(monkeypatch):
    """Two GPUs by the driver's account: gpu_worker_0 and _2 on the first, _1 and _3 on the second."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.delenv("TIKTOK_ASSETS_DEVICES", raising=False)
    devices.gpus.cache_clear()
    yield
    devices.gpus.cache_clear()


def test_without_a_budget_no_lane_is_limited(two_gpus, monkeypatch):
    monkeypatch.delenv("TIKTOK_ASSETS_GPU_MEMORY", raising=False)
    assert memory_shares() == dict.fromkeys(LANES, 1.0)
    assert process_share(["gpu_worker_0", "gpu_worker_2"]) == 1.0


def test_a_budget_limits_the_lanes_that_it_names(two_gpus, monkeypatch):
    monkeypatch.setenv("TIKTOK_ASSETS_GPU_MEMORY", "gpu_worker_0=0.6, gpu_worker_2=0.2,gpu_worker_1=0.9")
    shares = memory_shares()
    assert (shares["gpu_worker_0"], shares["gpu_worker_1"], shares["gpu_worker_3"]) == (0.6, 0.9, 1.0)
    assert process_share(["gpu_worker_2"]) == pytest.approx(0.2)
    assert process_share(["gpu_worker_0", "gpu_worker_2"]) == pytest.approx(0.8)
    assert process_share(["gpu_worker_1", "gpu_worker_3"]) == 1.0, "one of them has no limit"


@pytest.mark.parametrize(
    ("budget", "says"),
    [
        ("gpu_worker_9=0.5", "'gpu_worker_9=0.5' is not LANE=SHARE"),
        ("gpu_worker_0", "'gpu_worker_0' is not LANE=SHARE"),
        ("gpu_worker_0=half", "'gpu_worker_0=half' is not LANE=SHARE"),
        ("gpu_worker_0=0", "0 < SHARE <= 1"),
        ("gpu_worker_0=1.5", "0 < SHARE <= 1"),
        ("gpu_worker_0=nan", "0 < SHARE <= 1"),
        ("gpu_worker_0=0.7,gpu_worker_2=0.6", "lanes on cuda:0 get 1.3 of its memory"),
    ],
)
def test_a_wrong_budget_says_what_is_wrong(two_gpus, monkeypatch, budget, says):
    monkeypatch.setenv("TIKTOK_ASSETS_GPU_MEMORY", budget)
    with pytest.raises(ValueError, match="TIKTOK_ASSETS_GPU_MEMORY") as error:
        memory_shares()
    assert says in str(error.value)
