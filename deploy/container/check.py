#!/usr/bin/env python3
"""Reads deploy/compose.yaml and deploy/container/Containerfile, and says what in them is not as docs/deploy.md promises.

    deploy/container/check.py --binary PATH

Needs PyYAML. Nothing is started; the modes are those of `cradle mode table`. First it breaks the file in each way that it
looks for, and must find that: a rule that finds nothing there is no rule.
Exit status: 0 all is well; 1 findings; 2 it could not do its work.
"""
import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
# The only one that others may reach, when there is one.
GATEWAY = "gateway"
MODULES = ("gateway", "software", "authority", "provisioning", "identity")
PINNED = re.compile(r"^([a-z0-9.-]+\.[a-z]+/)?[a-z0-9/._-]+(:\d+\.\d+(\.\d+)?(-[a-z0-9.]+)?(@sha256:[0-9a-f]{64})?|@sha256:[0-9a-f]{64})$")


def listed(value):
    return value if isinstance(value, list) else list(value or [])


def is_box(service):
    return listed(service.get("command"))[:1] == ["up"]


def of_service(name, service, compose):
    """What is wrong with one service."""
    if not PINNED.match(service.get("image", "")):
        yield f"{name}: its image is not pinned: {service.get('image')}"
    if service.get("privileged") or service.get("cap_add") or "ALL" not in listed(service.get("cap_drop")):
        yield f"{name}: it is privileged, or keeps capabilities"
    if "no-new-privileges:true" not in listed(service.get("security_opt")):
        yield f"{name}: it may gain privileges"
    if service.get("read_only") is not True:
        yield f"{name}: its root can be written"
    if str(service.get("user", "0")).split(":")[0] in ("0", "root"):
        yield f"{name}: it runs as root"
    for key in ("network_mode", "pid", "ipc", "userns_mode", "devices"):
        if key in service:
            yield f"{name}: it shares {key} with the machine"
    for port in listed(service.get("ports")):
        where = port.get("host_ip", "") if isinstance(port, dict) else str(port)
        if name != GATEWAY and not where.startswith("127.0.0.1"):
            yield f"{name}: it is published beyond 127.0.0.1: {port}"
    for volume in listed(service.get("volumes")):
        source = volume.get("source", "") if isinstance(volume, dict) else str(volume).split(":")[0]
        if source not in (compose.get("volumes") or {}):
            yield f"{name}: its volume is not named: {volume}"
    for network in listed(service.get("networks")) or ["default"]:
        settings = (compose.get("networks") or {}).get(network) or {}
        if name != GATEWAY and settings.get("internal") is not True:
            yield f"{name}: its network {network} leads out"
    if is_box(service):
        test = listed((service.get("healthcheck") or {}).get("test"))
        listens = listed(service.get("command"))[-1:]
        if "--check" not in test or test[-1:] != listens:
            yield f"{name}: its health check does not ask /ready where it listens"


def of_modes(services, table):
    """Each mode has a profile with a box and an order, and its label says what is off."""
    profiles = {profile for service in services.values() for profile in listed(service.get("profiles"))}
    modes = {row["mode"]: row for row in table}
    extra = profiles - set(modes) - {"separated-sites", "make", "make-sites"}
    for name, service in services.items():
        if not listed(service.get("profiles")):
            yield f"{name}: it belongs to no profile, so it runs in all"
    for profile in sorted(extra):
        yield f"profile {profile}: there is no such mode"
    for mode, row in modes.items():
        of = {name: service for name, service in services.items() if mode in listed(service.get("profiles"))}
        boxes = [name for name, service in of.items() if is_box(service)]
        if len(boxes) != 1:
            yield f"profile {mode}: one box is expected, not {boxes}"
        orders = [service for service in of.values() if listed(service.get("command"))[:3] == ["mode", "set", mode]]
        others = [name for name, service in of.items() if listed(service.get("command"))[:2] == ["mode", "set"]]
        if len(orders) != 1 or len(others) != 1:
            yield f"profile {mode}: one order of this mode is expected, and no other: {others}"
            continue
        off = [word.strip() for word in (orders[0].get("labels") or {}).get("cradle.off", "").split(",")]
        expected = [module for module in MODULES if row[module] == "off"]
        if off != expected:
            yield f"profile {mode}: its label says that {off} are off; the table says {expected}"
    sites = [name for name, service in services.items() if "separated-sites" in listed(service.get("profiles")) and is_box(service)]
    if len(sites) != 3:
        yield f"profile separated-sites: a center and two lines are expected, not {sites}"
    joined = [network for site in sites for network in listed(services[site].get("networks"))]
    if len(joined) != len(set(joined)):
        yield "profile separated-sites: two sites share a network"


