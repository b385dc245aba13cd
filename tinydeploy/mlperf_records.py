"""MLPerf Tiny's four int8 benchmarks as data, and the best that has been published for them on Cortex-M.

Sizes and quality targets: mlcommons/tiny, benchmark/evaluation/datasets/README.md; runs and warm-ups: its
benchmark/runner/tests_performance.yaml. Published latencies: the results files of mlcommons/tiny_results_v0.5 to v1.3,
closed division, 1000 / median throughput; clocks as declared by the submitter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

WINDOWS = 5  # performance mode: the median of so many
WINDOW_S = 10.0  # that each must last at least


@dataclass(frozen=True, slots=True)
class Task:
    """One benchmark. `wire_bytes` of an input come over the text protocol, `input_bytes` are the model's; `encoding` is
    that of the first: unsigned "pixels", the model's own "int8", or "float32" features. A window is of `runs`
    inferences at least, after `warmups`. `target` is the closed division's least quality, of `measure`: top-1 accuracy
    or AUC."""

    name: str
    title: str
    wire_bytes: int
    input_bytes: int
    output_bytes: int
    encoding: str
    runs: int
    warmups: int
    measure: str
    target: float


TASKS = (
    Task("vww01", "visual wake words", 27_648, 27_648, 2, "pixels", 20, 5, "accuracy", 0.80),
    Task("ic01", "image classification", 3_072, 3_072, 10, "pixels", 20, 5, "accuracy", 0.85),
    Task("kws01", "keyword spotting", 490, 490, 12, "int8", 70, 10, "accuracy", 0.90),
    Task("ad01", "anomaly detection", 2_560, 640, 640, "float32", 1500, 10, "AUC", 0.85),
)


def task_of(input_bytes: int, output_bytes: int) -> Task | None:
    """The benchmark whose model has an input and an output of these sizes."""
    return next((t for t in TASKS if (t.input_bytes, t.output_bytes) == (input_bytes, output_bytes)), None)


@dataclass(frozen=True, slots=True)
class Published:
    """Latencies in ms by task of one core and chip at `mhz`; `removed` names tasks whose cycles per MAC tell that dead
    channels were left out (inferred), `software` who holds them."""

    core: str
    chip: str
    mhz: int
    software: str
    ms: Mapping[str, float]
    removed: tuple[str, ...] = ()

    def megacycles(self, task: str) -> float:
        """Millions of cycles of one inference: ms * MHz / 1000."""
        return self.ms[task] * self.mhz / 1000


def _ms(vww: float, ic: float, kws: float, ad: float) -> Mapping[str, float]:
    return {"vww01": vww, "ic01": ic, "kws01": kws, "ad01": ad}


PUBLISHED = (
    Published(
        "m4", "STM32L4R5", 120, "ST X-CUBE-AI 9.0 (ad: Plumerai)", _ms(88.9, 165.1, 43.2, 4.05), removed=("vww01",)
    ),
    Published("m4", "STM32L4R5", 120, "Bosch HALE", _ms(180.5, 180.5, 60.2, 5.84)),
    Published("m4", "STM32L4R5", 120, "microTVM + CMSIS-NN", _ms(301.2, 389.6, 99.8, 8.60)),
    Published("m4", "STM32L4R5", 120, "TFLM reference kernels", _ms(600.6, 704.2, 181.9, 10.05)),
    Published("m33", "STM32U575", 160, "ST X-CUBE-AI 10.2, Plumerai", _ms(59.3, 104.3, 29.0, 3.09), removed=("vww01",)),
    Published("m7", "STM32F746", 216, "Plumerai (ic: Bosch HALE)", _ms(34.1, 61.6, 17.8, 1.42), removed=("vww01",)),
    Published("m7", "STM32F746", 216, "Bosch HALE", _ms(57.2, 61.6, 18.4, 1.70)),
    Published("m7", "STM32H7A3", 280, "ST X-CUBE-AI 9.0", _ms(23.8, 40.8, 11.3, 1.08), removed=("vww01",)),
    Published("m85", "RA8D1", 480, "TFLM + CMSIS-NN (MVE)", _ms(13.4, 8.5, 3.46, 0.53)),
    Published("m0plus", "STM32G0B1", 64, "Bosch HALE 1.0.175", _ms(1414, 1522, 475, 40.9)),
)
