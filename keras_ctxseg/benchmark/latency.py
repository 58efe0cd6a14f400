"""Times of several functions, taken side by side."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Latency:
    """Wall-clock seconds of each call, in the order in which they were made."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def minimum(self) -> float:
        return min(self.seconds)

    def percentile(self, percent: float) -> float:
        """The time that so many percent of the calls do not exceed, between calls linearly."""
        ordered = sorted(self.seconds)
        place = (len(ordered) - 1) * percent / 100
        low = min(int(place), len(ordered) - 2) if len(ordered) > 1 else 0
        high = min(low + 1, len(ordered) - 1)
        return ordered[low] + (ordered[high] - ordered[low]) * (place - low)

    def __str__(self) -> str:
        return (
            f"median {1e3 * self.median:.1f} ms, min {1e3 * self.minimum:.1f} ms"
            f" ({len(self.seconds)} calls)"
        )


def measure_latencies(
    functions: Mapping[str, Callable[[], object]], repeats: int = 20, warmup: int = 3
) -> dict[str, Latency]:
    """Times functions in turns (A B A B ...), so that a slower machine is slower for all of them.

    Args:
        functions: by name; each call must have finished its work when it returns.
        repeats: timed calls of each.
        warmup: calls of each before those, untimed.
    """
    if repeats < 1:
        raise ValueError(f"repeats: expected at least 1. Received {repeats!r}.")
    for _ in range(warmup):
        for function in functions.values():
            function()
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - start)
    return {name: Latency(tuple(values)) for name, values in seconds.items()}


def measure_latency(function: Callable[[], object], repeats: int = 20, warmup: int = 3) -> Latency:
    """Times one function; see `measure_latencies`."""
    return measure_latencies({"": function}, repeats, warmup)[""]
