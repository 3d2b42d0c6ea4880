#!/bin/sh
# Shows that each model catches a bug: plants one bug after the other (mutants.txt) in the kernel and
# expects the model named beside it to fail. Exits 0 only if every one did.
#
# The same as `RUSTFLAGS='--cfg planted' PROVOST_PLANTED=BUG cargo test -p provost-kernel --test models
# MODEL`, built once: the flag goes to the workspace's own crates only, and the target folder is kept
# apart from the usual one.
set -eu
cd "$(dirname "$0")/.."
target="${CARGO_TARGET_DIR:-target}/mutants"
mkdir -p "$target"
target=$(cd "$target" && pwd)
wrapper="$target/wrapper"
printf '#!/bin/sh\nrustc="$1"; shift\nexec "$rustc" --cfg planted "$@"\n' >"$wrapper"
chmod +x "$wrapper"
export CARGO_TARGET_DIR="$target" RUSTC_WORKSPACE_WRAPPER="$wrapper"
export PROPTEST_DISABLE_FAILURE_PERSISTENCE=1 RUST_BACKTRACE=0
cargo test --quiet --locked -p provost-kernel --test models --no-run

run() { # planted bug (or "none"), models
    PROVOST_PLANTED=$1 cargo test --quiet --locked -p provost-kernel --test models -- --exact $2 \
        >"$target/run.log" 2>&1
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
