"""How many examples: the same few hundred each time, or FUZZ_EXAMPLES new ones."""

import os

from hypothesis import HealthCheck, settings

_COMMON = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
}
settings.register_profile("quick", max_examples=60, derandomize=True, database=None, **_COMMON)
settings.register_profile("long", max_examples=int(os.environ.get("FUZZ_EXAMPLES", "200")),
                          print_blob=True, **_COMMON)  # fmt: skip
settings.load_profile("long" if "FUZZ_EXAMPLES" in os.environ else "quick")
