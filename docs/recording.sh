#!/usr/bin/env bash
# Makes docs/recording.svg: three people chat in three terminals, with the real program.
# Needs tmux. Run it from anywhere: docs/recording.sh
set -euo pipefail
export LC_ALL=C.UTF-8
cd "$(dirname "$0")/.."

command -v tmux >/dev/null || { echo "recording.sh needs tmux" >&2; exit 1; }
cargo build --release --locked
chat="${CARGO_TARGET_DIR:-target}/release/chat"

socket="recording-$$"
rows=24
columns=76
tmux() { command tmux -L "$socket" -f /dev/null "$@"; }
trap 'tmux kill-server 2>/dev/null || true' EXIT

# start <name> <the rest of the command line>: a terminal of its own, with a shell that shows what is typed.
start() {
    local name=$1
    shift
    tmux new-session -d -s "$name" -x "$columns" -y "$rows" env PS1='$ ' bash --norc --noprofile
    tmux send-keys -t "$name" -l "PATH=$(dirname "$(realpath "$chat")"):\$PATH; clear"
    tmux send-keys -t "$name" Enter
    await "$name" '^\$$'
    say "$name" "chat --nick $name $*"
    await "$name" "You are $name"
}

say() {
    tmux send-keys -t "$1" -l "$2"
    tmux send-keys -t "$1" Enter
}

# await <name> <pattern>: until the terminal shows it, 10 s at most.
await() {
    local tries=200
    until tmux capture-pane -p -t "$1" | grep -q -- "$2"; do
        tries=$((tries - 1))
        if [ "$tries" -eq 0 ]; then
            echo "$1 does not show: $2" >&2
            tmux capture-pane -p -t "$1" >&2
            exit 1
        fi
        sleep 0.05
    done
}

tmux start-server \; set -g status off \; set -g default-terminal tmux-256color
start alice --addr 127.0.0.1:7000
start bob --addr 127.0.0.1:7001 --bootstrap 127.0.0.1:7000
start carol --addr 127.0.0.1:7002 --bootstrap 127.0.0.1:7000

# The ring has closed around the new node.
await bob 'successor is now .*7002'
say alice 'join #rust'
await alice 'You are in #rust'
say bob 'join #rust'
await alice 'bob joined'
say carol 'join #rust'
await bob 'carol joined'
say bob 'send #rust hello'
await carol 'bob: hello'
say carol 'send #rust hello, who keeps this channel?'
await alice 'who keeps this'
say alice 'trace #rust'
await alice 'its root is'
say bob 'msg alice no server, just us'
await bob 'delivered to alice'
say carol 'exit'
await carol 'Bye'
await bob 'carol left'
await bob 'has left'

for name in alice bob carol; do
    echo "=== $name"
    tmux capture-pane -e -p -t "$name"
done | awk -v rows="$rows" -v columns="$columns" -f docs/recording.awk >docs/recording.svg
echo "docs/recording.svg is new"
