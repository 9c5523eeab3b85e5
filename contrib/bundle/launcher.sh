#!/bin/sh
# hostkit with the interpreter, C library and loader that lie beside this file: of this machine
# it needs a kernel (Linux 3.2 or later) and a shell. As `python3` it is that interpreter.
self=$0
[ ! -h "$self" ] || self=$(readlink -f "$self")
case $self in
    /*) home=${self%/*} ;;
    */*) home=$PWD/${self%/*} ;;
    *) home=$PWD ;;
esac
case $home in
    *[:\;\$]*) echo "$0: the loader cannot read a path with : or ; or \$ in it: $home" >&2; exit 2 ;;
esac
loader=$home/lib/@LOADER@
if [ ! -x "$loader" ]; then
    echo "$0: cannot run $loader: was it unpacked whole, on a file system not mounted noexec," \
        "on @ARCHITECTURE@?" >&2
    exit 2
fi

case ${0##*/} in
    python3) ;;
    *) set -- -c '@START@' "$0" "$@" ;;
esac
# No library of this machine gets in: not by its cache, not by these.
unset LD_PRELOAD LD_AUDIT LD_LIBRARY_PATH
# Nor its locales, which another C library has written; hostkit itself reads what was asked for.
export HOSTKIT_LC_ALL="${LC_ALL-}" LC_ALL=C
exec "$loader" --inhibit-cache --library-path "$home/lib" --argv0 "$home/python3" \
    "$home/lib/python" @OPTIONS@ "$@"
