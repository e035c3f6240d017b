"""A broker that cheats: speaks the client's protocol of NATS to both sides, nats-server behind it, and plays tricks on what
is delivered. Library; rigs/broker is its program.

It can do what whoever owns the broker can: deliver to any connection under any subject that it listens to, and leave out.
It has no keys. Source: the client protocol of NATS (INFO, SUB, PUB, HPUB, MSG, HMSG).
"""
import json
import random
import re
import socket
import threading
import time
from collections import Counter, deque

# Old messages that are kept, to be brought again.
KEPT_MAX = 400
# Longest that a delivery is held back for the next one to overtake it.
HELD_S = 0.05
# A trick that does something to one in so many.
ONE_IN = 4
CALL = re.compile(r"^cradle\.[^.]+\.(identity|authority|software|provisioning|supervisor)\.(.+)$")
TO_BOX = re.compile(r"^cradle\.[^.]+\.box\.[^.]+\.([a-z]+)\.(.+)$")


class Delivery:
    """A message on its way to a client."""

    def __init__(self, subject, sid, reply, headers, body):
        self.subject, self.sid, self.reply, self.headers, self.body = subject, sid, reply, headers, body

    def octets(self):
        reply = f"{self.reply} " if self.reply else ""
        if self.headers:
            line = f"HMSG {self.subject} {self.sid} {reply}{len(self.headers)} {len(self.headers) + len(self.body)}\r\n"
        else:
            line = f"MSG {self.subject} {self.sid} {reply}{len(self.body)}\r\n"
        return line.encode() + self.headers + self.body + b"\r\n"

    def but(self, **changed):
        return Delivery(**{**vars(self), **changed})

    @property
    def kind(self):
        """A call, a lease (to a box's modules or supervisor), or an answer; else nothing of ours."""
        if CALL.match(self.subject):
            return "call"
        if TO_BOX.match(self.subject):
            return "box"
        return "answer" if self.subject.startswith("_INBOX.cradle.") else None


def matches(pattern, subject):
    """Whether a subscription takes a subject. Source: NATS, subject-based messaging, wildcards."""
    pattern, subject = pattern.split("."), subject.split(".")
    for n, word in enumerate(pattern):
        if word == ">":
            return len(subject) > n
        if n >= len(subject) or word not in ("*", subject[n]):
            return False
    return len(pattern) == len(subject)


class Client:
    """A connection of a process of cradle."""

    def __init__(self, broker, down, up):
        self.broker, self.down, self.up = broker, down, up
        self.subscriptions, self.lock = {}, threading.Lock()

    def send(self, octets):
        try:
            with self.lock:
                self.down.sendall(octets)
        except OSError:
            self.close()

    def close(self):
        for side in (self.down, self.up):
            try:
                side.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def sid_for(self, subject):
        return next((sid for sid, pattern in list(self.subscriptions.items()) if matches(pattern, subject)), None)

    def from_client(self):
        """Hands on what the client says, and remembers what it listens to."""
        with self.down.makefile("rb") as reader:
            for line in reader:
                words = line.split()
                verb = words[0].upper() if words else b""
                if verb == b"SUB":
                    self.subscriptions[words[-1].decode()] = words[1].decode()
                elif verb == b"UNSUB" and len(words) == 2:
                    self.subscriptions.pop(words[1].decode(), None)
                octets = line
                if verb in (b"PUB", b"HPUB"):
                    octets += reader.read(int(words[-1]) + 2)
                self.up.sendall(octets)

    def from_server(self):
        with self.up.makefile("rb") as reader:
            for line in reader:
                words = line.split()
                verb = words[0].upper() if words else b""
                if verb == b"INFO":
                    told = json.loads(line[5:])
                    # Whoever is told of another way would go around us.
                    told.pop("connect_urls", None)
                    self.send(b"INFO " + json.dumps(told).encode() + b"\r\n")
                elif verb in (b"MSG", b"HMSG"):
                    self.broker.deliver(self, read_delivery(words, reader))
                else:
                    self.send(line)


