"""A release that writes down each of its starts, so that a second one would be seen."""

import os
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        body = os.environ["NAME"].encode()
        status = int(os.environ.get("HEALTH" if self.path == "/health" else "ANSWER", "200"))
        head = f"HTTP/1.0 {status} \r\nContent-Length: {len(body)}\r\n\r\n"
        self.wfile.write(head.encode() + body)

    def log_message(self, format, *args):
        pass


with Path(os.environ["STARTS"]).open("a") as starts:
    starts.write(f"{os.environ['NAME']} {os.environ['PORT']} {os.getpid()}\n")
HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
