#!/usr/bin/env bash
# Usage: tests/images/python.sh
#
# Assembles root file systems, with no daemon, no root and no namespace:
#
#   target/images/sklearn-rootfs     this machine's own distribution's Python, scikit-learn's and
#                                    XGBoost's wheels, and `train` and `serve` (gunicorn) programs
#   target/images/torch-rootfs       the distribution's own torch, for the CPU
#   target/images/toolkit-rootfs     sklearn with SageMaker's training toolkit as `train`, and pip
#   target/images/inference-rootfs   sklearn with SageMaker's inference toolkit as `serve`: its model
#                                    server in Java
#
# They are links to folders named by a digest of all that goes into them: the second run does
# nothing, and one that is killed leaves no half image. Debian and Ubuntu only.
set -euo pipefail
export LC_ALL=C
umask 022

here=$(cd "$(dirname "$0")" && pwd)
images=$(cd "$here/../.." && pwd)/target/images
work=$images/work
mkdir -p "$work"

say() { echo "images: $*"; }
fail() {
    echo "images: $*" >&2
    exit 1
}

for program in apt-get apt-config dpkg-deb tar flock python3 cc; do
    command -v "$program" >/dev/null || fail "needs $program (Debian or Ubuntu)"
done
exec 9>"$work/lock"
flock 9

# shellcheck source=/dev/null
release=$(. /etc/os-release && echo "$ID-$VERSION_CODENAME")
arch=$(dpkg --print-architecture)
triple=$(uname -m)-linux-gnu
key=$({
    echo "$release $arch"
    cd "$here" && sha256sum python.sh sklearn/* toolkit/* inference/*
} | sha256sum | cut -c1-16)

publish() { # finished folder, name: whole or not at all
    rm -rf "${images:?}/store/$2-$key"
    mkdir -p "$images/store"
    mv "$1" "$images/store/$2-$key"
    ln -sfn "store/$2-$key" "$work/link-$2"
    mv -T "$work/link-$2" "$images/$2-rootfs"
    for old in "$images/store/$2"-*; do
        [ "$old" = "$images/store/$2-$key" ] || rm -rf "$old"
    done
}

has() { [ -d "$images/store/$1-$key" ] && [ "$(readlink "$images/$1-rootfs")" = "store/$1-$key" ]; }

# --- packages of the distribution -----------------------------------------------------------------

# apt with a world of its own: an empty list of installed packages, so that "install" downloads
# everything that is needed, and no folder of the system's. Proxies and sources stay the
# machine's, hooks do not; of the sources only the distribution's own, if they have a file.
apt_setup() {
    local apt=$work/apt sources=/etc/apt/sources.list parts=/etc/apt/sources.list.d
    mkdir -p "$apt"/{state/lists/partial,cache/archives/partial,log}
    : >"$apt/status"
    for file in debian ubuntu; do
        if [ -f "$parts/$file.sources" ]; then
            sources=$parts/$file.sources parts=/dev/null
            break
        fi
    done
    {
        apt-config dump | grep -Ev '^(DPkg|Dir|APT::(Update|Install|Sandbox|Periodic))(::| )' || true
        cat <<CONF
Dir::Etc::Parts "/dev/null";
Dir::Etc::Main "/dev/null";
Dir::Etc::SourceList "$sources";
Dir::Etc::SourceParts "$parts";
Dir::State "$apt/state";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
Dir::Log "$apt/log";
APT::Install-Recommends "false";
APT::Sandbox::User "";
Acquire::Languages "none";
CONF
    } >"$apt/apt.conf"
    export APT_CONFIG=$apt/apt.conf
    apt-get -qq update >"$apt/update.log" 2>&1 || {
        cat "$apt/update.log" >&2
        fail "apt-get update failed"
    }
}

# dpkg-deb -x would replace the links of a merged /usr by folders.
unpack() { # root, deb...
    local root=$1
    shift
    for deb in "$@"; do
        dpkg-deb --fsys-tarfile "$deb" |
            tar -x -C "$root" --keep-directory-symlink --no-same-owner \
                --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' \
                --exclude='./usr/share/locale/*' --exclude='./usr/share/info/*'
    done
}

download() { # packages...; with all that they need
    rm -f "$work/apt/cache/archives"/*.deb
    apt-get -qq install --download-only -y "$@" >"$work/apt/install.log" 2>&1 || {
        cat "$work/apt/install.log" >&2
        fail "packages cannot be downloaded"
    }
}

debian_root() { # root, further packages...
    local root=$1 archives=$work/apt/cache/archives name
    shift
    mkdir -p "$root"/{usr/{bin,sbin,lib,lib64,local/bin},dev,etc,proc,sys,tmp,root,run,var/tmp,opt/ml}
    chmod 1777 "$root/tmp" "$root/var/tmp"
    for name in bin sbin lib lib64; do ln -s "usr/$name" "$root/$name"; done
    download base-files bash coreutils dash libgomp1 libstdc++6 python3 "$@"
    unpack "$root" "$archives"/*.deb
    # Made by the packages' own scripts, which are not run here.
    [ -e "$root/usr/bin/sh" ] || ln -s dash "$root/usr/bin/sh"
    [ -e "$root/usr/bin/which" ] || ln -s which.debianutils "$root/usr/bin/which"
    echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
    echo 'root:x:0:' >"$root/etc/group"
    printf 'passwd: files\ngroup: files\nhosts: files dns\n' >"$root/etc/nsswitch.conf"
}

# --- Python ---------------------------------------------------------------------------------------

image_version() { # root -> 3.11
    local target
    target=$(readlink "$1/usr/bin/python3") || fail "the image has no python3"
    echo "${target##*python}"
}

site() { echo "$1/usr/local/lib/python$(image_version "$1")/dist-packages"; }

# The image's own Python, started through the image's own loader, so that nothing of this machine's
# is used and no namespace is needed.
image_python() { # root, arguments...
    local root=$1 loader
    shift
    loader=$(echo "$root"/lib*/ld-linux-*.so.*)
    env -i PATH=/usr/bin:/bin LC_ALL=C PYTHONHOME="$root/usr" PYTHONPATH="$(site "$root")" \
        PYTHONDONTWRITEBYTECODE=1 \
        "${loader%% *}" --library-path "$root/lib/$triple:$root/usr/lib/$triple:$root/usr/lib" \
        "$root/usr/bin/python3" "$@"
}

