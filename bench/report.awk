# SPDX-License-Identifier: MIT
# Makes tables of bench/targets and of what bench.sh measured (figures.tsv). Fails if a row of
# the parts asked for has no figure.
#
# parts, rows: as bench.sh was given them; skip: rows that cannot be had here; cpu: the one
# that the pinned parts used.

function header(text, last) {
	printf "\n%s\n%-18s%10s%10s%8s  %-18s%s\n", text, "", "native", "Lucid", "ratio",
		"least..greatest", last
}

function line(part, row, judged,   target, verdict, shown, spread) {
	collect(part, row)
	if (lucid == "" || (measure[row] == "ratio" && ratio == "")) {
		printf "%-18s%10s%10s%8s  %-18s%-10s%-7s%s\n", row, \
			compared(row) && native != "" ? duration(native) : "", "missing", "", "", "", "", what[row]
		missing++
		return
	}
	if (judged && limit[row] != "-") {
		target = "<= " limit[row] (measure[row] == "ratio" ? "x" : measure[row] == "none" ? "" : \
			" " measure[row])
		verdict = measured(row) <= limit[row] ? "ok" : "over"
		judgements++
		over += verdict == "over"
	}
	if (measure[row] ~ /^(ratio|us|ms)$/) {
		shown = duration(lucid)
		if (ratio != "")
			spread = sprintf("%.2f..%.2f", least, greatest)
		else
			spread = digits(least / 1e6) ".." digits(greatest / 1e6)
	} else {
		shown = measure[row] == "none" ? number(lucid) : digits(lucid) " " measure[row]
		spread = least == greatest ? "" : digits(least) ".." digits(greatest)
	}
	printf "%-18s%10s%10s%8s  %-18s%-10s%-7s%s\n", row, \
		ratio == "" ? "" : duration(native), shown, ratio == "" ? "" : sprintf("%.2fx", ratio), \
		spread, target, verdict, what[row]
}

# A table's lines for the rows of one part of bench/targets, with the figures of another.
function lines(part, kind, judged,   i, row) {
	for (i = 1; i <= count; i++) {
		row = name[i]
		if (kind_of[row] != kind || row in skipped)
			continue
		if (kind ~ /^m[ai]cro$/ && rows != "" && !(row in chosen) && row != "clock_error")
			continue
		line(part, row, judged)
	}
}

function words_of(list, set,   n, i, word) {
	n = split(list, word, " ")
	for (i = 1; i <= n; i++)
		set[word[i]]
}

BEGIN {
	words_of(parts, asked)
	words_of(rows, chosen)
	words_of(skip, skipped)
}

END {
	if ("pinned" in asked || "gcc" in asked) {
		header("On CPU " cpu, "target")
		if ("pinned" in asked)
			lines("pinned", "micro", 1)
		if ("gcc" in asked)
			lines("gcc", "gcc", 1)
	}
	if ("split" in asked) {
		header("The same with --isolation split", "")
		for (i = 1; i <= count; i++)
			if (has_figure("split", name[i]))
				line("split", name[i], 0)
	}
	if ("unpinned" in asked) {
		header("On any CPU", "")
		lines("unpinned", "micro", 0)
	}
	if ("smp" in asked) {
		header("With 2 virtual CPUs, on any CPU", "target")
		lines("smp", "smp", 1)
	}
	if ("macro" in asked) {
		header("Programs on a Debian root, 2 vCPUs", "target")
		lines("macro", "macro", 1)
	}
	if ("io" in asked) {
		header("Folders and networks, one vCPU", "target")
		lines("io", "io", 1)
	}
	if ("boot" in asked || "idle" in asked || "memory" in asked || "many" in asked) {
		header("The machine", "target")
		if ("boot" in asked)
			lines("boot", "boot", 1)
		if ("idle" in asked)
			lines("idle", "idle", 1)
		if ("memory" in asked)
			lines("memory", "memory", 1)
		if ("many" in asked)
			lines("many", "many", 1)
	}
	if ("walls" in asked) {
		header("What there is to attack, and to trust", "")
		lines("walls", "walls", 1)
	}
	printf "\n%d of %d targets met%s\n", judgements - over, judgements, \
		missing ? "; rows that could not be measured: " missing : ""
	exit missing > 0
}
