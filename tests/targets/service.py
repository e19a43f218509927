"""A real service that behaves as the tests need it: `service.py NAME [--sick] [--exit CODE] [--deaf] ...`."""

import argparse
import base64
import gzip
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

parser = argparse.ArgumentParser()
parser.add_argument("name")
parser.add_argument("--sick", action="store_true", help="/health answers 500")
parser.add_argument("--exit", type=int, help="exit with this code at once")
parser.add_argument("--deaf", action="store_true", help="never listen")
parser.add_argument("--child", action="store_true", help="start a process of its own that ignores SIGTERM")
parser.add_argument("--say", default="", help="write what this file holds to stdout")
options = parser.parse_args()


class Visit(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    timeout = 10

    def do_GET(self):
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        match url.path:
            case "/health":
                self.reply(b"broken inside" if options.sick else b"fine", 500 if options.sick else 200)
            case "/slow":
                time.sleep(float(query["seconds"]))
                self.reply(options.name.encode())
            case "/environment":
                self.reply(json.dumps({**os.environ, "cwd": os.getcwd()}).encode())
            case "/request":
                self.reply(json.dumps({"path": self.path, "headers": self.headers.items()}).encode())
            case "/gzip":
                self.reply(gzip.compress(b"packed" * 100), headers=[("Content-Encoding", "gzip")])
            case "/cookies":
                self.reply(b"", headers=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
            case "/nothing":
                self.send_response_only(204)
                self.end_headers()
            case "/ticks":
                self.ticks()
            case "/cut":
                self.send_response_only(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b"only the beginning")
                self.close_connection = True
            case "/crash":
                os._exit(3)
            case "/crash-once":
                self.crash_once(query["file"])
            case "/socket":
                self.websocket()
            case _:
                self.reply(options.name.encode())

    do_HEAD = do_GET

    def do_POST(self):
        if self.path.startswith("/crash-once"):
            return self.crash_once(parse_qs(urlsplit(self.path).query)["file"][0])
        digest, size = hashlib.sha256(), 0
        for chunk in self.body():
            digest.update(chunk)
            size += len(chunk)
        self.reply(json.dumps({"size": size, "sha256": digest.hexdigest(), "headers": self.headers.items()}).encode())

    do_PUT = do_POST
    do_DELETE = do_POST

    def crash_once(self, file):
        if os.path.exists(file):
            return self.reply(options.name.encode())
        open(file, "w").close()
        os._exit(3)

    def body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length", 0))
        while left:
            chunk = self.rfile.read(min(left, 65536))
            left -= len(chunk)
            yield chunk

    def ticks(self):
        """One chunk every 50 ms, to see that answers are passed on while they come."""
        self.send_response_only(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(5):
            tick = f"tick {number}\n".encode()
            self.wfile.write(f"{len(tick):x}\r\n".encode() + tick + b"\r\n")
            self.wfile.flush()
            time.sleep(0.05)
        self.wfile.write(b"0\r\n\r\n")

    def websocket(self):
        """Echoes one short text frame, then ends."""
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response_only(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.end_headers()
        self.wfile.flush()
        first, length = self.rfile.read(2)
        mask, data = self.rfile.read(4), self.rfile.read(length & 127)
        text = options.name.encode() + b" heard " + bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
        self.wfile.write(bytes([first, len(text)]) + text + bytes([0x88, 2, 0x03, 0xE8]))
        self.close_connection = True

    def reply(self, content, status=200, headers=()):
        self.send_response_only(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Release", options.name)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main():
    if options.exit is not None:
        print("I cannot go on", file=sys.stderr, flush=True)
        sys.exit(options.exit)
    if options.child:
        ignore = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
        print("child", subprocess.Popen([sys.executable, "-c", ignore]).pid, flush=True)
    if options.say:
        with open(options.say, "rb") as said:
            sys.stdout.buffer.write(said.read())
    print(f"{options.name} begins", flush=True)
    print(f"{options.name} warns", file=sys.stderr, flush=True)
    if options.deaf:
        signal.pause()
    server = Server(("127.0.0.1", int(os.environ["PORT"])), Visit)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever(poll_interval=0.02)
    print(f"{options.name} ends", flush=True)


if __name__ == "__main__":
    main()
