#!/usr/bin/env bash
# Measures how many requests a running service answers, with all its limits on. Each login names another client
# address in X-Forwarded-For, which the service accepts because it trusts this machine as a proxy. Start the service
# with a short log, and then run this script:
#
#   RUST_LOG=warn TRUSTED_PROXIES=127.0.0.1 cargo run --release
#   load/run.sh [http://127.0.0.1:3000]
#
# It registers a user of its own. It needs curl and wrk, which Debian and Homebrew have. SECONDS_EACH sets how long each
# request is measured, and CLIENTS sets the number of clients.
set -euo pipefail
host=${1:-http://127.0.0.1:3000}
seconds=${SECONDS_EACH:-10} clients=${CLIENTS:-50}
json='Content-Type: application/json'
account='{"email":"load-'$(date +%s)'@example.com","password":"correct horse battery staple"}'
script=$(mktemp --suffix=.lua)
trap 'rm -f "$script"' EXIT

field() { sed -n 's/.*"'"$1"'":"\([^"]*\)".*/\1/p'; }
curl -fsS -o /dev/null "$host/auth/register" -H "$json" -d "$account"
access=$(curl -fsS "$host/auth/login" -H "$json" -d "$account" | field access_token)

# measure NAME CLIENTS PATH [options of wrk]: prints the responses per second, the median and the 99th percentile.
measure() {
    local name=$1 clients=$2 path=$3
    shift 3
    printf '%-30s' "$name"
    wrk -t1 -c "$clients" -d "${seconds}s" --latency "$@" "$host$path" | awk '
        $1 == "50%" { half = $2 }
        $1 == "99%" { most = $2 }
        $1 == "Requests/sec:" { rate = $2 }
        /Non-2xx/ { refused = "  (" $NF " refused)" }
        END { printf "%9.0f/s   p50 %9s   p99 %9s%s\n", rate, half, most, refused }'
}

measure "GET /healthz" "$clients" /healthz
measure "GET /me" "$clients" /me -H "Authorization: Bearer $access"
measure "GET /me, refused" "$clients" /me -H "Authorization: Bearer x$access"
cat >"$script" <<LUA
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [[$account]]
local byte = function() return math.random(1, 254) end
function request()
    wrk.headers["X-Forwarded-For"] = "10." .. byte() .. "." .. byte() .. "." .. byte()
    return wrk.format()
end
LUA
measure "POST /auth/login" 8 /auth/login -s "$script"
