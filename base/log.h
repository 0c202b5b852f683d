/* SPDX-License-Identifier: MIT */
/* What Lucid says to its user: one line, "lucid: what happened; what to do". */
#ifndef BASE_LOG_H
#define BASE_LOG_H

/* Exit status of Lucid's own failures. */
#define EXIT_LUCID 125

/* Prints "lucid: " and the line to stderr. */
void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The same for a warning: "lucid: warning: ". */
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Lines go to fd instead of stderr from now on. */
void log_set_fd(int fd);

/* Prints only after log_verbose(1). */
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_set_verbose(int on);

/* A bug of ours: reports file and line, then abort(). */
#define log_bug(what) log_bug_at(__FILE__, __LINE__, what)
_Noreturn void log_bug_at(const char *file, int line, const char *what);

#endif
