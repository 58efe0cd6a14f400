"""The parts of `scripts/bakeoff.py`."""
