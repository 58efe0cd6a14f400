"""The parts of `benchmarks/bakeoff.py`."""
