"""An installation on loopback for rigs: PostgreSQL, nats-server, `cradle up`, each a process of this machine.

Library. It is the box of partition_net.py without the namespaces, with what the rigs look at afterwards: certificates,
refusals, what boards hold, who of its processes died.
"""
import base64
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from partition_net import Box, Unfit, reports, run, until

# Longest that a run of the station may take: it waits two minutes for what is away.
RUN_S = 240
# Longest that the supervisor may take to say that a process died.
DEAD_WITHIN_S = 30


def free_port():
    """One at which nobody listens. It is below 32768, where Linux begins to give ports to lines: none has it by the time
    that somebody listens there."""
    while True:
        port = random.randrange(10_000, 32_768)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


class Here:
    """This machine, in the place of the namespaces of partition_net.Net."""

    def __init__(self):
        self.started = []

    def inside(self, _, *words, check=True, **more):
        return run(*words, check=check, **more)

    def start(self, _, *words, log, **more):
        with open(log, "ab") as out:
            more.setdefault("stdout", out)
            process = subprocess.Popen([str(word) for word in words], stderr=out, stdin=subprocess.DEVNULL, **more)
        self.started.append(process)
        return process

    def close(self):
        """One after the other: who needs the others first."""
        for process in reversed(self.started):
            if process.poll() is None:
                # PostgreSQL waits for nobody then.
                process.send_signal(signal.SIGINT if "postgres" in str(process.args) and "-D" in process.args else signal.SIGTERM)
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.started.clear()


# ---- PostgreSQL ----

def programs():
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if not found:
        raise Unfit("PostgreSQL is not installed: apt-get install postgresql")
    return found[-1]


def as_server():
    """The server does not run as root."""
    return ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"] if os.geteuid() == 0 else []


class Postgres:
    """A server in a directory of its own."""

    def __init__(self, here, room, name, port=None):
        self.here, self.room, self.data, self.port = here, room, room / name, port or free_port()
        self.process = None

    def make(self):
        self.data.mkdir(mode=0o700)
        if as_server():
            run("chown", "postgres", self.data)
        run(*as_server(), programs() / "initdb", "--pgdata", self.data / "db", "--auth=trust", "--username=cradle",
            "--encoding=UTF8", "--locale=C", cwd="/")
        return self

    def start(self, *settings):
        words = [word for setting in settings for word in ("-c", setting)]
        self.process = self.here.start(
            None, *as_server(), programs() / "postgres", "-D", self.data / "db", "-k", self.data, "-p", self.port, "-c",
            "listen_addresses=127.0.0.1", "-c", "max_connections=200", "-c", "shared_buffers=64MB", *words,
            log=self.room / f"{self.data.name}.log", cwd="/")
        asks = [programs() / "pg_isready", "--quiet", "--host", "127.0.0.1", "--port", self.port]
        until(f"{self.data.name} is ready", 60, lambda: run(*asks, check=False).returncode == 0)
        return self

    def kill(self):
        """At once: its own processes end by themselves when they find it gone."""
        self.process.kill()
        self.process.wait()

    @property
    def url(self):
        return f"host=127.0.0.1 port={self.port} user=cradle dbname=postgres"

    def psql(self, sql, check=True):
        """Rows as text, a column from the next by a bar."""
        said = run(programs() / "psql", "--no-psqlrc", "--tuples-only", "--no-align", "--quiet", "--dbname", self.url, "--command", sql,
                   check=check)
        return [line for line in said.stdout.splitlines() if line]


# ---- The box ----

