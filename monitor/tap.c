/* SPDX-License-Identifier: MIT */
/* A tap device of the host as a link. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "monitor/network.h"

static const char *attach_error(int error)
{
	switch (error) {
	case EPERM:
		return "no permission to use it; make it with `ip tuntap add dev NAME mode tap "
		       "user USER`";
	case EBUSY:
		return "it is in use by another machine; give each one of its own";
	case EINVAL:
		return "it is no tap device with one queue; make it with `ip tuntap add dev NAME "
		       "mode tap`";
	default:
		return strerror(error);
	}
}

struct net_link *tap_open(const char *name, const char **why)
{
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int size = NET_HEADER;
	int fd;

	/* Opening a tap that there is not would make one, which nothing is connected to. */
	if (if_nametoindex(name) == 0) {
		*why = "there is no such interface; make it with `ip tuntap add dev NAME mode tap`";
		return NULL;
	}
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) {
		*why = errno == ENOENT ? "this host has no /dev/net/tun; load the module tun"
				       : "cannot open /dev/net/tun; ask for permission";
		return NULL;
	}
	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	if (ioctl(fd, TUNSETIFF, &request) < 0 || ioctl(fd, TUNSETVNETHDRSZ, &size) < 0) {
		*why = attach_error(errno);
		close(fd);
		return NULL;
	}
	*why = "not enough memory";
	return net_packet(fd);
}
