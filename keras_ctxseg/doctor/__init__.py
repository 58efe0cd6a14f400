"""What an installation and a machine have, what is known to go wrong there, and what to do.

    findings = ctx.doctor.examine()
    print(ctx.doctor.as_table(findings))

Nothing here imports Keras or TensorFlow into the process that asks: a broken installation may end
a process without a word, and the doctor is there to say so.
"""

from typing import TYPE_CHECKING

from keras_ctxseg._lazy import lazy_exports

if TYPE_CHECKING:
    from keras_ctxseg.doctor.examination import examine
    from keras_ctxseg.doctor.finding import Finding, as_json, as_table, is_broken

__getattr__, __dir__, __all__ = lazy_exports(__name__)
