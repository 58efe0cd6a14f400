"""Architecture search for scale-permuted backbones: the space, the trials, what was found.

Everything loads on first use. `Topology`, `SearchSpace`, `count_cost` need neither TensorFlow nor
Optuna; `run_search` needs Optuna, the extra `search`.
"""

from typing import TYPE_CHECKING

from keras_ctxseg._lazy import lazy_exports

if TYPE_CHECKING:
    from keras_ctxseg.search.arithmetic import Cost, count_cost
    from keras_ctxseg.search.config import SearchConfig, load_search_config
    from keras_ctxseg.search.confirmation import confirm
    from keras_ctxseg.search.figures import draw_topology
    from keras_ctxseg.search.objective import Candidate, StoppedError, TrainingObjective, hopeless
    from keras_ctxseg.search.records import Confirmation, SearchResult, TrialRecord, pareto_front
    from keras_ctxseg.search.run import load_result, run_search
    from keras_ctxseg.search.space import SearchSpace
    from keras_ctxseg.search.summary import write_summary
    from keras_ctxseg.search.topology import (
        Topology,
        load_topology,
        save_topology,
        topology_from_options,
    )

__getattr__, __dir__, __all__ = lazy_exports(__name__)
