#!/bin/sh
# Shows that each model catches a bug: builds the kernel with one planted bug after the other
# (mutants.txt) and expects the model named beside it to fail. Exits 0 only if every one did.
#
# The same as `RUSTFLAGS='--cfg planted="X"' cargo test -p provost-kernel --test models MODEL`, but
# the flag goes to the workspace's own crates only, through a wrapper of its own for each bug, so
# that dependencies are built once. The target folder is kept apart from the usual one.
set -eu
cd "$(dirname "$0")/.."
target="${CARGO_TARGET_DIR:-target}/mutants"
mkdir -p "$target/wrappers"
target=$(cd "$target" && pwd)
export CARGO_TARGET_DIR="$target" PROPTEST_DISABLE_FAILURE_PERSISTENCE=1 RUST_BACKTRACE=0

run() { # planted bug (or "none"), model
    wrapper="$target/wrappers/$1"
    printf '#!/bin/sh\nrustc="$1"; shift\nexec "$rustc" --cfg "planted=\\"%s\\"" "$@"\n' "$1" >"$wrapper"
    chmod +x "$wrapper"
    export RUSTC_WORKSPACE_WRAPPER="$wrapper"
    # Building must succeed: a bug that does not compile is caught by nobody.
    cargo test --quiet --locked -p provost-kernel --test models --no-run 2>"$target/build.log" ||
        { cat "$target/build.log"; echo "does not build with planted bug $1"; exit 1; }
    cargo test --quiet --locked -p provost-kernel --test models -- --exact $2 >"$target/run.log" 2>&1
}

models=$(grep -v '^#' kernel/mutants.txt | while read -r _ model; do echo "$model"; done | sort -u)
# shellcheck disable=SC2086 # one word each
run none "$models" || { cat "$target/run.log"; echo "a model fails without a planted bug"; exit 1; }

escaped=0 caught=0
while read -r bug model; do
    case "$bug" in '#'* | '') continue ;; esac
    if run "$bug" "$model" </dev/null; then
        echo "ESCAPED $bug: $model passes"
        escaped=$((escaped + 1))
    elif grep -q "$model.*FAILED\|    $model\$" "$target/run.log"; then
        echo "caught  $bug by $model"
        caught=$((caught + 1))
    else
        cat "$target/run.log"
        echo "$bug: $model neither passed nor failed"
        exit 1
    fi
done <kernel/mutants.txt
echo "mutants: $caught caught, $escaped escaped"
[ "$escaped" -eq 0 ] && [ "$caught" -gt 0 ]
