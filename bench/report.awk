# SPDX-License-Identifier: MIT
# Makes tables of bench/targets and of what bench.sh measured (figures.tsv). Fails if a row of
# the parts asked for has no figure.
#
# parts, rows: as bench.sh was given them; skip: rows that cannot be had here; cpu: the one
# that the pinned parts used.

function median(values, count,   i, j, v) {
	for (i = 2; i <= count; i++) {
		v = values[i]
		for (j = i - 1; j >= 1 && values[j] > v; j--)
			values[j + 1] = values[j]
		values[j + 1] = v
	}
	return count % 2 ? values[(count + 1) / 2] : (values[count / 2] + values[count / 2 + 1]) / 2
}

# Three digits say all that such a figure can.
function digits(v) {
	return sprintf(v >= 100 ? "%.0f" : v >= 10 ? "%.1f" : "%.2f", v)
}

function duration(ns) {
	if (ns < 999.5)
		return digits(ns) " ns"
	if (ns < 999.5e3)
		return digits(ns / 1e3) " us"
	if (ns < 999.5e6)
		return digits(ns / 1e6) " ms"
	return digits(ns / 1e9) " s"
}

# Whether it is a time that the native side has too.
function compared(row) {
	return measure[row] ~ /^(ratio|us)$/
}

# Collects a row's rounds of a part; sets native, lucid, ratio, least and greatest, each "" if
# there is none. least and greatest are of the ratio, or of Lucid's figure where nothing is
# compared.
function collect(part, row,   r, n, l, both, some, of_native, of_lucid, of_ratio) {
	for (r = 1; r <= rounds; r++) {
		if ((part, r, "native", row) in value)
			of_native[++n] = value[part, r, "native", row]
		if ((part, r, "lucid", row) in value)
			of_lucid[++l] = value[part, r, "lucid", row]
		if ((part, r, "native", row) in value && (part, r, "lucid", row) in value &&
			value[part, r, "native", row] > 0)
			of_ratio[++both] = value[part, r, "lucid", row] / value[part, r, "native", row]
	}
	native = n ? median(of_native, n) : ""
	lucid = l ? median(of_lucid, l) : ""
	ratio = both ? median(of_ratio, both) : ""
	least = greatest = ""
	if (!compared(row))
		ratio = ""
	if (ratio != "") {
		least = of_ratio[1]
		greatest = of_ratio[both]
	} else if (l) {
		least = of_lucid[1]
		greatest = of_lucid[l]
	}
}

function header(text, last) {
	printf "\n%s\n%-18s%10s%10s%8s  %-18s%s\n", text, "", "native", "Lucid", "ratio",
		"least..greatest", last
}

# The figure of the row at hand as its measure has it, to be held against the limit.
function measured(row) {
	return measure[row] == "ratio" ? ratio : measure[row] == "us" ? lucid / 1e3 : \
		measure[row] == "ms" ? lucid / 1e6 : lucid
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
		target = "<= " limit[row] (measure[row] == "ratio" ? "x" : " " measure[row])
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
		shown = digits(lucid) (measure[row] == "none" ? "" : " " measure[row])
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
		if (kind == "micro" && rows != "" && !(row in chosen) && row != "clock_error")
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

FILENAME ~ /targets$/ {
	if ($0 ~ /^#/ || NF < 5)
		next
	name[++count] = $1
	kind_of[$1] = $2
	measure[$1] = $3
	limit[$1] = $4
	what[$1] = $5
	for (i = 6; i <= NF; i++)
		what[$1] = what[$1] " " $i
	next
}

{
	value[$1, $2, $3, $4] = $5
	if ($2 > rounds)
		rounds = $2
}

END {
	if ("pinned" in asked || "gcc" in asked) {
		header("On CPU " cpu, "target")
		if ("pinned" in asked)
			lines("pinned", "micro", 1)
		if ("gcc" in asked)
			lines("gcc", "gcc", 1)
	}
	if ("unpinned" in asked) {
		header("On any CPU", "")
		lines("unpinned", "micro", 0)
	}
	if ("smp" in asked) {
		header("With 2 virtual CPUs, on any CPU", "target")
		lines("smp", "smp", 1)
	}
	if ("boot" in asked || "idle" in asked) {
		header("The machine", "target")
		if ("boot" in asked)
			lines("boot", "boot", 1)
		if ("idle" in asked)
			lines("idle", "idle", 1)
	}
	printf "\n%d of %d targets met%s\n", judgements - over, judgements, \
		missing ? "; rows that could not be measured: " missing : ""
	exit missing > 0
}
