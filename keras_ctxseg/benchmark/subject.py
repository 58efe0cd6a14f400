"""What is measured, as plain data: which network, in which form, at which size."""

import dataclasses
import functools
import hashlib
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from keras_ctxseg._naming import nearest
from keras_ctxseg.benchmark.peers import load_peer
from keras_ctxseg.runs.imports import described

# Forms in which this package's models are measured.
FORMS = ("keras", "saved_model", "litert", "litert-int8", "training")
# Sources of networks other than peers, and the forms that each can be had in.
SOURCES: Mapping[str, tuple[str, ...]] = {"ctxseg": FORMS, "floor": ("matrix-product",)}


@dataclass(frozen=True)
class Subject:
    """One thing to be timed beside others.

    Attributes:
        source: `"ctxseg"`, a peer (see `peers.py`), or `"floor"`: a large float32 matrix product,
            the rate that arithmetic can have at all.
        form: `"keras"`, the model's graph with variables; `"saved_model"`, exported and loaded
            again; `"litert"` and `"litert-int8"`; `"training"`, a step of SGD with momentum;
            `"matrix-product"`; or a form of the peer's own.
        name: of this package's model.
        options: of its or the peer's constructor.
        size: height and width of the images.
        num_classes: of the logits.
        batch: images of a training step; everything else takes one.
        imports: modules and `.py` files that are imported first, as a recipe's `imports` are.
    """

    source: str
    form: str
    name: str = ""
    options: Mapping = field(default_factory=dict)
    size: tuple[int, int] = (512, 512)
    num_classes: int = 21
    batch: int = 2
    imports: tuple[str, ...] = ()

    def __post_init__(self):
        known = SOURCES.get(self.source) or [
            form for forms in load_peer(self.source).FORMS.values() for form in forms
        ]
        if self.form not in known:
            raise ValueError(
                f"`form`: {self.source} can be measured as {', '.join(known)}. "
                f"Received: {self.form!r}.{nearest(self.form, known)}"
            )

    @property
    def title(self) -> str:
        """Name, options and form in a few words."""
        options = " ".join(f"{key}={_plain(value)}" for key, value in self.options.items())
        words = [self.name or self.source, options, f"({self.form})"]
        return " ".join(word for word in words if word)

    @property
    def images(self) -> int:
        """Images of one call."""
        return self.batch if self.form == "training" else 1

    def exported(self, folder: Path) -> Path | None:
        """Where an exported form is kept; its facts lie beside it, with the suffix `.json`."""
        if self.form in ("keras", "training", "matrix-product"):
            return None
        # Short, and another for any other subject. A preset of changed code is another one too.
        text = json.dumps(self.to_json(), sort_keys=True)
        if self.source == "ctxseg":
            text += _code() + json.dumps(described(self.imports))
        key = hashlib.sha256(text.encode()).hexdigest()[:12]
        return folder / f"{self.name or self.source}-{self.form}-{key}"

    def to_json(self) -> dict:
        """As `from_json` reads it."""
        values = dataclasses.asdict(self) | {"options": dict(self.options)}
        if not self.imports:
            del values["imports"]
        return values

    @classmethod
    def from_json(cls, values: Mapping) -> "Subject":
        """From what `json` made of `to_json`."""
        options = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in values["options"].items()
        }
        imports = tuple(values.get("imports", ()))
        size = tuple(values["size"])
        return cls(**{**values, "size": size, "options": options, "imports": imports})


@functools.cache
def _code() -> str:
    """A digest of the code that builds and exports this package's networks."""
    package = Path(__file__).parents[1]
    rooms = ("backbones", "export", "heads", "layers", "models")
    files = [
        *package.glob("*.py"),
        *(path for room in rooms for path in (package / room).rglob("*.py")),
    ]
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def peers_of(subject: Subject, source: str, options: Mapping) -> list[Subject]:
    """The peer's network in the forms nearest to this package's model.

    Options that the peer shares are the model's, unless `options` say otherwise.
    """
    peer = load_peer(source)
    shared = {key: subject.options[key] for key in peer.SHARED_OPTIONS if key in subject.options}
    return [
        dataclasses.replace(
            subject,
            source=source,
            name="",
            form=form,
            options=shared | {**options},
            imports=(),
        )
        for form in peer.FORMS.get(subject.form, ())
    ]


def _plain(value) -> str:
    return (
        ",".join(map(str, value)) if isinstance(value, (tuple, list)) else shlex.quote(str(value))
    )
