"""Kernels that write into a wider tensor: their channels, then those of others, up to the next pixel.

A template takes part by reading the shape's `out_pitch`, the channels from a pixel to the next one, where it has one.
"""

from __future__ import annotations

from dataclasses import replace

from tinydeploy.kernels.base import Implementation

_TEMPLATES = ("td_channel_gather_s8", "td_conv_s8", "td_conv_s8_dsp")
# A block of four pixels stores them all from one register, which reaches this far.
_MOST_CHANNELS = 4095 // 4


def pitched(kernel: Implementation, pitch: int) -> Implementation | None:
    """`kernel` with an output of which each pixel is `pitch` channels after the one before; None where it has no such
    form. What it overwrites is not known from its own sizes then, so no input may lie there."""
    if kernel.template not in _TEMPLATES or pitch > _MOST_CHANNELS:
        return None
    shape = {**kernel.shape, "out_pitch": pitch}
    return replace(kernel, shape=shape, label=f"{kernel.label}_of_{pitch}", in_place=False, overlap=None)
