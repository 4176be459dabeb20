#!/usr/bin/env bash
# Prints the path of a usable kubectl: that of the machine if it is 1.28 or newer, and otherwise the
# pinned one, which is built if necessary.
set -euo pipefail

# Prints the minor version of a kubectl, or nothing if it is unknown.
minor_version() {
  "$1" version --client --output=json 2>/dev/null |
    sed -n 's/.*"gitVersion": *"v1\.\([0-9]*\).*/\1/p'
}

if found=$(command -v kubectl); then
  minor=$(minor_version "$found" || true)
  if ((${minor:-0} >= 28)); then
    printf '%s\n' "$found"
    exit
  fi
fi
exec "$(dirname "$0")/tools.sh" kubectl