class Loopback(Box):
    """An installation, with `cradle up`. `through` gives the address that the box is told for its broker's port."""

    def __init__(self, here, room, binary, store, authorities=1, through=None):
        super().__init__(here, room, binary)
        self.store, self.authorities, self.through, self.listen = store, authorities, through, f"127.0.0.1:{free_port()}"

    def begin(self, tray_len=64):
        port = free_port()
        told = self.through(port) if self.through else port
        self.cradle("init", "--yes", "--store", self.store, "--bus", f"nats://127.0.0.1:{told}")
        settings = self.data / "cradle.toml"
        text = settings.read_text().replace("tray_len = 64", f"tray_len = {tray_len}")
        settings.write_text(text.replace("[bus]\n", f"[bus]\nauthorities = {self.authorities}\n"))
        configuration = self.data / "bus" / "nats-server.conf"
        text = configuration.read_text().replace(f"127.0.0.1:{told}", f"127.0.0.1:{port}")
        # Who was stopped is found gone, as one whose machine was: what is asked next is not given to it.
        configuration.write_text(text + 'ping_interval: "5s"\nping_max: 2\n')
        program = next((path for path in ("/usr/sbin/nats-server", "/usr/bin/nats-server") if Path(path).exists()), "nats-server")
        self.net.start(None, program, "-c", configuration, log=self.room / "nats.log")
        until("nats-server listens", 30, lambda: listens(port))
        self.up = None
        self.rise()

    def rise(self):
        self.up = self.net.start(None, *self.words("up", "--listen", self.listen), log=self.room / "up.log")
        until("the box is ready", 60, self.is_ready)

    def fall(self):
        """Ends the box and all of its modules."""
        self.up.terminate()
        self.up.wait(timeout=90)

    def is_ready(self):
        if self.up.poll() is not None:
            raise Unfit(f"cradle up ended: {(self.room / 'up.log').read_text()[-600:]}")
        return self.cradle("up", "--check", "--listen", self.listen, check=False).returncode == 0

    def told(self, name):
        """Runs the station. Gives its status and what it reported last of each board."""
        process, lines = self.station(name), []
        thread = threading.Thread(target=reports, args=(process, lines.append), daemon=True)
        thread.start()
        try:
            status = process.wait(timeout=RUN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            status = None
        thread.join(timeout=30)
        return status, {line["board"]: line for line in lines}

    def log_of(self, name):
        path = self.room / f"{name}.log"
        return path.read_text()[-500:].strip() if path.exists() else ""

    def certificates(self):
        """All that were issued to devices."""
        said = self.cradle("cert", "list")
        return [row for row in json.loads(said.stdout) if row["subject"].startswith("urn:dev:ops:")]

    def entries(self):
        """The events of the audit log: name and what it says."""
        events = [entry["event"] for entry in json.loads(self.cradle("audit", "list").stdout)]
        return [next(iter(event.items())) if isinstance(event, dict) else (event, {}) for event in events]

    def held(self, name):
        """The certificate that each board of a type holds, as PEM; nothing, if it holds none."""
        boards = sorted((self.data / f"boards-{name}").glob("*.json"))
        chains = {path.stem: json.loads(path.read_text()).get("certificate_chain") or "" for path in boards}
        return {board: pem_of(base64.b64decode(chain).decode()) for board, chain in chains.items()}

    def processes(self):
        """The processes of the box: identifier, and the module with its number or `supervisor`."""
        found = {}
        for entry in os.listdir("/proc"):
            words = words_of(entry) if entry.isdigit() else []
            if str(self.data) in words and "serve" in words:
                found[int(entry)] = f"{words[words.index('--modules') + 1]}-{words[words.index('--number') + 1] if '--number' in words else 1}"
            elif str(self.data) in words and "up" in words and "--check" not in words:
                found[int(entry)] = "supervisor"
        return found


def pem_of(chain):
    """The first certificate of a chain."""
    end = "-----END CERTIFICATE-----"
    return chain.partition(end)[0].strip() + "\n" + end if end in chain else ""


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def words_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    except OSError:
        return []


class Deaths:
    """Which processes ended by a signal or a panic since this was made, as the supervisor says in its log, or the supervisor itself."""

    ENDED = ("a process ended that should run", "a process ended otherwise than it was told to")

    def __init__(self, box):
        self.log = box.room / "up.log"
        self.from_ = self.log.stat().st_size

    def said(self):
        with open(self.log, "rb") as file:
            file.seek(self.from_)
            return file.read().decode(errors="replace").splitlines()

    def found(self):
        ended = lambda line: any(how in line for how in self.ENDED) and ("signal" in line or "exit status: 101" in line)
        return [line for line in self.said() if ended(line) or "panicked at" in line or "cradle: fatal" in line]

    def finds(self, box, module):
        """Kills a process of a module. Whether that is found within some seconds."""
        pid = next(pid for pid, called in box.processes().items() if called.startswith(module))
        os.kill(pid, signal.SIGKILL)
        try:
            until("found dead", DEAD_WITHIN_S, lambda: any("signal: 9" in line for line in self.found()))
        except Unfit:
            return False
        return True


# ---- Judging ----

def judge(names, told, certificates, held, wanted):
    """What is wrong with what was told and kept. `names` are the devices that are expected, `wanted` is how many boards
    must have come to their end."""
    wrong = []
    standing = {}
    for row in certificates:
        if row["subject"] not in names:
            wrong.append(f"{row['serial']} was issued to {row['subject']}, for whom nobody asked")
        if row["revoked_at"] is None:
            standing.setdefault(row["subject"], []).append(row["serial"])
    wrong += [f"{subject} has {len(serials)} certificates" for subject, serials in standing.items() if len(serials) > 1]
    serials = [row["serial"] for row in certificates]
    wrong += [f"the serial number {serial} is there twice" for serial in sorted({s for s in serials if serials.count(s) > 1})]
    valid = {serial for serials in standing.values() for serial in serials}
    done = [line for line in told.values() if line["outcome"] == "provisioned"]
    wrong += [f"{line['board']} was told as done with {line['certificate']}, which is not kept"
              for line in done if line["certificate"] not in valid]
    twice = [line["certificate"] for line in done]
    wrong += [f"two boards were told the certificate {serial}" for serial in sorted({s for s in twice if twice.count(s) > 1})]
    pems = {row["serial"]: row["pem"].strip() for row in certificates}
    wrong += [f"{line['board']} does not hold what was told of it" for line in done
              if not held.get(line["board"]) or held[line["board"]] != pems.get(line["certificate"], held[line["board"]])]
    if len(done) != wanted:
        wrong.append(f"{len(done)} boards were told as done, of {wanted}")
    return wrong


def judge_finds(names, told, certificates, held, wanted):
    """The control of `judge`: records that are bad on purpose, each of which it must find. Gives those that it did not."""
    one = next((line["certificate"] for line in told.values() if line["outcome"] == "provisioned"), None)
    if one is None:
        return ["none was planted, because no board was told as done"]
    row = next(row for row in certificates if row["serial"] == one)
    first = next(board for board, line in told.items() if line["certificate"] == one)
    others = [board for board in told if board != first]
    planted = {
        "has 2 certificates": (told, [*certificates, {**row, "serial": "01" * 20}], held),
        "is there twice": (told, [*certificates, {**row, "revoked_at": "then"}], held),
        "nobody asked": (told, [*certificates, {**row, "serial": "02" * 20, "subject": "urn:dev:ops:32473-sensor-NOBODY"}], held),
        "is not kept": (told, [other for other in certificates if other is not row], held),
        "two boards were told": ({**told, others[0]: {**told[others[0]], "outcome": "provisioned", "certificate": one},
                                  others[1]: {**told[others[1]], "outcome": "provisioned", "certificate": one}}, certificates, held),
        "boards were told as done, of": ({board: told[board] for board in others}, certificates, held),
        "does not hold what was told": (told, certificates, {**held, first: held[others[0]]}),
    }
    return [what for what, (lines, rows, boards) in planted.items()
            if not any(what in found for found in judge(names, lines, rows, boards, wanted))]


def sound(box, findings):
    verified = box.cradle("verify", "--deep", check=False)
    if verified.returncode != 0:
        findings.append(f"verify --deep: {verified.stdout}{verified.stderr}")
    return verified.returncode == 0


# ---- Programs ----

def room_of(keep, name):
    room = Path(keep) if keep else Path(tempfile.mkdtemp(prefix=f"cradle-{name}-"))
    room.mkdir(exist_ok=True)
    # PostgreSQL runs as somebody else, and must reach its directory.
    room.chmod(0o711)
    return room


def program(name, parser, work):
    """Runs the work of a rig, and says what it found."""
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--binary", default=str(Path(__file__).resolve().parent.parent / "target" / "debug" / "cradle"))
    parser.add_argument("--keep")
    arguments = parser.parse_args()
    if not Path(arguments.binary).is_file():
        print(f"{name}: {arguments.binary} is not there: cargo build -p cradle", file=sys.stderr)
        return 2
    arguments.binary = str(Path(arguments.binary).resolve())
    room, findings, here = room_of(arguments.keep, name), [], Here()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))
    began = time.monotonic()
    try:
        work(arguments, here, room, findings)
    except Unfit as error:
        print(f"{name}: {error}\nwhat was left: {room}", file=sys.stderr)
        return 2
    finally:
        here.close()
    if findings:
        print(f"what was left: {room}")
    elif not arguments.keep:
        shutil.rmtree(room, ignore_errors=True)
    for finding in findings:
        print(f"FOUND {finding}")
    print(f"{name}: {len(findings)} findings, {time.monotonic() - began:.0f} s")
    return 1 if findings else 0
