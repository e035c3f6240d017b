"""A disk with a write cache that is lost when the power goes, served to a virtual machine over NBD.

What a guest writes is in the cache; a flush, or a write with FUA, makes it durable. At a power cut every write that is
still in the cache may have reached the medium or not, in any order, and some only in parts of 512 octets: each cut
draws what of it did. A disk that forgets says that it flushed, and did not.

`arm(n, ...)` freezes the disk at the n-th write or flush from then on: it answers nothing any more. So whatever the
guest can do without that answer (print, tell, write to boards) it does, before its power is cut.

Library; `rigs/power-cut` is its program. Source: NBD, doc/proto.md (fixed newstyle, simple replies).
"""
import os
import socket
import struct
import threading

SECTOR = 512
# ---- NBD, by its numbers ----
GREETING, OPTION_MAGIC, REPLY_MAGIC = b"NBDMAGIC", b"IHAVEOPT", 0x3E889045565A9
FIXED_NEWSTYLE, NO_ZEROES = 1, 2
ABORT, GO = 2, 7
ACK, INFO, UNSUPPORTED = 1, 3, 0x80000001
HAS_FLAGS, SEND_FLUSH, SEND_FUA = 1, 4, 8
REQUEST_MAGIC, ANSWER_MAGIC = 0x25609513, 0x67446698
READ, WRITE, DISCONNECT, FLUSH = range(4)
FUA = 1
EINVAL = 22
# Longest request: QEMU asks for 32 MiB at most.
LENGTH_MAX = 32 * 1024 * 1024

# What of the cache reached the medium: nothing, everything, some writes, some sectors of them.
FATES = ("nothing", "everything", "some writes", "some sectors")


class Disk:
    """The medium is the file `path`. It is served on a socket beside it, to one machine, until [`Disk.power_off`]."""

    def __init__(self, path, forgets=False):
        self.path, self.forgets = path, forgets
        self.medium = open(path, "r+b", buffering=0)
        self.content = bytearray(self.medium.read())  # medium and cache, as the guest sees them
        self.cache = []  # what is not durable: offset, octets; in the order in which it was written
        self.changed = threading.Condition()
        self.counted, self.freeze_at, self.frozen = 0, None, False
        self.writes = self.flushes = 0
        self.fault = None
        self.address = f"{path}.nbd"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.address)
        self.listener.listen(1)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    # ---- For the rig ----

    def arm(self, n):
        """Freezes at the n-th write or flush from now on."""
        with self.changed:
            self.freeze_at = self.counted + n

    def freeze(self):
        """Freezes now."""
        with self.changed:
            self.frozen = True

    def power_off(self, random):
        """What is left of it: draws what of the cache reached the medium. The machine must be dead. Gives how many
        writes were in the cache, and what became of them."""
        self.freeze()
        self.listener.close()
        self.thread.join(timeout=10)
        os.unlink(self.address)
        with self.changed:
            waiting, fate = len(self.cache), random.choice(FATES)
            for offset, octets in self.cache:
                if fate == "everything" or fate == "some writes" and random.random() < 0.5:
                    self.store(offset, octets)
                elif fate == "some sectors":
                    for at in range(0, len(octets), SECTOR):
                        if random.random() < 0.5:
                            self.store(offset + at, octets[at:at + SECTOR])
            self.medium.close()
        return waiting, fate

    def store(self, offset, octets):
        os.pwrite(self.medium.fileno(), octets, offset)

    # ---- For the machine ----

    def serve(self):
        try:
            connection, _ = self.listener.accept()
            with connection, connection.makefile("rb") as reader:
                if self.negotiate(connection, reader):
                    while self.request(connection, reader):
                        pass
        except (OSError, EOFError, struct.error) as error:
            self.fault = error  # The machine died, as it should; or it never came.

    def negotiate(self, connection, reader):
        connection.sendall(GREETING + OPTION_MAGIC + struct.pack(">H", FIXED_NEWSTYLE | NO_ZEROES))
        exactly(reader, 4)
        while True:
            magic, option, length = struct.unpack(">8sII", exactly(reader, 16))
            if magic != OPTION_MAGIC or length > LENGTH_MAX:
                raise OSError("the machine does not speak NBD")
            exactly(reader, length)
            if option == GO:
                export = struct.pack(">HQH", 0, len(self.content), HAS_FLAGS | SEND_FLUSH | SEND_FUA)
                connection.sendall(option_reply(option, INFO, export) + option_reply(option, ACK))
                return True
            connection.sendall(option_reply(option, ACK if option == ABORT else UNSUPPORTED))
            if option == ABORT:
                return False

    def request(self, connection, reader):
        magic, flags, kind, cookie, offset, length = struct.unpack(">IHHQQI", exactly(reader, 28))
        if magic != REQUEST_MAGIC or length > LENGTH_MAX:
            raise OSError("the machine does not speak NBD")
        octets = exactly(reader, length) if kind == WRITE else b""
        if kind == DISCONNECT:
            return False
        if kind not in (READ, WRITE, FLUSH) or offset + length > len(self.content):
            connection.sendall(struct.pack(">IIQ", ANSWER_MAGIC, EINVAL, cookie))
            return True
        with self.changed:
            answers = self.work(kind, flags, offset, length, octets)
            if answers is not None:
                connection.sendall(struct.pack(">IIQ", ANSWER_MAGIC, 0, cookie) + answers)
        return True

    def work(self, kind, flags, offset, length, octets):
        """Does a request. Gives what is answered; None if nothing is, because the disk is frozen."""
        if kind != READ and not self.frozen:
            self.counted += 1
            self.frozen = self.counted == self.freeze_at
            self.changed.notify_all()
        if kind == WRITE:
            # Also the one at which it froze, and those that are under way with it.
            self.cache.append((offset, octets))
            self.content[offset:offset + length] = octets
        if self.frozen:
            return None
        if kind == READ:
            return bytes(self.content[offset:offset + length])
        self.writes += kind == WRITE
        self.flushes += kind == FLUSH
        if not self.forgets:
            self.make_durable(kind, flags, offset, octets)
        return b""

    def make_durable(self, kind, flags, offset, octets):
        if kind == FLUSH:
            for write in self.cache:
                self.store(*write)
            self.cache.clear()
        elif flags & FUA:
            # Those before it in the same place must not come over it later.
            self.cache.pop()
            self.store(offset, octets)
            self.cache = [trimmed for write in self.cache for trimmed in without(write, offset, len(octets))]


def without(write, offset, length):
    """What of a write lies outside of so many octets: none, one or two pieces."""
    at, octets = write
    before, after = offset - at, offset + length - at
    pieces = ((at, octets[:max(before, 0)]), (at + max(after, 0), octets[max(after, 0):]))
    return [piece for piece in pieces if piece[1]] if before < len(octets) and after > 0 else [write]


def option_reply(option, kind, octets=b""):
    return struct.pack(">QIII", REPLY_MAGIC, option, kind, len(octets)) + octets


def exactly(reader, length):
    octets = reader.read(length)
    if len(octets) != length:
        raise EOFError("the machine is gone")
    return octets
