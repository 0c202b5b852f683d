# SPDX-License-Identifier: MIT
# Writes a large C file, the same each time: functions of the kinds that compilers meet
# (loops over arrays, lists and strings, state machines, floating point) with enough
# variety that none is folded into another. -v groups=N: other than 30 groups of four.

function random(n) {
	# Small enough a modulus that doubles hold the products exactly.
	seed = (seed * 16807) % 2147483647
	return seed % n
}

function expression(depth) {
	if (depth == 0)
		return substr("abcxyz", random(6) + 1, 1)
	return "(" expression(depth - 1) " " operator[random(6)] " " \
		(random(3) ? expression(depth - 1) : random(900) + 3) ")"
}

function machine(name, states,   s) {
	print "int " name "(const char *p, int a, int b)\n{"
	print "\tint state = 0, c = 1, x = a, y = b, z = 7;\n\tfor (; *p; p++)\n\t\tswitch (state) {"
	for (s = 0; s < states; s++) {
		print "\t\tcase " s ":\n\t\t\tif (*p == " 32 + random(90) " || x > " random(9999) ") {"
		print "\t\t\t\tx = " expression(2) ";\n\t\t\t\tstate = " random(states) ";"
		print "\t\t\t} else if (*p > " 32 + random(90) ") {\n\t\t\t\ty += " expression(2) ";"
		print "\t\t\t} else {\n\t\t\t\tz ^= c++ * *p;\n\t\t\t\tstate = (state + 1) % " states ";\n\t\t\t}"
		print "\t\t\tbreak;"
	}
	print "\t\t}\n\treturn x ^ y ^ z ^ c;\n}\n"
}

function arrays(name,   k) {
	print "int " name "(int *restrict u, const int *restrict v, int n)\n{\n\tint a = n, b = 1, c = 2, x = 3, y = 5, z = 7;"
	print "\tfor (int i = 0; i < n; i++) {\n\t\ta += v[i];\n\t\tb = v[i] * " random(99) + 2 ";"
	for (k = random(4) + 2; k > 0; k--)
		print "\t\t" substr("abcxyz", random(6) + 1, 1) " = " expression(3) ";"
	print "\t\tu[i] = x + y;\n\t}\n\tfor (int i = 1; i < n; i++)\n\t\tu[i] += u[i - 1] * " random(50) + 2 " + v[i];"
	print "\treturn a + b + c + z;\n}\n"
}

function lists(name) {
	print "struct node *" name "(struct node *list, unsigned key)\n{\n\tstruct node *found = 0, **at = &list;"
	print "\twhile (*at) {\n\t\tstruct node *n = *at;\n\t\tif (n->key % " random(50) + 2 " == key) {"
	print "\t\t\t*at = n->next;\n\t\t\tn->next = found;\n\t\t\tn->weight += " random(100) " * n->key;\n\t\t\tfound = n;"
	print "\t\t} else {\n\t\t\tn->weight *= 1." random(1000) ";\n\t\t\tat = &n->next;\n\t\t}\n\t}"
	print "\tif (found && found->weight > " random(1000) ")\n\t\tsnprintf(found->name, sizeof(found->name), \"%u-" random(1000) "\", key);"
	print "\treturn found;\n}\n"
}

function floats(name,   k) {
	print "double " name "(const double *m, double *r, int n)\n{\n\tdouble sum = 0;\n\tfor (int i = 0; i < n; i++)\n\t\tfor (int j = 0; j < n; j++) {\n\t\t\tdouble t = m[i * n + j];"
	for (k = random(4) + 1; k > 0; k--)
		print "\t\t\tt = t * " random(90) "." random(999) + 1 " + r[j] / " random(90) + 2 ".0;"
	print "\t\t\tr[i] += t > " random(999) ".0 ? t : -t;\n\t\t\tsum += t;\n\t\t}\n\treturn sum;\n}\n"
}

BEGIN {
	seed = 20240607
	split("+ - * ^ & |", words, " ")
	for (i = 1; i <= 6; i++)
		operator[i - 1] = words[i]
	print "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n"
	print "struct node {\n\tstruct node *next;\n\tunsigned key;\n\tdouble weight;\n\tchar name[24];\n};\n"
	for (i = 0; i < (groups ? groups : 30); i++) {
		machine("machine" i, 6 + random(10))
		arrays("arrays" i)
		lists("lists" i)
		floats("floats" i)
	}
}
