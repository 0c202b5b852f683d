#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# make lint: format, static analysis, shell scripts. Fails at the first tool that complains.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/deps.sh lint

# guest/linux keeps to the kernel's own style.
mapfile -t sources < <(git ls-files '*.c' '*.h' ':!guest/linux')
mapfile -t units < <(git ls-files 'cli/*.c' 'monitor/*.c' 'api/*.c' 'space/*.c' 'device/*.c' \
	'serve/*.c' 'base/*.c')
mapfile -t scripts < <(git ls-files '*.sh' test/run test/selftests/run fuzz/run .ci/run)

clang-format --dry-run -Werror "${sources[@]}"
cppcheck --quiet --std=c11 --enable=warning,portability --inline-suppr --error-exitcode=1 \
	--suppress=unknownMacro -I. "${units[@]}"
clang-tidy --quiet --warnings-as-errors='*' \
	--checks='-*,bugprone-*,-bugprone-easily-swappable-parameters,-bugprone-assignment-in-if-condition,-bugprone-reserved-identifier,clang-analyzer-*,-clang-analyzer-security.insecureAPI.*,-clang-analyzer-valist.Uninitialized,-clang-analyzer-optin.performance.*' \
	"${units[@]}" -- -std=gnu17 -D_GNU_SOURCE= -I. 2>/dev/null
shellcheck "${scripts[@]}"
echo "lint: clean"