def findings(compose, table):
    services = compose["services"]
    for name, service in services.items():
        yield from of_service(name, service, compose)
    yield from of_modes(services, table)


def of_containerfile(text):
    stages = [line.split() for line in text.splitlines() if line.startswith("FROM ")]
    if not stages or stages[-1][1] != "scratch":
        yield "Containerfile: the image is not made from nothing"
    for stage in stages:
        if stage[1] != "scratch" and not PINNED.match(stage[1]):
            yield f"Containerfile: {stage[1]} is not pinned"
    user = [line.split()[1] for line in text.splitlines() if line.startswith("USER ")]
    if not user or user[-1].split(":")[0] in ("0", "root"):
        yield "Containerfile: it runs as root"
    if "HEALTHCHECK" not in text or '"--check"' not in text:
        yield "Containerfile: its health check does not ask /ready"


def box(compose):
    return compose["services"]["box"]


# How each rule is broken, and what must be said then.
BREAKS = [
    ("not pinned", lambda c: box(c).update(image="cradle:latest")),
    ("not pinned", lambda c: box(c).update(image="cradle")),
    ("privileged", lambda c: box(c).update(privileged=True)),
    ("privileged", lambda c: box(c).update(cap_drop=[])),
    ("gain privileges", lambda c: box(c).update(security_opt=[])),
    ("root can be written", lambda c: box(c).update(read_only=False)),
    ("runs as root", lambda c: box(c).pop("user")),
    ("shares network_mode", lambda c: box(c).update(network_mode="host")),
    ("published beyond", lambda c: box(c).update(ports=["9465:9465"])),
    ("published beyond", lambda c: box(c).update(ports=[{"target": 9465, "published": "9465"}])),
    ("not named", lambda c: box(c).update(volumes=["/srv:/var/lib/cradle"])),
    ("leads out", lambda c: c["networks"]["line"].update(internal=False)),
    ("leads out", lambda c: box(c).pop("networks")),
    ("health check", lambda c: box(c)["healthcheck"].update(test=["CMD", "true"])),
    ("belongs to no profile", lambda c: box(c).pop("profiles")),
    ("no such mode", lambda c: box(c)["profiles"].append("holiday")),
    ("one box is expected", lambda c: box(c)["profiles"].remove("sealed")),
    ("one order", lambda c: c["services"].pop("mode-ceremony")),
    ("label", lambda c: c["services"]["mode-ceremony"]["labels"].update({"cradle.off": "gateway"})),
    ("a center and two lines", lambda c: c["services"].pop("line-sensor")),
    ("share a network", lambda c: c["services"]["line-sensor"].update(networks=["center"])),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    arguments = parser.parse_args()
    try:
        table = json.loads(subprocess.run([arguments.binary, "-o", "json", "mode", "table"], check=True, capture_output=True).stdout)
        text = (HERE.parent / "compose.yaml").read_text()
        containerfile = (HERE / "Containerfile").read_text()
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        print(f"check: {error}", file=sys.stderr)
        return 2
    compose = yaml.safe_load(text)
    found = list(findings(compose, table)) + list(of_containerfile(containerfile))
    for words, broken in BREAKS:
        # Read anew: anchors would share what is changed.
        changed = json.loads(json.dumps(compose))
        broken(changed)
        if not any(words in finding for finding in findings(changed, table)):
            found.append(f"a broken file is not found: {words}")
    for words, changed in [
        ("from nothing", containerfile.replace("FROM scratch", "FROM debian:12.1")),
        ("is not pinned", containerfile.replace(":1.95.0-bookworm", "")),
        ("runs as root", containerfile.replace("USER ", "# ")),
        ("/ready", containerfile.replace('"--check"', "")),
    ]:
        if not any(words in finding for finding in of_containerfile(changed)):
            found.append(f"a broken Containerfile is not found: {words}")
    for finding in found:
        print(f"FOUND {finding}")
    print(f"check: {len(compose['services'])} services, {len(BREAKS) + 4} controls, {len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
