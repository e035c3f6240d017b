"""Cuts CertReqMessages out of the body of a PKIMessage (RFC 9810 §5.1): SEQUENCE { header, body [n], ... }."""
import sys


def tlv(octets, at):
    length, head = octets[at + 1], 2
    if length >= 0x80:
        size = length & 0x7F
        length, head = int.from_bytes(octets[at + 2 : at + 2 + size], "big"), 2 + size
    return at + head, at + head + length


message = open(sys.argv[1], "rb").read()
start, _ = tlv(message, 0)
_, header_end = tlv(message, start)
body_start, body_end = tlv(message, header_end)
assert message[header_end] == 0xA0, "an ir is expected"
open(sys.argv[2], "wb").write(message[body_start:body_end])
