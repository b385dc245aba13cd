"""A Keras model and a calibration set to a full-int8 .tflite: batch 1, int8 in and out, weights per channel.

The converter runs in a process of its own (``convert_worker.py``): it leaks memory on every call and writes straight to
stderr.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinydeploy.errors import ModelError, ToolchainError
from tinydeploy.preprocess import Preprocess

CALIBRATION_IMAGES = 256
_WORKER = Path(__file__).with_name("convert_worker.py")
_LAST_WORDS_LINES = 2


def quantize(model: Any, calibration: NDArray[np.uint8], preprocess: Preprocess) -> bytes:
    """`model` as .tflite bytes, its ranges taken from `calibration`, uint8 (N, input size, input size, channels).

    The Keras model takes float32 with a batch of 1 (``zoo.build(..., batch_size=1, softmax=True)``). Calibrate on
    training images only. The same model and images give the same bytes. Raises ModelError when the converter refuses.
    """
    with tempfile.TemporaryDirectory(prefix="tinydeploy-") as folder:
        model_file, samples, output = (Path(folder, name) for name in ("model.keras", "samples.npy", "model.tflite"))
        model.save(model_file)
        np.save(samples, preprocess.real(_spanning(calibration)))
        return _converted(output, model_file, samples, output)


def quantize_trained(graph_def: bytes) -> bytes:
    """A frozen TensorFlow graph with fake quantization (``qat.QuantizedNetwork.export``) as .tflite bytes.

    Raises ModelError when the converter refuses.
    """
    with tempfile.TemporaryDirectory(prefix="tinydeploy-") as folder:
        graph_file, output = Path(folder, "graph.pb"), Path(folder, "model.tflite")
        graph_file.write_bytes(graph_def)
        return _converted(output, graph_file, output)


def _converted(output: Path, *arguments: Path) -> bytes:
    """What the converter's process leaves in `output`."""
    command = [sys.executable, "-P", str(_WORKER), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode != 0:
        words = [line.strip() for line in done.stderr.splitlines() if line.strip()][-_LAST_WORDS_LINES:]
        if "ModuleNotFoundError" in done.stderr:
            raise ToolchainError(f"conversion failed ({'; '.join(words)}): pip install 'tinydeploy[train]'")
        raise ModelError(f"TensorFlow's converter refused the model: {'; '.join(words) or 'without a word'}")
    return output.read_bytes()


def _spanning(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`images` with one black and one white pixel set in a corner of the first.

    The range of the input is then that of the pixels whatever the data shows, and its quantization ``pixel - 128``.
    """
    spanning = images.copy()
    spanning[0, 0, 0], spanning[0, 0, -1] = 0, 255
    return spanning
