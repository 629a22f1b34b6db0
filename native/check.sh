#!/bin/sh
# Build the kernels alone with ASan and UBSan, and run them on random input in buffers of exact size.
set -eu
cd "$(dirname "$0")"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
${CC:-gcc} -std=c11 -g -O1 -Wall -Wextra -Werror -fsanitize=address,undefined -fno-sanitize-recover=all \
  -o "$out/driver" driver.c blocks.c compare.c cut.c cut_avx2.c cut_avx512.c expand.c fingerprint.c fingerprint_avx2.c index.c match.c narrow.c packed.c patch.c search.c \
  search_avx2.c search_avx512.c sketch.c -lm
"$out/driver" "${1:-1000}"
for dispatch in PFS_VM_THREADED PFS_VM_SWITCH; do # as GNU C compiles it, and as others do
  ${CC:-gcc} -std=c11 -g -O1 -Wall -Wextra -Werror -fsanitize=address,undefined -fno-sanitize-recover=all \
    -DALONE -D$dispatch -I . -o "$out/vm" ../fuzz/vm_fuzzer.c vm_compiled.c vm_context.c vm_execute.c vm_helpers.c vm_load.c vm_maps.c \
    vm_memory.c vm_records.c vm_search.c vm_tally.c search.c search_avx2.c search_avx512.c
  "$out/vm" "$((${1:-1000} * 10))"
done
