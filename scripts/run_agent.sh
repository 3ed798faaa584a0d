#!/usr/bin/env bash
# Delegate a task to an agent, inside a scope lock:
#   scripts/run_agent.sh AGENT TASK
#
# AGENT is a brief in .claude/agents. The task works under the lock that model-optimizer wrote for
# the same words (logs/scope_lock.json), or under the brief's own. Afterwards every file that changed
# is held against the lock.
#
# Exit codes: the agent's own; and
#   64  no or unknown agent, no task        69  no agent program
#   3   the lock is not valid, or missing   77  files outside the lock were changed
#   9   another agent is at work here       124 the lock's minutes were over
#
# Environment:
#   NOVOSKY_AGENT        the program, `claude` by default; called as PROGRAM -p PROMPT --model MODEL ...
#   NOVOSKY_AGENT_ARGS   further arguments for it, separated by spaces
#   NOVOSKY_PYTHON       the Python of this checkout, found by itself otherwise
set -euo pipefail

USAGE=64 UNAVAILABLE=69 LOCKED=9
cd "$(dirname "${BASH_SOURCE[0]}")/.."

briefs=.claude/agents
lock=logs/scope_lock.json

agents() {
  local brief
  for brief in "$briefs"/*.md; do
    printf '  %-18s %s\n' "$(basename "$brief" .md)" "$(sed -n 's/^description: //p' "$brief" | head -n 1)"
  done
}

usage() {
  printf 'usage: scripts/run_agent.sh AGENT TASK\n\nagents:\n'
  agents
}

case "${1:-}" in
  -h | --help)
    usage
    exit 0
    ;;
esac
if [ "$#" -ne 2 ] || [ -z "${2//[[:space:]]/}" ]; then
  usage >&2
  exit "$USAGE"
fi
agent=$1 task=$2 brief="$briefs/$1.md"
case "$agent" in
  *[!a-z-]* | '')
    printf 'error: %s is no name of an agent\n' "$agent" >&2
    usage >&2
    exit "$USAGE"
    ;;
esac
if [ ! -f "$brief" ]; then
  printf 'error: there is no agent %s\n' "$agent" >&2
  usage >&2
  exit "$USAGE"
fi

program=${NOVOSKY_AGENT:-claude}
if ! command -v "$program" >/dev/null 2>&1; then
  cat >&2 <<TEXT
error: the agent program $program is not installed.
Agents need Claude Code (or another program named by NOVOSKY_AGENT). Everything they do can be
done without one, with the commands in $brief.
TEXT
  exit "$UNAVAILABLE"
fi

python=${NOVOSKY_PYTHON:-}
for candidate in .venv/bin/python .venv/Scripts/python.exe python3 python; do
  if [ -z "$python" ] && command -v "$candidate" >/dev/null 2>&1; then python=$candidate; fi
done

# One at a time: of two at work nobody could say who changed what.
mkdir -p logs/agents
if ! mkdir logs/agents/busy 2>/dev/null; then
  # A killed run leaves its mark behind, but no process.
  other=$(cat logs/agents/busy/pid 2>/dev/null || true)
  if [ -n "$other" ] && kill -0 "$other" 2>/dev/null; then
    printf 'error: another agent is at work in this checkout; wait for it\n' >&2
    exit "$LOCKED"
  fi
fi
echo "$$" >logs/agents/busy/pid
# Out of the agent's sight: what it is judged by must not be within its reach.
kept=$(mktemp -d)
trap 'rm -rf logs/agents/busy "$kept"' EXIT
state=$kept/state.json

terms=$("$python" -m commands.agents.command prepare \
  --agent "$agent" --task "$task" --brief "$brief" --lock "$lock" --state "$state")
read -r tier minutes <<<"$terms"
case "$tier" in
  small) model=haiku ;;
  medium) model=sonnet ;;
  large) model=opus ;;
esac

prompt="$(cat "$brief")

# Scope lock of this task ($lock)

$(cat "$lock")

# Task

$task"
read -r -a more <<<"${NOVOSKY_AGENT_ARGS:-}"
limit=()
if command -v timeout >/dev/null 2>&1; then limit=(timeout --kill-after=60 "${minutes}m"); fi

printf '%s works on it: tier %s, at most %s minutes, report in logs/agents/%s.txt\n' "$agent" "$tier" "$minutes" "$agent"
code=0
${limit[@]+"${limit[@]}"} "$program" -p "$prompt" --model "$model" --permission-mode acceptEdits \
  --allowedTools Read Edit Write Grep Glob "Bash(python:*)" "Bash(git status:*)" "Bash(git diff:*)" \
  "Bash(git add:*)" "Bash(git commit:*)" ${more[@]+"${more[@]}"} </dev/null | tee "logs/agents/$agent.txt" || code=$?

"$python" -m commands.agents.command verify --state "$state"
if [ "$code" -ne 0 ]; then printf 'error: %s ended with %s\n' "$program" "$code" >&2; fi
exit "$code"
