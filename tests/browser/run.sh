#!/usr/bin/env bash
# Runs the pages' tests against a system of their own: builds the binary, starts
# it on a free port with a new data folder, installs the two npm packages if they
# are missing. Needs Go, Node.js 20 and Chromium (CHROMIUM=/path/to/it).
set -euo pipefail
cd "$(dirname "$0")/../.."
scratch=$(mktemp -d)
pid=
cleanup() {
    if [ -n "$pid" ]; then kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; fi
    rm -rf "$scratch"
}
trap cleanup EXIT

go build -o "$scratch/trama" ./cmd/trama
port=$(node -e 's=require("net").createServer().listen(0,"127.0.0.1",()=>{console.log(s.address().port);s.close()})')
"$scratch/trama" up --listen "127.0.0.1:$port" --data "$scratch/data" --set log.level=warn \
    --set marketing.reminders=2s,4s --set payments.fraud.maxPerCard=0 --set payments.fraud.maxPeoplePerCard=0 >"$scratch/out" 2>"$scratch/log" &
pid=$!
for _ in $(seq 1 100); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then break; fi
    kill -0 "$pid" 2>/dev/null || { cat "$scratch/out" "$scratch/log"; exit 1; }
    sleep 0.1
done

cd tests/browser
[ -d node_modules/playwright-core ] || npm install --no-audit --no-fund --silent
REMINDERS=1 BASE_URL="http://127.0.0.1:$port" npm test || { echo "the system said:"; tail -n 40 "$scratch/log"; exit 1; }