def read_delivery(words, reader):
    texts = [word.decode() for word in words]
    has_headers, numbers = texts[0] == "HMSG", 2 if texts[0] == "HMSG" else 1
    payload = reader.read(int(texts[-1]) + 2)[:-2]
    headers = int(texts[-2]) if has_headers else 0
    reply = texts[3] if len(texts) == 4 + numbers else None
    return Delivery(texts[1], texts[2], reply, payload[:headers], payload[headers:])


class Broker:
    """The proxy: a listener before nats-server. `trick` is what it does now; `played` counts how often it did."""

    def __init__(self, seed=1):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.server_port = self.listener.getsockname()[1], None
        self.clients, self.draw = [], random.Random(seed)
        self.kept = {"call": deque(maxlen=KEPT_MAX), "answer": deque(maxlen=KEPT_MAX), "box": deque(maxlen=KEPT_MAX)}
        self.played, self.trick, self.held = Counter(), None, {}
        self.lock = threading.RLock()

    def before(self, server_port):
        """Stands before the server of this port. Gives the port that clients are told."""
        self.server_port = server_port
        threading.Thread(target=self.accept, daemon=True).start()
        return self.port

    def accept(self):
        while True:
            down, _ = self.listener.accept()
            try:
                up = socket.create_connection(("127.0.0.1", self.server_port))
            except OSError:
                down.close()
                continue
            for side in (down, up):
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client = Client(self, down, up)
            with self.lock:
                self.clients.append(client)
            for way in (client.from_client, client.from_server):
                threading.Thread(target=self.carry, args=(client, way), daemon=True).start()

    def carry(self, client, way):
        try:
            way()
        except OSError:
            pass
        client.close()
        with self.lock:
            if client in self.clients:
                self.clients.remove(client)

    def play(self, trick):
        """From now on it does this; nothing, if nothing is named."""
        with self.lock:
            self.trick = trick

    def count(self, what):
        with self.lock:
            self.played[what] += 1

    def deliver(self, client, delivery):
        kind, trick = delivery.kind, self.trick
        if trick is None or kind is None:
            client.send(delivery.octets())
        else:
            trick(self, client, delivery, kind)
        if kind:
            with self.lock:
                self.kept[kind].append(delivery)

    def anybody(self, subject):
        """Connections that listen to a subject, with the number under which they do."""
        with self.lock:
            clients = list(self.clients)
        found = [(client, client.sid_for(subject)) for client in clients]
        return [(client, sid) for client, sid in found if sid is not None]

    def chance(self, one_in=ONE_IN):
        with self.lock:
            return self.draw.randrange(one_in) == 0

    def some(self, of):
        with self.lock:
            return self.draw.choice(of) if of else None


# ---- Tricks: what is done with a delivery on its way ----

def duplicate(broker, client, delivery, kind):
    """Everything comes twice; a call also to the other processes that listen for it."""
    client.send(delivery.octets() * 2)
    broker.count("twice")
    if kind == "call":
        for other, sid in broker.anybody(delivery.subject):
            if other is not client:
                other.send(delivery.but(sid=sid).octets())
                broker.count("to another process")


def reorder(broker, client, delivery, kind):
    """What comes is held back, until something overtakes it."""
    with broker.lock:
        held = broker.held.pop(client, None)
        if held is None:
            broker.held[client] = delivery
    if held is not None:
        client.send(delivery.octets() + held.octets())
        broker.count("overtaken")
        return

    def let_go():
        with broker.lock:
            if broker.held.get(client) is not delivery:
                return
            del broker.held[client]
        client.send(delivery.octets())

    threading.Timer(HELD_S, let_go).start()


def delay(broker, client, delivery, kind):
    """Everything comes late, and each for itself, so that much is overtaken."""
    threading.Timer(broker.draw.uniform(0, 0.3), lambda: client.send(delivery.octets())).start()
    broker.count("late")


