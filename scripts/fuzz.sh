#!/usr/bin/env bash
# Runs every fuzz target for FUZZ_SECONDS (60): under libFuzzer where a nightly toolchain and `cargo fuzz` are, else the same functions
# under proptest on stable. Either way every target runs, and an input that breaks one fails the script.
#
# FUZZ_WITH=proptest or FUZZ_WITH=libfuzzer asks for one of them.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${FUZZ_SECONDS:-60}
with=${FUZZ_WITH:-}
# Longer inputs are slow, and are among the hostile texts of the tests.
max_len=16384
# For an input that takes longer than this many seconds the target fails.
timeout=10

# What is fuzzed is built without the database.
if cargo tree --locked -p fuzz -e normal --prefix none | grep -i rocksdb; then
	echo "the fuzz targets link RocksDB: a dependency of crates/fuzz brings it" >&2
	exit 1
fi

if [ -z "$with" ]; then
	if cargo +nightly fuzz --version >/dev/null 2>&1; then with=libfuzzer; else with=proptest; fi
fi
echo "fuzzing with $with, $seconds seconds each target"

if [ "$with" = proptest ]; then
	# One after the other, so that each has the whole machine for its time.
	FUZZ_SECONDS=$seconds cargo test --locked -p fuzz -- --nocapture --test-threads=1
	exit
fi

# The code forbids `unsafe`, so a sanitizer finds nothing in it and would cost half the speed.
fuzz=(cargo +nightly fuzz)
options=(--fuzz-dir crates/fuzz --features libfuzzer --sanitizer none)
# What is found is kept where everything is that cargo builds, not in the repository.
found=$(cargo metadata --locked --no-deps --format-version 1 | sed -E 's/.*"target_directory":"([^"]*)".*/\1/')/fuzz
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
"${fuzz[@]}" build "${options[@]}"
for target in $("${fuzz[@]}" list --fuzz-dir crates/fuzz); do
	mkdir -p "$found/corpus/$target" "$found/artifacts/$target"
	echo "== $target"
	"${fuzz[@]}" run "${options[@]}" "$target" "$found/corpus/$target" "crates/fuzz/corpus/$target" -- \
		-max_total_time="$seconds" -max_len="$max_len" -timeout="$timeout" -print_final_stats=1 -verbosity=0 \
		-artifact_prefix="$found/artifacts/$target/"
done
