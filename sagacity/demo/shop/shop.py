"""A small real shop over HTTP, the service that the demo deploys: `python shop.py --release 1.0`, port from $PORT.

    /                what this is: service, release, number of products
    /health          200 when the catalogue of this release is complete, else 500 with what is wrong with it
    /products        the catalogue; `?category=` narrows it
    /products/{id}   one product, with what the release shows beside it

Each release ships its own catalogue. 1.4 shows similar products and takes its time for it; from 1.5 on there are
discounts, one of which 1.5 cannot compute; the prices of 1.7 are too good. Standard library only, so that it runs
wherever Python does.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
import traceback
from difflib import SequenceMatcher
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

CATALOGUES = Path(__file__).with_name("catalogue")
FIELDS: dict[str, type] = {"id": str, "name": str, "category": str, "price_cents": int}

Json = dict[str, Any]


class Catalogue(NamedTuple):
    products: dict[str, Json]
    faults: list[str]


class Answer(NamedTuple):
    status: int
    body: Json


def load(release: str) -> Catalogue:
    """The catalogue of a release with everything that is wrong with it; a product with a fault is not sold."""
    try:
        listed = json.loads((CATALOGUES / f"{release}.json").read_text(encoding="utf-8"))["products"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return Catalogue({}, [f"the catalogue of {release} cannot be read: {type(error).__name__}"])
    products: dict[str, Json] = {}
    faults: list[str] = []
    for number, product in enumerate(listed, 1):
        wrong = [name for name, type in FIELDS.items() if not isinstance(product.get(name), type)]
        if wrong:
            faults.append(f"product {number}: {', '.join(wrong)} missing or of the wrong type")
        else:
            products[product["id"]] = product
    return Catalogue(products, faults)


def respond(release: str, catalogue: Catalogue, target: str) -> Answer:
    url = urlsplit(target)
    match [part for part in url.path.split("/") if part]:
        case []:
            return Answer(200, {"service": "shop", "release": release, "products": len(catalogue.products)})
        case ["health"] if catalogue.faults:
            return Answer(500, {"status": "failing", "release": release, "faults": catalogue.faults})
        case ["health"]:
            return Answer(200, {"status": "ok", "release": release})
        case ["products"]:
            wanted = parse_qs(url.query).get("category")
            found = [p for p in catalogue.products.values() if not wanted or p["category"] in wanted]
            return Answer(200, {"release": release, "products": found})
        case ["products", id] if id in catalogue.products:
            return Answer(200, {"release": release, **page(release, catalogue, catalogue.products[id])})
        case _:
            return Answer(404, {"error": "not found", "release": release})


def page(release: str, catalogue: Catalogue, product: Json) -> Json:
    match release:
        case "1.4":
            return {**product, "similar": similar(catalogue, product)}
        case "1.5" | "1.6" | "1.7":
            return {**product, "to_pay_cents": to_pay(product)}
        case _:
            return product


def similar(catalogue: Catalogue, product: Json) -> list[str]:
    """The ids of the three products that are named most alike, found anew for every visitor."""
    mine = _words(product)
    others = {id: _words(other) for id, other in catalogue.products.items() if other is not product}
    likeness = {
        id: SequenceMatcher(None, mine, its).ratio() + SequenceMatcher(None, its, mine).ratio()
        for id, its in others.items()
    }
    return sorted(likeness, key=likeness.__getitem__, reverse=True)[:3]


def _words(product: Json) -> str:
    return f"{product['category']}: {product['name']} ({product['id']})"


def to_pay(product: Json) -> int:
    """Cents, without the discount. Raises TypeError for a discount that is no number."""
    return product["price_cents"] * (100 - product["discount_percent"]) // 100


class Shop(ThreadingHTTPServer):
    daemon_threads = False  # an answer under way is finished before the process ends
    request_queue_size = 128

    def __init__(self, port: int, release: str, catalogue: Catalogue) -> None:
        super().__init__((os.environ.get("HOST", "127.0.0.1"), port), Visit)
        self.release = release
        self.catalogue = catalogue


class Visit(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Buffered, so that headers and body leave in one write: with two, the second one waits 40 ms for the client.
    wbufsize = -1
    timeout = 5
    server: Shop  # pyright: ignore[reportIncompatibleVariableOverride] - it is never served by another one

    def do_GET(self) -> None:
        began = time.perf_counter()
        answer = self._answer()
        self._send(answer)
        milliseconds = (time.perf_counter() - began) * 1000
        say(f"{self.command} {self.path} {answer.status} {milliseconds:.1f} ms")

    do_HEAD = do_GET  # noqa: N815 - named by http.server

    def _answer(self) -> Answer:
        try:
            return respond(self.server.release, self.server.catalogue, self.path)
        except Exception:
            traceback.print_exc()
            return Answer(500, {"error": "internal error", "release": self.server.release})

    def _send(self, answer: Answer) -> None:
        body = json.dumps(answer.body).encode() + b"\n"
        self.send_response_only(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def log_error(self, format: str, *args: Any) -> None:
        print(f"error: {format % args}", file=sys.stderr, flush=True)


def say(text: str) -> None:
    print(text, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="A small shop over HTTP; it listens on $PORT.")
    parser.add_argument("--release", required=True)
    release = parser.parse_args().release
    catalogue = load(release)
    for fault in catalogue.faults:
        print(f"catalogue: {fault}", file=sys.stderr, flush=True)
    shop = Shop(int(os.environ["PORT"]), release, catalogue)

    # shutdown() waits for the loop of serve_forever, which the signal interrupts: it needs a thread of its own.
    def close(*_: object) -> None:
        threading.Thread(target=shop.shutdown).start()

    signal.signal(signal.SIGTERM, close)
    say(f"shop {release} listens on port {shop.server_port} with {len(catalogue.products)} products")
    shop.serve_forever(poll_interval=0.05)
    shop.server_close()
    say(f"shop {release} has closed")


if __name__ == "__main__":
    main()
