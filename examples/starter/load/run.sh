#!/usr/bin/env bash
# How much a running service bears. Start it with `RATE_LIMIT_PER_MINUTE=0 cargo run --release`, and then:
#   load/run.sh [http://127.0.0.1:3000]
# Needs curl and oha (cargo install oha). It registers a user of its own.
set -euo pipefail
host=${1:-http://127.0.0.1:3000}
seconds=${SECONDS_EACH:-10} clients=${CLIENTS:-50}
json='Content-Type: application/json'
account='{"email":"load-'$(date +%s)'@example.com","password":"correct horse battery staple"}'

field() { sed -n 's/.*"'"$1"'":"\([^"]*\)".*/\1/p'; }
curl -fsS -o /dev/null "$host/auth/register" -H "$json" -d "$account"
access=$(curl -fsS "$host/auth/login" -H "$json" -d "$account" | field access_token)

measure() {
    local name=$1
    shift
    printf '%-34s' "$name"
    # Requests that are under way when the time is up are not counted as errors.
    oha --no-tui -w -z "${seconds}s" --output-format json "$@" | python3 -c '
import json, sys
report = json.load(sys.stdin)
summary, times = report["summary"], report["latencyPercentiles"]
codes = ", ".join(f"{count} x {code}" for code, count in report["statusCodeDistribution"].items())
rate, half, most = summary["requestsPerSec"], times["p50"] * 1000, times["p99"] * 1000
print(f"{rate:9.0f}/s   p50 {half:7.2f} ms   p99 {most:7.2f} ms   {codes}")'
}

measure "GET /healthz (nothing asked)" -c "$clients" "$host/healthz"
measure "GET /me (token and database)" -c "$clients" -H "Authorization: Bearer $access" "$host/me"
measure "GET /me (token refused)" -c "$clients" -H "Authorization: Bearer x$access" "$host/me"
measure "POST /auth/login (Argon2id)" -c 8 -m POST -H "$json" -d "$account" "$host/auth/login"