pip_install() { # root, pip arguments...
    local root=$1 version
    shift
    version=$(image_version "$root")
    "$work/venv/bin/pip" --disable-pip-version-check install --quiet --no-compile --no-deps \
        --target "$(site "$root")" --upgrade --only-binary=:all: \
        --implementation cp --python-version "$version" --abi "cp${version/./}" --abi abi3 --abi none \
        --platform "manylinux_2_28_$(uname -m)" --platform "manylinux_2_27_$(uname -m)" \
        --platform "manylinux_2_17_$(uname -m)" --platform "manylinux2014_$(uname -m)" \
        --platform any "$@"
    rm -rf "$(site "$root")/bin"
}

# Bytecode that is not checked against its source: starts 2.8 times faster than none, and does
# not depend on times that an image store may change.
compile() { # root, folder...
    local root=$1
    shift
    image_python "$root" -m compileall -q -j 0 --invalidation-mode unchecked-hash -s "$root" -p / \
        "$@" >"$work/compile.log" || true # some packages ship files for other versions of Python
}

sklearn_image() {
    say "assembling sklearn-rootfs ($release, $arch)"
    local root=$work/sklearn dist
    rm -rf "$root"
    mkdir -p "$root"
    debian_root "$root"
    pip_install "$root" -r "$here/sklearn/requirements.txt"
    dist=$(site "$root")
    # numpy's tests are left: numpy.testing, which scipy imports, needs some of them.
    find "$dist/scipy" "$dist/sklearn" -type d -name tests -prune -exec rm -rf {} +
    install -m 755 "$here/sklearn/train" "$here/sklearn/serve" "$root/usr/local/bin"
    compile "$root" "$root/usr/lib/python$(image_version "$root")" "$dist"
    image_python "$root" -c 'import gunicorn.app.base, sklearn.ensemble, sklearn.linear_model' ||
        fail "scikit-learn does not start in the image"
    publish "$root" sklearn
}

