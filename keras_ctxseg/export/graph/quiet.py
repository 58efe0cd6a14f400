"""Holds back what TensorFlow's C++ code and converter print while an export runs."""

import contextlib
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def captured_noise() -> Iterator[None]:
    """Keeps standard error, warnings and log messages of the block from the screen.

    Standard error is redirected at the level of the file descriptor, as MLIR and absl write there
    from C++; so it holds for the whole process while the block runs. Errors are exceptions and
    pass through.
    """
    loggers = [logging.getLogger(name) for name in ("tensorflow", "absl")]
    levels = [logger.level for logger in loggers]
    with tempfile.TemporaryFile() as sink, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sys.stderr.flush()
        saved = os.dup(2)
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            os.dup2(sink.fileno(), 2)
            yield
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
