"""What goes wrong with somebody else's weights."""


class ConversionError(ValueError):
    """Weights that cannot be read, fetched or mapped; the message names the file and the reason."""
