"""A seccomp filter made with libseccomp. It forbids system calls that no inspection needs.

It works without privileges and inside containers. All calls except the listed ones are allowed. A list of allowed calls
would be too long: torch, CUDA and the C library use many calls, which change from version to version.
"""

from __future__ import annotations

import errno
import os
from typing import Any


def _library() -> Any:
    """pyseccomp, or None without libseccomp. Import it early, since it runs ldconfig to find libseccomp."""
    try:
        import pyseccomp
    except (ImportError, RuntimeError, OSError):
        return None
    return pyseccomp


seccomp = _library()

CLONE_THREAD = 0x00010000

NETWORK = (
    "socket",
    "socketpair",
    "connect",
    "bind",
    "listen",
    "accept",
    "accept4",
    "sendto",
    "sendmsg",
    "sendmmsg",
)
PROCESSES = ("fork", "vfork", "execve", "execveat")
OTHERS_PROCESSES = (
    *(
        "ptrace",
        "process_vm_readv",
        "process_vm_writev",
        "process_madvise",
        "process_mrelease",
        "pidfd_open",
        "pidfd_getfd",
        "pidfd_send_signal",
    ),
    *("kcmp", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "tkill", "move_pages", "migrate_pages"),
    *(
        "setpriority",
        "ioprio_set",
        "sched_setaffinity",
        "sched_setscheduler",
        "sched_setparam",
        "sched_setattr",
    ),
)
ATTRIBUTES = (
    *("chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat"),
    *("setxattr", "lsetxattr", "fsetxattr", "setxattrat", "removexattr", "lremovexattr", "fremovexattr"),
    *("utime", "utimes", "utimensat", "futimesat"),
)
"""Calls that Landlock does not restrict."""
NAMES = ("unlink", "unlinkat", "rename", "renameat", "renameat2")
"""Calls that take a file's name away. A file that is still open then takes up the disk, but no folder lists it."""
MEMORY_BESIDE = ("memfd_create", "memfd_secret", "shmget", "shmat", "msgget", "msgsnd", "semget", "mq_open")
"""Calls that allocate memory which no resource limit of the process counts."""
TMPFILE = 0o20000000
"""The flag of ``open`` that makes a file without a name."""
OWNERS = {"fcntl": (8, 10, 15), "ioctl": (0x8901, 0x8902)}
"""By call, the commands that have the kernel send signals to the owner of a file: F_SETOWN, F_SETSIG, F_SETOWN_EX;
FIOSETOWN, SIOCSPGRP."""
KERNEL = (
    *("io_uring_setup", "io_uring_enter", "io_uring_register", "bpf", "perf_event_open", "userfaultfd"),
    *("mount", "umount2", "pivot_root", "chroot", "unshare", "setns", "open_tree", "move_mount", "fsopen"),
    *("fsconfig", "fsmount", "fspick", "mount_setattr", "open_by_handle_at", "name_to_handle_at"),
    *("init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot"),
    *(
        "swapon",
        "swapoff",
        "acct",
        "quotactl",
        "quotactl_fd",
        "settimeofday",
        "clock_settime",
        "clock_adjtime",
    ),
    *("adjtimex", "sethostname", "setdomainname", "syslog", "add_key", "request_key", "keyctl", "iopl"),
    *("ioperm", "vhangup", "fanotify_init", "lookup_dcookie", "nfsservctl", "personality", "modify_ldt"),
)


def forbid() -> None:
    """Load the filter into this process, for its present threads and all that it starts.

    Raises
    ------
    OSError : there is no libseccomp, or the kernel refuses.
    """
    if seccomp is None:
        raise OSError("libseccomp is missing")
    no = seccomp.ERRNO(errno.EPERM)
    rules = seccomp.SyscallFilter(seccomp.ALLOW)
    rules.set_attr(seccomp.Attr.CTL_TSYNC, 1)
    own, none = os.getpid(), seccomp.Arg(0, seccomp.NE, 0)
    for name in (*NETWORK, *PROCESSES, *OTHERS_PROCESSES, *ATTRIBUTES, *NAMES, *MEMORY_BESIDE, *KERNEL):
        _add(rules, no, name)
    for name in ("kill", "tgkill"):
        _add(rules, no, name, seccomp.Arg(0, seccomp.NE, own))
    _add(rules, no, "prlimit64", none)
    for name, place in (("open", 1), ("openat", 2)):
        _add(rules, no, name, seccomp.Arg(place, seccomp.MASKED_EQ, TMPFILE, TMPFILE))
    for name, commands in OWNERS.items():
        for command in commands:
            # The kernel reads only 32 bits of the command. The filter compares all 64.
            _add(rules, no, name, seccomp.Arg(1, seccomp.MASKED_EQ, 0xFFFFFFFF, command))
    # Threads are allowed, processes are not.
    _add(rules, no, "clone", seccomp.Arg(0, seccomp.MASKED_EQ, CLONE_THREAD, 0))
    # The filter cannot see the flags of these calls. If they are missing, the C library uses clone and openat.
    for name in ("clone3", "openat2"):
        _add(rules, seccomp.ERRNO(errno.ENOSYS), name)
    rules.load()


def _add(rules: Any, action: int, name: str, *arguments: Any) -> None:
    number = seccomp.resolve_syscall(seccomp.Arch.NATIVE, name)
    # libseccomp returns -1 for an unknown name, and other negative numbers for calls that this architecture lacks.
    if number >= 0:
        rules.add_rule(action, number, *arguments)
