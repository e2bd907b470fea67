#!/bin/bash
# In an emulated host: runs the commands that come over PORT, one a line in base64, and answers with what each prints (each
# line behind "| ") and its exit status (behind "= "): emulatedhost.sh PORT.
set -u
exec 3<> "$1"
echo '= 0' >&3
while read -r -u 3 line; do
  : > /run/said
  # Into a file, not a pipe: what the command leaves in the background must not keep its answer.
  base64 --decode <<< "$line" > /run/command
  bash /run/command < /dev/null > /run/said 2>&1 3>&- &
  command=$!
  tail --lines=+1 --follow --sleep-interval=0.2 --pid="$command" /run/said | sed --unbuffered 's/^/| /' >&3
  wait "$command"
  printf '\n= %s\n' "$?" >&3
done
