"""Which processes train together, from the variables that a launcher sets."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from keras_ctxseg.runs.config import ConfigError

FIRST_SLURM_PORT = 20_000
SLURM_PORTS = 20_000
KUBERNETES_PORT = 20_000


@dataclass(frozen=True)
class Cluster:
    """The workers of a job, the same list on all of them, and this one's place in it.

    Args:
        workers: `host:port` of each.
        index: of this process.
        source: what told: "TF_CONFIG", "Slurm", "Kubernetes".
    """

    workers: tuple[str, ...]
    index: int
    source: str

    def tf_config(self) -> str:
        """The text of `TF_CONFIG` that TensorFlow reads."""
        task = {"type": "worker", "index": self.index}
        return json.dumps({"cluster": {"worker": list(self.workers)}, "task": task})


def find_cluster(environment: Mapping[str, str]) -> Cluster | None:
    """The cluster that the environment describes; None where it describes a single process.

    In this order:

    - `TF_CONFIG`, as TensorFlow and Kubeflow write it: workers only, or a chief and workers.
    - Slurm, inside `srun` with more than one task: `SLURM_STEP_NODELIST`,
      `SLURM_STEP_TASKS_PER_NODE`, `SLURM_PROCID`; the ports follow from `SLURM_JOB_ID`.
    - Kubernetes, an Indexed Job behind a headless service: `JOB_COMPLETION_INDEX` and `HOSTNAME`,
      which Kubernetes sets, and `CTXSEG_WORKERS` (the Job's `completions`), `CTXSEG_SERVICE` (the
      service's name) and, if not 20000, `CTXSEG_PORT`, which the manifest sets.

    Raises:
        ConfigError: where one of them is there in part, or says what cannot be.
    """
    if environment.get("TF_CONFIG"):
        return _from_tf_config(environment["TF_CONFIG"])
    if int(environment.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        return _from_slurm(environment)
    if "CTXSEG_WORKERS" in environment or "CTXSEG_SERVICE" in environment:
        return _from_kubernetes(environment)
    return None


def expand_nodes(nodes: str) -> list[str]:
    """`"gpu[01-03,07],login"` as Slurm writes it, one name each: gpu01, gpu02, gpu03, gpu07, ...

    Raises:
        ConfigError: for a list that is not of this form.
    """
    names = []
    part = r"([^,\[\]]+)(?:\[([^\]]+)\])?"
    if not re.fullmatch(f"{part}(?:,{part})*", nodes):
        raise ConfigError(f"SLURM_STEP_NODELIST: expected names like gpu[01-03]. Received: {nodes}")
    for prefix, ranges in re.findall(part, nodes):
        if not ranges:
            names.append(prefix)
            continue
        for span in ranges.split(","):
            first, _, last = span.partition("-")
            for number in range(int(first), int(last or first) + 1):
                names.append(f"{prefix}{number:0{len(first)}d}")
    return names


def _from_tf_config(text: str) -> Cluster | None:
    try:
        config = json.loads(text)
        jobs = config.get("cluster", {})
        workers = [*jobs.get("chief", ()), *jobs.get("worker", ())]
        task = config.get("task", {})
        kind, index = task.get("type", "worker"), int(task.get("index", 0))
    except (ValueError, AttributeError, TypeError) as error:
        raise ConfigError(f"TF_CONFIG: expected JSON with cluster and task ({error})") from None
    if not workers:
        return None
    if kind not in ("chief", "worker") or index not in range(len(jobs.get(kind, ()))):
        raise ConfigError(
            f"TF_CONFIG: expected a task of the cluster {jobs}. Received: {kind} {index}"
        )
    if kind == "worker":
        index += len(jobs.get("chief", ()))
    return Cluster(tuple(workers), index, "TF_CONFIG")


def _from_slurm(environment: Mapping[str, str]) -> Cluster:
    values = {
        name: environment.get(name)
        for name in ("SLURM_STEP_NODELIST", "SLURM_STEP_TASKS_PER_NODE", "SLURM_PROCID",
                     "SLURM_JOB_ID")
    }  # fmt: skip
    missing = [name for name, value in values.items() if value is None]
    if missing:
        raise ConfigError(f"Slurm: {', '.join(missing)} is not set; start the run with srun")
    nodes = expand_nodes(str(values["SLURM_STEP_NODELIST"]))
    tasks: list[int] = []
    for span in str(values["SLURM_STEP_TASKS_PER_NODE"]).split(","):  # "2(x3),1"
        count, _, times = span.partition("(x")
        tasks.extend([int(count)] * int(times.rstrip(")") or 1))
    if len(tasks) != len(nodes):
        raise ConfigError(
            f"Slurm: expected tasks for {len(nodes)} nodes. "
            f"Received: SLURM_STEP_TASKS_PER_NODE={values['SLURM_STEP_TASKS_PER_NODE']}"
        )
    # Jobs that share a node get ports of their own.
    first_port = FIRST_SLURM_PORT + 16 * int(str(values["SLURM_JOB_ID"])) % SLURM_PORTS
    workers = [
        f"{node}:{first_port + task}"
        for node, count in zip(nodes, tasks, strict=True)
        for task in range(count)
    ]
    return Cluster(tuple(workers), int(str(values["SLURM_PROCID"])), "Slurm")


def _from_kubernetes(environment: Mapping[str, str]) -> Cluster | None:
    needed = ("CTXSEG_WORKERS", "CTXSEG_SERVICE", "JOB_COMPLETION_INDEX", "HOSTNAME")
    missing = [name for name in needed if not environment.get(name)]
    if missing:
        raise ConfigError(
            f"Kubernetes: {', '.join(missing)} is not set; expected an Indexed Job whose manifest "
            "sets CTXSEG_WORKERS and CTXSEG_SERVICE"
        )
    count, index = int(environment["CTXSEG_WORKERS"]), int(environment["JOB_COMPLETION_INDEX"])
    host, port = environment["HOSTNAME"], environment.get("CTXSEG_PORT", str(KUBERNETES_PORT))
    if not host.endswith(f"-{index}") or index >= count:
        raise ConfigError(
            f"Kubernetes: expected a pod <job>-{index} and an index below {count}. "
            f"Received: HOSTNAME={host}, JOB_COMPLETION_INDEX={index}"
        )
    job, service = host[: -len(f"-{index}")], environment["CTXSEG_SERVICE"]
    workers = [f"{job}-{number}.{service}:{port}" for number in range(count)]
    return Cluster(tuple(workers), index, "Kubernetes") if count > 1 else None
