"""TensorFlow and Keras, imported late and quietly; only what trains or converts calls this."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from tinydeploy.errors import ToolchainError


def import_keras() -> Any:
    """The keras module on its TensorFlow backend; ToolchainError when it is not installed."""
    import_tensorflow()
    import keras

    return keras


def import_tensorflow() -> Any:
    """The tensorflow module, without the lines that its C++ side writes to stderr while it loads."""
    if "tensorflow" in sys.modules:
        return sys.modules["tensorflow"]
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    # Small networks gain nothing from ops side by side: the same wall-clock time alone, 0.6 of the CPU time, and far
    # less waiting when the cores are shared.
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
    with _quiet_stderr():
        try:
            import keras  # noqa: F401  (with its backend, so that both are quiet)
            import tensorflow as tf
        except ImportError as error:
            name = error.name or "tensorflow"
            raise ToolchainError(f"training needs {name}, which is missing: pip install 'tinydeploy[train]'") from error
    return tf


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Hold back what the process writes to stderr, at the level of the descriptor; shown after all on an error."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        except ToolchainError:
            raise
        except BaseException:
            said.seek(0)
            os.write(kept, said.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
