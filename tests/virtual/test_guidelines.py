"""ShuffleNet V2's guidelines on the virtual Cortex-M4: in which direction each one goes here, at equal MACs."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.guidelines import measure, networks

NETWORKS = networks(8)
AS_MEASURED = networks(16)


@pytest.mark.parametrize("guideline", AS_MEASURED)
def test_the_networks_of_a_guideline_are_of_equal_macs(guideline: str) -> None:
    """Within a few per cent of what is compared; the first layer is there to feed it."""
    macs = [sum(layer.macs for layer in layers if layer.name != "first") for layers in AS_MEASURED[guideline].values()]
    assert max(macs) <= 1.03 * min(macs)


@pytest.mark.parametrize(
    ("guideline", "cheaper", "dearer"),
    [
        ("G1", "1:1 (64, 64 channels)", "1:6 (26, 158 channels)"),
        ("G2", "1 groups (56 channels)", "8 groups (160 channels)"),
        ("G3", "1 fragment", "4 in parallel, added"),
        ("G4", "ReLU", "ReLU and shortcut"),
        ("V2 against V1", "V2, alpha 0.483", "V1, alpha 0.52, 3 groups"),
    ],
)
def test_a_guideline_holds_on_the_virtual_board(guideline: str, cheaper: str, dearer: str, tmp_path: Path) -> None:
    a, b = (
        measure(guideline, name, NETWORKS[guideline][name], "m4", tmp_path / str(number))
        for number, name in enumerate((cheaper, dearer))
    )
    assert a.cycles / a.macs < b.cycles / b.macs
    # V2 beats V1 without less access: grouped convolutions cost V1 more than their bytes.
    assert guideline == "V2 against V1" or a.access_bytes < b.access_bytes
