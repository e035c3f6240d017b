"""The virtual machine of the power cuts: Debian's kernel, an initramfs of busybox and the program, and nothing else.

One boot mounts the disk (the kernel replays the journal), has the records verified, and works until it has nothing to do
or its power is cut. It tells on a serial port, whole line by whole line, what it was answered; the host keeps that, as the
board's maker keeps what a station printed. Boards are other devices: their memory is a second disk, which is mounted
so that every write is on it when it returns, and which loses nothing.

Library; `rigs/power-cut` is its program. Needs qemu-system-x86_64, busybox-static, strip (binutils).
"""
import lzma
import os
import platform
import re
import shutil
import subprocess
import time
from pathlib import Path

from interrupt import Broken

PACKAGE = "linux-image-cloud-amd64"
# ext4 and the serial ports are in that kernel; the disks are modules. Not NVMe, which is in it too: QEMU's does not heed
# FUA (seen in 7.2), and loses what a real disk keeps.
MODULES = ("virtio_pci", "virtio_blk")
# A boot, with the check of some thousand certificates in a machine that is computed. More is a machine that hangs.
BOOT_MAX_S = 180
# How long nothing must have been told after the disk froze, and how long that is waited for.
QUIET_S, QUIET_MAX_S, POLL_S = 0.3, 10.0, 0.01

# What runs in it. Everything that is told is one line of JSON on the second serial port.
INIT = r"""#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc none /proc; mount -t sysfs none /sys; mount -t devtmpfs none /dev; mount -t tmpfs none /tmp
for module in $(cat /modules/order); do insmod /modules/$module.ko; done
stty raw -F /dev/ttyS1
# Not a terminal, so that no progress is drawn.
mkfifo /tmp/log
cat /tmp/log >/dev/ttyS0 &
exec >/tmp/log 2>&1 </dev/null
for word in $(cat /proc/cmdline); do case $word in rig.*=*) eval "${word#rig.}" ;; esac; done

tell() { echo "$1" >/dev/ttyS1; }
told_status() { tell "{\"outcome\":\"$1\",\"status\":$?}"; }
program() { cradle --data /disk/data "$@"; }
# The boards that are in the fixture this time.
fixture() {
  eval first=\$first_$1
  sed "s/^count = .*/count = $count\nfirst_serial = $first/" /device-types/$1.toml >/disk/data/device-types/$1.toml
}
# One that was provisioned before is revoked, and a list is issued that has it.
revoke() {
  program mode set certificate-management &&
    program cert revoke $1 --reason superseded --yes &&
    tell "{\"outcome\":\"revoked\",\"revoked\":\"$1\"}" &&
    program crl issue factory &&
    tell "{\"outcome\":\"listed\",\"listed\":\"$1\"}"
  told_status ended
}

mount -t ext4 /dev/vda /disk || { tell '{"outcome":"unreadable"}'; tell '{"outcome":"idle"}'; sleep 1000; }
mount -t ext4 -o sync,dirsync /dev/vdb /disk/data/boards
mount -t tmpfs none /disk/data/device-types
program verify --deep; told_status verified
tell '{"outcome":"load"}'
[ -z "$early" ] || revoke $early
for type in $(echo $types | tr , " "); do
  fixture $type
  program mode set provision; told_status ended
  program station run $type -o jsonl >/dev/ttyS1; told_status ended
  [ -z "$revoke" ] || revoke $revoke
  revoke=
done
[ -z "$last" ] || { program verify --deep; told_status verified; }
tell '{"outcome":"idle"}'
sleep 1000
"""


def fetch_kernel(directory):
    """Debian's kernel for virtual machines, taken out of its package without installing it; it is kept.
    Gives the directory."""
    kernel = directory / "vmlinuz"
    if kernel.exists():
        return directory
    if platform.machine() != "x86_64":
        raise Broken("the machine of the power cuts is an x86-64 one, and runs what was built for this one")
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    depends = done("apt-cache", "depends", "--important", PACKAGE).split()
    image = next((word for word in depends if word.startswith("linux-image-") and word != PACKAGE), None)
    if image is None:
        raise Broken(f"{PACKAGE} names no kernel: apt-get update")
    done("apt-get", "download", image, cwd=directory)
    (package,) = directory.glob("*.deb")
    done("dpkg-deb", "--extract", package, directory / "package")
    extracted = directory / "package"
    order = []
    for module in MODULES:
        take_module(module, extracted, directory, order)
    (directory / "order").write_text(" ".join(order))
    (found,) = extracted.glob("boot/vmlinuz-*")
    found.rename(kernel)
    shutil.rmtree(extracted)
    package.unlink()
    return directory


def take_module(name, extracted, directory, order):
    """Takes a module out of the package, after those that it needs."""
    (found,) = extracted.glob(f"lib/modules/*/kernel/drivers/*/{name}.ko*")
    octets = lzma.decompress(found.read_bytes()) if found.suffix == ".xz" else found.read_bytes()
    needed = re.search(rb"\0depends=([^\0]*)\0", octets)
    for other in needed[1].decode().split(",") if needed and needed[1] else ():
        if other not in order:
            take_module(other, extracted, directory, order)
    (directory / f"{name}.ko").write_bytes(octets)
    order.append(name)


