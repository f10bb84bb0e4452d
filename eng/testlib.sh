# Sourced by ./test and .ci/run: runs test programs one at a time and adds up what they report. No program of its own.
# Every number comes from the summary line that the test program itself prints, so only tests that really ran are counted.

passed=0 failed=0 skipped=0

# run_program NAME LIMIT_SECONDS LOG COMMAND...
# A crash, a program stopped at its limit and a program that ran no test each count as one failure;
# with allow_no_tests=1 (a filter is on) the last of these is no failure.
run_program() {
  local name=$1 limit=$2 log=$3; shift 3
  local begun=$SECONDS status=0 line total=0 errors=0 f=0 s=0 n=0 why=""
  printf '  %-34s' "$name"
  # timeout leads a process group of its own, so what a stopped program has started stops with it.
  timeout -k 20 "$limit" "$@" >"$log" 2>&1 </dev/null || status=$?
  line=$(grep -aE 'Total: [0-9]+, Errors: [0-9]+, Failed: [0-9]+, Skipped: [0-9]+, Not Run: [0-9]+' "$log" | tail -1) || true
  if [[ $line =~ Total:\ ([0-9]+),\ Errors:\ ([0-9]+),\ Failed:\ ([0-9]+),\ Skipped:\ ([0-9]+),\ Not\ Run:\ ([0-9]+) ]]; then
    total=${BASH_REMATCH[1]} errors=${BASH_REMATCH[2]} f=${BASH_REMATCH[3]} s=${BASH_REMATCH[4]} n=${BASH_REMATCH[5]}
  elif ! grep -aqE 'Total: 0$' "$log"; then
    why="ended with status $status and without a summary"
  fi
  local p=$((total - f - s - n))
  ((f += errors)) || true
  if ((status == 124 || status == 137)); then why="stopped: still running after $limit s"; fi
  if [[ -z $why ]] && ((status != 0 && f == 0)); then why="ended with status $status although no test failed"; fi
  if [[ -z $why ]] && ((p + f + s == 0)) && [[ ${allow_no_tests:-0} != 1 ]]; then why="ran no test"; fi
  [[ -n $why ]] && ((f += 1))
  ((passed += p, failed += f, skipped += s)) || true
  printf '%6d passed %4d failed' "$p" "$f"
  ((s > 0)) && printf ' %4d skipped' "$s"
  printf ' %5d s%s\n' $((SECONDS - begun)) "${why:+   $why}"
  # What a test wants to be known although it passed: which of many possible cases it has looked at.
  sed -n 's/^note: /    /p' "$log"
  if ((f > 0)); then show_failures "$log"; fi
}

# Prints what failed, from the program's log: at most a screen or two; the whole is in the log.
show_failures() {
  local found
  found=$(awk '/\[FAIL\]|\[Long Running|Unhandled exception|Fatal error/ { left = 16 } left > 0 { print "    " $0; left-- }' "$1" | head -120)
  [[ -n $found ]] || found=$(tail -20 "$1" | sed 's/^/    /')
  printf '%s\n    (whole log: %s)\n' "$found" "$1"
}

# print_sum: the last line of a run.
print_sum() {
  printf '%d passed, %d failed' "$passed" "$failed"
  ((skipped > 0)) && printf ', %d skipped' "$skipped"
  printf '\n'
}
