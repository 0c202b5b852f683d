// SPDX-License-Identifier: GPL-2.0
/*
 * With lucid_check on the command line: does what the kernel must not be able to do to itself,
 * and says of each attempt whether it was refused. For tests; Linux's own means are a module
 * (lkdtm) and debugfs, which a guest has not. What is refused leaves an oops in the log.
 */
#include <linux/init.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <asm/sections.h>

#include "lucid.h"

#define RET 0xc3

struct attempt {
	const char *what;
	void (*run)(void *where);
	void *where;
	bool done; /* and it came back */
};

static bool wanted __ro_after_init;
static const u8 in_rodata = RET;
static u8 in_data = RET;

static int __init parse(char *arg)
{
	wanted = true;
	return 0;
}
early_param("lucid_check", parse);

static int attempt_thread(void *data)
{
	struct attempt *a = data;

	a->run(a->where);
	a->done = true;
	while (!kthread_should_stop())
		schedule_timeout_interruptible(HZ);
	return 0;
}

/* In a thread of its own, which ends where it is refused. */
static void attempt(const char *what, void (*run)(void *where), const void *where)
{
	struct attempt a = { .what = what, .run = run, .where = (void *)where };
	struct task_struct *thread = kthread_create(attempt_thread, &a, "lucid-check");

	if (IS_ERR(thread)) {
		pr_err("lucid: check: %s: no thread\n", what);
		return;
	}
	get_task_struct(thread);
	wake_up_process(thread);
	while (!READ_ONCE(a.done) && !READ_ONCE(thread->exit_state))
		schedule_timeout_uninterruptible(1);
	kthread_stop(thread);
	put_task_struct(thread);
	pr_notice("lucid: check: %s: %s\n", what, a.done ? "DONE" : "refused");
}

/* Writes the byte that is there, so that nothing is lost if it can. */
static void write(void *where)
{
	u8 byte = READ_ONCE(*(const u8 *)where);

	WRITE_ONCE(*(u8 *)where, byte);
}

static void jump(void *where)
{
	((void (*)(void))where)();
}

/* Gives a user more of an object than there is. */
static void copy_beyond(void *where)
{
	unsigned long size = ksize(where) + 1;

	OPTIMIZER_HIDE_VAR(size);
	check_object_size(where, size, true);
}

static void copy_text(void *where)
{
	unsigned long size = 16;

	OPTIMIZER_HIDE_VAR(size);
	check_object_size(where, size, true);
}

static void unlink_twice(void *where)
{
	struct list_head head, entry;

	INIT_LIST_HEAD(&head);
	list_add(&entry, &head);
	list_del(&entry);
	list_del(&entry);
}

/* The system call of a program that gives a kernel address as its own. */
static void read_as_user(void *where)
{
	u8 byte;

	if (copy_from_user(&byte, (const void __user *)where, 1))
		kthread_exit(0);
}

void lucid_check(void)
{
	u8 on_stack[16] = { RET };
	u8 *heap, *mapped;

	if (!wanted)
		return;
	heap = kmalloc(16, GFP_KERNEL);
	mapped = vmalloc(PAGE_SIZE);
	if (!heap || !mapped)
		return;
	*heap = *mapped = RET;

	attempt("write to the first of the text", write, _text);
	attempt("write to the last of the text", write, _etext - 1);
	attempt("write to a function", write, lucid_check);
	attempt("write to constants", write, &in_rodata);
	attempt("write to what is constant after the start", write, &wanted);
	attempt("write to the monitor's page", write, lucid_info);
	attempt("jump to constants", jump, &in_rodata);
	attempt("jump to data", jump, &in_data);
	attempt("jump to the heap", jump, heap);
	attempt("jump to a stack", jump, on_stack);
	attempt("jump to vmalloc", jump, mapped);
	attempt("jump to text in the direct map", jump, __va(__pa_symbol(_text)));
	attempt("copy beyond an object", copy_beyond, heap);
	attempt("copy text to a user", copy_text, _text);
	attempt("unlink twice", unlink_twice, NULL);
	attempt("read the heap as a user's", read_as_user, heap);
	attempt("read the image as a user's", read_as_user, &in_data);

	vfree(mapped);
	kfree(heap);
}
