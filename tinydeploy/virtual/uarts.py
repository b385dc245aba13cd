"""The UART models by kind, as chips name them."""

from __future__ import annotations

from tinydeploy.virtual.usart import Usart
from tinydeploy.virtual.usart_v1 import UsartV1

AnyUart = Usart | UsartV1
UARTS: dict[str, type[Usart] | type[UsartV1]] = {"usart_v2": Usart, "usart_v1": UsartV1}
