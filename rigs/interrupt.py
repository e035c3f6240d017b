"""Runs a program and ends all of it at its N-th system call of a kind, before that call is made.

Why not `strace -e inject=...:signal=SIGKILL:when=N`: strace counts in each thread for itself. The first N of the main
thread hide those of the store's writer, and of 30 renames by 16 threads only the first three can be reached. Here one
count goes over all threads, so N = 1, 2, 3 ... meets every call.

Where the call is, its thread is held until all the others wait: whatever they can do without it (answer, print, write
to a board) they have done. Only then everything ends. A race between an answer and its commit is so always lost by the
commit, and a run with the same N says the same each time.

Two ways to end: `kill` is SIGKILL; what was written stays, synchronised or not, because the kernel lives on. `cut` also
takes back what was written since the last fsync of each file, as a power cut may; names count as durable, unless the disk
undoes them. Power goes off also after a run that came to its own end.

Needs Linux 5.3 on x86-64, ARM64 or RISC-V; may not run under a tracer itself. Library; `rigs/kill9` and `rigs/intake`
are its programs. Also a program, for one run:

    rigs/interrupt.py sync|write|name kill|cut|undo N DIRECTORY PROGRAM [ARGUMENT]...

What is taken back is below DIRECTORY. Exit status: 0 the program came to its own end, and well; 3 it was interrupted; 1 neither.
"""
import ctypes
import errno
import os
import platform
import shutil
import signal
import stat
import struct
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

# ---- The calls ----

KINDS = {
    "sync": ("fsync", "fdatasync", "sync_file_range", "msync", "sync", "syncfs"),
    "write": ("write", "writev", "pwrite64", "pwritev", "pwritev2", "truncate", "ftruncate", "fallocate",
              "copy_file_range", "sendfile"),
    "name": ("rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat", "symlink", "symlinkat",
             "mkdir", "mkdirat", "rmdir"),
}
X86_64 = {
    "write": 1, "pwrite64": 18, "writev": 20, "msync": 26, "sendfile": 40, "fsync": 74, "fdatasync": 75, "truncate": 76,
    "ftruncate": 77, "rename": 82, "mkdir": 83, "rmdir": 84, "link": 86, "unlink": 87, "symlink": 88, "sync": 162,
    "mkdirat": 258, "unlinkat": 263, "renameat": 264, "linkat": 265, "symlinkat": 266, "sync_file_range": 277,
    "fallocate": 285, "pwritev": 296, "syncfs": 306, "renameat2": 316, "copy_file_range": 326, "pwritev2": 328,
}
# ARM64 and RISC-V share one table. Source: Linux, include/uapi/asm-generic/unistd.h.
GENERIC = {
    "mkdirat": 34, "unlinkat": 35, "symlinkat": 36, "linkat": 37, "renameat": 38, "truncate": 45, "ftruncate": 46,
    "fallocate": 47, "write": 64, "writev": 66, "pwrite64": 68, "pwritev": 70, "sendfile": 71, "sync": 81, "fsync": 82,
    "fdatasync": 83, "sync_file_range": 84, "msync": 227, "syncfs": 267, "renameat2": 276, "copy_file_range": 285,
    "pwritev2": 287,
}
TABLES = {"x86_64": X86_64, "aarch64": GENERIC, "riscv64": GENERIC}
# Calls whose first argument is not a descriptor.
PATHS = {"rename": 0, "truncate": 0, "mkdir": 0, "rmdir": 0, "link": 0, "unlink": 0, "symlink": 1, "renameat": 1,
         "renameat2": 1, "linkat": 1, "unlinkat": 1, "symlinkat": 2, "mkdirat": 1}
NO_FILE = ("sync", "msync")
# What calls do with names, and which arguments these are: the directory's descriptor, if there is one, and the text.
NAMED = {
    "rename": ("renamed", (None, 0), (None, 1)), "renameat": ("renamed", (0, 1), (2, 3)),
    "renameat2": ("renamed", (0, 1), (2, 3)), "link": ("linked", (None, 0), (None, 1)),
    "linkat": ("linked", (0, 1), (2, 3)), "unlink": ("removed", (None, 0)), "unlinkat": ("removed", (0, 1)),
}
AT_FDCWD = -100

# ---- ptrace and seccomp, by their numbers. Source: ptrace(2), seccomp(2), linux/filter.h ----

TRACEME, CONT, SYSCALL, SETOPTIONS, SYSCALL_INFO = 0, 7, 24, 0x4200, 0x420E
# TRACESYSGOOD, TRACEFORK, TRACEVFORK, TRACECLONE, TRACEEXEC, TRACESECCOMP, EXITKILL
OPTIONS = 0x01 | 0x02 | 0x04 | 0x08 | 0x10 | 0x80 | 0x100000
EVENT_SECCOMP = 7
WALL = 0x40000000
NO_NEW_PRIVS, SET_SECCOMP, MODE_FILTER = 38, 22, 2
RET_ALLOW, RET_TRACE = 0x7FFF0000, 0x7FF00000
LOAD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06
INFO_LEN = 88

