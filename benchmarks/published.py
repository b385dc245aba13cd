"""The fewest cycles that anyone has published for a chip: the median latency of MLPerf Tiny v0.5 to v1.3, closed
division, times the clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Silicon:
    """Cycles of one inference on a chip, its flash and caches as they are, and who published them."""

    cycles: int
    source: str


_ST = "ST X-CUBE-AI 9.0, MLPerf Tiny closed division, L4R5"
_PLUMERAI_L4R5 = "Plumerai v1.1, MLPerf Tiny closed division, L4R5"
_PLUMERAI_F746 = "Plumerai 2023.05, MLPerf Tiny closed division, F746"
_BOSCH_F746 = "Bosch HALE, MLPerf Tiny closed division, F746"

# By board and model.
PUBLISHED: Mapping[str, Mapping[str, Silicon]] = {
    "nucleo_l4r5zi": {
        "vww_96_int8": Silicon(10_670_000, _ST),
        "pretrainedResnet_quant": Silicon(19_810_000, _ST),
        "kws_ref_model": Silicon(5_180_000, _ST),
        "ad01_int8": Silicon(486_000, _PLUMERAI_L4R5),
    },
    "stm32f746": {
        "vww_96_int8": Silicon(7_370_000, _PLUMERAI_F746),
        "pretrainedResnet_quant": Silicon(13_310_000, _BOSCH_F746),
        "kws_ref_model": Silicon(3_840_000, _PLUMERAI_F746),
        "ad01_int8": Silicon(307_000, _PLUMERAI_F746),
    },
}

# vww_96 on the L4R5 by the best that computes all of its channels, constant ones too.
VWW_KEPT = Silicon(21_660_000, "Bosch HALE (no channels removed), MLPerf Tiny closed division, L4R5")