# The distribution's torch asks for a picture and map library too, of which it needs the libraries
# alone.
torch_image() {
    say "assembling torch-rootfs ($release, $arch)"
    local root=$work/torch name
    rm -rf "$root"
    mkdir -p "$root"
    debian_root "$root" python3-torch
    rm -rf "$root"/usr/share/{fonts,icons,mime,proj,gdal,X11,themes} "$root"/usr/include \
        "$root"/usr/lib/*/{dri,gconv,mfx,libmfxhw64*,libLLVM-*,libz3.so*} "$root"/usr/lib/libtorch-test
    # Made by the packages' own scripts: which BLAS is the system's.
    for name in blas lapack; do
        ln -sf "$name/lib$name.so.3" "$root/usr/lib/$triple/lib$name.so.3"
    done
    compile "$root" "$root/usr/lib/python3/dist-packages/torch"
    image_python "$root" -c 'import sys; sys.path.append(sys.prefix + "/lib/python3/dist-packages"); import torch.distributed' ||
        fail "torch does not start in the image"
    publish "$root" torch
}

source_wheels() { # list; makes $work/wheel/*.whl
    rm -rf "$work/wheel"
    "$work/venv/bin/pip" --disable-pip-version-check wheel --quiet --no-deps --use-pep517 \
        --wheel-dir "$work/wheel" -r "$1"
}

# Descriptions of some 400 services, of which the toolkits speak to these.
few_services() { # root
    local service
    for service in "$(site "$1")"/botocore/data/*/; do
        case $(basename "$service") in s3 | sts | sagemaker) ;; *) rm -rf "$service" ;; esac
    done
}

# The toolkit is published as source with a small C extension. It is compiled here; the headers are
# the image's, in case this machine has none.
toolkit_wheels() { # root; makes $work/wheel/*.whl
    local include
    (
        cd "$work" && rm -rf headers && mkdir headers && cd headers
        apt-get -qq download "libpython$(image_version "$1")-dev" >/dev/null
        dpkg-deb --fsys-tarfile ./*.deb | tar -x --wildcards './usr/include/*'
    )
    include=$work/headers/usr/include
    CPATH="$include/python$(image_version "$1"):$include" source_wheels "$here/toolkit/source.txt"
}

toolkit_image() {
    say "assembling toolkit-rootfs ($release, $arch)"
    local root=$work/toolkit dist wheel
    rm -rf "$root"
    cp -a --reflink=auto "$images/sklearn-rootfs/." "$root"
    toolkit_wheels "$root"
    pip_install "$root" -r "$here/toolkit/requirements.txt"
    dist=$(site "$root")
    for wheel in "$work"/wheel/*.whl; do "$work/venv/bin/python" -m zipfile -e "$wheel" "$dist"; done
    # Named by no version of Python: it was compiled by this machine's, uses only functions that
    # every version has, and is loaded by the image's.
    mv "$dist"/gethostname.*.so "$dist/gethostname.so"
    few_services "$root"
    install -m 755 "$here/toolkit/train" "$here/toolkit/pip3" "$root/usr/local/bin"
    compile "$root" "$dist"
    image_python "$root" -c 'import gethostname, sagemaker_training.cli.train' ||
        fail "the toolkit does not start in the image"
    publish "$root" toolkit
}

inference_image() {
    say "assembling inference-rootfs ($release, $arch)"
    local root=$work/inference dist
    rm -rf "$root"
    cp -a --reflink=auto "$images/sklearn-rootfs/." "$root"
    download default-jre-headless
    unpack "$root" "$work/apt/cache/archives"/*.deb
    # Made by the packages' own scripts.
    ln -sf ../lib/jvm/default-java/bin/java "$root/usr/bin/java"
    source_wheels "$here/inference/source.txt"
    pip_install "$root" "$work/wheel"/*.whl -r "$here/inference/requirements.txt"
    dist=$(site "$root")
    few_services "$root"
    install -m 755 "$here/inference/"{serve,multi-model-server} "$root/usr/local/bin"
    install -m 644 "$here/inference/"*.py "$dist"
    compile "$root" "$dist"
    image_python "$root" -c 'import sagemaker_inference.model_server, handler_service, mms.model_server' ||
        fail "the inference toolkit does not start in the image"
    publish "$root" inference
}

if has sklearn && has toolkit && has torch && has inference; then
    say "sklearn-rootfs, toolkit-rootfs, torch-rootfs and inference-rootfs are there ($key)"
    exit 0
fi
apt_setup
if [ ! -x "$work/venv/bin/pip" ]; then
    rm -rf "$work/venv"
    python3 -m venv "$work/venv" || fail "needs python3-venv: apt-get install python3-venv"
fi
has sklearn || sklearn_image
has torch || torch_image
has toolkit || toolkit_image
has inference || inference_image
rm -rf "$work/apt/cache/archives" "$work/headers" "$work/wheel"
du -shD "$images"/*-rootfs
