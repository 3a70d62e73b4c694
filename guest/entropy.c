/* Preloaded into the guest's kernel, which asks the C library for all of its entropy: a stream that follows from a seed.
 *
 * With it a virtual-time guest draws the same port numbers, query identifiers and back-offs each time, and a run is the
 * same to the bit. What a program must not guess has no place in such a guest. The generator is SplitMix64 (Steele,
 * Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014).
 */
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>

static uint64_t state;

__attribute__((constructor)) static void seed(void)
{
	const char *text = getenv("DMMLAB_ENTROPY_SEED");

	state = text ? strtoull(text, NULL, 10) : 0;
}

ssize_t getrandom(void *buffer, size_t length, unsigned int flags)
{
	unsigned char *bytes = buffer;
	uint64_t drawn;

	(void)flags;
	for (size_t place = 0; place < length; place++) {
		drawn = state += 0x9e3779b97f4a7c15u;
		drawn = (drawn ^ (drawn >> 30)) * 0xbf58476d1ce4e5b9u;
		drawn = (drawn ^ (drawn >> 27)) * 0x94d049bb133111ebu;
		bytes[place] = (unsigned char)(drawn ^ (drawn >> 31));
	}
	return (ssize_t)length;
}
