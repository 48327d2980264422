"""Why a Kafka broker lets nobody in: asked when a client of ours could not connect at all.

aiokafka's clients log the reason and raise without it. So one more connection is made, whose error says
whether the password, the certificate or the network is to blame.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any, Final

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import KafkaError

_LIMIT_S: Final = 3.0
_ASKED: Final = (
    "ssl_context", "security_protocol", "sasl_mechanism", "sasl_plain_username", "sasl_plain_password"
)  # fmt: skip


async def why_refused(client_options: Mapping[str, Any]) -> str | None:
    """In a few words, None when nothing is known beyond that nobody answers. Takes 3 s at most."""
    if client_options.get("security_protocol", "PLAINTEXT") == "PLAINTEXT":
        return None  # nothing to be refused for
    [(host, port, _), *_] = collect_hosts(client_options["bootstrap_servers"])
    asked = {name: client_options[name] for name in _ASKED if name in client_options}
    try:
        async with asyncio.timeout(_LIMIT_S):
            connection = await create_conn(host, port, **asked)
    except ssl.SSLCertVerificationError as error:
        return f"its certificate is not trusted: {error.verify_message}; check [kafka] ssl_cafile"
    except ssl.SSLError as error:
        return f"TLS failed: {error.reason or error}; check [kafka] security_protocol"
    except KafkaError as error:
        if "uthentic" in type(error).__name__:
            return "it refuses the user or the password; check [kafka] sasl_username and sasl_password"
        return f"{type(error).__name__}; check [kafka] security_protocol and sasl_mechanism"
    except (TimeoutError, OSError):
        return None
    connection.close()
    return None
