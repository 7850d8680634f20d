#!/usr/bin/env bash
# Healthy when GET /health answers 200. Bash speaks TCP by itself, so the image needs no curl.
set -euo pipefail
exec 3<>"/dev/tcp/127.0.0.1/${PORT:-3000}"
printf 'GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
read -r -t 2 _ status _ <&3
[[ $status == 200 ]]
