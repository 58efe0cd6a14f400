"""What became of a checkpoint: a report, or the error that refuses it."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Report:
    """Which weights came from where.

    Attributes:
        source: Name of the source, or of the file of this package.
        mapped: `(our weight, their arrays)`; several arrays where one was folded into another.
        left: Arrays of the checkpoint that nothing in the model stands for.
        unused: `(array, why)`: those that no model here has a place for.
        missing: Layers of ours that the checkpoint has nothing for; they keep their initial values.
        reinitialized: `(layer, why)`: classifiers of another number of classes; they too.
        notes: What else one should know.
    """

    source: str
    mapped: tuple[tuple[str, str], ...]
    left: tuple[str, ...] = ()
    unused: tuple[tuple[str, str], ...] = ()
    missing: tuple[str, ...] = ()
    reinitialized: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_partial(self) -> bool:
        """Whether some layers kept their initial values."""
        return bool(self.missing or self.reinitialized)

    def summary(self) -> str:
        """A line or a few: counts, what kept its initial values, notes."""
        lines = [f"{len(self.mapped)} weights from {self.source}"]
        if self.missing:
            lines.append(f"initial values kept in {len(self.missing)}: {_some(self.missing)}")
        lines += [f"initial values kept in {layer}: {why}" for layer, why in self.reinitialized]
        if self.left:
            lines.append(f"nothing here for {len(self.left)} arrays: {_some(self.left)}")
        return "\n".join([*lines, *self.notes])

    def text(self) -> str:
        """Everything, a line each."""
        parts = [
            ("mapped", [f"{ours}  <-  {theirs}" for ours, theirs in self.mapped]),
            ("missing: initial values kept", list(self.missing)),
            ("another number of classes", [f"{name}: {why}" for name, why in self.reinitialized]),
            ("left in the checkpoint", list(self.left)),
            ("not used", [f"{name}: {why}" for name, why in self.unused]),
            ("notes", list(self.notes)),
        ]
        return "\n".join(
            "\n  ".join([f"{title} ({len(lines)})", *lines]) for title, lines in parts if lines
        )


def _some(names: tuple[str, ...], count: int = 6) -> str:
    more = f", ... ({len(names) - count} more)" if len(names) > count else ""
    return ", ".join(names[:count]) + more


class ConversionError(ValueError):
    """Weights that cannot be read, fetched or mapped; the message names the file and the reason."""
