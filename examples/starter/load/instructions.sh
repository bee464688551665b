#!/usr/bin/env bash
# Counts the instructions of a request with valgrind. The count does not depend on how busy the machine is.
#   load/instructions.sh [PATH...]        # by default /healthz and /me
# Needs valgrind and curl. Builds the service in release mode, and starts it on SQLite in a temporary directory. With
# BARE=/path/to/program, such as the quickstart, it counts that program for the first path as well.
set -euo pipefail
cd "$(dirname "$0")/.."
paths=("$@")
[ ${#paths[@]} -gt 0 ] || paths=(/healthz /me)
few=200 many=1200

cargo build --release
target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
name=$(sed -n 's/^name = "\(.*\)"/\1/p' Cargo.toml | head -1)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
json='Content-Type: application/json'
account='{"email":"count@example.com","password":"correct horse battery staple"}'

# run PROGRAM REQUESTS PATH: prints the instructions of a whole run.
run() {
    local address token log
    log=$folder/log
    # The first start on a new folder does more than the next one.
    rm -rf "$folder/said" "$folder/data"
    (cd "$folder" && exec env BIND_ADDR=127.0.0.1:0 valgrind --tool=callgrind \
        --callgrind-out-file=/dev/null "$1" >"$folder/said" 2>"$log") &
    server=$!
    # Each run is in a shell of its own.
    trap 'kill "$server" 2>/dev/null || true' EXIT
    until address=$(sed -n 's/^listening on //p' "$folder/said" 2>/dev/null) && [ -n "$address" ]; do sleep 0.2; done
    token=none
    if [ "$3" != /healthz ]; then
        curl -fsS --max-time 300 -o /dev/null "$address/auth/register" -H "$json" -d "$account"
        token=$(curl -fsS --max-time 300 "$address/auth/login" -H "$json" -d "$account" |
            sed 's/.*"access_token":"\([^"]*\)".*/\1/')
    fi
    curl -sS -o /dev/null -H "Authorization: Bearer $token" "$address$3?n=[1-$2]"
    kill -TERM "$server"
    wait "$server" || true
    sed -n 's/.*Collected : \([0-9]*\).*/\1/p' "$log"
}

# count PROGRAM PATH: prints the instructions of one request.
count() {
    local one other
    one=$(run "$1" "$few" "$2")
    other=$(run "$1" "$many" "$2")
    echo $(((other - one) / (many - few)))
}

if [ -n "${BARE-}" ]; then
    printf '%-24s %10d instructions\n' "bare ${paths[0]}" "$(count "$BARE" "${paths[0]}")"
fi
for path in "${paths[@]}"; do
    printf '%-24s %10d instructions\n' "$path" "$(count "$target/release/$name" "$path")"
done
