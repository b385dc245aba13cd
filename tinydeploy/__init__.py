"""tinydeploy: int8 neural networks, compiled ahead of time to proved, measured Cortex-M firmware."""

__version__ = "0.1.0"
