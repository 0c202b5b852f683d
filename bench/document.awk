# SPDX-License-Identifier: MIT
# Makes docs/benchmarks.md, but for its head, of bench/targets and figures.tsv; and the plots'
# data: build/bench/plot-PART.dat, a row and its ratio a line. figures.awk reads them.

function cell(text) {
	return " " text " |"
}

# A peer's ratio to native, "" if it has no figure.
function peer_ratio(part, row, side,   r, n, of, both) {
	for (r = 1; r <= rounds; r++)
		if ((part, r, side, row) in value && value[part, r, "native", row] > 0)
			of[++both] = value[part, r, side, row] / value[part, r, "native", row]
	return both ? median(of, both) : ""
}

function times(x) {
	return x == "" ? "" : (x >= 100 ? sprintf("%.0fx", x) : x >= 10 ? sprintf("%.1fx", x) : \
		sprintf("%.2fx", x))
}

function table_head(part, with_peers,   line, rule, i) {
	line = "| | native | Lucid | ratio | spread | target |"
	rule = "|---|---|---|---|---|---|"
	for (i = 1; with_peers && i <= peer_count; i++) {
		line = line cell(peer[i])
		rule = rule "---|"
	}
	print line "\n" rule
}

function table_row(part, row, with_peers,   line, i, x) {
	collect(part, row)
	if (lucid == "")
		return
	line = "| " what[row] " |"
	if (compared(row)) {
		line = line cell(duration(native)) cell(duration(lucid)) cell(times(ratio)) \
			cell(sprintf("%.2f to %.2f", least, greatest))
		print row, ratio >"build/bench/plot-" part ".dat"
	} else {
		x = measure[row] == "ms" ? duration(lucid) : measure[row] == "none" ? number(lucid) : \
			digits(lucid) " " measure[row]
		line = line cell("") cell(x) cell("") cell("")
	}
	if (limit[row] == "-" || part == "unpinned" || part == "split")
		line = line cell("")
	else
		line = line cell(limit[row] (measure[row] == "ratio" ? "x" : \
			measure[row] == "none" ? "" : " " measure[row]) \
			(measured(row) <= limit[row] ? "" : ", missed"))
	for (i = 1; with_peers && i <= peer_count; i++)
		line = line cell(compared(row) ? times(peer_ratio(part, row, peer[i])) : "")
	print line
}

function section(title, part, kind, with_peers,   i) {
	print "\n## " title "\n"
	table_head(part, with_peers)
	for (i = 1; i <= count; i++)
		if (kind_of[name[i]] == kind)
			table_row(part, name[i], with_peers)
}

END {
	section("Single operations, one CPU", "pinned", "micro", 1)
	print "\n![ratios of single operations](benchmarks-micro.svg)"
	section("Single operations, any CPU", "unpinned", "micro", 0)
	section("A compiler", "gcc", "gcc", 0)
	print "\n## With --isolation split, one CPU\n"
	table_head("split", 0)
	for (i = 1; i <= count; i++)
		if (has_figure("split", name[i]))
			table_row("split", name[i], 0)
	section("Two virtual CPUs", "smp", "smp", 0)
	section("Programs on a Debian root", "macro", "macro", 0)
	print "\n![ratios of programs](benchmarks-macro.svg)"
	section("Folders and networks, one virtual CPU", "io", "io", 0)
	section("A machine's start", "boot", "boot", 0)
	section("An idle machine", "idle", "idle", 0)
	section("Memory that comes and goes", "memory", "memory", 0)
	section("Fifty machines", "many", "many", 0)
	section("What there is to attack, and to trust", "walls", "walls", 0)
}