def make_initramfs(binary, kernel, device_types, directory, name):
    """A root of busybox, the program with its libraries, modules of the kernel, and the device types."""
    busybox = shutil.which("busybox") or "/bin/busybox"
    root = directory / name
    for place in ("bin", "modules", "proc", "sys", "dev", "tmp", "disk"):
        (root / place).mkdir(parents=True)
    shutil.copy(busybox, root / "bin" / "busybox")
    shutil.copytree(device_types, root / "device-types")
    for part in (*kernel.glob("*.ko"), kernel / "order"):
        shutil.copy(part, root / "modules")
    done("strip", "-o", root / "bin" / "cradle", binary)
    for word in done("ldd", binary).split():
        if word.startswith("/"):
            to = root / word[1:]
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(word, to)
    (root / "init").write_text(INIT)
    (root / "init").chmod(0o755)
    archive = directory / f"{name}.cpio"
    names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
    with open(archive, "wb") as written:
        subprocess.run([busybox, "cpio", "-o", "-H", "newc"], cwd=root, input=names.encode(), stdout=written,
                       stderr=subprocess.DEVNULL, check=True)
    shutil.rmtree(root)
    return archive


class Machine:
    """A machine that is on, until its power is cut."""

    def __init__(self, kernel, initramfs, disk, boards, told, **asked):
        self.told, self.log = told, told.with_suffix(".log")
        told.write_bytes(b"")
        words = " ".join(f"rig.{name}={value}" for name, value in asked.items())
        # What boards remember, the host's kernel remembers: it is not the host's power that is cut.
        argv = ["qemu-system-x86_64", "-accel", "tcg", "-machine", "pc", "-cpu", "max", "-smp", "2", "-m", "256",
                "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                "-kernel", kernel / "vmlinuz", "-initrd", initramfs,
                "-append", f"console=ttyS0 quiet panic=-1 mitigations=off random.trust_cpu=on {words}",
                "-serial", f"file:{self.log}", "-serial", f"file:{told}",
                "-drive", f"if=none,id=disk,format=raw,cache=writeback,file=nbd:unix:{disk.address}",
                "-device", "virtio-blk-pci,drive=disk",
                "-drive", f"if=none,id=boards,format=raw,cache=writeback,file={boards}",
                "-device", "virtio-blk-pci,drive=boards"]
        self.process = subprocess.Popen([str(word) for word in argv], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)

    def lines(self):
        """Whole lines that were told until now."""
        return self.told.read_bytes().decode(errors="replace").split("\n")[:-1]

    def wait(self, until, what):
        """Waits until `until(lines)`."""
        deadline = time.monotonic() + BOOT_MAX_S
        while not until(self.lines()):
            if self.process.poll() is not None:
                raise Broken(f"the machine ended by itself: {self.process.stderr.read().decode()[-300:]}{self.said()}")
            if time.monotonic() > deadline:
                raise Broken(f"no {what} in {BOOT_MAX_S} s: {self.said()}")
            time.sleep(POLL_S)

    def wait_for_quiet(self):
        """What it can still tell, it has told."""
        deadline, length, since = time.monotonic() + QUIET_MAX_S, -1, 0.0
        while time.monotonic() < deadline:
            if (now := self.told.stat().st_size) != length:
                length, since = now, time.monotonic()
            elif time.monotonic() - since >= QUIET_S:
                return
            time.sleep(POLL_S)

    def said(self):
        return self.log.read_bytes().decode(errors="replace")[-1000:]

    def cut(self):
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()


# ---- Disks, without mounting them ----

def make_disk(path, megabytes, content=None):
    with open(path, "wb") as file:
        os.truncate(file.fileno(), megabytes * 1024 * 1024)
    done("mkfs.ext4", "-q", "-F", *(("-d", content) if content else ()), path)


def read_disk(path, to, scratch):
    """What a file system holds once its journal was replayed; of a copy, the next boot does it again itself."""
    copy = scratch / f"{path.name}.copy"
    done("cp", "--sparse=always", path, copy)
    # 0: nothing to do; 1: done; above: not what a journal replays. Source: e2fsck(8).
    mended = subprocess.run(["e2fsck", "-fp", copy], capture_output=True, text=True)
    if mended.returncode > 1:
        raise OSError(f"{path.name}: e2fsck: {mended.stdout.strip()[-300:]}")
    subprocess.run(["debugfs", "-R", f"rdump / {to}", copy], capture_output=True, check=True)
    copy.unlink()


def done(*argv, **how):
    ran = subprocess.run([str(word) for word in argv], capture_output=True, text=True, **how)
    if ran.returncode != 0:
        raise Broken(f"{argv[0]}: status {ran.returncode}: {ran.stderr.strip()[-300:]}")
    return ran.stdout