# How long all other threads must have been waiting, and how long that is waited for. A thread that computes for longer
# than the second is not waited for; a key is opened in a tenth of it.
QUIET_S, QUIET_MAX_S, POLL_S = 0.008, 10.0, 0.001
# A whole run: seconds of it are usual, on a busy machine a minute.
RUN_MAX_S = 180

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.restype = ctypes.c_long
LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


class Broken(Exception):
    """The rig could not do its work; says nothing of the program."""


class Gone(Exception):
    """A thread that was stopped is no more: another one ended the process."""


@dataclass
class Run:
    """What became of a run."""
    point: str | None = None  # where it was ended, or None if it came to its own end
    status: int = 0  # exit status, or the signal with a minus
    lines: list = field(default_factory=list)  # whole lines of standard output: what was promised
    errors: str = ""
    calls: list = field(default_factory=list)  # every call of the kind: name, file, thread


def run(argv, kind, at=None, cut=None, env=None, alone=False):
    """Runs `argv`. Ends it before the `at`-th call of `kind`, if there are so many. `cut` is a [`Cut`] or None. What it starts in
    groups of their own is followed and ended too if this process is `alone`: if it has no other children."""
    return _Session(argv, kind, at, cut, env, alone).run()


class Cut:
    """Takes back what was not synchronised in `root`, which was a copy of `before`. `outside` is another's memory. A
    disk that forgets says that it synchronised, and did not. One that undoes takes names back, too: those that files were
    given or lost since their directory was synchronised last."""

    def __init__(self, root, before, outside, forgets=False, undoes=False):
        self.root, self.before, self.outside = Path(root), Path(before), Path(outside)
        self.forgets, self.undoes = forgets, undoes
        # What was written, what of it is on the disk, and names that are not: directory, name, what it stood for before.
        self.written, self.durable, self.names = set(), {}, []

    def covers(self, path):
        return path.is_relative_to(self.root) and not path.is_relative_to(self.outside)

    def wrote(self, path):
        if self.covers(path) and path not in self.written:
            if not self.on_disk_before(path):
                self.names.append((path.parent, path, None))
            self.written.add(path)

    def renamed(self, old, new):
        self.linked(old, new)
        self.removed(old)

    def linked(self, old, new):
        if self.covers(new):
            octets = self.on_disk(old)
            self.names.append((new.parent, new, self.on_disk(new) if new.exists() else None))
            self.written.add(new)
            # The name is there, and what was not synchronised is not.
            self.durable[new] = b"" if octets is None else octets

    def removed(self, path):
        if self.covers(path) and path.exists():
            self.names.append((path.parent, path, self.on_disk(path)))
            self.written.discard(path)
            self.durable.pop(path, None)

    def on_disk_before(self, path):
        return (self.before / path.relative_to(self.root)).exists()

    def on_disk(self, path):
        """What a file would hold if the power went now; None if that is nothing."""
        if path in self.durable:
            return self.durable[path]
        if path not in self.written:
            return path.read_bytes() if path.is_file() else None
        before = self.before / path.relative_to(self.root)
        return before.read_bytes() if before.exists() else None

    def synchronised(self, path, octets):
        if self.forgets:
            return
        if octets is None:
            self.names = [name for name in self.names if name[0] != path]
        else:
            self.durable[path] = octets

    def power_off(self):
        for path in self.written:
            octets = self.on_disk(path)
            # Shared memory is memory; and a file that was removed does not come back.
            if path.name.endswith("-shm") or not path.exists() or octets is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(octets)
        for _, path, octets in reversed(self.names if self.undoes else []):
            if octets is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(octets)