def replay(broker, client, delivery, kind):
    """Behind each call old calls come again; behind each answer an old answer, to whoever waits now."""
    client.send(delivery.octets())
    if kind == "answer":
        old = broker.some(list(broker.kept["answer"]))
        if old is not None:
            client.send(old.but(subject=delivery.subject, sid=delivery.sid).octets())
            broker.count("old answers")
        return
    for old in [broker.some(list(broker.kept[of])) for of in ("call", "call", "box")]:
        for other, sid in broker.anybody(old.subject) if old else ():
            other.send(old.but(sid=sid).octets())
            broker.count("old calls" if old.kind == "call" else "old orders and leases")


def redirect(broker, client, delivery, kind):
    """A call also goes to other modules, and to the same one as another call."""
    client.send(delivery.octets())
    if kind != "call":
        return
    asked = CALL.match(delivery.subject)
    domain = delivery.subject.split(".")[1]
    for module, subject in (("identity", "identity.mark"), ("authority", "authority.revoke"), ("authority", "authority.certify"),
                            ("software", "software.update"), (asked.group(1), asked.group(2)), ("authority", asked.group(2))):
        elsewhere = f"cradle.{domain}.{module}.{subject}"
        if elsewhere != delivery.subject:
            for other, sid in broker.anybody(elsewhere):
                other.send(delivery.but(subject=elsewhere, sid=sid).octets())
                broker.count("to another subject")


def flipped(broker, octets):
    if not octets:
        return octets
    with broker.lock:
        at, bit = broker.draw.randrange(len(octets)), 1 << broker.draw.randrange(8)
    return octets[:at] + bytes([octets[at] ^ bit]) + octets[at + 1:]


def flip(broker, client, delivery, kind):
    """Of one in four a bit is another, before the true one comes: the first answer counts, so that more would stop everything."""
    if broker.chance():
        client.send(delivery.but(body=flipped(broker, delivery.body)).octets())
        broker.count("flipped")
    client.send(delivery.octets())


def forge(broker, client, delivery, kind):
    """Some calls are answered in somebody's name, before who was asked has heard of them: with an earlier answer, with the
    call itself, with nothing, with words that are made up."""
    if kind == "call" and delivery.reply and broker.chance():
        old = broker.some(list(broker.kept["answer"]))
        made_up = json.dumps({"seal": {"payload": "e30", "protected": "e30", "signature": "AA"}, "body": {"Ok": None}}).encode()
        body = broker.some([old.body if old else made_up, delivery.body, b"", b"{}", made_up, bytes(100)])
        for other, sid in broker.anybody(delivery.reply):
            other.send(delivery.but(subject=delivery.reply, sid=sid, reply=None, headers=b"", body=body).octets())
            broker.count("made up")
    client.send(delivery.octets())


def deny(broker, client, delivery, kind):
    """Calls are carried, and some callers are told that nobody was there, or that a module broke down."""
    if kind == "call" and delivery.reply and broker.chance():
        said = broker.some([b"NATS/1.0 503\r\n\r\n", b"NATS/1.0\r\nCradle-Fault: broken\r\n\r\n"])
        for other, sid in broker.anybody(delivery.reply):
            other.send(delivery.but(subject=delivery.reply, sid=sid, reply=None, headers=said, body=b"").octets())
            broker.count("denied")
    client.send(delivery.octets())


def lose(broker, client, delivery, kind):
    """One in four does not come at all."""
    if kind in ("call", "answer") and broker.chance():
        broker.count("lost")
    else:
        client.send(delivery.octets())


TRICKS = {"duplicate": duplicate, "reorder": reorder, "delay": delay, "replay": replay, "redirect": redirect, "flip": flip,
          "forge": forge, "deny": deny, "lose": lose}
# What the log of who is attacked must tell: reasons of refused messages. Of the others nothing is left but time.
SEEN = {"duplicate": {"replayed"}, "replay": {"replayed", "out-of-time", "wrong-mode"}, "redirect": {"wrong-subject"},
        "flip": {"signature-invalid", "unknown-caller"}, "forge": {"signature-invalid", "wrong-subject"}}
