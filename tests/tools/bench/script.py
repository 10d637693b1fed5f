"""The script that the job replaces, written as people write it: asyncio, one httpx client for all, a semaphore.

It reads the same config, from the directory `CONFIG_URI`, and takes the same variables. Its client may open as many
connections as there may be calls in flight: under httpx's own limits it would connect again for nearly every call.
"""

import asyncio
import json
import logging
import os
import sys
from pathlib import Path

import httpx

METADATA = "computeMetadata/v1/instance/service-accounts/default/identity"
log = logging.getLogger("cards")


async def fetch_token(client: httpx.AsyncClient, audience: str) -> str:
    response = await client.get(
        f"http://{os.environ['GCE_METADATA_HOST']}/{METADATA}",
        params={"audience": audience, "format": "full"},
        headers={"Metadata-Flavor": "Google"},
    )
    response.raise_for_status()
    return response.text


async def generate(
    client: httpx.AsyncClient, semaphore: asyncio.Semaphore, url: str, token: str, ticker: str, card_type: str
) -> bool:
    async with semaphore:
        try:
            response = await client.post(
                f"{url}/card/{card_type}", params={"ticker": ticker}, headers={"Authorization": f"Bearer {token}"}
            )
            response.raise_for_status()
            done = bool(response.json()["status"] == "success")
        except Exception:
            log.exception("%s %s failed", ticker, card_type)
            return False
    log.info("%s %s: %s", ticker, card_type, "done" if done else "not made")
    return done


async def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    config = Path(os.environ["CONFIG_URI"])
    tickers = json.loads((config / "ticker_list.json").read_text())
    card_types = json.loads((config / "card_types.json").read_text())
    url = os.environ["QA_ENGINE_URL"]
    bound = int(os.environ["QA_ENGINE_CONCURRENCY"])
    semaphore = asyncio.Semaphore(bound)
    limits = httpx.Limits(max_connections=bound, max_keepalive_connections=None)
    async with httpx.AsyncClient(timeout=300, limits=limits) as client:
        token = await fetch_token(client, url)
        done = await asyncio.gather(
            *(
                generate(client, semaphore, url, token, ticker, card_type)
                for ticker in tickers
                for card_type in card_types
            )
        )
    log.info("%d of %d cards done", sum(done), len(done))
    sys.exit(0 if all(done) else 1)


if __name__ == "__main__":
    asyncio.run(main())