class _Session:
    def __init__(self, argv, kind, at, cut, env, alone):
        numbers = TABLES.get(platform.machine())
        if numbers is None:
            raise Broken(f"the numbers of system calls are not known for {platform.machine()}")
        self.names = {number: name for name, number in numbers.items()}
        self.argv, self.kind, self.at, self.cut, self.env = argv, kind, at, cut, env
        self.pid, self.outcome = 0, Run()
        self.alone = alone
        self.threads, self.syncing = set(), {}
        self.held, self.deadline = None, time.monotonic() + RUN_MAX_S

    def run(self):
        with tempfile.TemporaryFile() as errors:
            reading, writing = os.pipe()
            self.pid = os.fork()
            if self.pid == 0:
                self.become(writing, errors.fileno())
            os.close(writing)
            try:
                self.attach()
                self.follow()
            finally:
                self.end()
            if self.cut:
                self.cut.power_off()
            # All writers are dead. What a pipe holds is more than a run prints (64 KiB, pipe(7)).
            with os.fdopen(reading, "rb") as pipe:
                whole = pipe.read().decode()
            self.outcome.lines = whole.split("\n")[:-1]
            errors.seek(0)
            self.outcome.errors = errors.read().decode(errors="replace")
        return self.outcome

    # ---- The child ----

    def become(self, out, errors):
        try:
            with open(os.devnull, "rb") as nothing:
                os.dup2(nothing.fileno(), 0)
            os.dup2(out, 1)
            os.dup2(errors, 2)
            os.setpgid(0, 0)  # A group of its own, so that nobody else's children are waited for.
            ptrace(TRACEME, 0)
            os.kill(os.getpid(), signal.SIGSTOP)
            self.install_filter()
            os.execvpe(self.argv[0], self.argv, os.environ if self.env is None else self.env)
        except BaseException as error:  # Nothing of the parent's may run on in the child.
            os.write(2, f"{error}\n".encode())
        finally:
            os._exit(127)

    def install_filter(self):
        numbers = sorted(self.names)
        filters = [struct.pack("=HBBI", LOAD, 0, 0, 0)]
        for n, number in enumerate(numbers):
            filters.append(struct.pack("=HBBI", JUMP_EQUAL, len(numbers) - n, 0, number))
        filters.append(struct.pack("=HBBI", RETURN, 0, 0, RET_ALLOW))
        filters.append(struct.pack("=HBBI", RETURN, 0, 0, RET_TRACE))
        octets = ctypes.create_string_buffer(b"".join(filters))
        program = struct.pack("@HP", len(filters), ctypes.addressof(octets))
        if LIBC.prctl(NO_NEW_PRIVS, 1, 0, 0, 0) or LIBC.prctl(SET_SECCOMP, MODE_FILTER, program, 0, 0):
            raise OSError(ctypes.get_errno(), "the filter was refused")

    # ---- Following it ----

    def attach(self):
        _, status = os.waitpid(self.pid, WALL)
        if not os.WIFSTOPPED(status):
            raise Broken("the program could not be traced; is this process being traced itself?")
        self.threads.add(self.pid)
        ptrace(SETOPTIONS, self.pid, OPTIONS)
        ptrace(CONT, self.pid)

    def follow(self):
        while True:
            if time.monotonic() > self.deadline:
                raise Broken(f"{self.argv} did not end in {RUN_MAX_S} s")
            try:
                # Without anybody held nothing is to be done between two stops.
                tid, status = os.waitpid(self.whom(), WALL | (os.WNOHANG if self.held else 0))
            except ChildProcessError:
                return
            if tid:
                self.stopped(tid, status)
            elif self.others_wait():
                return
            else:
                time.sleep(POLL_S)

    def stopped(self, tid, status):
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):
            self.threads.discard(tid)
            if tid == self.pid:
                self.outcome.status = os.waitstatus_to_exitcode(status)
            return
        number, event, resume = os.WSTOPSIG(status), status >> 16, CONT
        delivered = 0
        if event == EVENT_SECCOMP:
            resume = self.call(tid)
            if resume is None:
                return
        elif number == signal.SIGTRAP | 0x80:
            self.returned(tid)
        elif event or number == signal.SIGTRAP:
            pass
        elif number == signal.SIGSTOP and tid not in self.threads:
            self.threads.add(tid)  # A new thread begins so.
        else:
            delivered = number
        ptrace(resume, tid, delivered)

    def call(self, tid):
        """Looks at a call that is about to be made. Gives how to go on; None if its thread is to be held."""
        try:
            number, arguments = syscall(tid)
            name = self.names[number]
            path = self.file_of(tid, name, arguments)
        except Gone:
            return CONT  # The process ended while this thread stood: the next wait reaps it, and the call is not made.
        if path is None:
            return CONT
        if name in KINDS[self.kind]:
            self.outcome.calls.append((name, path.name, thread_name(self.pid, tid)))
            if len(self.outcome.calls) == self.at and self.held is None:
                self.outcome.point = f"{name} {path.name} ({thread_name(self.pid, tid)})"
                self.held = {"quiet_since": None, "since": time.monotonic()}
                return None
        if not self.cut:
            return CONT
        if name in KINDS["write"]:
            self.cut.wrote(path)
        if name in NAMED:
            self.renames(tid, name, arguments)
        if name in ("fsync", "fdatasync") and self.cut.covers(path) and path.exists():
            self.syncing[tid] = (path, path.read_bytes() if path.is_file() else None)
            return SYSCALL  # It is durable when the call returns.
        return CONT

    def returned(self, tid):
        if tid in self.syncing:
            self.cut.synchronised(*self.syncing.pop(tid))

    def file_of(self, tid, name, arguments):
        """The file that a call is about; None if it is none that outlives the process, nor standard output."""
        if name in NO_FILE:
            return Path(name)
        if name in PATHS:
            return Path(text_at(tid, arguments[PATHS[name]]))
        fd = arguments[2] if name == "copy_file_range" else arguments[0]
        link = f"/proc/{tid}/fd/{fd}"
        try:
            if name in KINDS["write"] and fd == 1:
                return Path("standard-output")
            if name in KINDS["write"] and not stat.S_ISREG(os.stat(link).st_mode):
                return None
            return Path(os.readlink(link))
        except OSError:
            return None  # A descriptor that is not open: the call fails by itself.

    def renames(self, tid, name, arguments):
        change, *places = NAMED[name]
        try:
            paths = [self.path_of(tid, arguments, place) for place in places]
        except (Gone, OSError):
            return  # The call fails by itself, or is not made.
        getattr(self.cut, change)(*paths)

    def path_of(self, tid, arguments, place):
        """The name that a call gives, from the root on."""
        directory, text = place
        fd = AT_FDCWD if directory is None else ctypes.c_int(arguments[directory] & 0xFFFFFFFF).value
        base = os.readlink(f"/proc/{tid}/cwd" if fd == AT_FDCWD else f"/proc/{tid}/fd/{fd}")
        path = Path(base, text_at(tid, arguments[text]))
        return path.parent.resolve() / path.name

    def others_wait(self):
        """Whether all threads but the held one have been asleep for a while."""
        now = time.monotonic()
        if now - self.held["since"] > QUIET_MAX_S:
            return True
        if not asleep(self.pid):
            self.held["quiet_since"] = None
        elif self.held["quiet_since"] is None:
            self.held["quiet_since"] = now
        return self.held["quiet_since"] is not None and now - self.held["quiet_since"] >= QUIET_S

    def whom(self):
        """Who is waited for, as waitpid(2) has it."""
        return -1 if self.alone else -self.pid

    def end(self):
        for pid in self.threads if self.alone else {self.pid}:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        while True:
            try:
                tid, status = os.waitpid(self.whom(), WALL)
            except ChildProcessError:
                return
            if tid == self.pid and not os.WIFSTOPPED(status):
                self.outcome.status = os.waitstatus_to_exitcode(status)


