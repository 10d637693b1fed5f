"""The floor: h11 on a trio stream, a fixed request again and again, nothing judged, logged or repeated.

It shows what of a call's cost is Python's, trio's and HTTP's, and cannot be the job's to save.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import h11
import trio

METADATA = "computeMetadata/v1/instance/service-accounts/default/identity"


def fetch_token(audience: str) -> str:
    url = f"http://{os.environ['GCE_METADATA_HOST']}/{METADATA}?audience={audience}"
    with urlopen(Request(url, headers={"Metadata-Flavor": "Google"})) as response:
        return str(response.read().decode())


async def work(port: int, token: str, targets: Iterator[str]) -> None:
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    protocol = h11.Connection(h11.CLIENT)
    headers = [("host", "127.0.0.1"), ("authorization", f"Bearer {token}"), ("content-length", "0")]
    for target in targets:
        parts = (h11.Request(method="POST", target=target, headers=headers), h11.EndOfMessage())
        await stream.send_all(b"".join(protocol.send(part) or b"" for part in parts))
        while not isinstance(event := protocol.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                protocol.receive_data(await stream.receive_some(65536))
        protocol.start_next_cycle()
    await stream.aclose()


async def main() -> None:
    config = Path(os.environ["CONFIG_URI"])
    tickers = json.loads((config / "ticker_list.json").read_text())
    card_types = json.loads((config / "card_types.json").read_text())
    url = os.environ["QA_ENGINE_URL"]
    targets = (f"/card/{card_type}?ticker={ticker}" for ticker in tickers for card_type in card_types)
    token = fetch_token(url)
    async with trio.open_nursery() as nursery:
        for _ in range(int(os.environ["QA_ENGINE_CONCURRENCY"])):
            nursery.start_soon(work, urlsplit(url).port or 80, token, targets)


if __name__ == "__main__":
    trio.run(main)
