/* Preloaded into udhcpc where time is real: it waits for nobody to stop reading its packet sockets.
 *
 * udhcpc opens a packet socket to listen and one for each message, and binds each to its interface. A socket that is opened
 * with a protocol receives at once, on all interfaces; to bind it the kernel must take it away from there, and waits
 * until no processor can still be reading it: an RCU grace period, some 15 ms. So must it to close one. Here a packet
 * socket has no protocol before bind(2), which brings it anyway (packet(7), sll_protocol), and is closed while udhcpc
 * goes on. What is sent and received is the same.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/socket.h>

static int (*socket_of_the_library)(int, int, int);
static int (*close_of_the_library)(int);

__attribute__((constructor)) static void find(void)
{
	socket_of_the_library = (int (*)(int, int, int))dlsym(RTLD_NEXT, "socket");
	close_of_the_library = (int (*)(int))dlsym(RTLD_NEXT, "close");
}

static void *close_it(void *descriptor)
{
	close_of_the_library((int)(intptr_t)descriptor);
	return NULL;
}

int socket(int domain, int type, int protocol)
{
	return socket_of_the_library(domain, type, domain == AF_PACKET ? 0 : protocol);
}

int close(int descriptor)
{
	int domain = 0;
	socklen_t length = sizeof domain;
	pthread_t thread;

	if (getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain == AF_PACKET &&
	    pthread_create(&thread, NULL, close_it, (void *)(intptr_t)descriptor) == 0)
		return pthread_detach(thread);
	return close_of_the_library(descriptor);
}
