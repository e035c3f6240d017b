#!/usr/bin/env python3
"""Asks the operator API of a box that runs what its description allows, and what it does not.

    rigs/api/ask.py [-o | --output] [--keep DIR] BINARY

Schemathesis makes the requests, out of the description that the program prints, with a fixed seed: no answer may be a failure of
the server or one that is not described, and what the description refuses must be refused. The records must agree afterwards, and the
process must still be there. Its control is a description that leaves an answer out, which must be found.
-o prints which statuses were seen of which operation.

Needs the packages of requirements.txt, and a program that was built. Exit status: 0 all is well; 1 something was found.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter, defaultdict
from pathlib import Path

# Requests that are made up for each operation in each phase, beside those that its description names.
EXAMPLES = 15
# Longest that one run of the client may take: it needs seconds.
RUN_MAX_S = 120
# Longest that a command may take.
COMMAND_MAX_S = 60
SEED = 20261122
# What is asked with which values in its path, so that the first requests meet what is there.
SETTINGS = """
[parameters]
"path.device" = "{device}"
"path.serial" = "{serial}"
"path.authority" = "modules"
"path.about" = "{device}"
"path.id" = 1

# A request that fits the description may be refused for what the records say.
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "400", "401", "403", "404", "409", "422", "429"]
"""
# What cannot succeed with anything that a client makes up: no request waits for approval here.
NEVER = {"approve", "deny"}


class Wrong(Exception):
    """Something was found."""


class Box:
    """An installation that runs, and its API."""

    def __init__(self, binary, room):
        self.binary, self.room, self.data = str(Path(binary).resolve()), room, room / "data"
        self.log = room / "up.log"
        self.process = None

    def command(self, *arguments):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CRADLE_")}
        done = subprocess.run([self.binary, "--data", str(self.data), *arguments], capture_output=True, text=True,
                              env=environment, cwd=self.room, stdin=subprocess.DEVNULL, timeout=COMMAND_MAX_S)
        if done.returncode != 0:
            raise Wrong(f"cradle {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def make(self):
        self.command("init", "--yes")
        (self.room / "devices.csv").write_text("serial,type,board,profile\n" + "".join(f"SN{n},sensor,,ldevid\n" for n in range(1, 30)))
        self.command("list", "import", "devices.csv")
        self.command("mode", "set", "certificate-management")
        serials = []
        for name in ("ann", "bob"):
            self.command("operator", "add", name)
            rows = json.loads(self.command("cert", "list", "--subject", f"operator:{name}", "-o", "json"))
            serials.append(rows[0]["serial"])
        with open(self.data / "cradle.toml", "a", encoding="utf-8") as settings:
            settings.write('\n[api]\nlisten = "127.0.0.1:0"\n')
        return serials

    def start(self):
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [self.binary, "--data", str(self.data), "--log-format", "json", "up", "-o", "json"],
                stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL, cwd=self.room)
        said = json.loads(self.process.stdout.readline() or b"{}")
        self.url = said.get("api", {}).get("url")
        if not self.url:
            raise Wrong(f"it does not answer: {self.log.read_text()}")
        self.token = (self.data / "api/token").read_text()

    def post(self, path, body):
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), {
            "Content-Type": "application/json", "Authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, timeout=COMMAND_MAX_S) as answer:
            return json.load(answer)

    def end(self):
        if self.process is None:
            return
        still = self.process.poll() is None
        self.process.terminate()
        status = self.process.wait(COMMAND_MAX_S)
        if not still or status != 0:
            raise Wrong(f"the process ended with {status}: {self.log.read_text()[-2000:]}")

    def seen(self, description):
        """The statuses that were answered, by operation."""
        operations = []
        for path, item in description["paths"].items():
            for method, operation in item.items():
                operations.append((method.upper(), path.split("/"), operation["operationId"]))
        # A path without a name in it before one that has it.
        operations.sort(key=lambda operation: sum(part.startswith("{") for part in operation[1]))
        seen = defaultdict(Counter)
        for line in self.log.read_text().splitlines():
            entry = json.loads(line)
            entry = {**entry, **entry.get("fields", {})}
            if entry.get("message") != "request":
                continue
            parts = entry["path"].split("/")
            for method, shape, name in operations:
                fits = len(parts) == len(shape) and all(s.startswith("{") or s == p for s, p in zip(shape, parts))
                if fits and method == entry["method"]:
                    seen[name][int(entry["status"])] += 1
                    break
        return seen


def client(box, description, device, serial, choice):
    """Runs the client on some of the operations. Gives its status and what it said."""
    (box.room / "openapi.json").write_text(json.dumps(description))
    settings = box.room / "schemathesis.toml"
    settings.write_text(SETTINGS.format(device=device, serial=serial))
    program = Path(sys.executable).parent / "st"
    done = subprocess.run(
        [str(program), "--config-file", str(settings), "run", "openapi.json", "--url", box.url,
         "--header", f"Authorization: Bearer {box.token}", "--seed", str(SEED), "--max-examples", str(EXAMPLES),
         "--phases", "examples,coverage,fuzzing", "--generation-database", "none", "--warnings", "off", "--no-color", *choice],
        capture_output=True, text=True, cwd=box.room, stdin=subprocess.DEVNULL, timeout=RUN_MAX_S)
    return done.returncode, done.stdout + done.stderr


def asks(box, description, device, serial, what, choice):
    status, said = client(box, description, device, serial, choice)
    cases = [line.strip() for line in said.splitlines() if "generated" in line]
    if status != 0:
        raise Wrong(f"{what}:\n{said}")
    print(f"{what}: {'; '.join(cases)}", flush=True)


def control(box, description):
    """A description that does not know that something may not be there."""
    blind = json.loads(json.dumps(description))
    del blind["paths"]["/v1/devices/{device}"]["get"]["responses"]["404"]
    status, said = client(box, blind, "NOBODY", "00", ["--include-operation-id", "getDevice"])
    if status == 0 or "Undocumented status code" not in said:
        raise Wrong(f"an answer that is not described was not found:\n{said}")
    print("an answer that is not described is found")


def without_keys(description):
    """The same without Idempotency-Key: made-up requests share their keys, and all but the first are refused for that."""
    description = json.loads(json.dumps(description))
    for item in description["paths"].values():
        for operation in item.values():
            operation["parameters"] = [one for one in operation["parameters"] if one["name"] != "Idempotency-Key"]
    return description


def check(box, output):
    ann, bob = box.make()
    description = json.loads(box.command("api", "openapi"))
    box.start()
    control(box, description)
    by = "--include-operation-id"
    apart = ["revokeCertificate", "releaseCertificate", "importList", "setMode"]
    rest = [word for name in apart for word in ("--exclude-operation-id", name)]
    asks(box, description, "SN1", ann, "with keys: what is looked at, devices, approvals", rest)
    keyless = without_keys(description)
    asks(box, keyless, "SN2", ann, "devices", [by, "allowDevice", by, "markDevice"])
    asks(box, keyless, "SN1", ann, "revoking", [by, "revokeCertificate"])
    box.post(f"/v1/certificates/{bob}/revoke", {"reason": "certificate-hold"})
    asks(box, keyless, "SN1", bob, "releasing", [by, "releaseCertificate"])
    # One operator is left, who need not be named.
    box.post(f"/v1/certificates/{bob}/revoke", {})
    box.post("/v1/mode", {"mode": "provision"})
    asks(box, keyless, "SN1", bob, "lists", [by, "importList"])
    # Last: it ends in some mode, or sealed.
    asks(box, keyless, "SN1", bob, "modes", [by, "setMode"])
    seen = box.seen(description)
    box.end()
    box.command("verify", "--deep")
    print(f"{sum(sum(counts.values()) for counts in seen.values())} requests to {len(seen)} operations; the records agree")
    if output:
        for name, counts in sorted(seen.items()):
            print(f"  {name:<20} {'  '.join(f'{status}: {n}' for status, n in sorted(counts.items()))}")
    operations = {operation["operationId"] for item in description["paths"].values() for operation in item.values()}
    missing = sorted(name for name in operations - NEVER if not seen[name][200])
    if missing:
        raise Wrong(f"these never succeeded, so little of them was tried: {', '.join(missing)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("-o", "--output", action="store_true", help="print which statuses were seen")
    parser.add_argument("--keep", type=Path, help="keep the installation in this directory")
    parser.add_argument("binary")
    arguments = parser.parse_args()
    room = arguments.keep or Path(tempfile.mkdtemp(prefix="cradle-api-"))
    room.mkdir(exist_ok=True)
    box = Box(arguments.binary, room)
    try:
        check(box, arguments.output)
    except (Wrong, subprocess.TimeoutExpired) as found:
        print(found, file=sys.stderr)
        return 1
    finally:
        if box.process is not None and box.process.poll() is None:
            box.process.kill()
        if not arguments.keep:
            shutil.rmtree(room, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
