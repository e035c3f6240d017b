"""Network namespaces for rigs/partition: a box, its two servers and a stranger, each a machine of its own with cables."""
import json
import os
import subprocess
import time
from pathlib import Path

RECORDS, BROKER, STRANGER = "records", "broker", "stranger"
# The box has an address on each cable; the other end has the next one.
CABLES = {RECORDS: "10.77.1", BROKER: "10.77.2", STRANGER: "10.77.3"}
PORTS = {RECORDS: 5432, BROKER: 4222}


class Unfit(Exception):
    """The rig cannot do its work here."""


def run(*words, check=True, **more):
    ran = subprocess.run([str(word) for word in words], capture_output=True, text=True, **more)
    if check and ran.returncode:
        raise Unfit(f"{' '.join(map(str, words))}: {ran.stderr.strip() or ran.stdout.strip()}")
    return ran


class Net:
    """Four namespaces. All in them ends with `close`."""

    def __init__(self):
        self.prefix = f"cradle{os.getpid()}"
        self.started = []
        self.names = []

    def make(self):
        for name in ("box", *CABLES):
            run("ip", "netns", "add", self.of(name))
            self.names.append(name)
            self.inside(name, "ip", "link", "set", "lo", "up")
        for name, net in CABLES.items():
            run("ip", "-n", self.of("box"), "link", "add", name, "type", "veth", "peer", "name", "up0", "netns", self.of(name))
            for where, device, last in (("box", name, 1), (name, "up0", 2)):
                run("ip", "-n", self.of(where), "address", "add", f"{net}.{last}/30", "dev", device)
                run("ip", "-n", self.of(where), "link", "set", device, "up")

    def of(self, name):
        return f"{self.prefix}-{name}"

    def words(self, name, *words):
        return ["ip", "netns", "exec", self.of(name), *(str(word) for word in words)]

    def inside(self, name, *words, check=True, **more):
        return run(*self.words(name, *words), check=check, **more)

    def start(self, name, *words, log, **more):
        with open(log, "ab") as out:
            more.setdefault("stdout", out)
            process = subprocess.Popen(self.words(name, *words), stderr=out, stdin=subprocess.DEVNULL, **more)
        self.started.append(process)
        return process

    def cut(self, name):
        """At the far end, so that the box's own end tells it nothing but that nothing comes."""
        run("ip", "-n", self.of(name), "link", "set", "up0", "down")

    def mend(self, name):
        run("ip", "-n", self.of(name), "link", "set", "up0", "up")

    def close(self):
        for process in reversed(self.started):
            process.terminate()
        for process in reversed(self.started):
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for name in self.names:
            run("ip", "netns", "del", self.of(name), check=False)


def until(what, seconds, holds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return
        time.sleep(0.1)
    raise Unfit(f"{what}: not within {seconds} s")


def connects(net, name, host, port):
    script = f"import socket; socket.create_connection(('{host}', {port}), 2)"
    return net.inside(name, "python3", "-c", script, check=False).returncode == 0


def postgres(net, room):
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if not programs:
        raise Unfit("PostgreSQL is not installed: apt-get install postgresql")
    programs, data = programs[-1], room / "records"
    data.mkdir(mode=0o700)
    run("chown", "postgres", data)
    as_server = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"]
    run(*as_server, programs / "initdb", "--pgdata", data / "db", "--auth=trust", "--username=cradle", "--encoding=UTF8",
        "--locale=C", cwd="/")
    with open(data / "db" / "pg_hba.conf", "a") as access:
        access.write(f"host all all {CABLES[RECORDS]}.1/32 trust\n")
    net.start(RECORDS, *as_server, programs / "postgres", "-D", data / "db", "-k", data, "-c",
              f"listen_addresses={CABLES[RECORDS]}.2", "-c", "max_connections=200", log=room / "postgres.log", cwd="/")
    # It listens before it lets anybody in.
    asks = [programs / "pg_isready", "--quiet", "--host", f"{CABLES[RECORDS]}.2"]
    until("PostgreSQL is ready", 60, lambda: net.inside("box", *asks, check=False).returncode == 0)


def broker(net, room, configuration):
    program = next((path for path in ("/usr/sbin/nats-server", "/usr/bin/nats-server") if Path(path).exists()), "nats-server")
    net.start(BROKER, program, "-c", configuration, log=room / "nats.log")
    until("nats-server listens", 30, lambda: connects(net, "box", f"{CABLES[BROKER]}.2", PORTS[BROKER]))


class Box:
    """An installation in the namespace of the box, with `cradle up`."""

    def __init__(self, net, room, binary):
        self.net, self.room, self.binary, self.data = net, room, binary, room / "data"
        self.url = "http://127.0.0.1:9465"

    def words(self, *words):
        return [self.binary, "--data", self.data, *words]

    def cradle(self, *words, check=True):
        return self.net.inside("box", *self.words("-o", "json", *words), check=check)

    def begin(self):
        self.cradle("init", "--yes", "--store", f"postgres://cradle@{CABLES[RECORDS]}.2/postgres?sslmode=disable", "--bus",
                    f"nats://{CABLES[BROKER]}.2:{PORTS[BROKER]}")
        broker(self.net, self.room, self.data / "bus" / "nats-server.conf")
        self.up = self.net.start("box", *self.words("up", "--listen", "127.0.0.1:9465"), log=self.room / "up.log")
        until("the box is ready", 60, self.is_ready)

    def is_ready(self):
        return self.cradle("up", "--check", "--listen", "127.0.0.1:9465", check=False).returncode == 0

    def mode(self, name):
        self.cradle("mode", "set", name)
        until(f"ready in {name}", 60, self.is_ready)

    def supply(self, types, boards):
        """Boards of these types are expected, and there is software for them."""
        lines = ["serial,type"]
        for number, name in enumerate(types, 1):
            lines += [f"SN{number}{board:06},{name}" for board in range(1, boards + 1)]
            (self.data / "device-types" / f"{name}.toml").write_text(
                f'description = "a rig"\nprofile = "idevid"\nkey_type = "p256"\n[flasher]\nadapter = "simulated"\n'
                f'device_type = "{name}"\ncount = {boards}\nserial_prefix = "SN{number}"\nboard_prefix = "B{number}-"\n'
                f'directory = "../boards-{name}"\nkey_offer = "csr"\n')
        room = self.room
        (room / "devices.csv").write_text("\n".join(lines) + "\n")
        (room / "image.bin").write_bytes(bytes(100_000))
        self.cradle("list", "import", room / "devices.csv")
        repository, means = room / "repository", [word for name in types for word in ("--for", name)]
        self.cradle("repo", "--repository", repository, "init")
        self.cradle("repo", "--repository", repository, "add", room / "image.bin", "--version", "1", "--counter", "1", *means)
        self.cradle("repo", "--repository", repository, "publish")
        # Those who run learn of it when they are started for the next mode.
        self.cradle("release", "follow", "--images", repository / "metadata" / "1.root.json")
        self.mode("software-import")
        self.cradle("release", "import", repository)
        self.mode("provision")

    def station(self, name):
        """A run of the station that is under way: a line of its output for each board."""
        words = self.words("-o", "jsonl", "station", "run", name)
        return self.net.start("box", *words, log=self.room / f"{name}.log", stdout=subprocess.PIPE, text=True)


def reports(process, told):
    for line in process.stdout:
        told(json.loads(line))
