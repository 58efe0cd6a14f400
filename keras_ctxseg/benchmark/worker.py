"""The process in which one subject is measured; see `side_by_side.py`.

Reads lines, answers each with a line of JSON: first a subject, answered by its facts or `error`;
then `run`, answered by `seconds`; `reset`, before the calls that count; last `stop`, answered by
`memory`.
"""

import json
import os
import sys
import time
from pathlib import Path

from keras_ctxseg.costs.memory_child import peak, reset_peak, resident


def main() -> None:
    """Serves one subject."""
    # Libraries print where they like: the answers get the standard output for themselves.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(**values):
        answers.write(json.dumps(values) + "\n")
        answers.flush()

    request = json.loads(sys.stdin.readline())
    try:
        call, facts = _prepare(request)
    except (ValueError, ImportError, OSError) as error:
        answer(error=" ".join(str(error).split()))
        return
    baseline = resident()
    answer(**facts)
    for line in sys.stdin:
        if line.strip() == "stop":
            answer(memory=peak() - baseline)
            return
        if line.strip() == "reset":
            reset_peak()
            answer()
            continue
        start = time.perf_counter()
        call()
        answer(seconds=time.perf_counter() - start)


def _prepare(request: dict):
    from keras_ctxseg.benchmark.subject import Subject

    subject = Subject.from_json(request["subject"])
    folder = Path(request["folder"])
    if subject.source == "floor":
        from keras_ctxseg.benchmark.latency import matrix_product

        return matrix_product()
    if subject.source != "ctxseg":
        from keras_ctxseg.benchmark.peers import load_peer

        return load_peer(subject.source).prepare(subject, folder)
    from keras_ctxseg.benchmark import own_models

    return own_models.prepare(subject, folder, request["threads"])


if __name__ == "__main__":
    main()
