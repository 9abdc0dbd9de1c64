#!/usr/bin/env bash
# Instructions per query, by callgrind: the difference between a run with many questions and one with none.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v valgrind >/dev/null || { echo "valgrind is missing: apt-get install valgrind" >&2; exit 1; }
bench=$(cargo bench --bench count --no-run --message-format=json 2>/dev/null |
  sed -n 's/.*"executable":"\([^"]*\/count-[^"]*\)".*/\1/p' | tail -n 1)
times=2000
instructions() {
  valgrind --tool=callgrind --callgrind-out-file=/dev/null "$bench" "$@" 2>&1 | sed -n 's/.*Collected : //p'
}
none=$(instructions docker 1 0)
printf '%-18s %s\n' question instructions
while read -r kind owner qtype kept; do
  before=$none
  # What is kept is sifted once, before the first question.
  [ -z "$kept" ] || before=$(instructions "$owner" "$qtype" 0 "$kept")
  # shellcheck disable=SC2086 # no word where nothing is kept
  printf '%-18s %s\n' "$kind" $((($(instructions "$owner" "$qtype" "$times" $kept) - before) / times))
done <<'QUESTIONS'
one_a instance77.image7.dev.docker 1
ten_a image7.dev.docker 1
ten_srv image7.dev.docker 33
nodata instance77.image7.dev.docker 28
nxdomain absent.image7.dev.docker 1
wildcard_of_one instance77.*.dev.docker 1
wildcard_of_ten *.image7.*.docker 1
long_name_of_one region.instance77.image7.dev.docker 1
forward example.org 1
cached example.org 1 kept
QUESTIONS
