"""The link without a board: the device's C compiled natively, and lines that lose bytes."""
