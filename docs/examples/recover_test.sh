#!/bin/sh
# Recovers the golden repository of format 1 with recover.py and standard tools alone, and compares
# every part with what was written. Prints the number of parts compared.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
fixture=$here/../../crates/backup-repository/tests/fixtures/format-1
python=${PYTHON:-python3}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
compared=0
for snapshot in $(cut -d' ' -f1 "$fixture/expected" | sort -u); do
    "$python" "$here/recover.py" "$fixture/repository" "$fixture/key" extract "$snapshot" "$out/$snapshot" > "$out/parts"
    while read -r number part _bytes _unit; do
        # The fixture's digests are BLAKE3; those of SHA-256 stand beside them.
        expected=$(grep "^$snapshot $part " "$fixture/expected" | cut -d' ' -f4)
        found=$(sha256sum "$out/$snapshot/$number" | cut -d' ' -f1)
        if [ "$expected" != "$found" ]; then
            echo "$snapshot $part: recovered bytes differ" >&2
            exit 1
        fi
        compared=$((compared + 1))
    done < "$out/parts"
done
[ "$compared" -ge 4 ] || { echo "only $compared parts were compared" >&2; exit 1; }
echo "$compared parts recovered and compared"
