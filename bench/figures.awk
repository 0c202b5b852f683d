# SPDX-License-Identifier: MIT
# Reads bench/targets and what bench.sh measured (figures.tsv): for report.awk and document.awk.

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

# What is counted rather than measured has all its digits.
function number(v) {
	return v == int(v) ? v "" : digits(v)
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

# Whether any round of a part has the row, on either side.
function has_figure(part, row,   r) {
	for (r = 1; r <= rounds; r++)
		if ((part, r, "native", row) in value || (part, r, "lucid", row) in value)
			return 1
	return 0
}

# The figure of the row at hand as its measure has it, to be held against the limit.
function measured(row) {
	return measure[row] == "ratio" ? ratio : measure[row] == "us" ? lucid / 1e3 : \
		measure[row] == "ms" ? lucid / 1e6 : lucid
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
	if ($3 != "native" && $3 != "lucid" && !($3 in is_peer)) {
		is_peer[$3] = 1
		peer[++peer_count] = $3
	}
}
