#!/usr/bin/env bash
# Usage: needs.sh build|test...
# Checks that this machine has what building and testing need. What is missing is installed where
# that is possible (root, apt-get); elsewhere the command that installs it is printed.
set -euo pipefail

packages=()
need() { # package, then a command that succeeds if it is there
    local package=$1
    shift
    "$@" >/dev/null 2>&1 || packages+=("$package")
}

# What `python3 -m venv` needs is split off on Debian; `--help` works without it.
has_venv() { python3 -c 'import venv, ensurepip'; }
has_static_libc() { echo 'int main(void){return 0;}' | cc -static -x c -o /dev/null -; }

# An ordinary user's PATH may lack the folder.
has_ip() { PATH=$PATH:/usr/sbin:/sbin command -v ip; }
has_nft() { PATH=$PATH:/usr/sbin:/sbin command -v nft; }

for what in "$@"; do
    case $what in
    build)
        if ! command -v cargo >/dev/null; then
            echo "Belljar is written in Rust; there is no cargo on the PATH." >&2
            echo "Install Rust as its project's home page says (rustup), or: apt-get install rustup" >&2
            exit 1
        fi
        need gcc command -v cc
        need libc6-dev has_static_libc
        ;;
    test)
        need python3 command -v python3
        need python3-venv has_venv
        need dpkg command -v dpkg-deb
        need iproute2 has_ip
        need nftables has_nft
        need util-linux command -v unshare
        ;;
    *)
        echo "usage: needs.sh build|test..." >&2
        exit 2
        ;;
    esac
done

[ ${#packages[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    echo "installing: ${packages[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq update
    apt-get -qq install -y --no-install-recommends "${packages[@]}" >/dev/null
else
    echo "This machine lacks: ${packages[*]}" >&2
    echo "On Debian and Ubuntu: sudo apt-get install -y ${packages[*]}" >&2
    exit 1
fi
