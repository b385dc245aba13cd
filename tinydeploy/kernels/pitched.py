"""Kernels that write into a wider tensor or read from one: their channels, then those of others, up to the next pixel.

A template takes part by reading the shape's `out_pitch`, the channels from a pixel to the next one, where it has one;
and as a reader by taking `in_c` (`depths`) for that distance alone, not for how many channels it reads.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinydeploy.kernels.base import Constant, Implementation, integer
from tinydeploy.kernels.matrix_gather import REACH_BYTES

_GATHER = "td_channel_gather_s8"
_WRITERS = (
    _GATHER,
    "td_conv_s8",
    "td_conv_s8_dsp",
    "td_conv_s8_mve",
    "td_conv_s8_packed",
    "td_depthwise3x3_s8_dsp",
    "td_depthwise_planes_s8_dsp",
    "td_depthwise_s8",
    "td_depthwise_s8_dsp",
    "td_depthwise_s8_mve",
    "td_depthwise_s8_window",
    "td_pool_s8",
    "td_pool_s8_dsp",
    "td_pool_s8_mve",
)
# Kernels that scatter eight outputs at a time by offsets, halfwords among the first constant: from which word on, and
# what their shapes call the output's channels.
_SCATTERERS = {"td_conv_s8_mve": (0, "out_c"), "td_depthwise_s8_mve": (4, "channels")}
_SCATTER_WORDS, _HALFWORD = 4, 1 << 16
# Of those for larger windows only the portable one keeps the pixels' distance apart from the channels.
_POINTWISE_READERS = ("td_conv_s8_dsp", "td_conv_s8_mve", "td_conv_s8_packed")
# A block of four pixels stores them all from one register, which reaches this far.
_MOST_CHANNELS = 4095 // 4


def pitched(kernel: Implementation, pitch: int) -> Implementation | None:
    """`kernel` with an output of which each pixel is `pitch` channels after the one before; None where it has no such
    form. What it overwrites is not known from its own sizes then, so no input may lie there."""
    if kernel.template not in _WRITERS or pitch > _MOST_CHANNELS:
        return None
    shape, constants = {**kernel.shape, "out_pitch": pitch}, kernel.constants
    if kernel.template in _SCATTERERS:
        at, channels = _SCATTERERS[kernel.template]
        scattering = _scattering(constants[0], at, integer(shape, channels), pitch)
        if scattering is None:
            return None
        constants = (scattering, *constants[1:])
    label = f"{kernel.label}_of_{pitch}"
    return replace(kernel, shape=shape, label=label, constants=constants, in_place=False, overlap=None)


def _scattering(constant: Constant, at: int, channels: int, pitch: int) -> Constant | None:
    """`constant` with the offsets of outputs among pixels of `pitch` channels instead of `channels`; None where they
    leave a halfword."""
    words = constant.values.copy()
    offsets = words[at : at + _SCATTER_WORDS].view(np.uint16)
    pixels, rest = np.divmod(offsets.astype(np.int64), channels)
    moved = pixels * pitch + rest
    if moved.max() >= _HALFWORD:
        return None
    offsets[:] = moved
    return replace(constant, values=words)


def viewing(kernel: Implementation, inputs: tuple[int, ...], pitch: int) -> Implementation | None:
    """`kernel` with `inputs`, by number, of which each pixel is `pitch` channels after the one before; None where it
    has no such form. The output cannot lie over them, for others' channels are between."""
    shape = dict(kernel.shape)
    if kernel.template == _GATHER:
        depths = shape["depths"]
        assert isinstance(depths, tuple)
        shape["depths"] = tuple(pitch if at in inputs else depth for at, depth in enumerate(depths))
    elif kernel.template == "td_conv_s8" or (kernel.template in _POINTWISE_READERS and _pointwise(kernel)):
        shape["in_c"] = pitch
        if "step_bytes" in shape:
            # The last pixel of a block must be within reach of a load.
            if 3 * pitch + int(str(shape["run_bytes"])) > REACH_BYTES:
                return None
            shape |= {"step_bytes": pitch, "column_bytes": pitch}
    else:
        return None
    return replace(kernel, shape=shape, label=f"{kernel.label}_from_{pitch}", in_place=False, overlap=None)


def _pointwise(kernel: Implementation) -> bool:
    """Whether it is a convolution that reads one pixel at a time; a fully connected layer may read several as one."""
    return bool(kernel.shape["pointwise"]) and "in_h" in kernel.shape