def ptrace(request, tid, data=0):
    if LIBC.ptrace(request, tid, None, data) < 0:
        # One that was killed meanwhile is reaped by the next wait.
        if ctypes.get_errno() != errno.ESRCH:
            raise Broken(f"ptrace({request}): {os.strerror(ctypes.get_errno())}")


def syscall(tid):
    """The number and arguments of the call that a thread stands before."""
    octets = ctypes.create_string_buffer(INFO_LEN)
    if LIBC.ptrace(SYSCALL_INFO, tid, INFO_LEN, ctypes.cast(octets, ctypes.c_void_p)) < 0:
        if ctypes.get_errno() == errno.ESRCH:
            raise Gone
        raise Broken(f"PTRACE_GET_SYSCALL_INFO: {os.strerror(ctypes.get_errno())}; Linux 5.3 has it")
    number, *arguments = struct.unpack_from("=7Q", octets, 24)
    return number, arguments


def text_at(tid, address):
    try:
        with open(f"/proc/{tid}/mem", "rb", buffering=0) as memory:
            memory.seek(address)
            return memory.read(4096).split(b"\0")[0].decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError) as error:
        raise Gone from error


def thread_name(pid, tid):
    try:
        return Path(f"/proc/{pid}/task/{tid}/comm").read_text().strip()
    except OSError:
        return "?"


def asleep(pid):
    """Whether no thread runs or waits for a medium; one that is stopped by us counts as asleep."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            state = (task / "stat").read_text().rpartition(")")[2].split()[0]
        except (OSError, IndexError):
            continue
        if state in "RD":
            return False
    return True


def main():
    if len(sys.argv) < 6 or sys.argv[1] not in KINDS or sys.argv[2] not in ("kill", "cut", "undo"):
        print(__doc__, file=sys.stderr)
        return 1
    kind, end, at, root, *program = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="cradle-interrupt-") as scratch:
        before = Path(scratch) / "before"
        shutil.copytree(root, before)
        cut = None if end == "kill" else Cut(Path(root).resolve(), before, Path(scratch) / "outside", undoes=end == "undo")
        ran = run(program, kind, int(at), cut, alone=True)
    sys.stdout.write("".join(f"{line}\n" for line in ran.lines))
    sys.stderr.write(ran.errors)
    if ran.point:
        print(f"interrupted at {ran.point}", file=sys.stderr)
        return 3
    return 0 if ran.status == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
