"""The autoencoder of MLPerf Tiny's anomaly detection: it gives its input again, and badly where that is unusual.

Its input is a vector of `input_size` features (640: five frames of 128 mel bands), or of the pixels of a grey image
where there is a width too, and so is its output; channels and classes say nothing here.
"""

from __future__ import annotations

from tinydeploy.zoo._layers import LayerSpec
from tinydeploy.zoo._network import Network
from tinydeploy.zoo._spec import Architecture, ModelSpec

_UNITS = (128, 128, 128, 128, 8, 128, 128, 128, 128)


def _layers(spec: ModelSpec) -> tuple[LayerSpec, ...]:
    length = spec.input_size * (spec.input_width or 1)
    net = Network(spec, input_shape=(length,))
    x: LayerSpec | None = None
    for number, units in enumerate(_UNITS, start=1):
        x = net.dense(f"dense_{number}", x, spec.width(units), activation="relu", batch_norm=True)
    net.dense("reconstruction", x, length)
    return net.layers


ARCHITECTURE = Architecture(
    "autoencoder",
    "Autoencoder for anomalies (MLPerf Tiny)",
    _layers,
    alpha=1.0,
    input_size=(640, 0),
    channels=1,
    classifies=False,
)
