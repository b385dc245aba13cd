"""The virtual board: real firmware images, run on an emulated Cortex-M with a strict model of the chip around it."""
