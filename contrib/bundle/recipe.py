# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes into a bundle and what stays out."""

from typing import NamedTuple

# The Debian suite whose Python is the one that the wheels are for, and that compiles them here.
SUITE = "bookworm"
PYTHON = (3, 11)

PACKAGES = (
    *("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "libc6"),
    *("zlib1g", "libexpat1", "libffi8", "libbz2-1.0", "liblzma5", "libssl3"),
    *("libgcc-s1",),  # the compiled parts of ahocorasick-rs and fastcrc
    *("libsqlite3-0",),  # pyroute2 imports sqlite3, whatever is asked of it
    *("libudev1",),  # pyudev
)
LIBRARIES = (
    *("libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "libutil.so.1"),
    *("libresolv.so.2", "libnss_dns.so.2", "libnss_files.so.2"),
    *("libz.so.1", "libexpat.so.1", "libffi.so.8", "libbz2.so.1.0", "liblzma.so.5"),
    *("libssl.so.3", "libcrypto.so.3", "libgcc_s.so.1", "libsqlite3.so.0", "libudev.so.1"),
)
# Of the standard library: what needs libraries that are not above, is for those who write
# programs, or shows windows.
STDLIB_LEFT_OUT = (
    *("test", "doctest.py", "pdb.py", "idlelib", "tkinter", "turtle.py", "turtledemo"),
    *("lib2to3", "ensurepip", "distutils", "venv", "pydoc.py", "pydoc_data", "curses", "dbm"),
    *("EXTERNALLY-MANAGED", "sitecustomize.py", "__pycache__"),
)
EXTENSIONS_LEFT_OUT = (
    *("_curses", "_curses_panel", "_dbm", "_crypt", "nis", "readline", "ossaudiodev", "_uuid"),
    *("_ctypes_test", "_testbuffer", "_testcapi", "_testclinic", "_testimportmultiple"),
    *("_testinternalcapi", "_testmultiphase", "_xxtestfuzz", "xxlimited", "xxlimited_35"),
    *("_tkinter", "_xxsubinterpreters"),
)
# Of hostkit and its dependencies, as the beginning of a path.
DISTRIBUTIONS_LEFT_OUT = (
    "hostkit/testing/",  # for those who write drivers
    "zstandard/_cffi",  # for interpreters other than CPython
    "zstandard/backend_rust",
    "pyroute2/fixtures/",  # pytest's
)
# Nothing of this machine's Python is read (-I, -S), nothing is written (-B), and text is UTF-8
# whatever locales are installed.
OPTIONS = ("-I", "-S", "-B", "-X", "utf8")
# The first word is how hostkit was called. The launcher starts Python in the locale C; an empty
# LC_ALL is as none.
START = (
    "import os, sys; del sys.argv[0]; "
    'os.environ["LC_ALL"] = os.environ.pop("HOSTKIT_LC_ALL", ""); '
    "from hostkit.cli.main import run; run()"
)


class Architecture(NamedTuple):
    """What an architecture is called: by the kernel, by Debian, and its loader."""

    name: str
    debian: str
    triplet: str
    loader: str


ARCHITECTURES = {
    one.name: one
    for one in (
        Architecture("x86_64", "amd64", "x86_64-linux-gnu", "ld-linux-x86-64.so.2"),
        Architecture("aarch64", "arm64", "aarch64-linux-gnu", "ld-linux-aarch64.so.1"),
    )
}
PLATFORMS = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")  # what this C library runs
