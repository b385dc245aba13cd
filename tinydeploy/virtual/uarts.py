"""The UART models by kind, as chips name them."""

from __future__ import annotations

from tinydeploy.virtual.nrf_uart import NrfUart
from tinydeploy.virtual.usart import Usart
from tinydeploy.virtual.usart_v1 import UsartV1

AnyUart = Usart | UsartV1 | NrfUart
UARTS: dict[str, type[Usart] | type[UsartV1] | type[NrfUart]] = {
    "usart_v2": Usart,
    "usart_v1": UsartV1,
    "nrf": NrfUart,
}
