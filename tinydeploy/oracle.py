"""TFLite Micro, the oracle: what an int8 model computes, bit for bit, by the tflite-micro wheel.

TFLM aborts its process on models that it dislikes, so it runs in a subprocess (``oracle_worker.py``), and a crash
becomes an :class:`OracleError` with TFLM's last words. Keep one :class:`Oracle` open for many models: a start costs
about 0.3 s, a small model about a millisecond.

Shapes: a model's leading batch dimension of 1 stands for the N inputs of a call, so a model from (1, 96, 96, 3) to
(1, 2) takes (N, 96, 96, 3) and gives (N, 2).
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from tinydeploy.errors import OracleError, ToolchainError
from tinydeploy.oracle_worker import read_message, write_message

_WORKER = Path(__file__).with_name("oracle_worker.py")
_LAST_WORDS_LINES = 3


class Oracle:
    """A TFLM process that outlives its models; use as a context manager. Restarted when a model kills it.

    Not thread-safe: one per thread. ``timeout_s`` bounds each call.
    """

    def __init__(self, timeout_s: float = 600.0) -> None:
        self._timeout_s = timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._words: IO[bytes] | None = None

    def __enter__(self) -> Oracle:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def run(self, model: bytes, inputs: NDArray[Any]) -> NDArray[Any]:
        """The model's output for each of `inputs`: (N, *input shape) to (N, *output shape), dtypes as in the model.

        Raises OracleError when TFLM refuses the model, aborts on it, or the inputs do not fit it.
        """
        if len(inputs) == 0:
            raise OracleError("the oracle was given no inputs; pass at least one")
        ((_, outputs),) = self._call(model, inputs, len(inputs), all_tensors=False)
        if outputs.ndim > 2 and outputs.shape[1] == 1:
            outputs = outputs[:, 0]
        return outputs

    def run_all_tensors(self, model: bytes, one_input: NDArray[Any]) -> dict[int, NDArray[Any]]:
        """Every activation of one inference by its tensor index in the .tflite: input, intermediates and output.

        Each has the model's own shape, its batch dimension included. Constants are left out.
        """
        return dict(self._call(model, one_input, 1, all_tensors=True))

    def close(self) -> None:
        """End the process; the next call would start another."""
        if self._process is not None:
            for pipe in (self._process.stdin, self._process.stdout):
                assert pipe is not None
                with contextlib.suppress(BrokenPipeError):  # it died with a request half read
                    pipe.close()
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._words is not None:
            self._words.close()
            self._words = None

    def _call(
        self, model: bytes, inputs: NDArray[Any], count: int, all_tensors: bool
    ) -> list[tuple[int, NDArray[Any]]]:
        process, words = self._started()
        words_start = words.seek(0, 2)
        data = np.ascontiguousarray(inputs).tobytes()
        header = {
            "all_tensors": all_tensors,
            "model_bytes": len(model),
            "input_bytes": len(data),
            "count": count,
        }
        timed_out = threading.Event()

        def stop() -> None:
            timed_out.set()
            process.kill()

        watchdog = threading.Timer(self._timeout_s, stop)
        watchdog.start()
        try:
            reply, arrays = _exchange(process, header, model, data)
        finally:
            watchdog.cancel()
        if reply is None:
            code = process.wait()
            said = _last_words(words, words_start)
            self.close()
            if timed_out.is_set():
                raise OracleError(f"TFLite Micro took more than {self._timeout_s:g} s and was stopped{said}")
            raise OracleError(f"TFLite Micro {_how_it_ended(code)}{said or ', without a word'}")
        if "missing" in reply:
            self.close()
            raise ToolchainError(f"TFLite Micro is missing ({reply['missing']}): pip install 'tinydeploy[oracle]'")
        if "error" in reply:
            raise OracleError(f"TFLite Micro refused the model: {reply['error']}{_last_words(words, words_start)}")
        return arrays

    def _started(self) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
        if self._process is not None and self._process.poll() is not None:
            self.close()
        if self._process is None or self._words is None:
            # An unnamed file, not a pipe: TFLM may say more than a pipe holds while nobody reads.
            self._words = tempfile.TemporaryFile()  # noqa: SIM115  (closed in close())
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(_WORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._words,
            )
        return self._process, self._words


def run(model: bytes, inputs: NDArray[Any]) -> NDArray[Any]:
    """:meth:`Oracle.run` in a process of its own."""
    with Oracle() as oracle:
        return oracle.run(model, inputs)


def run_all_tensors(model: bytes, one_input: NDArray[Any]) -> dict[int, NDArray[Any]]:
    """:meth:`Oracle.run_all_tensors` in a process of its own."""
    with Oracle() as oracle:
        return oracle.run_all_tensors(model, one_input)


def _exchange(
    process: subprocess.Popen[bytes], header: dict[str, Any], model: bytes, data: bytes
) -> tuple[dict[str, Any] | None, list[tuple[int, NDArray[Any]]]]:
    """Send a request and read its reply; the reply is None when the process ended instead."""
    assert process.stdin is not None
    assert process.stdout is not None
    stdout = cast(BinaryIO, process.stdout)
    try:
        write_message(cast(BinaryIO, process.stdin), header, model, data)
    except BrokenPipeError:
        return None, []
    reply = read_message(stdout)
    arrays = []
    for described in (reply or {}).get("arrays", []):
        dtype, shape = np.dtype(described["dtype"]), described["shape"]
        raw = stdout.read(int(np.prod(shape, dtype=np.int64)) * dtype.itemsize)
        arrays.append((described["tensor"], np.frombuffer(raw, dtype).reshape(shape)))
    return reply, arrays


def _last_words(words: IO[bytes], start: int) -> str:
    """``": ..."`` with what TFLM printed since `start`, its last lines in one, or the empty string."""
    words.seek(start)
    lines = [line.strip() for line in words.read().decode(errors="replace").splitlines() if line.strip()]
    return f": {'; '.join(lines[-_LAST_WORDS_LINES:])}" if lines else ""


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"ended with status {code} on the model"
    try:
        return f"aborted on the model ({signal.Signals(-code).name})"
    except ValueError:
        return f"aborted on the model (signal {-code})"
