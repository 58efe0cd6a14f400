"""The one error that a refused export raises."""


class ExportError(ValueError):
    """An export was refused. Nothing was published, and whatever was there before still is."""
